//! Reach and Part: one remote peer, from its introduction to its end.
//!
//! ```text
//!            candidates             PONG, or anything              BYE, 20 s of silence,
//!            are pinged             that proves we were heard      a line too long
//!  introduced -----> Reaching -------------------------> Reached -----------------> over
//!                     |    ^                              |   ^
//!          3 s: next  +----+ attempt, 3 at most           +---+ the path moves
//! ```
//!
//! Hole punching (RFC 5128 section 3.3): both sides ping every address at which the other may be.
//! Our own ping opens our router for what comes from there; the first one answered is the path.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::datagram::Outbox;
use super::delivery::{Received, Receiver, Sender, Slowness};
use super::field::{Id, Name};
use super::message::{Body, Message};

/// Between two rounds of pings to all candidates.
const PING_INTERVAL: Duration = Duration::from_millis(100);

/// An attempt to reach someone; after it, a fresh socket may do better.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How many attempts are made.
pub const ATTEMPTS: u32 = 3;

/// Addresses at which someone is pinged, at most.
const MAX_CANDIDATES: usize = 8;

/// After so long a silence, PING: RFC 7675 section 5.1 checks consent about as often, and many
/// routers forget a mapping after 30 s (RFC 9000 section 10.1.2).
const QUIET: Duration = Duration::from_secs(5);

/// Between keepalives, while nothing is heard.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// After so long a silence, or without any acknowledgement of what was sent, the peer is gone.
const GONE: Duration = Duration::from_secs(20);

/// A path moves only when nothing has come the old way for so long.
const OLD_PATH_SILENT: Duration = Duration::from_millis(500);

/// So long is a new address pinged before it is given up.
const MOVE: Duration = Duration::from_secs(3);

/// Whoever is done repeats its last acknowledgement for so long: it may have been lost.
const LINGER: Duration = Duration::from_millis(700);
const LINGER_INTERVAL: Duration = Duration::from_millis(100);

/// What was said before the other left is waited for so long.
pub const LAST_WORDS: Duration = Duration::from_secs(3);

/// What a person should learn of one remote peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody is there, and is being reached; here first.
    Introduced(SocketAddr),
    /// Datagrams go both ways, along this path.
    Reached(SocketAddr),
    /// No answer yet: this attempt is the next.
    NextAttempt(u32),
    /// Never reached, and why.
    Unreachable(Failure),
    /// It said this.
    Line(String),
    /// It has said all.
    Ended,
    /// It has left.
    Left,
    /// So many lines were not acknowledged by the time it left.
    Unacknowledged(usize),
    /// It was not heard any more; so many lines were not acknowledged.
    Gone(usize),
    /// It has sent a line that is too long; so many lines were not acknowledged.
    Broken(usize),
    /// A line is waiting for its acknowledgement, or has got it.
    Slow(Slowness),
}

/// What is known of a peer that was never reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// All the addresses that were pinged.
    pub tried: Vec<SocketAddr>,
    /// Where the tracker sees it.
    pub public: SocketAddr,
    /// Whether anything came from it: then only our answers are lost.
    pub heard: bool,
    /// How many lines were waiting for it.
    pub unacknowledged: usize,
    /// Our own address, as we see it and as the tracker does.
    pub ours: Option<(SocketAddr, SocketAddr)>,
}

/// How a link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Never reached.
    Unreachable,
    /// It said BYE.
    Left,
    /// It fell silent, or broke the rules.
    Gone,
}

/// How far one side has come in parting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Talking,
    Ended,
    Left,
}

#[derive(Debug)]
enum Path {
    Reaching {
        since: Instant,
        attempt: u32,
        next_ping: Instant,
    },
    Reached {
        endpoint: SocketAddr,
        last_heard_there: Instant,
        next_keepalive: Instant,
        moving: Option<Moving>,
    },
}

/// A new address that is tried while the link goes on.
#[derive(Debug)]
struct Moving {
    endpoint: SocketAddr,
    until: Instant,
    next_ping: Instant,
}

#[derive(Debug)]
struct Linger {
    until: Instant,
    next_acknowledgement: Instant,
}

/// One remote peer.
#[derive(Debug)]
pub struct Link {
    us: (Id, Name),
    id: Id,
    name: Name,
    public: SocketAddr,
    path: Path,
    candidates: Vec<SocketAddr>,
    tried: BTreeSet<SocketAddr>,
    /// When each address was first pinged since it last answered.
    pings: Vec<(SocketAddr, Instant)>,
    last_heard: Option<Instant>,
    sender: Sender,
    receiver: Receiver,
    /// Where an acknowledgement is owed.
    acknowledge: Option<SocketAddr>,
    we: Side,
    they: Side,
    /// When to stop waiting for what we said before they left.
    last_words: Option<Instant>,
    linger: Option<Linger>,
    closed: bool,
    ending: Option<Ending>,
    events: VecDeque<Event>,
}

