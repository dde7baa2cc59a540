//! What becomes of each message that arrives at a peer: whose it is, and which link takes it in.
//!
//! ```text
//! PING                        from a link, or a call           answered
//! PONG SAY PART END BYE ACK   from a link; it has heard us     taken in; the first one makes the link
//! COOKIE WAIT PEER FULL       from our tracker                 taken in by the Registration
//! ```

use std::net::SocketAddr;

use super::{MAX_LINKS, Peer, Phase};
use crate::protocol::link::Link;
use crate::protocol::part::Side;
use crate::protocol::{Event, Id, Message, Name, Output, Reason, Who};

impl Peer {
    pub(super) fn handle_message(&mut self, source: SocketAddr, message: Message) {
        match message {
            Message::Ping { to, from } => self.handle_ping(source, to, from),
            Message::Pong { to, .. } | Message::Numbered { to, .. } | Message::Ack { to, .. }
                if to != self.us.id =>
            {
                self.out.note(Reason::Ignored("for another id"));
            }
            Message::Pong { from, .. } => {
                self.calls.iter_mut().for_each(|calls| calls.remember(from)); // it has heard us
                self.on_link(from.id, source, |link, out| link.handle_pong(source, out));
            }
            Message::Numbered { from, sequence, body, .. } => {
                self.on_link(from, source, |link, out| link.handle_numbered(source, sequence, body, out));
            }
            Message::Ack { from, next, ranges, .. } => {
                self.on_link(from, source, |link, out| link.handle_ack(source, next, &ranges, out));
            }
            message => self.handle_introduction(source, message),
        }
    }

    /// Answers a stranger, too, who knows our room or our id, and asks whether we are heard.
    fn handle_ping(&mut self, source: SocketAddr, to: Name, from: Who) {
        let is_for_us = to == self.us.id.into();
        if !is_for_us && to != self.room {
            return self.out.note(Reason::Ignored("for another id or room"));
        }
        if let Some(link) = self.links.get_mut(&from.id) {
            return link.path.handle_ping(source, is_for_us, &mut self.out);
        }
        let is_welcome = self.refusal(from.id).is_none();
        let Some(calls) = self.calls.as_mut().filter(|_| is_welcome) else { return self.refuse(from.id) };
        let again = calls.stranger(from.id).map(|_| Reason::Again("heard from there"));
        calls.remember(from);
        self.out.send(source, &Message::Pong { to: from.id, from: self.us }, None);
        self.out.send(source, &Message::Ping { to: from.id.into(), from: self.us }, again);
    }

    /// What only the tracker may say.
    fn handle_introduction(&mut self, source: SocketAddr, message: Message) {
        let tracker = self.registration.as_mut().filter(|registration| registration.tracker == source);
        let Some(registration) = tracker else {
            return self.out.note(Reason::Ignored("not from our tracker"));
        };
        let Some(other) = registration.handle_message(message, &mut self.out) else { return };
        if self.links.get(&other.id).is_some_and(|link| link.path.endpoint.is_some()) {
            registration.met(other.id, Some(Reason::Again("introduced again")), &mut self.out);
        }
        // Half of all homes number alike: what is our own address here is not where the other is, unless
        // both are on this machine.
        let is_elsewhere = registration.public.is_some_and(|public| public.ip() != other.public.ip());
        let is_ours = other.private == registration.private
            || is_elsewhere && other.private.ip() == registration.private.ip();
        let private = if is_ours { other.public } else { other.private };
        self.add_link(Who { id: other.id, name: other.name }, other.public);
        let Some(link) = self.links.get_mut(&other.id) else { return self.refuse(other.id) };
        link.path.introduce(other.public, private, &mut self.out);
    }

    /// Lets the link to somebody we know, or to a stranger whose call we have answered, take in what proves
    /// that we were heard.
    fn on_link(&mut self, from: Id, source: SocketAddr, take_in: impl FnOnce(&mut Link, &mut Output)) {
        let stranger = self.calls.as_ref().and_then(|calls| calls.stranger(from));
        stranger.into_iter().for_each(|who| self.add_link(who, source));
        let Some(link) = self.links.get_mut(&from) else { return self.refuse(from) };
        self.calls.iter_mut().for_each(|calls| calls.answered(source));
        if link.path.endpoint.is_none() {
            self.out.note(Reason::Linked("made"));
            // Two on this machine reach each other at several addresses, and which is first is no news.
            let own = self.registration.as_ref().map(|registration| registration.private.ip());
            let is_here = link.told.ip().is_loopback() && own == Some(source.ip());
            let elsewhere = Some(source).filter(|source| *source != link.told && !is_here);
            self.out.tell(Event::Reached { who: link.who, first: !self.reached, elsewhere });
            self.reached = true;
            self.registration.iter_mut().for_each(|registration| registration.met(from, None, &mut self.out));
        }
        take_in(link, &mut self.out);
    }

    /// Where the ways to meet come together: an id and an endpoint become a link.
    fn add_link(&mut self, who: Who, endpoint: SocketAddr) {
        if self.links.contains_key(&who.id) || self.refusal(who.id).is_some() {
            return;
        }
        self.out.tell(Event::Introduced(who, endpoint));
        let mut link = Link::new(self.us, who, endpoint, self.out.now);
        if self.phase == Phase::Ended {
            link.say_last(Side::Ended, self.out.now);
        }
        self.links.insert(who.id, link);
    }

    /// Why there can be no link to this one.
    fn refusal(&self, id: Id) -> Option<Reason> {
        let departed = self.departed.iter().find(|(other, _)| *other == id).map(|(_, reason)| *reason);
        match self.links.len() {
            _ if id == self.us.id => Some(Reason::Ignored("our own")),
            _ if !self.takes_part() => Some(Reason::Ignored("we are leaving")),
            MAX_LINKS.. => departed.or(Some(Reason::Ignored("too many are here"))),
            _ => departed,
        }
    }

    fn refuse(&mut self, id: Id) {
        self.out.note(self.refusal(id).unwrap_or(Reason::Ignored("not introduced")));
    }
}
