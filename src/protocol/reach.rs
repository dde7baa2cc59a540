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
//! Hole punching (RFC 5128 section 3.3): both sides ping every address at which the other may be. Our own
//! ping opens our router for what comes from there; the first one answered is the path.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::wire::field::is_local;
use super::{Id, Message, Output, Reason, Who};

/// Between two rounds of pings to all candidates.
const PING_INTERVAL: Duration = Duration::from_millis(100);

/// An attempt to reach someone; after it, a fresh socket may do better.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How many attempts are made.
pub const ATTEMPTS: u32 = 3;

/// Addresses at which someone is pinged, at most.
const MAX_CANDIDATES: usize = 8;

/// After so long a silence, PING: RFC 7675 section 5.1 checks consent about as often, and many routers forget
/// a mapping after 30 s (RFC 9000 section 10.1.2).
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
    since: Instant,
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
            // They have a fresh socket: nobody listens at the old addresses.
            (self.candidates, self.pinged) = (Vec::new(), None);
        }
        self.public = public;
        let said = [Some(public), Some(private).filter(|private| is_local(private.ip()))];
        let mut new: Vec<SocketAddr> = said.into_iter().flatten().collect();
        new.retain(|candidate| self.add_candidate(*candidate));
        match self.endpoint {
            None => new.into_iter().for_each(|new| self.ping(new, self.again(new, "introduced again"), out)),
            Some(_) => new.into_iter().take(1).for_each(|new| self.try_moving(new, out.now)),
        }
    }

    /// Takes in a PING: it proves nothing, but shows where its sender can be reached, and now is the time to
    /// try (a triggered check, RFC 8445 section 7.3.1.4). One that called for the whole room is no sign that
    /// a path has moved.
    pub fn handle_ping(&mut self, source: SocketAddr, is_for_us: bool, out: &mut Output) {
        if self.endpoint.is_some() && self.answered == Some(source) {
            // It came in one datagram with the PONG that made the link: our first answer will make theirs.
            return out.note(Reason::Ignored("answered already"));
        }
        out.send(source, &Message::Pong { to: self.them, from: self.us }, None);
        if self.endpoint.is_some() {
            self.note_heard(source, is_for_us, out.now);
        } else {
            (self.last_heard, self.answered) = (Some(out.now), Some(source));
            self.add_candidate(source);
            self.ping(source, self.again(source, "heard from there"), out);
        }
    }

    /// Takes in a PONG: datagrams go both ways. Tells how long ago the oldest unanswered PING left: a guess
    /// at the round trip.
    pub fn handle_pong(&mut self, source: SocketAddr, out: &mut Output) -> Option<Duration> {
        let is_answer = self.moving.as_ref().is_some_and(|moving| moving.to == source);
        if is_answer && self.last_heard_there + OLD_PATH_SILENT <= out.now {
            (self.endpoint, self.moving) = (Some(source), None);
            out.note(Reason::Linked("moved here"));
        } else if self.endpoint.is_some_and(|endpoint| endpoint != source) {
            out.note(Reason::Ignored("linked elsewhere"));
        }
        self.note_heard(source, false, out.now);
        self.pinged.take().map(|pinged| out.now - pinged)
    }

    /// They have heard us, and we hear them from `source`: they are reached. A message of their own from a
    /// new address may mean that they have moved there.
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
        if self.endpoint.is_some_and(|endpoint| endpoint != to)
            && self.moving.as_ref().is_none_or(|moving| moving.to != to)
        {
            self.moving = Some(Moving { to, since: now, next_ping: now });
        }
    }

    /// Our socket is a fresh one: waits for the next introduction.
    pub fn restart(&mut self, now: Instant) {
        if self.endpoint.is_none() {
            (self.attempt_ends, self.next_ping, self.pinged) = (now + ATTEMPT, now + PING_INTERVAL, None);
            self.candidates.clear();
        }
    }

    /// Whether all attempts to reach them have failed.
    pub fn is_given_up(&self) -> bool {
        self.attempt > ATTEMPTS
    }

    /// Pings whom it is time to ping. While they are being reached, hands out each further attempt as it
    /// begins.
    pub fn run(&mut self, out: &mut Output) -> Option<u32> {
        let Some(endpoint) = self.endpoint else {
            let waited = self.pinged.map(|since| Reason::NoAnswer(out.now - since));
            let is_new_attempt = out.is_due_again(&mut self.attempt_ends, ATTEMPT);
            self.attempt += u32::from(is_new_attempt);
            if out.is_due_again(&mut self.next_ping, PING_INTERVAL) {
                self.candidates.clone().into_iter().for_each(|candidate| self.ping(candidate, waited, out));
            }
            return is_new_attempt.then_some(self.attempt);
        };
        self.answered = None;
        if out.is_due_again(&mut self.next_ping, KEEPALIVE) {
            let quiet = self.last_heard.map(|heard| heard + QUIET);
            self.pinged = self.pinged.filter(|when| Some(*when) >= quiet); // an earlier one is no matter now
            let waited = self.pinged.map(|since| Reason::NoAnswer(out.now - since));
            self.ping(endpoint, waited.or(Some(Reason::Keepalive)), out);
        }
        self.moving.take_if(|moving| out.is_due(moving.since + MOVE));
        let mut is_due = |moving: &mut Moving| out.is_due_again(&mut moving.next_ping, PING_INTERVAL);
        let new = self.moving.as_mut().and_then(|moving| is_due(moving).then_some((moving.to, moving.since)));
        new.into_iter().for_each(|(new, since)| {
            let again = (since < out.now).then(|| Reason::NoAnswer(out.now - since));
            self.ping(new, again.or(self.again(new, "heard from there")), out);
        });
        None
    }

    /// False where it was known already, or is of no use.
    fn add_candidate(&mut self, candidate: SocketAddr) -> bool {
        let is_of_use = !candidate.ip().is_unspecified() && !candidate.ip().is_multicast();
        let is_new = !self.candidates.contains(&candidate) && self.candidates.len() < MAX_CANDIDATES;
        self.candidates.extend(Some(candidate).filter(|_| is_of_use && is_new));
        is_of_use && is_new
    }

    fn again(&self, destination: SocketAddr, why: &'static str) -> Option<Reason> {
        self.tried.contains(&destination).then_some(Reason::Again(why))
    }

    fn ping(&mut self, destination: SocketAddr, reason: Option<Reason>, out: &mut Output) {
        if self.tried.len() < MAX_CANDIDATES * ATTEMPTS as usize {
            self.tried.insert(destination);
        }
        self.pinged.get_or_insert(out.now);
        out.send(destination, &Message::Ping { to: self.them.into(), from: self.us }, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Reasons;

    const PUBLIC: &str = "203.0.113.7:50001";
    const PRIVATE: &str = "192.168.1.7:50001";
    const NEW: &str = "203.0.113.8:40000";

    fn at(endpoint: &str) -> SocketAddr {
        endpoint.parse().expect("an endpoint")
    }

    /// Alice's path to bob, and a clock. What leaves is noted as destination and verbs.
    struct Bench {
        path: Path,
        out: Output,
        start: Instant,
        attempts: Vec<u32>,
        /// Why something left again, and at which place in its datagram.
        reasons: Reasons,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            let alice = Who { id: Id(0xa1), name: "alice".parse().expect("a name") };
            let path = Path::new(alice, Id(0xb0), at(PUBLIC), start);
            Self { path, out: Output::new(start), start, attempts: Vec::new(), reasons: Reasons::new() }
        }

        fn introduced() -> Self {
            let mut bench = Self::new();
            bench.introduce(PUBLIC, PRIVATE);
            bench
        }

        fn reached() -> Self {
            let mut bench = Self::introduced();
            bench.pong(PUBLIC);
            bench
        }

        fn turn(&mut self, now: Instant) -> Vec<String> {
            self.out.begin(now);
            self.attempts.extend(self.path.run(&mut self.out));
            let written = self.out.transmits.drain(..).map(|sent| {
                self.reasons.extend(sent.reasons);
                let lines = String::from_utf8(sent.datagram).expect("we write UTF-8");
                let verbs: Vec<&str> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
                format!("{} {}", sent.destination, verbs.join(" "))
            });
            written.collect()
        }

        /// What leaves until then, and when, in milliseconds.
        fn run_until(&mut self, milliseconds: u64) -> Vec<(u128, String)> {
            let end = self.start + Duration::from_millis(milliseconds);
            let mut left = Vec::new();
            while let Some(next) = self.out.wake.filter(|next| *next <= end) {
                let sent = self.turn(next.max(self.out.now));
                let time = (self.out.now - self.start).as_millis();
                left.extend(sent.into_iter().map(|sent| (time, sent)));
            }
            self.out.now = end;
            left
        }

        fn introduce(&mut self, public: &str, private: &str) -> Vec<String> {
            self.path.introduce(at(public), at(private), &mut self.out);
            self.turn(self.out.now)
        }

        fn ping(&mut self, source: &str, is_for_us: bool) -> Vec<String> {
            self.path.handle_ping(at(source), is_for_us, &mut self.out);
            self.turn(self.out.now)
        }

        fn pong(&mut self, source: &str) -> Vec<String> {
            self.path.handle_pong(at(source), &mut self.out);
            self.turn(self.out.now)
        }

        /// An ACK or a line comes from there.
        fn hear(&mut self, source: &str) -> Vec<String> {
            self.path.note_heard(at(source), true, self.out.now);
            self.turn(self.out.now)
        }
    }

    fn no_answer(milliseconds: u64) -> (usize, Reason) {
        (0, Reason::NoAnswer(Duration::from_millis(milliseconds)))
    }

    fn pings(destinations: &[&str]) -> Vec<String> {
        destinations.iter().map(|destination| format!("{destination} PING")).collect()
    }

    #[test]
    fn a_new_candidate_is_pinged_at_once_and_then_all_of_them_every_100_ms() {
        let mut bench = Bench::new();
        assert_eq!(bench.introduce(PUBLIC, PRIVATE), pings(&[PUBLIC, PRIVATE]));
        bench.run_until(50);
        assert_eq!(bench.introduce(PUBLIC, "192.168.1.8:50001"), pings(&["192.168.1.8:50001"]));
        let all = pings(&[PUBLIC, PRIVATE, "192.168.1.8:50001"]);
        let rounds = [100, 200].into_iter().flat_map(|time| all.iter().map(move |ping| (time, ping.clone())));
        assert_eq!(bench.run_until(299), rounds.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_called_private_is_pinged_only_if_it_is() {
        for private in ["10.0.0.7:1", "127.0.0.1:1", "169.254.1.7:1", "[fd00::7]:1", "[fe80::7]:1"] {
            assert_eq!(Bench::new().introduce(PUBLIC, private), pings(&[PUBLIC, private]));
        }
        for other in ["192.0.2.7:1", "255.255.255.255:1", "224.0.0.1:1", "0.0.0.0:1", "[2001:db8::7]:1"] {
            assert_eq!(Bench::new().introduce(PUBLIC, other), pings(&[PUBLIC]));
        }
    }

    #[test]
    fn eight_addresses_at_most_are_candidates() {
        let mut bench = Bench::introduced();
        for port in 1..=10 {
            bench.ping(&format!("203.0.113.7:{port}"), true);
        }
        let left = bench.run_until(100);
        assert_eq!(left.len(), 8);
        assert_eq!(left[7].1, "203.0.113.7:6 PING");
    }

    #[test]
    fn a_ping_is_answered_with_pong_and_ping_until_they_are_reached_and_then_with_pong() {
        let mut bench = Bench::introduced();
        assert_eq!(bench.ping(NEW, true), [format!("{NEW} PONG PING")]);
        assert_eq!(bench.ping(NEW, true), [format!("{NEW} PONG PING")]);
        assert_eq!(bench.path.endpoint, None, "a PING proves nothing");
        bench.pong(NEW);
        assert_eq!(bench.ping(NEW, true), [format!("{NEW} PONG")]);
    }

    #[test]
    fn the_ping_that_comes_with_the_pong_that_makes_the_link_is_not_answered_a_second_time() {
        let mut bench = Bench::introduced();
        bench.ping(PUBLIC, true);
        bench.path.handle_pong(at(PUBLIC), &mut bench.out);
        assert!(bench.ping(PUBLIC, true).is_empty());
        assert_eq!(bench.out.remarks, [(0, Reason::Ignored("answered already"))]);
    }

    #[test]
    fn the_first_pong_makes_the_link_and_says_how_long_it_took() {
        let mut bench = Bench::introduced();
        bench.run_until(130);
        let sample = bench.path.handle_pong(at(PRIVATE), &mut bench.out);
        assert_eq!((bench.path.endpoint, sample), (Some(at(PRIVATE)), Some(Duration::from_millis(130))));
        bench.turn(bench.out.now);
        assert_eq!(bench.run_until(5129), [], "no more pings to the candidates");
    }

    #[test]
    fn three_attempts_of_three_seconds_each_are_made() {
        let mut bench = Bench::introduced();
        for (milliseconds, attempts) in [(2999, &[][..]), (3000, &[2]), (5999, &[2]), (8999, &[2, 3])] {
            bench.run_until(milliseconds);
            assert_eq!(bench.attempts, attempts);
            assert!(!bench.path.is_given_up());
        }
        bench.run_until(9000);
        assert!(bench.path.is_given_up());
    }

    #[test]
    fn from_a_fresh_socket_nobody_is_pinged_before_the_next_introduction() {
        let mut bench = Bench::introduced();
        bench.run_until(3000);
        bench.path.restart(bench.out.now);
        assert_eq!(bench.run_until(3500), []);
        assert_eq!(bench.introduce(PUBLIC, PRIVATE), pings(&[PUBLIC, PRIVATE]));
    }

    #[test]
    fn another_public_address_means_that_nobody_is_at_the_old_ones() {
        let mut bench = Bench::introduced();
        bench.introduce(NEW, "192.168.1.8:50001");
        let left: Vec<String> = bench.run_until(100).into_iter().map(|(_, ping)| ping).collect();
        assert_eq!(left, pings(&[NEW, "192.168.1.8:50001"]));
    }

    #[test]
    fn five_seconds_of_silence_bring_a_ping_and_then_every_second_another() {
        let mut bench = Bench::reached();
        let ping = format!("{PUBLIC} PING");
        assert_eq!(bench.run_until(6500), [(5000, ping.clone()), (6000, ping.clone())]);
        bench.pong(PUBLIC);
        assert_eq!(bench.run_until(11_500), [(11_500, ping)]);
    }

    #[test]
    fn a_new_address_is_pinged_every_100_ms_and_given_up_after_three_seconds() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        assert_eq!(bench.hear(NEW), pings(&[NEW]));
        let expected: Vec<_> = (11..40).map(|tenth| (tenth * 100, format!("{NEW} PING"))).collect();
        assert_eq!(bench.run_until(5999), expected);
        assert_eq!(bench.path.endpoint, Some(at(PUBLIC)));
    }

    #[test]
    fn a_pong_from_the_new_address_moves_the_path_once_the_old_one_was_silent_for_half_a_second() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        bench.hear(PUBLIC);
        bench.hear(NEW);
        for (milliseconds, endpoint) in [(1499, PUBLIC), (1500, NEW)] {
            bench.run_until(milliseconds);
            bench.pong(NEW);
            assert_eq!(bench.path.endpoint, Some(at(endpoint)), "{milliseconds} ms");
        }
        assert_eq!(bench.run_until(6499), [], "it has arrived there");
    }

    #[test]
    fn a_pong_from_an_address_that_is_not_being_tried_moves_nothing() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        assert!(bench.pong(NEW).is_empty());
        assert_eq!(bench.path.endpoint, Some(at(PUBLIC)));
    }

    #[test]
    fn a_ping_from_a_new_address_is_a_sign_of_moving_unless_it_is_for_the_whole_room() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        assert_eq!(bench.ping(NEW, false), [format!("{NEW} PONG")]);
        assert_eq!(bench.ping(NEW, true), [format!("{NEW} PONG PING")]);
    }

    #[test]
    fn a_message_from_another_candidate_is_no_sign_of_moving_while_the_path_is_fresh() {
        let mut bench = Bench::reached();
        bench.run_until(499);
        assert!(bench.hear(PRIVATE).is_empty());
        bench.run_until(500);
        assert_eq!(bench.hear(PRIVATE), pings(&[PRIVATE]));
    }

    #[test]
    fn a_new_address_of_someone_reached_is_tried_when_the_tracker_tells_it() {
        let mut bench = Bench::reached();
        assert!(bench.introduce(PUBLIC, PRIVATE).is_empty(), "no news");
        assert_eq!(bench.introduce(NEW, PRIVATE), pings(&[NEW]));
    }

    #[test]
    fn an_introduction_to_where_they_are_already_moves_nothing() {
        let mut bench = Bench::introduced();
        bench.pong(NEW); // by a way of its own
        assert!(bench.introduce(NEW, PRIVATE).is_empty());
        assert_eq!(bench.run_until(4000), []);
    }

    #[test]
    fn a_fresh_socket_measures_the_round_trip_anew() {
        let mut bench = Bench::introduced();
        bench.run_until(3000);
        bench.path.restart(bench.out.now);
        bench.introduce(NEW, PRIVATE);
        bench.run_until(3040);
        assert_eq!(bench.path.handle_pong(at(NEW), &mut bench.out), Some(Duration::from_millis(40)));
    }

    #[test]
    fn every_ping_but_the_first_tells_how_long_there_was_no_answer() {
        let mut bench = Bench::introduced();
        assert_eq!(bench.reasons, []);
        bench.run_until(200);
        assert_eq!(bench.reasons, [100, 100, 200, 200].map(no_answer), "to both addresses");
    }

    #[test]
    fn a_keepalive_is_called_so_until_it_is_not_answered() {
        let mut bench = Bench::reached();
        for milliseconds in [7000, 14_000] {
            bench.run_until(milliseconds);
            let expected = [(0, Reason::Keepalive), no_answer(1000), no_answer(2000)];
            assert_eq!(std::mem::take(&mut bench.reasons), expected);
            bench.pong(PUBLIC);
        }
    }

    #[test]
    fn a_ping_that_answers_one_says_that_they_were_heard_from_there() {
        let mut bench = Bench::introduced();
        let again = (1, Reason::Again("heard from there")); // behind the PONG
        for (source, reasons) in [(PUBLIC, vec![again]), (NEW, vec![]), (NEW, vec![again])] {
            bench.ping(source, true);
            assert_eq!(std::mem::take(&mut bench.reasons), reasons, "{source}");
        }
    }

    #[test]
    fn a_new_address_tells_how_long_it_has_not_answered() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        bench.hear(NEW);
        assert_eq!(bench.reasons, []);
        bench.run_until(1200);
        assert_eq!(bench.reasons, [100, 200].map(no_answer));
    }

    #[test]
    fn a_pong_from_elsewhere_is_ignored_until_the_path_moves_there() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        bench.hear(PUBLIC);
        bench.hear(NEW);
        bench.pong(PUBLIC);
        assert_eq!(bench.out.remarks, []);
        for (milliseconds, remark) in
            [(1499, Reason::Ignored("linked elsewhere")), (1500, Reason::Linked("moved here"))]
        {
            bench.run_until(milliseconds);
            bench.pong(NEW);
            assert_eq!(bench.out.remarks.pop(), Some((0, remark)));
        }
    }

    #[test]
    fn a_keepalive_after_other_news_is_a_keepalive() {
        let mut bench = Bench::reached();
        bench.run_until(5500); // a PING at 5 s, whose PONG gets lost
        bench.hear(PUBLIC); // but a line comes
        bench.reasons.clear();
        bench.run_until(10_500);
        assert_eq!(bench.reasons, [(0, Reason::Keepalive)]);
    }

    #[test]
    fn an_address_that_is_tried_a_second_time_has_a_reason() {
        let mut bench = Bench::reached();
        bench.run_until(1000);
        bench.hear(NEW);
        bench.run_until(4900);
        bench.reasons.clear();
        assert_eq!(bench.hear(NEW), pings(&[NEW]));
        assert_eq!(bench.reasons.len(), 1);
    }

    #[test]
    fn the_wait_for_a_fresh_socket_begins_when_it_is_pinged() {
        let mut bench = Bench::introduced();
        bench.run_until(2500);
        bench.introduce(NEW, PRIVATE);
        bench.reasons.clear();
        bench.run_until(2600);
        assert!(bench.reasons.iter().all(|(_, why)| *why == Reason::NoAnswer(Duration::from_millis(100))));
        assert!(!bench.reasons.is_empty());
    }

    #[test]
    fn a_keepalive_beside_a_new_address_is_a_keepalive() {
        let mut bench = Bench::reached();
        bench.run_until(4990);
        bench.path.introduce(at(NEW), at(PRIVATE), &mut bench.out);
        bench.turn(bench.out.now);
        bench.run_until(5000);
        assert_eq!(bench.reasons, [(0, Reason::Keepalive)]);
    }
}
