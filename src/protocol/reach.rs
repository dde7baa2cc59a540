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
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::wire::field::is_local;
use super::{Id, Message, Output, Who};

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
pub struct Path {
    pub us: Who,
    them: Id,
    /// Where the tracker says they are.
    pub public: SocketAddr,
    /// Where they may be.
    candidates: Vec<SocketAddr>,
    /// Where they are, once they are reached.
    pub endpoint: Option<SocketAddr>,
    /// Where we have answered a PING before they were reached.
    answered: Option<SocketAddr>,
    moving: Option<Moving>,
    attempt: u32,
    attempt_ends: Instant,
    next_ping: Instant,
    /// When they were last heard, from anywhere and from `endpoint`.
    pub last_heard: Option<Instant>,
    last_heard_there: Instant,
    /// Since when a PING is unanswered.
    pinged: Option<Instant>,
    /// Every address that was pinged in order to reach them.
    pub tried: BTreeSet<SocketAddr>,
}

/// A new address that is tried while the old one serves.
struct Moving {
    to: SocketAddr,
    until: Instant,
    next_ping: Instant,
}

impl Path {
    pub fn new(us: Who, them: Id, public: SocketAddr, now: Instant) -> Self {
        Self {
            us,
            them,
            public,
            candidates: Vec::new(),
            endpoint: None,
            answered: None,
            moving: None,
            attempt: 1,
            attempt_ends: now + ATTEMPT,
            next_ping: now + PING_INTERVAL,
            last_heard: None,
            last_heard_there: now,
            pinged: None,
            tried: BTreeSet::new(),
        }
    }

    /// Pings where the tracker says they are; called again when it says so again.
    pub fn introduce(&mut self, public: SocketAddr, private: SocketAddr, out: &mut Output) {
        if public != self.public {
            self.candidates.clear(); // they have a fresh socket: nobody listens at the old addresses
        }
        self.public = public;
        let said = [Some(public), Some(private).filter(|private| is_local(private.ip()))];
        let mut new: Vec<SocketAddr> = said.into_iter().flatten().collect();
        new.retain(|candidate| self.add_candidate(*candidate));
        match self.endpoint {
            None => new.into_iter().for_each(|new| self.ping(new, out)),
            Some(_) => new.into_iter().take(1).for_each(|new| self.try_moving(new, out.now)),
        }
    }

    /// Takes in a PING: it proves nothing, but shows where its sender can be reached, and now is the time to try (a
    /// triggered check, RFC 8445 section 7.3.1.4). One that called for the whole room is no sign that a path has moved.
    pub fn handle_ping(&mut self, source: SocketAddr, is_for_us: bool, out: &mut Output) {
        if self.endpoint.is_some() && self.answered == Some(source) {
            return; // it came with the PONG that made the link: our answer to their first one will make theirs
        }
        out.send(source, &Message::Pong { to: self.them, from: self.us });
        if self.endpoint.is_some() {
            self.note_heard(source, is_for_us, out.now);
        } else {
            (self.last_heard, self.answered) = (Some(out.now), Some(source));
            self.add_candidate(source);
            self.ping(source, out);
        }
    }

    /// Takes in a PONG: datagrams go both ways. Tells how long it took.
    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) -> Option<Duration> {
        let is_answer = self.moving.as_ref().is_some_and(|moving| moving.to == source);
        if is_answer && self.last_heard_there + OLD_PATH_SILENT <= now {
            (self.endpoint, self.moving) = (Some(source), None);
        }
        self.note_heard(source, false, now);
        self.pinged.take().map(|pinged| now - pinged)
    }

    /// They have heard us, and we hear them from `source`: they are reached. A message of their own
    /// from a new address may mean that they have moved there.
    pub fn note_heard(&mut self, source: SocketAddr, may_have_moved: bool, now: Instant) {
        (self.last_heard, self.next_ping) = (Some(now), now + QUIET);
        if *self.endpoint.get_or_insert(source) == source {
            self.last_heard_there = now;
        } else if may_have_moved {
            // While both sides still ping all candidates, they hear each other at several addresses.
            let is_silent_there = self.last_heard_there + OLD_PATH_SILENT <= now;
            if is_silent_there || !self.candidates.contains(&source) {
                self.try_moving(source, now);
            }
        }
    }

    fn try_moving(&mut self, to: SocketAddr, now: Instant) {
        if self.endpoint.is_some() && self.moving.as_ref().is_none_or(|moving| moving.to != to) {
            self.moving = Some(Moving { to, until: now + MOVE, next_ping: now });
        }
    }

    /// Our socket is a fresh one: waits for the next introduction.
    pub fn restart(&mut self, now: Instant) {
        if self.endpoint.is_none() {
            (self.attempt_ends, self.next_ping) = (now + ATTEMPT, now + PING_INTERVAL);
            self.candidates.clear();
        }
    }

    /// Whether all attempts to reach them have failed.
    pub fn is_given_up(&self) -> bool {
        self.attempt > ATTEMPTS
    }

    /// Pings whom it is time to ping. While they are being reached, hands out each further attempt as it begins.
    pub fn run(&mut self, out: &mut Output) -> Option<u32> {
        let Some(endpoint) = self.endpoint else {
            let is_new_attempt = out.is_due_again(&mut self.attempt_ends, ATTEMPT);
            self.attempt += u32::from(is_new_attempt);
            if out.is_due_again(&mut self.next_ping, PING_INTERVAL) {
                self.candidates.clone().into_iter().for_each(|candidate| self.ping(candidate, out));
            }
            return is_new_attempt.then_some(self.attempt);
        };
        self.answered = None;
        if out.is_due_again(&mut self.next_ping, KEEPALIVE) {
            self.ping(endpoint, out);
        }
        self.moving.take_if(|moving| out.is_due(moving.until));
        let mut is_due = |moving: &mut Moving| out.is_due_again(&mut moving.next_ping, PING_INTERVAL);
        let new = self.moving.as_mut().and_then(|moving| is_due(moving).then_some(moving.to));
        new.into_iter().for_each(|new| self.ping(new, out));
        None
    }

    /// False where it was known already, or is of no use.
    fn add_candidate(&mut self, candidate: SocketAddr) -> bool {
        let is_of_use = !candidate.ip().is_unspecified() && !candidate.ip().is_multicast();
        let is_new = !self.candidates.contains(&candidate) && self.candidates.len() < MAX_CANDIDATES;
        self.candidates.extend(Some(candidate).filter(|_| is_of_use && is_new));
        is_of_use && is_new
    }

    fn ping(&mut self, destination: SocketAddr, out: &mut Output) {
        if self.endpoint.is_none() && self.tried.len() < MAX_CANDIDATES * ATTEMPTS as usize {
            self.tried.insert(destination);
        }
        self.pinged.get_or_insert(out.now);
        out.send(destination, &Message::Ping { to: self.them.into(), from: self.us });
    }
}