impl Link {
    /// A peer that a tracker has introduced.
    pub fn introduced(
        us: (Id, Name),
        id: Id,
        name: Name,
        public: SocketAddr,
        now: Instant,
    ) -> Self {
        let path = Path::Reaching {
            since: now,
            attempt: 1,
            next_ping: now + PING_INTERVAL,
        };
        let mut link = Self {
            us,
            id,
            name,
            public,
            path,
            candidates: Vec::new(),
            tried: BTreeSet::new(),
            pings: Vec::new(),
            last_heard: None,
            sender: Sender::new(id, us.0),
            receiver: Receiver::default(),
            acknowledge: None,
            we: Side::Talking,
            they: Side::Talking,
            last_words: None,
            linger: None,
            closed: false,
            ending: None,
            events: VecDeque::new(),
        };
        link.events.push_back(Event::Introduced(public));
        link
    }

    /// Their id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Their name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Where they are, once they are reached.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        match self.path {
            Path::Reached { endpoint, .. } => Some(endpoint),
            Path::Reaching { .. } => None,
        }
    }

    /// Whether they are reached and listen.
    pub fn is_up(&self) -> bool {
        self.endpoint().is_some() && self.they != Side::Left
    }

    /// Whether a line for them has to wait.
    pub fn is_full(&self) -> bool {
        self.they != Side::Left && self.sender.is_full()
    }

    /// Whether all is said and acknowledged that has to be.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How it ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The half that sends, with its figures.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// When they were last heard.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// Pings where the tracker says they are; called again when it says so again.
    pub fn introduce(
        &mut self,
        public: SocketAddr,
        private: SocketAddr,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let reached = self.endpoint();
        if public != self.public && reached.is_none() {
            self.candidates.clear(); // they have a fresh socket: nobody listens at the old addresses
        }
        self.public = public;
        for candidate in [
            Some(public),
            Some(private).filter(|endpoint| is_local(endpoint.ip())),
        ]
        .into_iter()
        .flatten()
        {
            let is_new = self.add_candidate(candidate, now, outbox);
            if is_new && reached.is_some() {
                self.try_moving(candidate, now);
            }
        }
    }

    /// Takes in a PING: it proves nothing, but shows where its sender can be reached. One that called for the
    /// whole room is no sign that a path has moved.
    pub fn handle_ping(
        &mut self,
        source: SocketAddr,
        for_us: bool,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let (from, name) = self.us;
        outbox.push(
            source,
            &Message::Pong {
                to: self.id,
                from,
                name,
            },
        );
        if self.endpoint().is_some() {
            self.note_heard(source, for_us, now);
        } else {
            self.last_heard = Some(now);
            self.add_candidate(source, now, outbox);
        }
    }

    /// Takes in a PONG: datagrams go both ways between us and `source`.
    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) {
        if let Some(index) = self
            .pings
            .iter()
            .position(|(endpoint, _)| *endpoint == source)
        {
            let (_, sent) = self.pings.swap_remove(index);
            self.sender.round_trip.seed(now - sent);
        }
        if let Path::Reached {
            endpoint,
            last_heard_there,
            moving,
            ..
        } = &mut self.path
            && moving
                .as_ref()
                .is_some_and(|moving| moving.endpoint == source)
            && *last_heard_there + OLD_PATH_SILENT <= now
        {
            (*endpoint, *moving) = (source, None);
        }
        self.note_heard(source, false, now);
    }

    /// Takes in a SAY, PART, END or BYE; its acknowledgement is owed to where it came from.
    pub fn handle_numbered(&mut self, source: SocketAddr, sequence: u64, body: Body, now: Instant) {
        self.note_heard(source, true, now);
        self.acknowledge = Some(source);
        if let Some(linger) = &mut self.linger {
            linger.until = now + LINGER;
        }
        let mut received = Vec::new();
        self.receiver.handle(sequence, body, &mut received);
        for received in received {
            self.deliver(received, now);
        }
    }

    /// Takes in an acknowledgement.
    pub fn handle_ack(
        &mut self,
        source: SocketAddr,
        next: u64,
        ranges: &[RangeInclusive<u64>],
        now: Instant,
    ) {
        self.note_heard(source, true, now);
        self.sender.handle_ack(next, ranges, now);
    }

    /// Says a line, unless they have left or we have said all.
    pub fn say(&mut self, line: &str, now: Instant) {
        if self.we == Side::Talking && self.they != Side::Left {
            self.sender.say(line, now);
        }
    }

    /// Says END: no line will follow.
    pub fn end(&mut self, now: Instant) {
        if self.we == Side::Talking && self.they != Side::Left {
            self.we = Side::Ended;
            self.sender.push(Body::End, now);
        }
    }

    /// Says BYE.
    pub fn leave(&mut self, now: Instant) {
        if self.we != Side::Left && self.they != Side::Left {
            self.we = Side::Left;
            self.sender.push(Body::Bye, now);
        }
    }

    /// Our socket is a fresh one: waits for the next introduction.
    pub fn restart(&mut self, now: Instant) {
        if let Path::Reaching {
            since, next_ping, ..
        } = &mut self.path
        {
            (*since, *next_ping) = (now, now + PING_INTERVAL);
            self.candidates.clear();
            self.pings.clear();
        }
    }

    /// Does what it is time for; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        match self.path {
            Path::Reaching { .. } => self.keep_reaching(now, outbox),
            Path::Reached { endpoint, .. } => {
                self.sender.handle_timeout(endpoint, outbox, now);
                self.keep_alive(now, outbox);
            }
        }
        self.events
            .extend(self.sender.poll_slowness(now).map(Event::Slow));
    }

    /// Lets out what has become due: the acknowledgement first, so that lines can travel with it.
    pub fn flush(&mut self, now: Instant, outbox: &mut Outbox) {
        self.part(now);
        if let Some(destination) = self.acknowledge.take() {
            outbox.push(
                destination,
                &self.receiver.acknowledgement(self.id, self.us.0),
            );
        }
        if let Some(endpoint) = self.endpoint() {
            self.sender.flush(endpoint, outbox, now);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let path = match &self.path {
            Path::Reaching {
                since, next_ping, ..
            } => vec![*next_ping, *since + ATTEMPT],
            Path::Reached {
                next_keepalive,
                moving,
                ..
            } => {
                let moving = moving
                    .as_ref()
                    .map(|moving| moving.next_ping.min(moving.until));
                let gone = self.gone_time();
                let quiet = self.quiet_time().max(*next_keepalive);
                [Some(quiet), gone, moving, self.sender.poll_timeout()]
                    .into_iter()
                    .flatten()
                    .collect()
            }
        };
        let linger = self.linger.as_ref().filter(|_| !self.closed);
        let linger = linger.map(|linger| linger.next_acknowledgement.min(linger.until));
        let last_words = self.last_words.filter(|_| self.linger.is_none());
        path.into_iter()
            .chain(linger)
            .chain(last_words)
            .chain(self.sender.slowness_time())
            .min()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn add_candidate(&mut self, candidate: SocketAddr, now: Instant, outbox: &mut Outbox) -> bool {
        let useless = candidate.ip().is_unspecified() || candidate.ip().is_multicast();
        let is_new = !useless
            && !self.candidates.contains(&candidate)
            && self.candidates.len() < MAX_CANDIDATES;
        if is_new {
            self.candidates.push(candidate);
            if self.endpoint().is_none() {
                self.ping(candidate, now, outbox);
            }
        }
        is_new
    }

    fn ping(&mut self, destination: SocketAddr, now: Instant, outbox: &mut Outbox) {
        if self.endpoint().is_none() && self.tried.len() < MAX_CANDIDATES * ATTEMPTS as usize {
            self.tried.insert(destination);
        }
        if self
            .pings
            .iter()
            .all(|(endpoint, _)| *endpoint != destination)
        {
            self.pings.truncate(MAX_CANDIDATES);
            self.pings.push((destination, now));
        }
        let (from, name) = self.us;
        outbox.push(
            destination,
            &Message::Ping {
                to: self.id.into(),
                from,
                name,
            },
        );
    }

    fn keep_reaching(&mut self, now: Instant, outbox: &mut Outbox) {
        let Path::Reaching {
            since,
            attempt,
            next_ping,
        } = &mut self.path
        else {
            return;
        };
        if *since + ATTEMPT <= now {
            (*since, *attempt) = (now, *attempt + 1);
            let next = *attempt;
            if next > ATTEMPTS {
                return self.give_up();
            }
            self.events.push_back(Event::NextAttempt(next));
        } else if *next_ping <= now {
            *next_ping = now + PING_INTERVAL;
            for candidate in self.candidates.clone() {
                self.ping(candidate, now, outbox);
            }
        }
    }

    fn give_up(&mut self) {
        self.ending = Some(Ending::Unreachable);
        self.events.push_back(Event::Unreachable(Failure {
            tried: self.tried.iter().copied().collect(),
            public: self.public,
            heard: self.last_heard.is_some(),
            unacknowledged: self.sender.unacknowledged(),
            ours: None,
        }));
    }

    /// They have heard us, and we hear them from `source`. A message of their own from a new address may mean
    /// that they have moved there.
    fn note_heard(&mut self, source: SocketAddr, may_have_moved: bool, now: Instant) {
        self.last_heard = Some(now);
        match &mut self.path {
            Path::Reaching { .. } => {
                self.path = Path::Reached {
                    endpoint: source,
                    last_heard_there: now,
                    next_keepalive: now,
                    moving: None,
                };
                self.events.push_back(Event::Reached(source));
            }
            Path::Reached {
                endpoint,
                last_heard_there,
                ..
            } if *endpoint == source => *last_heard_there = now,
            Path::Reached {
                last_heard_there, ..
            } => {
                // While both sides still ping all candidates, they hear each other at several addresses.
                let is_settling =
                    self.candidates.contains(&source) && *last_heard_there + OLD_PATH_SILENT > now;
                if may_have_moved && !is_settling {
                    self.try_moving(source, now);
                }
            }
        }
    }

    fn try_moving(&mut self, to: SocketAddr, now: Instant) {
        if let Path::Reached { moving, .. } = &mut self.path
            && moving.as_ref().is_none_or(|moving| moving.endpoint != to)
        {
            *moving = Some(Moving {
                endpoint: to,
                until: now + MOVE,
                next_ping: now,
            });
        }
    }

    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.gone_time().is_some_and(|when| when <= now) {
            self.ending = Some(Ending::Gone);
            return self
                .events
                .push_back(Event::Gone(self.sender.unacknowledged()));
        }
        let quiet = self.quiet_time();
        let Path::Reached {
            endpoint,
            next_keepalive,
            moving,
            ..
        } = &mut self.path
        else {
            return;
        };
        let keepalive = (quiet.max(*next_keepalive) <= now).then_some(*endpoint);
        if keepalive.is_some() {
            *next_keepalive = now + KEEPALIVE;
        }
        moving.take_if(|moving| moving.until <= now);
        let new_path = moving
            .as_mut()
            .filter(|moving| moving.next_ping <= now)
            .map(|moving| {
                moving.next_ping = now + PING_INTERVAL;
                moving.endpoint
            });
        for destination in keepalive.into_iter().chain(new_path) {
            self.ping(destination, now, outbox);
        }
    }

    fn quiet_time(&self) -> Instant {
        self.last_heard.expect("reached, so heard") + QUIET
    }

    fn gone_time(&self) -> Option<Instant> {
        self.last_heard
            .into_iter()
            .chain(self.sender.stalled_since())
            .min()
            .map(|since| since + GONE)
    }

    fn deliver(&mut self, received: Received, now: Instant) {
        match received {
            Received::TooLong if self.ending.is_none() => {
                self.ending = Some(Ending::Gone);
                self.events
                    .push_back(Event::Broken(self.sender.unacknowledged()));
            }
            Received::Bye if self.they != Side::Left => {
                self.they = Side::Left;
                self.last_words = Some(now + LAST_WORDS);
                self.events.push_back(Event::Left);
            }
            Received::Line(line) if self.they == Side::Talking => {
                self.events.push_back(Event::Line(line));
            }
            Received::End if self.they == Side::Talking => {
                self.they = Side::Ended;
                self.events.push_back(Event::Ended);
            }
            _ => {} // after END only BYE may follow, after BYE nothing
        }
    }

    /// Closes the link once both sides are done, and lingers for those whose last acknowledgement was lost.
    fn part(&mut self, now: Instant) {
        let waited = self.last_words.is_some_and(|when| when <= now);
        let done = match (self.we, self.they) {
            (_, Side::Left) => self.sender.is_done() || waited,
            (Side::Left, _) | (Side::Ended, Side::Ended) => self.sender.is_done(),
            _ => false,
        };
        if !done || self.closed {
            return;
        }
        if self.linger.is_none() {
            let unacknowledged = self.sender.unacknowledged();
            if unacknowledged > 0 {
                self.events.push_back(Event::Unacknowledged(unacknowledged));
            }
            let until = if self.receiver.has_received() {
                now + LINGER
            } else {
                now
            };
            self.linger = Some(Linger {
                until,
                next_acknowledgement: now + LINGER_INTERVAL,
            });
        }
        let linger = self.linger.as_mut().expect("set above");
        if linger.until <= now {
            self.closed = true;
            self.ending = self
                .ending
                .or((self.they == Side::Left).then_some(Ending::Left));
        } else if linger.next_acknowledgement <= now {
            linger.next_acknowledgement = now + LINGER_INTERVAL;
            self.acknowledge = self.endpoint();
        }
    }
}

/// Whether an address is one that only a home, a laboratory or this machine knows: RFC 1918, RFC 4193, link-local
/// and loopback. Anything else that somebody calls private is not worth a datagram.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}
