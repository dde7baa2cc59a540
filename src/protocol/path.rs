//! Reach: the way to one remote peer, through whatever stands between.
//!
//! ```text
//!             candidates             PONG, or anything else
//!             are pinged             that proves we were heard
//!  introduced -----> Reaching ---------------------------> Reached
//!                     |    ^                                |   ^
//!          3 s: next  +----+ attempt, 3 at most             +---+ a new address answers,
//!                                                                 the old one is silent
//! ```
//!
//! Hole punching (RFC 5128 section 3.3): both sides ping every address at which the other may be.
//! Our own ping opens our router for what comes from there; the first one answered is the path.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::datagram::Outbox;
use super::field::{Id, Name};
use super::message::Message;

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

/// A path moves only when nothing has come the old way for so long.
const OLD_PATH_SILENT: Duration = Duration::from_millis(500);

/// So long is a new address pinged before it is given up.
const MOVE: Duration = Duration::from_secs(3);

/// The way to one remote peer.
#[derive(Debug)]
pub struct Path {
    us: (Id, Name),
    them: Id,
    public: SocketAddr,
    state: State,
    candidates: Vec<SocketAddr>,
    tried: BTreeSet<SocketAddr>,
    /// When each address was first pinged since it last answered.
    pings: Vec<(SocketAddr, Instant)>,
    last_heard: Option<Instant>,
}

#[derive(Debug)]
enum State {
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

/// A new address that is tried while the old one serves.
#[derive(Debug)]
struct Moving {
    endpoint: SocketAddr,
    until: Instant,
    next_ping: Instant,
}

impl Path {
    /// The way from `us` to `them`, who are said to be at `public`.
    pub fn new(us: (Id, Name), them: Id, public: SocketAddr, now: Instant) -> Self {
        Self {
            us,
            them,
            public,
            state: State::Reaching { since: now, attempt: 1, next_ping: now + PING_INTERVAL },
            candidates: Vec::new(),
            tried: BTreeSet::new(),
            pings: Vec::new(),
            last_heard: None,
        }
    }

