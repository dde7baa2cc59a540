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

use super::calls::Calls;
use super::datagram::{Outbox, Transmit, read_datagram};
use super::field::{Id, Name};
use super::link::{self, Ending, LAST_WORDS, Link};
use super::message::Message;
use super::registration::{self, Registration};

/// Links at most.
const MAX_LINKS: usize = 64;

/// Ids that are over, and neither answered nor tried again, are remembered up to this many.
const MAX_DEPARTED: usize = 256;

/// Who this peer is, and how it meets others.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Drawn anew at each start.
    pub id: Id,
    /// What the person calls itself.
    pub name: Name,
    /// Only peers of the same room meet.
    pub room: Name,
    /// This peer's own address, as others on its network see it.
    pub private: SocketAddr,
    /// How to meet.
    pub meeting: Meeting,
}

/// The ways to meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// A tracker at this address introduces.
    Tracker(SocketAddr),
    /// By calling everyone near.
    Lan,
    /// By calling these endpoints, and by being called.
    Direct(Vec<SocketAddr>),
}

/// What the person should learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of the tracker.
    Registration(registration::Event),
    /// This endpoint does not answer our calls.
    NobodyAnswers(SocketAddr),
    /// Not for the person: the socket is to be replaced by a fresh one, and
    /// [`Peer::handle_fresh_socket`] to be called.
    FreshSocket,
    /// Of another peer.
    Link {
        /// Which one.
        id: Id,
        /// What it calls itself.
        name: Name,
        /// What happened.
        event: link::Event,
    },
}

/// Why `@who` names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// Nobody has this name.
    Unknown,
    /// These all have it.
    Ambiguous(Vec<Id>),
}

/// One peer.
#[derive(Debug)]
pub struct Peer {
    id: Id,
    name: Name,
    room: Name,
    meet: Meet,
    links: BTreeMap<Id, Link>,
    departed: VecDeque<Id>,
    stage: Stage,
    /// How many peers were ever met, and whether one of them was reached.
    met: usize,
    reached: bool,
    failed: bool,
    outbox: Outbox,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum Meet {
    Registration(Registration),
    Calls(Calls),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Talking,
    /// Our input has ended; what others say still comes in.
    Ended,
    /// We have said BYE.
    Leaving {
        until: Instant,
    },
    Over,
}

impl Peer {
    /// A peer that begins with its first timeout.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let Settings { id, name, room, private, meeting } = settings;
        let meet = match meeting {
            Meeting::Tracker(tracker) => {
                Meet::Registration(Registration::new(tracker, id, room, name, private, now))
            }
            Meeting::Lan => Meet::Calls(Calls::new(id, name, room, true, now)),
            Meeting::Direct(endpoints) => {
                let mut calls = Calls::new(id, name, room, false, now);
                endpoints.into_iter().for_each(|endpoint| calls.add(endpoint, now));
                Meet::Calls(calls)
            }
        };
        Self {
            id,
            name,
            room,
            meet,
            links: BTreeMap::new(),
            departed: VecDeque::new(),
            stage: Stage::Talking,
            met: 0,
            reached: false,
            failed: false,
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// Takes in what arrived from `source`.
    pub fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) {
        for (_, message) in read_datagram(datagram) {
            if let Ok(message) = message {
                self.handle_message(source, message, now);
            }
        }
        self.settle(now);
    }

    /// Does what it is time for; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.meet {
            Meet::Registration(registration) => registration.handle_timeout(now, &mut self.outbox),
            Meet::Calls(calls) => {
                let unanswered = calls.handle_timeout(now, &mut self.outbox);
                self.events.extend(unanswered.map(Event::NobodyAnswers));
            }
        }
        for link in self.links.values_mut() {
            link.handle_timeout(now, &mut self.outbox);
        }
        self.settle(now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let meet = match &self.meet {
            Meet::Registration(registration) => registration.poll_timeout(),
            Meet::Calls(calls) => calls.poll_timeout(),
        };
        let leaving = if let Stage::Leaving { until } = self.stage { Some(until) } else { None };
        self.links.values().filter_map(Link::poll_timeout).chain(meet).chain(leaving).min()
    }

    /// Once the conversation is over: whether it ended well.
    pub fn outcome(&self) -> Option<bool> {
        (self.stage == Stage::Over).then_some(!self.failed)
    }

    /// Whether anybody is there to talk to.
    pub fn has_company(&self) -> bool {
        self.links.values().any(Link::is_up)
    }

    /// Whether too much is unacknowledged for another line.
    pub fn is_full(&self) -> bool {
        self.links.values().any(Link::is_full)
    }

    /// The others.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The tracker's registration, where there is a tracker.
    pub fn registration(&mut self) -> Option<&mut Registration> {
        match &mut self.meet {
            Meet::Registration(registration) => Some(registration),
            Meet::Calls(_) => None,
        }
    }

    /// Says a line of at most [`super::delivery::MAX_LINE`] bytes to everyone.
    pub fn say(&mut self, line: &str, now: Instant) {
        self.links.values_mut().for_each(|link| link.say(line, now));
        self.settle(now);
    }

