//! Meet, the tracker's half: who waits, and who is introduced to whom.
//!
//! ```text
//! alice  REGISTER - ...        ->              an unproven address: nothing is kept
//!        COOKIE 9b1e...        <-
//!        REGISTER 9b1e... ...  ->              alice waits in her room
//!        WAIT 1/2 <alice>      <-
//!                              REGISTER ...    bob comes, his address proven likewise
//!        PEER 2/2 <bob>        <-  ->          each is told of the other, at once
//! ```
//!
//! A registration is repeated by its peer, and all that is lost on the way is mended by that: each REGISTER
//! is answered with every introduction that both sides have not yet confirmed with MET.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::room::{MAX_ROOM, MEMORY, Room};
use crate::protocol::{Event, Id, Introduction, Message, Name, Output, Reason};

/// The members that a tracker keeps, in all rooms together.
pub const MAX_MEMBERS: usize = 1_000_000;

/// A cookie is good in the period in which it was given and in the next.
const COOKIE_PERIOD: Duration = Duration::from_secs(60);

/// So often the tracker looks through its rooms and forgets who is no longer there.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The tracker: rooms, their members, and what is to be sent to them.
pub struct Tracker {
    size: u8,
    forever: bool,
    started: Instant,
    secret: RandomState,
    /// A room that takes newcomers stands under the hash of its name, a complete one under that of its last
    /// member.
    rooms: HashMap<u64, Room>,
    first_complete: Option<u64>,
    /// Under what the room of each member stands.
    members: HashMap<Id, u64>,
    /// Who has registered last from the endpoint with this hash.
    endpoints: HashMap<u64, Id>,
    /// Ids that have left lately, and when to forget them.
    departed: HashMap<Id, Instant>,
    pub out: Output,
}

impl Tracker {
    /// A tracker for rooms of `size` members, 2 to [`MAX_ROOM`]. Unless it works `forever`, it finishes with
    /// its first complete room.
    pub fn new(size: u8, forever: bool, secret: RandomState, now: Instant) -> Self {
        Self {
            size: size.clamp(2, MAX_ROOM),
            forever,
            started: now,
            secret,
            rooms: HashMap::new(),
            first_complete: None,
            members: HashMap::new(),
            endpoints: HashMap::new(),
            departed: HashMap::new(),
            out: Output::new(now),
        }
    }