    /// Where they are, once they are reached.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        match self.state {
            State::Reached { endpoint, .. } => Some(endpoint),
            State::Reaching { .. } => None,
        }
    }

    /// When they were last heard, even if they were never reached.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// Where the tracker says they are.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Every address that was pinged in order to reach them.
    pub fn tried(&self) -> Vec<SocketAddr> {
        self.tried.iter().copied().collect()
    }

    /// Pings where the tracker says they are; called again when it says so again.
    pub fn introduce(&mut self, public: SocketAddr, private: SocketAddr, now: Instant, outbox: &mut Outbox) {
        if public != self.public {
            self.candidates.clear(); // they have a fresh socket: nobody listens at the old addresses
        }
        self.public = public;
        let local = Some(private).filter(|private| is_local(private.ip()));
        let said = [Some(public), local].into_iter().flatten();
        let new: Vec<SocketAddr> =
            said.filter(|candidate| self.add_candidate(*candidate, now, outbox)).collect();
        if let Some(candidate) = new.first() {
            self.try_moving(*candidate, now);
        }
    }

    /// Takes in a PING: it proves nothing, but shows where its sender can be reached. One that
    /// called for the whole room is no sign that a path has moved.
    pub fn handle_ping(&mut self, source: SocketAddr, for_us: bool, now: Instant, outbox: &mut Outbox) {
        let (from, name) = self.us;
        outbox.push(source, &Message::Pong { to: self.them, from, name });
        if self.endpoint().is_some() {
            self.note_heard(source, for_us, now);
        } else {
            self.last_heard = Some(now);
            self.add_candidate(source, now, outbox);
        }
    }

    /// Takes in a PONG: datagrams go both ways. Tells how long it took; [`Self::note_heard`] is to
    /// be told, too.
    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) -> Option<Duration> {
        if let State::Reached { endpoint, last_heard_there, moving, .. } = &mut self.state
            && moving.as_ref().is_some_and(|moving| moving.endpoint == source)
            && *last_heard_there + OLD_PATH_SILENT <= now
        {
            (*endpoint, *moving) = (source, None);
        }
        let index = self.pings.iter().position(|(endpoint, _)| *endpoint == source)?;
        let (_, sent) = self.pings.swap_remove(index);
        Some(now - sent)
    }

    /// They have heard us, and we hear them from `source`; true where they are reached by that. A
    /// message of their own from a new address may mean that they have moved there.
    pub fn note_heard(&mut self, source: SocketAddr, may_have_moved: bool, now: Instant) -> bool {
        self.last_heard = Some(now);
        match &mut self.state {
            State::Reaching { .. } => {
                let (last_heard_there, next_keepalive) = (now, now);
                self.state =
                    State::Reached { endpoint: source, last_heard_there, next_keepalive, moving: None };
                return true;
            }
            State::Reached { endpoint, last_heard_there, .. } if *endpoint == source => {
                *last_heard_there = now
            }
            State::Reached { last_heard_there, .. } => {
                // While both sides still ping all candidates, they hear each other at several
                // addresses.
                let is_settling =
                    self.candidates.contains(&source) && *last_heard_there + OLD_PATH_SILENT > now;
                if may_have_moved && !is_settling {
                    self.try_moving(source, now);
                }
            }
        }
        false
    }

    /// Our socket is a fresh one: waits for the next introduction.
    pub fn restart(&mut self, now: Instant) {
        if let State::Reaching { since, next_ping, .. } = &mut self.state {
            (*since, *next_ping) = (now, now + PING_INTERVAL);
            self.candidates.clear();
            self.pings.clear();
        }
    }

    /// Pings whom it is time to ping. While they are being reached, hands out each further attempt
    /// as it begins: there are [`ATTEMPTS`].
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) -> Option<u32> {
        match &mut self.state {
            State::Reaching { since, attempt, .. } if *since + ATTEMPT <= now => {
                (*since, *attempt) = (now, *attempt + 1);
                return Some(*attempt);
            }
            State::Reaching { next_ping, .. } if *next_ping <= now => {
                *next_ping = now + PING_INTERVAL;
                for candidate in self.candidates.clone() {
                    self.ping(candidate, now, outbox);
                }
            }
            State::Reaching { .. } => {}
            State::Reached { .. } => self.keep_alive(now, outbox),
        }
        None
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Instant {
        match &self.state {
            State::Reaching { since, next_ping, .. } => (*next_ping).min(*since + ATTEMPT),
            State::Reached { next_keepalive, moving, .. } => {
                let keepalive = self.quiet_since().max(*next_keepalive);
                let moving = moving.as_ref().map(|moving| moving.next_ping.min(moving.until));
                moving.map_or(keepalive, |moving| moving.min(keepalive))
            }
        }
    }

    fn add_candidate(&mut self, candidate: SocketAddr, now: Instant, outbox: &mut Outbox) -> bool {
        let useless = candidate.ip().is_unspecified() || candidate.ip().is_multicast();
        let is_new =
            !useless && !self.candidates.contains(&candidate) && self.candidates.len() < MAX_CANDIDATES;
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
        if self.pings.iter().all(|(endpoint, _)| *endpoint != destination) {
            self.pings.truncate(MAX_CANDIDATES);
            self.pings.push((destination, now));
        }
        let (from, name) = self.us;
        outbox.push(destination, &Message::Ping { to: self.them.into(), from, name });
    }

    fn try_moving(&mut self, to: SocketAddr, now: Instant) {
        if let State::Reached { moving, .. } = &mut self.state
            && moving.as_ref().is_none_or(|moving| moving.endpoint != to)
        {
            *moving = Some(Moving { endpoint: to, until: now + MOVE, next_ping: now });
        }
    }

    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox) {
        let quiet_since = self.quiet_since();
        let State::Reached { endpoint, next_keepalive, moving, .. } = &mut self.state else {
            return;
        };
        let mut destinations = Vec::new();
        if quiet_since.max(*next_keepalive) <= now {
            *next_keepalive = now + KEEPALIVE;
            destinations.push(*endpoint);
        }
        moving.take_if(|moving| moving.until <= now);
        if let Some(moving) = moving.as_mut().filter(|moving| moving.next_ping <= now) {
            moving.next_ping = now + PING_INTERVAL;
            destinations.push(moving.endpoint);
        }
        destinations.into_iter().for_each(|destination| self.ping(destination, now, outbox));
    }

    fn quiet_since(&self) -> Instant {
        self.last_heard.expect("whoever is reached was heard") + QUIET
    }
}

/// Whether an address is one that only a home, a laboratory or this machine knows: RFC 1918, RFC
/// 4193, link-local and loopback. Anything else that somebody calls private is not worth a
/// datagram.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}
