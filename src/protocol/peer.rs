//! One peer: how it meets others, and its link to each of them.
//!
//! ```text
//!              +-- Registration (a tracker introduces) --+
//!  datagrams --+                                         +--> endpoint, id --> Link, Link, ...
//!              +-- Calls (LAN, or an address by hand) ---+
//! ```
//!
//! However two peers have met, from there on it is a [`Link`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use super::link::Link;
use super::meet::calls::Calls;
use super::meet::registration::Registration;
use super::part::{LAST_WORDS, Side, Stage as LinkStage};
use super::reach::ATTEMPTS;
use super::{Event, Failure, Id, Message, Name, Output, Who, read_datagram};

/// Links at most.
const MAX_LINKS: usize = 64;

/// Ids that are over, and neither answered nor tried again, are remembered up to this many.
const MAX_DEPARTED: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    // A tracker at this address introduces.
    Tracker(SocketAddr),
    // By calling everyone near.
    Lan,
    // By calling these endpoints, and by being called.
    Direct(Vec<SocketAddr>),
}

pub struct Peer {
    us: Who,
    room: Name,
    /// How it meets others: one of these.
    registration: Option<Registration>,
    calls: Option<Calls>,
    links: BTreeMap<Id, Link>,
    departed: VecDeque<Id>,
    stage: Stage,
    /// Whether anybody was ever reached.
    reached: bool,
    failed: bool,
    pub out: Output,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Talking,
    // Our input has ended; what others say still comes in.
    Ended,
    // We have said BYE.
    Leaving { until: Instant },
    Over,
}

impl Peer {
    /// A peer whose own address, as others on its network see it, is `private`.
    pub fn new(us: Who, room: Name, private: SocketAddr, meeting: Meeting, now: Instant) -> Self {
        let (registration, calls) = match meeting {
            Meeting::Tracker(tracker) => (Some(Registration::new(tracker, us, room, private, now)), None),
            Meeting::Lan => (None, Some(Calls::new(us, room, true, &[], now))),
            Meeting::Direct(endpoints) => (None, Some(Calls::new(us, room, false, &endpoints, now))),
        };
        let (links, departed, stage) = (BTreeMap::new(), VecDeque::new(), Stage::Talking);
        let (reached, failed, out) = (false, false, Output::new(now));
        Self { us, room, registration, calls, links, departed, stage, reached, failed, out }
    }

    /// Once the conversation is over: whether it ended well.
    pub fn outcome(&self) -> Option<bool> {
        (self.stage == Stage::Over).then_some(!self.failed)
    }

    /// Whether anybody is there to talk to.
    pub fn has_company(&self) -> bool {
        self.links().any(Link::is_up)
    }

    /// Whether too much is unacknowledged for another line.
    pub fn is_full(&self) -> bool {
        self.links().any(Link::is_full)
    }

    /// The others.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Finds all whom a person may mean: by name, else by four digits or more of the id.
    pub fn find(&self, who: &str) -> Vec<Id> {
        let ids = |is_meant: &dyn Fn(&Who) -> bool| -> Vec<Id> {
            let others = self.links().filter(|link| link.is_up()).map(|link| link.who);
            others.filter(is_meant).map(|other| other.id).collect()
        };
        let named = ids(&|other| other.name.as_str() == who);
        let is_id = named.is_empty() && who.len() >= 4;
        if is_id { ids(&|other| other.id.to_string().starts_with(who)) } else { named }
    }