    /// Forgets who is no longer there; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        (self.out.now, self.out.wake) = (now, Some(now + SWEEP_INTERVAL));
        self.departed.retain(|_, until| *until > now);
        let rooms: Vec<u64> = self.rooms.keys().copied().collect();
        rooms.into_iter().for_each(|room| self.forget_silent(room));
    }

    /// Takes in what arrived from `source`.
    pub fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) {
        for (index, message) in self.out.begin_reading(datagram, now) {
            self.out.reading = index;
            self.handle_message(source, message);
        }
    }

    fn handle_message(&mut self, source: SocketAddr, message: Message) {
        match message {
            Message::Register { cookie, id, room, name, private } if self.is_proven(&cookie, source) => {
                self.register(room, Introduction { id, name, public: source, private });
            }
            Message::Met { cookie, id, other } if self.is_proven(&cookie, source) => {
                self.note_met(source, id, other);
            }
            Message::Leave { cookie, id } if self.is_proven(&cookie, source) => {
                self.note_left(source, id);
            }
            Message::Register { .. } | Message::Met { .. } | Message::Leave { .. } => {} // unproven
            _ => self.out.note(Reason::Ignored("not for a tracker")),
        }
    }

    /// Whether the sender is known to receive at its address. If not, it is sent the cookie to say so with,
    /// which is shorter than what it said: RFC 8085 section 3.1 on amplification.
    fn is_proven(&mut self, cookie: &str, source: SocketAddr) -> bool {
        let period = self.out.now.duration_since(self.started).as_secs() / COOKIE_PERIOD.as_secs();
        // Keyed, so that nobody can make one for an address at which they do not receive.
        let given = |period| format!("{:016x}", self.secret.hash_one((source.ip(), source.port(), period)));
        let current = given(period);
        if cookie == current || (period > 0 && cookie == given(period - 1)) {
            return true;
        }
        self.out.note(Reason::Unproven);
        self.out.send(source, &Message::Cookie { cookie: current }, None);
        false
    }

    fn register(&mut self, name: Name, who: Introduction) {
        let now = self.out.now;
        if self.departed.get(&who.id).is_some_and(|until| *until > now) {
            return self.out.note(Reason::Departed(who.name, "has left")); // a late copy of what it said before
        }
        let here = self.secret.hash_one(who.public);
        if let Some(ghost) = self.endpoints.get(&here).copied().filter(|id| *id != who.id) {
            self.note_left(who.public, ghost); // one peer has this address now: that one was started again
        }
        // The sweep comes once a second only, and nobody is introduced to the dead.
        let open = self.secret.hash_one(name);
        let rooms = [self.members.get(&who.id).copied(), Some(open)];
        rooms.into_iter().flatten().for_each(|room| self.forget_silent(room));
        let known = self.members.get(&who.id).copied();
        let room = match known {
            Some(room) => room,
            None if self.members.len() >= MAX_MEMBERS => {
                let text = "this tracker is full: wait, or use another".to_owned();
                return self.out.send(who.public, &Message::Full { text }, None);
            }
            None => self.add(open, who),
        };
        let room = self.rooms.get_mut(&room).expect("a member's room exists");
        let before = room.refresh(who, now);
        room.answer(who, known.is_some() && before.is_none(), &mut self.out);
        before.into_iter().for_each(|before| self.vacate(before, who.id));
        self.endpoints.insert(here, who.id);
    }

    /// Takes a newcomer into the room that is open; tells under what it stands.
    fn add(&mut self, open: u64, who: Introduction) -> u64 {
        let room = self.rooms.entry(open).or_insert_with(|| Room::new(self.size));
        room.add(who, self.out.now);
        let is_complete = room.is_complete();
        self.members.insert(who.id, open);
        self.out.tell(Event::Registered(who.public, who.name));
        if is_complete { self.complete(open, who.id) } else { open }
    }

    /// Closes a room to newcomers; the next one who comes opens another.
    fn complete(&mut self, open: u64, last: Id) -> u64 {
        let closed = self.secret.hash_one(last);
        let room = self.rooms.remove(&open).expect("somebody has just come in");
        self.members.extend(room.ids().map(|id| (id, closed)));
        self.rooms.insert(closed, room);
        self.first_complete.get_or_insert(closed);
        self.out.tell(Event::Complete(self.size));
        closed
    }

    /// MET and LEAVE count only from the address that is being introduced: nobody speaks for another, and a
    /// MET on its way while that changed says nothing about the new one.
    fn room_of(&mut self, source: SocketAddr, id: Id) -> Option<u64> {
        let is_here = self.endpoints.get(&self.secret.hash_one(source)) == Some(&id);
        let room = self.members.get(&id).copied().filter(|_| is_here);
        if room.is_none() {
            self.out.note(Reason::Ignored("not registered there"));
        }
        room
    }

    fn note_met(&mut self, source: SocketAddr, id: Id, other: Id) {
        let Some(number) = self.room_of(source, id) else { return };
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        if !room.note_met(id, other, self.out.now) {
            self.out.note(Reason::NothingNew);
        }
        if self.first_complete == Some(number) && room.has_everyone_met() {
            self.finish();
        }
    }

    fn note_left(&mut self, source: SocketAddr, id: Id) {
        let Some(number) = self.room_of(source, id) else { return };
        if self.departed.len() < MAX_MEMBERS {
            self.departed.insert(id, self.out.now + MEMORY);
        }
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        if !room.is_complete() {
            self.remove(number, id);
        } else if !room.note_left(id) {
            self.out.note(Reason::NothingNew);
        }
    }

    fn forget_silent(&mut self, number: u64) {
        let silent = self.rooms.get(&number).map(|room| room.silent(self.out.now));
        silent.into_iter().flatten().for_each(|id| self.remove(number, id));
    }

    /// Takes a member out of a room, and closes it with the last one.
    fn remove(&mut self, number: u64, id: Id) {
        self.members.remove(&id);
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        let at = room.remove(id);
        let is_empty = room.ids().next().is_none();
        at.into_iter().for_each(|at| self.vacate(at, id));
        if is_empty {
            self.rooms.remove(&number);
            if self.first_complete == Some(number) {
                self.finish();
            }
        }
    }

    /// Nobody is at this address any more, unless somebody else has come there.
    fn vacate(&mut self, endpoint: SocketAddr, id: Id) {
        let there = self.secret.hash_one(endpoint);
        if self.endpoints.get(&there) == Some(&id) {
            self.endpoints.remove(&there);
        }
    }

    /// The classic tracker's work is done.
    fn finish(&mut self) {
        if !self.forever {
            self.out.tell(Event::Finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "00000000000000a1";
    const BOB: &str = "00000000000000b0";
    const CAROL: &str = "00000000000000c3";

    /// A tracker and a clock.
    struct Bench {
        tracker: Tracker,
        now: Instant,
        /// How many reasons there were for the last answer.
        reasons: usize,
    }

    impl Bench {
        fn new(size: u8, forever: bool) -> Self {
            let now = Instant::now();
            Self { tracker: Tracker::new(size, forever, RandomState::new(), now), now, reasons: 0 }
        }

        fn wait(&mut self, milliseconds: u64) {
            self.now += Duration::from_millis(milliseconds);
            self.tracker.handle_timeout(self.now);
        }

        /// What the tracker answers to a message from 192.0.2.`host`, and to whom.
        fn say(&mut self, host: u8, line: &str) -> Vec<(u8, String)> {
            let source = SocketAddr::from(([192, 0, 2, host], 50001));
            self.tracker.handle_datagram(source, format!("{line}\n").as_bytes(), self.now);
            self.reasons = self.tracker.out.transmits.iter().map(|sent| sent.reasons.len()).sum();
            let sent = self.tracker.out.transmits.drain(..);
            let lines = sent.flat_map(|transmit| {
                let SocketAddr::V4(to) = transmit.destination else { panic!("only IPv4 here") };
                let text = String::from_utf8(transmit.datagram).expect("we write UTF-8");
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.into_iter().map(move |line| (to.ip().octets()[3], line))
            });
            lines.collect()
        }

        fn cookie(&mut self, host: u8) -> String {
            let answer = self.say(host, &format!("LEAVE - {host:016x}"));
            answer[0].1.strip_prefix("COOKIE ").expect("an unproven address is given a cookie").to_owned()
        }

        fn register(&mut self, host: u8, id: &str) -> Vec<(u8, String)> {
            let cookie = self.cookie(host);
            self.say(host, &format!("REGISTER {cookie} {id} lobby p{host} 192.168.1.{host}:50001"))
        }

        fn met(&mut self, host: u8, id: &str, other: &str) {
            let cookie = self.cookie(host);
            assert!(self.say(host, &format!("MET {cookie} {id} {other}")).is_empty());
        }

        fn leave(&mut self, host: u8, id: &str) {
            let cookie = self.cookie(host);
            assert!(self.say(host, &format!("LEAVE {cookie} {id}")).is_empty());
        }

        /// What became of the last message that was said.
        fn remark(&self) -> Option<String> {
            self.tracker.out.remarks.first().map(|(_, reason)| reason.to_string())
        }

        fn is_finished(&mut self) -> bool {
            self.tracker.out.events.drain(..).any(|event| event == Event::Finished)
        }
    }

    fn here(answer: &[(u8, String)]) -> &str {
        answer.iter().find_map(|(_, line)| line.strip_prefix("WAIT ")).map_or("", |rest| &rest[..3])
    }

    #[test]
    fn newcomers_and_those_who_wait_are_introduced_to_each_other_at_once() {
        let mut bench = Bench::new(2, false);
        assert_eq!(bench.register(1, ALICE), [(1, "WAIT 1/2 192.0.2.1:50001".to_owned())]);
        let answer = bench.register(2, BOB);
        let expected = [
            (2, "WAIT 2/2 192.0.2.2:50001".to_owned()),
            (2, format!("PEER 2/2 {ALICE} p1 192.0.2.1:50001 192.168.1.1:50001")),
            (1, format!("PEER 2/2 {BOB} p2 192.0.2.2:50001 192.168.1.2:50001")),
        ];
        assert_eq!(answer, expected);
        bench.met(1, ALICE, BOB);
        assert_eq!(bench.register(2, BOB).len(), 3, "one MET is not both");
        assert!(!bench.is_finished());
        bench.met(2, BOB, ALICE);
        assert!(bench.is_finished());
        assert_eq!(bench.register(2, BOB).len(), 1, "both have met: nothing to introduce");
    }

    #[test]
    fn a_changed_address_is_introduced_anew_and_a_met_from_the_old_one_does_not_count() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.register(2, BOB);
        bench.met(1, ALICE, BOB);
        bench.met(2, BOB, ALICE);
        assert_eq!(bench.register(3, ALICE).len(), 3);
        bench.met(1, ALICE, BOB); // was on its way
        bench.met(2, BOB, ALICE);
        assert_eq!(bench.register(3, ALICE).len(), 3);
        bench.met(3, ALICE, BOB);
        assert_eq!(bench.register(3, ALICE).len(), 1);
    }

    #[test]
    fn a_registration_lives_for_five_seconds() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.wait(4999);
        assert_eq!(here(&bench.register(1, ALICE)), "1/2");
        bench.wait(4999);
        assert_eq!(here(&bench.register(2, BOB)), "2/2");
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.wait(5000);
        assert_eq!(here(&bench.register(2, BOB)), "1/2");
        bench.wait(60_000);
        assert!(bench.tracker.rooms.is_empty());
        assert!(bench.tracker.members.is_empty() && bench.tracker.endpoints.is_empty());
    }

    #[test]
    fn a_complete_room_is_remembered_until_nobody_was_heard_for_ten_seconds() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.register(2, BOB);
        assert_eq!(here(&bench.register(3, CAROL)), "1/2", "it takes no newcomer");
        bench.wait(9000);
        assert_eq!(here(&bench.register(1, ALICE)), "2/2");
        bench.wait(9999);
        assert_eq!(here(&bench.register(2, BOB)), "2/2");
        bench.wait(10_000);
        assert_eq!(here(&bench.register(2, BOB)), "1/2");
    }

    #[test]
    fn the_classic_tracker_finishes_ten_seconds_after_it_last_heard_a_member() {
        let mut bench = Bench::new(2, false);
        bench.register(1, ALICE);
        bench.wait(4000);
        bench.register(2, BOB);
        bench.wait(9999);
        assert!(!bench.is_finished());
        bench.wait(1);
        assert!(bench.is_finished());
    }

    #[test]
    fn an_id_that_has_left_is_introduced_to_nobody_and_not_answered_for_ten_seconds() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.leave(1, ALICE);
        assert!(bench.register(1, ALICE).is_empty(), "a late copy");
        assert_eq!(here(&bench.register(2, BOB)), "1/2");
        bench.wait(4000);
        bench.register(2, BOB);
        bench.wait(4000);
        assert_eq!(here(&bench.register(2, BOB)), "1/2");
        bench.wait(2000);
        assert_eq!(here(&bench.register(1, ALICE)), "2/2");
        bench.leave(1, ALICE);
        assert_eq!(bench.register(2, BOB).len(), 1, "in a complete room it is only noted");
    }

    #[test]
    fn a_peer_that_was_started_again_never_meets_its_own_ghost() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.wait(1000);
        assert_eq!(bench.register(1, CAROL), [(1, "WAIT 1/2 192.0.2.1:50001".to_owned())]);
        assert!(bench.register(1, ALICE).is_empty(), "a late copy");
        let answer = bench.register(2, BOB);
        assert!(answer[1].1.starts_with(&format!("PEER 2/2 {CAROL} ")), "{answer:?}");
        // In a complete room it is as if it had left.
        assert_eq!(here(&bench.register(1, "00000000000000d4")), "1/2");
        assert_eq!(bench.register(2, BOB), [(2, "WAIT 2/2 192.0.2.2:50001".to_owned())]);
    }

    #[test]
    fn nobody_can_say_leave_or_met_for_another() {
        let mut bench = Bench::new(2, true);
        bench.register(1, ALICE);
        bench.leave(2, ALICE);
        assert_eq!(here(&bench.register(2, BOB)), "2/2", "she is still here");
        bench.met(3, ALICE, BOB);
        bench.met(2, BOB, ALICE);
        assert_eq!(bench.register(2, BOB).len(), 3, "she has not met him yet");
    }

    #[test]
    fn a_cookie_is_good_in_its_period_and_the_next_and_for_its_address_only() {
        let mut bench = Bench::new(2, true);
        let cookie = bench.cookie(1);
        let request = format!("REGISTER {cookie} {ALICE} lobby p1 192.168.1.1:50001");
        assert!(bench.say(2, &request)[0].1.starts_with("COOKIE "));
        let other_port = SocketAddr::from(([192, 0, 2, 1], 50002));
        bench.tracker.handle_datagram(other_port, format!("{request}\n").as_bytes(), bench.now);
        assert!(bench.tracker.out.transmits.remove(0).datagram.starts_with(b"COOKIE "));
        bench.wait(119_999);
        assert!(bench.say(1, &request)[0].1.starts_with("WAIT "));
        bench.wait(1);
        assert!(bench.say(1, &request)[0].1.starts_with("COOKIE "));
    }

    #[test]
    fn whoever_moves_up_in_a_room_keeps_whom_it_has_met() {
        let mut bench = Bench::new(4, true);
        for (host, id) in [(1, ALICE), (2, BOB), (3, CAROL)] {
            bench.register(host, id);
        }
        bench.met(2, BOB, CAROL);
        bench.met(3, CAROL, BOB);
        bench.leave(1, ALICE);
        assert_eq!(bench.register(2, BOB).len(), 1, "bob and carol have met");
        bench.register(4, "00000000000000d4");
        assert_eq!(bench.register(2, BOB).len(), 3, "bob and dave have not");
    }

    #[test]
    fn strangers_without_a_cookie_leave_no_trace() {
        let mut bench = Bench::new(2, true);
        for number in 0..1000 {
            let answer = bench.say(9, &format!("REGISTER made-up {number:016x} r{number} n 192.0.2.9:1"));
            assert!(answer[0].1.starts_with("COOKIE "));
        }
        assert!(bench.tracker.rooms.is_empty() && bench.tracker.members.is_empty());
        assert!(bench.tracker.departed.is_empty());
    }

    #[test]
    fn an_answer_has_reasons_where_it_is_given_again_from_the_same_address() {
        let mut bench = Bench::new(2, true);
        for (host, id, messages, reasons) in [
            (1, ALICE, 1, 0),
            (1, ALICE, 1, 1),
            (2, BOB, 3, 0),
            (2, BOB, 3, 3),
            (3, ALICE, 3, 0),
            (3, ALICE, 3, 3),
        ] {
            assert_eq!((bench.register(host, id).len(), bench.reasons), (messages, reasons), "{host}");
        }
    }

    #[test]
    fn what_the_tracker_ignores_it_has_a_reason_for() {
        let mut bench = Bench::new(2, true);
        let no_cookie = "no valid cookie: gets one";
        bench.cookie(1);
        assert_eq!(bench.remark().as_deref(), Some(no_cookie));
        bench.register(1, ALICE);
        assert_eq!(bench.remark(), None);
        bench.register(2, BOB);
        let [alice, bob] = [1, 2].map(|host| bench.cookie(host));
        for (host, line, remark) in [
            (1, "WAIT 1/2 192.0.2.1:50001".to_owned(), Some("ignored: not for a tracker")),
            (2, format!("MET {alice} {ALICE} {BOB}"), Some(no_cookie)),
            (2, format!("MET {bob} {ALICE} {BOB}"), Some("ignored: not registered there")),
            (2, format!("LEAVE {bob} {ALICE}"), Some("ignored: not registered there")),
            (1, format!("MET {alice} {ALICE} {BOB}"), None),
            (1, format!("MET {alice} {ALICE} {BOB}"), Some("nothing new")),
            (1, format!("LEAVE {alice} {ALICE}"), None),
            (
                1,
                format!("REGISTER {alice} {ALICE} lobby alice 192.168.1.1:50001"),
                Some("ignored: alice has left"),
            ),
        ] {
            bench.say(host, &line);
            assert_eq!(bench.remark().as_deref(), remark, "{line}");
        }
    }
}