    /// Says a line to one peer only.
    pub fn say_to(&mut self, id: Id, line: &str, now: Instant) {
        if let Some(link) = self.links.get_mut(&id) {
            link.say(line, now);
        }
        self.settle(now);
    }

    /// Finds whom a person means: by name, or by four digits or more of the id.
    pub fn find(&self, who: &str) -> Result<Id, NotFound> {
        let there = || self.links.values().filter(|link| link.is_up());
        let mut found: Vec<Id> = there().filter(|link| link.name().as_str() == who).map(Link::id).collect();
        if found.is_empty() && who.len() >= 4 {
            found = there().map(Link::id).filter(|id| id.to_string().starts_with(who)).collect();
        }
        match found[..] {
            [] => Err(NotFound::Unknown),
            [id] => Ok(id),
            _ => Err(NotFound::Ambiguous(found)),
        }
    }

    /// Calls an endpoint; false where peers meet through a tracker.
    pub fn connect(&mut self, endpoint: SocketAddr, now: Instant) -> bool {
        let Meet::Calls(calls) = &mut self.meet else {
            return false;
        };
        calls.add(endpoint, now);
        true
    }

    /// Our input has ended: says END to everyone.
    pub fn end(&mut self, now: Instant) {
        if self.stage == Stage::Talking {
            self.stage = Stage::Ended;
            self.links.values_mut().for_each(|link| link.end(now));
        }
        self.settle(now);
    }