    /// Takes in what arrived from `source`.
    pub fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) {
        self.out.now = now;
        let messages = read_datagram(datagram).into_iter().filter_map(|(_, message)| message.ok());
        messages.for_each(|message| self.handle_message(source, message));
        self.handle_timeout(now);
    }

    /// Does what has become due, and draws the conclusions: after every input, and when it is time. Harmless when
    /// early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.out.begin(now);
        let mut attempt_failed = false;
        for link in self.links.values_mut() {
            attempt_failed |= link.run(&mut self.out);
        }
        self.bury();
        self.calls.iter_mut().for_each(|calls| calls.run(&mut self.out));
        // Once everyone is reached or given up, there is nothing more to be had from the tracker.
        let all_reached = self.links().all(|link| link.path.endpoint.is_some());
        let is_active = self.takes_part() && !(all_reached && self.has_met_all());
        let needs_fresh_socket = attempt_failed && !self.has_company();
        if let Some(registration) = &mut self.registration {
            registration.set_active(is_active);
            registration.run(&mut self.out);
            self.out.events.extend(needs_fresh_socket.then_some(Event::FreshSocket));
        }
        if self.is_over() {
            self.finish();
        }
    }

    /// Says a line of at most [`super::talk::receiver::MAX_LINE`] bytes to everyone.
    pub fn say(&mut self, line: &str, now: Instant) {
        self.links.values_mut().for_each(|link| link.say(line, now));
        self.handle_timeout(now);
    }

    /// Says a line to one peer only.
    pub fn say_to(&mut self, id: Id, line: &str, now: Instant) {
        self.links.get_mut(&id).into_iter().for_each(|link| link.say(line, now));
        self.handle_timeout(now);
    }

    /// Calls an endpoint; false where peers meet through a tracker.
    pub fn connect(&mut self, endpoint: SocketAddr, now: Instant) -> bool {
        self.calls.iter_mut().for_each(|calls| calls.add(endpoint, now));
        self.handle_timeout(now);
        self.calls.is_some()
    }

    /// Our input has ended: says END to everyone.
    pub fn end(&mut self, now: Instant) {
        if self.stage == Stage::Talking {
            self.stage = Stage::Ended;
            self.links.values_mut().for_each(|link| link.say_last(Side::Ended, now));
        }
        self.handle_timeout(now);
    }

    /// Leaves: says BYE to everyone and LEAVE to the tracker.
    pub fn leave(&mut self, now: Instant) {
        if self.takes_part() {
            self.stage = Stage::Leaving { until: now + LAST_WORDS };
            self.registration.iter_mut().for_each(|registration| registration.leave(&mut self.out));
            self.links.values_mut().for_each(|link| link.say_last(Side::Left, now));
        }
        self.handle_timeout(now);
    }

    /// The socket is a fresh one, with this address: registers anew and waits for new introductions.
    pub fn handle_fresh_socket(&mut self, private: SocketAddr, now: Instant) {
        self.registration.iter_mut().for_each(|registration| registration.restart(private, now));
        self.links.values_mut().for_each(|link| link.path.restart(now));
        self.handle_timeout(now);
    }

    fn handle_message(&mut self, source: SocketAddr, message: Message) {
        match message {
            Message::Ping { to, from } if from.id != self.us.id => self.handle_ping(source, to, from),
            Message::Pong { to, from } if to == self.us.id => {
                if let Some(calls) = &mut self.calls {
                    calls.answered(source);
                    self.add_link(from, source); // it has heard us
                }
                self.on_link(from.id, source, |link, out| link.handle_pong(source, out.now));
            }
            Message::Numbered { to, from, sequence, body } if to == self.us.id => {
                self.on_link(from, source, |link, out| link.handle_numbered(source, sequence, body, out));
            }
            Message::Ack { to, from, next, ranges } if to == self.us.id => {
                self.on_link(from, source, |link, out| link.handle_ack(source, next, &ranges, out.now));
            }
            message => self.handle_introduction(source, message),
        }
    }

    /// Answers a stranger, too, who knows our room or our id, and asks whether we are heard.
    fn handle_ping(&mut self, source: SocketAddr, to: Name, from: Who) {
        let is_for_us = to == self.us.id.into();
        if !is_for_us && to != self.room {
            return;
        }
        if let Some(link) = self.links.get_mut(&from.id) {
            return link.path.handle_ping(source, is_for_us, &mut self.out);
        }
        if let Some(calls) = self.calls.as_mut().filter(|_| !self.departed.contains(&from.id)) {
            calls.remember(from);
            self.out.send(source, &Message::Pong { to: from.id, from: self.us });
            self.out.send(source, &Message::Ping { to: from.id.into(), from: self.us });
        }
    }

    /// What only the tracker may say.
    fn handle_introduction(&mut self, source: SocketAddr, message: Message) {
        let tracker = self.registration.as_mut().filter(|registration| registration.tracker == source);
        let Some(registration) = tracker else { return };
        let Some(other) = registration.handle_message(message, &mut self.out) else { return };
        if self.links.get(&other.id).is_some_and(|link| link.path.endpoint.is_some()) {
            registration.met(other.id, &mut self.out);
        }
        self.add_link(Who { id: other.id, name: other.name }, other.public);
        if let Some(link) = self.links.get_mut(&other.id) {
            link.path.introduce(other.public, other.private, &mut self.out);
        }
    }

    /// Lets the link to somebody we know, or to a stranger whose call we have answered, take in what proves that we
    /// were heard.
    fn on_link(&mut self, from: Id, source: SocketAddr, take_in: impl FnOnce(&mut Link, &mut Output)) {
        let stranger = self.calls.as_ref().and_then(|calls| calls.stranger(from));
        stranger.into_iter().for_each(|who| self.add_link(who, source));
        let Some(link) = self.links.get_mut(&from) else { return };
        if link.path.endpoint.is_none() {
            self.out.tell(Event::Reached { who: link.who, first: !self.reached });
            self.reached = true;
            self.registration.iter_mut().for_each(|registration| registration.met(from, &mut self.out));
        }
        take_in(link, &mut self.out);
    }

    /// Where the ways to meet come together: an id and an endpoint become a link.
    fn add_link(&mut self, who: Who, endpoint: SocketAddr) {
        let is_known =
            self.links.contains_key(&who.id) || self.departed.contains(&who.id) || who.id == self.us.id;
        if is_known || !self.takes_part() || self.links.len() >= MAX_LINKS {
            return;
        }
        self.out.tell(Event::Introduced(who, endpoint));
        let mut link = Link::new(self.us, who, endpoint, self.out.now);
        if self.stage == Stage::Ended {
            link.say_last(Side::Ended, self.out.now);
        }
        self.links.insert(who.id, link);
    }

    fn takes_part(&self) -> bool {
        matches!(self.stage, Stage::Talking | Stage::Ended)
    }

    /// Lets go of the links that are over, and remembers their ids.
    fn bury(&mut self) {
        let over: Vec<Id> = self.links().filter(|link| link.is_over()).map(|link| link.who.id).collect();
        let is_pair = self.room_size().map_or(self.links.len() + self.departed.len() == 1, |size| size == 2);
        for link in over.iter().filter_map(|id| self.links.remove(id)) {
            let unacknowledged = link.sender.unacknowledged();
            if link.path.is_given_up() {
                let ours = self.registration.as_ref().and_then(Registration::addresses);
                let (tried, public) = (link.path.tried.into_iter().collect(), link.path.public);
                let failure = Failure { attempts: ATTEMPTS, tried, public, ours, unacknowledged };
                self.out.tell(Event::Unreachable(link.who, failure));
            }
            self.failed |= link.parting.stage == LinkStage::Gone && is_pair || unacknowledged > 0;
        }
        over.into_iter().for_each(|id| self.departed.push_front(id));
        self.departed.truncate(MAX_DEPARTED);
    }

    /// Known once it is complete.
    fn room_size(&self) -> Option<u64> {
        self.registration.as_ref()?.complete
    }

    fn has_met_all(&self) -> bool {
        self.room_size().is_some_and(|size| (self.links.len() + self.departed.len()) as u64 + 1 >= size)
    }

    fn is_over(&mut self) -> bool {
        let nobody_else_comes = self.has_met_all() && self.links.is_empty();
        let is_closed = |link: &Link| link.parting.stage == LinkStage::Closed;
        let mut links = self.links.values();
        match self.stage {
            Stage::Talking => nobody_else_comes,
            Stage::Ended => nobody_else_comes || self.reached && links.all(is_closed),
            Stage::Leaving { until } => {
                links.all(|link| is_closed(link) || link.path.endpoint.is_none()) || self.out.is_due(until)
            }
            Stage::Over => false,
        }
    }

    fn finish(&mut self) {
        if let Stage::Leaving { .. } = self.stage {
            for link in self.links.values().filter(|link| link.sender.unacknowledged() > 0) {
                self.failed = true;
                self.out.tell(Event::Unacknowledged(link.who, link.sender.unacknowledged()));
            }
        } else {
            self.failed |= !self.reached;
            self.registration.iter_mut().for_each(|registration| registration.leave(&mut self.out));
        }
        self.stage = Stage::Over;
    }
}