    /// Leaves: says BYE to everyone and LEAVE to the tracker.
    pub fn leave(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Talking | Stage::Ended) {
            self.stage = Stage::Leaving { until: now + LAST_WORDS };
            if let Meet::Registration(registration) = &mut self.meet {
                registration.leave(&mut self.outbox);
            }
            self.links.values_mut().for_each(|link| link.leave(now));
        }
        self.settle(now);
    }

    /// The socket is a fresh one, with this address: registers anew and waits for new
    /// introductions.
    pub fn handle_fresh_socket(&mut self, private: SocketAddr, now: Instant) {
        if let Meet::Registration(registration) = &mut self.meet {
            registration.restart(private, now);
        }
        self.links.values_mut().for_each(|link| link.path.restart(now));
        self.handle_timeout(now);
    }

    fn handle_message(&mut self, source: SocketAddr, message: Message, now: Instant) {
        match message {
            Message::Ping { to, from, name } if from != self.id => {
                let for_us = to == Name::from(self.id);
                if let Some(link) = self.links.get_mut(&from) {
                    if for_us || to == self.room {
                        link.path.handle_ping(source, for_us, now, &mut self.outbox);
                    }
                } else if for_us || to == self.room {
                    self.answer_stranger(source, from, name);
                }
            }
            Message::Pong { to, from, name } if to == self.id => {
                if let Meet::Calls(calls) = &mut self.meet {
                    calls.answered(source);
                    self.meet_stranger(from, name, source, now);
                }
                if let Some(link) = self.links.get_mut(&from) {
                    link.handle_pong(source, now);
                }
            }
            Message::Numbered { to, from, sequence, body } if to == self.id => {
                if let Some(link) = self.link_to(from, source, now) {
                    link.handle_numbered(source, sequence, body, now);
                }
            }
            Message::Ack { to, from, next, ranges } if to == self.id => {
                if let Some(link) = self.link_to(from, source, now) {
                    link.handle_ack(source, next, &ranges, now);
                }
            }
            message => self.handle_introduction(source, message, now),
        }
    }

    /// What only the tracker may say.
    fn handle_introduction(&mut self, source: SocketAddr, message: Message, now: Instant) {
        let Meet::Registration(registration) = &mut self.meet else {
            return;
        };
        if source != registration.tracker() {
            return;
        }
        let Some(who) = registration.handle_message(message, now, &mut self.outbox) else {
            return;
        };
        if self.links.get(&who.id).is_some_and(|link| link.endpoint().is_some()) {
            registration.met(who.id, &mut self.outbox);
        }
        self.add_link(who.id, who.name, who.public, now);
        if let Some(link) = self.links.get_mut(&who.id) {
            link.path.introduce(who.public, who.private, now, &mut self.outbox);
        }
    }

    /// Answers somebody who knows our room or our id, and asks whether we are heard.
    fn answer_stranger(&mut self, source: SocketAddr, from: Id, name: Name) {
        if let Meet::Calls(calls) = &mut self.meet
            && !self.departed.contains(&from)
        {
            calls.remember(from, name);
            let (to, from, name) = (from, self.id, self.name);
            self.outbox.push(source, &Message::Pong { to, from, name });
            let to = to.into();
            self.outbox.push(source, &Message::Ping { to, from, name });
        }
    }

    /// Whoever answers with our id has heard us: a link begins.
    fn meet_stranger(&mut self, from: Id, name: Name, source: SocketAddr, now: Instant) {
        if !self.links.contains_key(&from) {
            self.add_link(from, name, source, now);
        }
    }

    /// The link to somebody we know, or to a stranger whose call we have answered.
    fn link_to(&mut self, from: Id, source: SocketAddr, now: Instant) -> Option<&mut Link> {
        if let Meet::Calls(calls) = &self.meet
            && let Some(name) = calls.stranger(from)
        {
            self.meet_stranger(from, name, source, now);
        }
        self.links.get_mut(&from)
    }

    /// Where the ways to meet come together: an id and an endpoint become a link.
    fn add_link(&mut self, id: Id, name: Name, endpoint: SocketAddr, now: Instant) {
        let is_known = self.links.contains_key(&id) || self.departed.contains(&id) || id == self.id;
        let is_leaving = !matches!(self.stage, Stage::Talking | Stage::Ended);
        if is_known || is_leaving || self.links.len() >= MAX_LINKS {
            return;
        }
        self.met += 1;
        let mut link = Link::new((self.id, self.name), id, name, endpoint, now);
        if self.stage == Stage::Ended {
            link.end(now);
        }
        self.links.insert(id, link);
    }

    /// After every input: lets out what has become due, and draws the conclusions.
    fn settle(&mut self, now: Instant) {
        if let Meet::Registration(registration) = &mut self.meet {
            let events = std::iter::from_fn(|| registration.poll_event());
            self.events.extend(events.map(Event::Registration));
        }
        let mut attempt_failed = false;
        for link in self.links.values_mut() {
            link.flush(now, &mut self.outbox);
            while let Some(mut event) = link.poll_event() {
                match &mut event {
                    link::Event::Reached(_) => {
                        self.reached = true;
                        if let Meet::Registration(registration) = &self.meet {
                            registration.met(link.id(), &mut self.outbox);
                        }
                    }
                    link::Event::NextAttempt(_) => attempt_failed = true,
                    link::Event::Unreachable(failure) => {
                        if let Meet::Registration(registration) = &self.meet {
                            failure.ours = registration.addresses();
                        }
                    }
                    link::Event::Unacknowledged(_) => self.failed = true,
                    _ => {}
                }
                self.events.push_back(Event::Link { id: link.id(), name: link.name(), event });
            }
        }
        self.bury();
        let has_tracker = matches!(self.meet, Meet::Registration(_));
        if has_tracker && attempt_failed && !self.has_company() {
            self.events.push_back(Event::FreshSocket);
        }
        self.rest_or_register(now);
        self.finish(now);
    }

    /// Lets go of the links that have ended, and remembers their ids.
    fn bury(&mut self) {
        let is_pair = self.complete().map_or(self.met == 1, |size| size == 2);
        for (id, link) in self.links.extract_if(.., |_, link| link.ending().is_some()) {
            let is_gone_from_pair = link.ending() == Some(Ending::Gone) && is_pair;
            self.failed |= is_gone_from_pair || link.sender().unacknowledged() > 0;
            self.departed.push_back(id);
        }
        while self.departed.len() > MAX_DEPARTED {
            self.departed.pop_front();
        }
    }

    /// There is nothing more to be had from the tracker once the room is complete and everyone in
    /// it is reached or given up.
    fn rest_or_register(&mut self, now: Instant) {
        let all_settled = self.links.values().all(|link| link.endpoint().is_some()) && self.has_met_all();
        let is_leaving = !matches!(self.stage, Stage::Talking | Stage::Ended);
        if let Meet::Registration(registration) = &mut self.meet {
            registration.set_active(!all_settled && !is_leaving, now);
        }
    }

    fn complete(&self) -> Option<u64> {
        match &self.meet {
            Meet::Registration(registration) => registration.complete(),
            Meet::Calls(_) => None,
        }
    }

    fn has_met_all(&self) -> bool {
        self.complete().is_some_and(|size| (self.links.len() + self.departed.len()) as u64 + 1 >= size)
    }

    fn finish(&mut self, now: Instant) {
        let nobody_else_comes = self.has_met_all() && self.links.is_empty();
        let all_closed = self.links.values().all(Link::is_closed);
        let reached_closed = self.links.values().all(|link| link.is_closed() || link.endpoint().is_none());
        let is_over = match self.stage {
            Stage::Leaving { until } => reached_closed || until <= now,
            Stage::Ended => nobody_else_comes || (self.reached && all_closed),
            Stage::Talking => nobody_else_comes,
            Stage::Over => return,
        };
        if !is_over {
            return;
        }
        if let Stage::Leaving { .. } = self.stage {
            self.count_lost_lines();
        } else {
            self.failed |= !self.reached;
            if let Meet::Registration(registration) = &mut self.meet {
                registration.leave(&mut self.outbox);
            }
        }
        self.stage = Stage::Over;
    }

    /// We have waited long enough: tells who has not acknowledged how many lines.
    fn count_lost_lines(&mut self) {
        for link in self.links.values().filter(|link| !link.is_closed()) {
            let lines = link.sender().unacknowledged();
            if lines > 0 {
                self.failed = true;
                let (id, name, event) = (link.id(), link.name(), link::Event::Unacknowledged(lines));
                self.events.push_back(Event::Link { id, name, event });
            }
        }
    }
}
