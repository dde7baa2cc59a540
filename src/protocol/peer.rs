//! One peer: how it meets others, and its link to each of them.
//!
//! ```text
//!              +-- Registration (a tracker introduces) --+
//!  datagrams --+                                         +--> endpoint, id --> Link, Link, ...
//!              +-- Calls (LAN, or an address by hand) ---+
//! ```
//!
//! However two peers have met, from there on it is a [`Link`]. Here is the peer's life: what it is told to do,
//! what it does when it is time, and when it is over. `arrivals.rs` has what others say to it.

mod arrivals;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use super::link::Link;
use super::meet::calls::Calls;
use super::meet::registration::Registration;
use super::part::{LAST_WORDS, Side, Stage};
use super::reach::ATTEMPTS;
use super::{Event, Failure, Id, Name, Output, Reason, Who};

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
    departed: VecDeque<(Id, Reason)>,
    phase: Phase,
    /// How many of the complete room are over.
    over: u64,
    /// Whether anybody was ever reached.
    reached: bool,
    failed: bool,
    pub out: Output,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
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
        let (links, departed, phase) = (BTreeMap::new(), VecDeque::new(), Phase::Talking);
        let (reached, failed, out) = (false, false, Output::new(now));
        Self { us, room, registration, calls, links, departed, phase, over: 0, reached, failed, out }
    }

    /// Once the conversation is over: whether it ended well.
    pub fn outcome(&self) -> Option<bool> {
        (self.phase == Phase::Over).then_some(!self.failed)
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
        for (index, message) in self.out.begin_reading(datagram, now) {
            self.out.reading = index;
            self.handle_message(source, message);
        }
        self.handle_timeout(now);
    }

    /// Does what has become due, and draws the conclusions: after every input, and when it is time. Harmless
    /// when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.out.begin(now);
        let mut begins_attempt = false;
        for link in self.links.values_mut() {
            begins_attempt |= link.run(&mut self.out);
        }
        self.bury();
        self.calls.iter_mut().for_each(|calls| calls.run(&mut self.out));
        // Once everyone is reached or given up, there is nothing more to be had from the tracker.
        let is_reached = |link: &Link| link.path.endpoint.is_some();
        let all_reached = self.links().all(is_reached);
        let is_active = self.takes_part() && !(all_reached && self.has_met_all());
        let needs_fresh_socket = begins_attempt && !self.links().any(is_reached);
        if let Some(registration) = &mut self.registration {
            registration.set_active(is_active);
            registration.run(&mut self.out);
            self.out.events.extend(needs_fresh_socket.then_some(Event::FreshSocket));
        }
        let has_left = |link: &Link| link.parting.they == Side::Left;
        if self.phase == Phase::Talking && self.has_met_all() && self.links().all(has_left) {
            self.phase = Phase::Ended; // whatever would be said now, nobody would hear it
            self.out.tell(Event::NobodyElse);
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
        if self.phase == Phase::Talking {
            self.phase = Phase::Ended;
            self.links.values_mut().for_each(|link| link.say_last(Side::Ended, now));
        }
        self.handle_timeout(now);
    }

    /// Leaves: says BYE to everyone and LEAVE to the tracker.
    pub fn leave(&mut self, now: Instant) {
        if self.takes_part() {
            self.phase = Phase::Leaving { until: now + LAST_WORDS };
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

    fn takes_part(&self) -> bool {
        matches!(self.phase, Phase::Talking | Phase::Ended)
    }

    /// Lets go of the links that are over, and remembers their ids.
    fn bury(&mut self) {
        let over: Vec<Id> = self.links().filter(|link| link.is_over()).map(|link| link.who.id).collect();
        let is_pair = self.room_size().map_or(self.links.len() + self.departed.len() == 1, |size| size == 2);
        for link in over.iter().filter_map(|id| self.links.remove(id)) {
            let unacknowledged = link.sender.unacknowledged();
            let fate = if link.parting.they == Side::Left { "has left" } else { "is given up" };
            self.departed.push_front((link.who.id, Reason::Departed(link.who.name, fate)));
            if link.path.is_given_up() {
                let ours = self.registration.as_ref().and_then(|known| Some((known.private, known.public?)));
                let (tried, public) = (link.path.tried.into_iter().collect(), link.path.public);
                let failure = Failure { attempts: ATTEMPTS, tried, public, ours, unacknowledged };
                self.out.tell(Event::Unreachable(link.who, failure));
            }
            self.failed |= link.parting.stage == Stage::Gone && is_pair || unacknowledged > 0;
        }
        self.over += self.room_size().map_or(0, |_| over.len() as u64);
        self.departed.truncate(MAX_DEPARTED);
    }

    /// Known once it is complete.
    fn room_size(&self) -> Option<u64> {
        self.registration.as_ref()?.complete
    }

    fn has_met_all(&self) -> bool {
        self.room_size().is_some_and(|size| self.links.len() as u64 + self.over + 1 >= size)
    }

    fn is_over(&mut self) -> bool {
        let nobody_else_comes = self.has_met_all() && self.links.is_empty();
        let is_closed = |link: &Link| link.parting.stage == Stage::Closed;
        let mut links = self.links.values();
        match self.phase {
            Phase::Ended => nobody_else_comes || self.reached && links.all(is_closed),
            Phase::Leaving { until } => {
                links.all(|link| is_closed(link) || link.path.endpoint.is_none()) || self.out.is_due(until)
            }
            Phase::Talking | Phase::Over => false,
        }
    }

    fn finish(&mut self) {
        if let Phase::Leaving { .. } = self.phase {
            for link in self.links.values().filter(|link| link.sender.unacknowledged() > 0) {
                self.failed = true;
                if link.parting.stage == Stage::Open {
                    self.out.tell(Event::Unacknowledged(link.who, link.sender.unacknowledged()));
                }
            }
        } else {
            self.failed |= !self.reached;
            self.registration.iter_mut().for_each(|registration| registration.leave(&mut self.out));
        }
        self.phase = Phase::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ALICE: &str = "00000000000000a1";
    const BOB: &str = "00000000000000b0";
    const TRACKER: u8 = 10;

    fn at(host: u8) -> SocketAddr {
        ([192, 0, 2, host], 50001).into()
    }

    fn id(digits: &str) -> Id {
        digits.parse().expect("an id")
    }

    /// Alice, and a clock. Everybody else is at 192.0.2.`host`.
    struct Bench {
        peer: Peer,
        now: Instant,
    }

    impl Bench {
        fn new(meeting: Meeting) -> Self {
            let now = Instant::now();
            let name = |text: &str| text.parse().expect("a name");
            let (us, room) = (Who { id: id(ALICE), name: name("alice") }, name("lobby"));
            let mut peer = Peer::new(us, room, at(1), meeting, now);
            peer.handle_timeout(now);
            peer.out.transmits.clear();
            Self { peer, now }
        }

        /// She waits to be called.
        fn direct() -> Self {
            Self::new(Meeting::Direct(Vec::new()))
        }

        /// The tracker has introduced her to bob, who is at 192.0.2.2.
        fn introduced() -> Self {
            let mut bench = Self::new(Meeting::Tracker(at(TRACKER)));
            bench.hear(TRACKER, &format!("PEER 2/2 {BOB} bob 192.0.2.2:50001 192.168.1.2:50001"));
            bench
        }

        /// What leaves when a datagram comes from 192.0.2.`host`: a text for each datagram.
        fn hear(&mut self, host: u8, lines: &str) -> Vec<String> {
            self.peer.handle_datagram(at(host), format!("{lines}\n").as_bytes(), self.now);
            let text = |datagram| String::from_utf8(datagram).expect("we write UTF-8");
            self.peer.out.transmits.drain(..).map(|sent| text(sent.datagram)).collect()
        }

        /// Time passes, with a turn whenever the peer wants one.
        fn wait(&mut self, milliseconds: u64) {
            let end = self.now + Duration::from_millis(milliseconds);
            while let Some(next) = self.peer.out.wake.filter(|next| *next <= end) {
                self.now = next.max(self.now);
                self.peer.handle_timeout(self.now);
            }
            self.now = end;
            self.peer.out.transmits.clear();
        }

        /// Somebody answers a ping of hers.
        fn meet(&mut self, host: u8, id: &str, name: &str) {
            self.hear(host, &format!("PONG {ALICE} {id} {name}"));
        }

        fn part(&mut self, host: u8, id: &str) {
            self.hear(host, &format!("BYE {ALICE} {id} 1"));
            self.wait(700);
        }

        /// What became of each message of the last datagram that calls for a word.
        fn remarks(&self) -> Vec<(usize, String)> {
            self.peer.out.remarks.iter().map(|(index, reason)| (*index, reason.to_string())).collect()
        }

        fn events(&mut self) -> Vec<String> {
            self.peer.out.events.drain(..).map(|event| format!("{event:?}")).collect()
        }
    }

    #[test]
    fn a_ping_for_our_room_or_id_from_a_stranger_is_answered_with_one_pong_and_one_ping() {
        let mut bench = Bench::direct();
        for to in ["lobby", ALICE] {
            let answer = format!("PONG {BOB} {ALICE} alice\nPING {BOB} {ALICE} alice\n");
            assert_eq!(bench.hear(2, &format!("PING {to} {BOB} bob")), [answer]);
        }
        assert!(bench.hear(2, &format!("PING kitchen {BOB} bob")).is_empty());
        assert!(bench.events().is_empty(), "no link yet");
    }

    #[test]
    fn whoever_has_our_id_for_their_own_is_ignored() {
        let mut bench = Bench::direct();
        for line in [format!("PING lobby {ALICE} alice"), format!("PONG {ALICE} {ALICE} alice")] {
            assert!(bench.hear(1, &line).is_empty());
        }
        assert_eq!(bench.peer.links().count(), 0);
    }

    #[test]
    fn the_link_to_a_stranger_begins_with_whatever_shows_that_it_has_heard_us() {
        for line in ["PONG <to> <from> bob", "SAY <to> <from> 1 hello", "ACK <to> <from> 1"] {
            let mut bench = Bench::direct();
            let line = line.replace("<to>", ALICE).replace("<from>", BOB);
            bench.hear(2, &format!("PING lobby {BOB} bob"));
            bench.hear(2, &line);
            assert!(bench.peer.has_company(), "{line}");
        }
    }

    #[test]
    fn a_stranger_who_has_not_called_says_nothing_even_with_our_id() {
        for line in ["SAY <to> <from> 1 hello", "BYE <to> <from> 1", "ACK <to> <from> 1"] {
            let mut bench = Bench::direct();
            let line = line.replace("<to>", ALICE).replace("<from>", BOB);
            assert!(bench.hear(2, &line).is_empty() && bench.events().is_empty(), "{line}");
        }
    }

    #[test]
    fn without_our_id_nobody_says_acknowledges_or_ends_anything() {
        let mut bench = Bench::direct();
        bench.meet(2, BOB, "bob");
        bench.peer.say("hello", bench.now);
        bench.wait(0);
        bench.events();
        let carol = "PONG <to> 00000000000000c3 carol";
        for line in [carol, "SAY <to> <from> 1 x", "ACK <to> <from> 2", "BYE <to> <from> 1"] {
            let line = line.replace("<to>", "00000000000000a2").replace("<from>", BOB);
            assert!(bench.hear(2, &line).is_empty() && bench.events().is_empty(), "{line}");
        }
        assert!(bench.peer.links().all(|link| link.sender.unacknowledged() == 1));
    }

    #[test]
    fn an_id_that_has_left_is_not_answered_again() {
        let mut bench = Bench::direct();
        bench.meet(2, BOB, "bob");
        bench.part(2, BOB);
        for line in ["PING lobby <from> bob", "PING <to> <from> bob", "PONG <to> <from> bob"] {
            let line = line.replace("<to>", ALICE).replace("<from>", BOB);
            assert!(bench.hear(2, &line).is_empty(), "{line}");
        }
        assert_eq!(bench.peer.links().count(), 0);
    }

    #[test]
    fn the_last_256_that_have_left_are_remembered() {
        let mut bench = Bench::direct();
        let ids: Vec<String> = (1001..=1257).map(|number| format!("{number:016x}")).collect();
        for id in &ids {
            bench.meet(2, id, "bob");
            bench.part(2, id);
        }
        let is_answered = |id: &String| !bench.hear(2, &format!("PING lobby {id} bob")).is_empty();
        let answered: Vec<bool> = ids.iter().map(is_answered).collect();
        assert!(answered[0] && answered[1..].iter().all(|is_answered| !is_answered));
    }

    #[test]
    fn at_most_64_links_are_kept() {
        let mut bench = Bench::direct();
        (1..=65).for_each(|number| bench.meet(2, &format!("{number:016x}"), "bob"));
        assert_eq!(bench.peer.links().count(), 64);
    }

    #[test]
    fn only_the_tracker_introduces() {
        let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
        let line = format!("PEER 2/2 {BOB} bob 192.0.2.2:50001 192.168.1.2:50001");
        assert!(bench.hear(2, &line).is_empty(), "from another address");
        assert!(bench.hear(2, &format!("PING {ALICE} {BOB} bob")).is_empty());
        assert!(bench.hear(2, &format!("PONG {ALICE} {BOB} bob")).is_empty());
        assert!(bench.events().is_empty());
        assert_eq!(bench.hear(TRACKER, &line).len(), 2, "a PING to each address");
    }

    #[test]
    fn the_tracker_is_told_of_everyone_met_and_again_when_it_introduces_them_again() {
        let mut bench = Bench::introduced();
        let met = format!("MET - {ALICE} {BOB}\n");
        assert_eq!(bench.hear(2, &format!("PONG {ALICE} {BOB} bob")), [&*met]);
        let again = format!("PEER 2/2 {BOB} bob 192.0.2.2:50001 192.168.1.2:50001");
        assert_eq!(bench.hear(TRACKER, &again), [met]);
    }

    #[test]
    fn a_fresh_socket_is_asked_for_after_each_attempt_unless_a_link_is_up() {
        for has_company in [false, true] {
            let mut bench = Bench::introduced();
            bench.hear(TRACKER, "PEER 3/3 00000000000000c3 carol 192.0.2.3:50001 192.0.2.3:50001");
            if has_company {
                bench.meet(3, "00000000000000c3", "carol");
            }
            bench.wait(3000);
            assert_eq!(bench.events().contains(&"FreshSocket".to_owned()), !has_company);
        }
    }

    #[test]
    fn somebody_is_found_by_name_or_by_four_digits_of_the_id_once_reached() {
        let mut bench = Bench::introduced();
        assert!(bench.peer.find("bob").is_empty(), "not yet");
        bench.meet(2, BOB, "bob");
        for (who, is_found) in [("bob", true), ("0000", true), (BOB, true), ("000", false), ("carol", false)]
        {
            assert_eq!(bench.peer.find(who).contains(&id(BOB)), is_found, "{who}");
        }
    }

    #[test]
    fn all_who_may_be_meant_are_found_and_a_name_goes_before_an_id() {
        let mut bench = Bench::direct();
        let [b1, b2, cafe] = ["cafe0000000000b1", "cafe0000000000b2", "00000000000000c3"];
        for (id, name) in [(b1, "bob"), (b2, "bob"), (cafe, "cafe")] {
            bench.meet(2, id, name);
        }
        assert_eq!(bench.peer.find("bob"), [id(b1), id(b2)]);
        assert_eq!(bench.peer.find("cafe0"), [id(b1), id(b2)]);
        assert_eq!(bench.peer.find("cafe"), [id(cafe)]);
    }

    #[test]
    fn whoever_leaves_while_no_link_is_up_is_done_at_once_and_has_not_failed() {
        let mut bench = Bench::introduced();
        bench.peer.leave(bench.now);
        assert_eq!(bench.peer.outcome(), Some(true));
    }

    #[test]
    fn our_own_address_is_not_pinged_as_the_other_s() {
        let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
        let home = ([192, 168, 1, 5], 50001).into();
        bench.peer.handle_fresh_socket(home, bench.now);
        bench.peer.out.transmits.clear();
        let pings = |sent: &[String]| sent.iter().filter(|datagram| datagram.starts_with("PING ")).count();
        let sent = bench.hear(TRACKER, &format!("PEER 2/3 {BOB} bob 203.0.113.7:50001 {home}"));
        assert_eq!(pings(&sent), 1, "{sent:?}");
        bench.hear(TRACKER, "WAIT 2/3 203.0.113.9:50001");
        let sent = bench.hear(TRACKER, "PEER 3/3 00000000000000c0 carol 203.0.113.8:50001 192.168.1.5:40000");
        assert_eq!(pings(&sent), 1, "another port of our address is ours, too: {sent:?}");
        let sent = bench.hear(TRACKER, "PEER 3/3 00000000000000d0 dave 203.0.113.9:50002 192.168.1.5:50002");
        assert_eq!(pings(&sent), 2, "dave is on this machine: {sent:?}");
    }

    #[test]
    fn where_somebody_is_reached_is_told_where_it_is_not_what_was_told_first() {
        for (introduction, host, elsewhere) in
            [("192.0.2.2:50001", 2, None), ("192.0.2.3:50001", 3, Some(at(3)))]
        {
            let mut bench = Bench::introduced();
            bench.hear(TRACKER, &format!("PEER 2/2 {BOB} bob {introduction} 192.168.1.2:50001"));
            bench.events();
            bench.meet(host, BOB, "bob");
            let who = Who { id: id(BOB), name: "bob".parse().expect("a name") };
            assert_eq!(bench.events(), [format!("{:?}", Event::Reached { who, first: true, elsewhere })]);
        }
        let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
        bench.hear(TRACKER, &format!("PEER 2/2 {BOB} bob 127.0.0.1:50002 192.0.2.1:50002"));
        bench.events();
        bench.hear(1, &format!("PONG {ALICE} {BOB} bob"));
        assert!(bench.events()[0].contains("elsewhere: None"), "bob is on this machine");
    }

    #[test]
    fn a_false_answer_ends_no_call() {
        let mut bench = Bench::new(Meeting::Direct(vec![at(2)]));
        bench.hear(2, &format!("PONG {ALICE} {ALICE} alice"));
        bench.wait(3000);
        assert_eq!(bench.events(), [format!("{:?}", Event::NobodyAnswers(at(2)))]);
    }

    #[test]
    fn what_was_never_acknowledged_is_told_once() {
        let mut bench = Bench::direct();
        bench.meet(2, BOB, "bob");
        bench.peer.say("hello", bench.now);
        bench.hear(2, &format!("BYE {ALICE} {BOB} 1"));
        bench.wait(500);
        bench.peer.leave(bench.now);
        bench.wait(3500);
        assert_eq!(bench.events().iter().filter(|event| event.starts_with("Unack")).count(), 1);
        assert_eq!(bench.peer.outcome(), Some(false));
    }

    #[test]
    fn who_left_before_the_room_was_complete_is_none_of_it() {
        let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
        let peer = |here: u8, id: &str, host: u8| {
            format!("PEER {here}/3 {id} p{host} 192.0.2.{host}:50001 192.168.1.{host}:50001")
        };
        bench.hear(TRACKER, &peer(2, BOB, 2));
        bench.meet(2, BOB, "bob");
        bench.part(2, BOB);
        // Carol has come meanwhile, but her PEER was lost; dave is the third.
        let dave = "00000000000000d4";
        bench.hear(TRACKER, &peer(3, dave, 4));
        bench.meet(4, dave, "dave");
        bench.part(4, dave);
        assert_eq!(bench.peer.outcome(), None);
    }

    #[test]
    fn a_room_of_one_is_never_complete() {
        let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
        bench.hear(TRACKER, "WAIT 1/1 192.0.2.1:50001");
        bench.hear(TRACKER, "WAIT 0/0 192.0.2.1:50001");
        bench.wait(1000);
        assert_eq!(bench.peer.outcome(), None);
    }

    #[test]
    fn the_message_that_makes_the_link_is_remarked_and_the_introduction_that_comes_again_is_a_reason() {
        let mut bench = Bench::introduced();
        bench.hear(2, &format!("PONG {ALICE} {BOB} bob\nPING {ALICE} {BOB} bob"));
        assert_eq!(bench.remarks(), [(0, "link made".to_owned())]);
        let again = format!("PEER 2/2 {BOB} bob 192.0.2.2:50001 192.168.1.2:50001\n");
        bench.peer.handle_datagram(at(TRACKER), again.as_bytes(), bench.now);
        let reasons = &bench.peer.out.transmits[0].reasons;
        assert_eq!(*reasons, [(0, Reason::Again("introduced again"))]);
    }

    #[test]
    fn what_a_peer_ignores_it_has_a_reason_for() {
        let other = "00000000000000a2";
        for (lines, why) in [
            (format!("PING {ALICE} {BOB} bob"), "not introduced"),
            (format!("SAY {ALICE} {BOB} 1 hello"), "not introduced"),
            (format!("PING kitchen {BOB} bob"), "for another id or room"),
            (format!("PONG {other} {BOB} bob"), "for another id"),
            (format!("ACK {other} {BOB} 1"), "for another id"),
            (format!("PING lobby {ALICE} alice"), "our own"),
            ("WAIT 1/2 192.0.2.1:50001".to_owned(), "not from our tracker"),
            (format!("MET - {ALICE} {BOB}"), "not from our tracker"),
        ] {
            let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
            bench.hear(2, &lines);
            assert_eq!(bench.remarks(), [(0, format!("ignored: {why}"))], "{lines}");
        }
    }

    #[test]
    fn who_has_left_or_was_given_up_is_ignored_by_name() {
        for (has_left, fate) in [(true, "has left"), (false, "is given up")] {
            let mut bench = Bench::new(Meeting::Tracker(at(TRACKER)));
            bench.hear(TRACKER, &format!("PEER 2/3 {BOB} bob 192.0.2.2:50001 192.168.1.2:50001"));
            if has_left {
                bench.meet(2, BOB, "bob");
                bench.part(2, BOB);
            }
            bench.wait(10_000);
            bench.hear(2, &format!("PING {ALICE} {BOB} bob"));
            assert_eq!(bench.remarks(), [(0, format!("ignored: bob {fate}"))]);
        }
    }

    #[test]
    fn whoever_leaves_or_has_64_links_takes_no_other() {
        let mut bench = Bench::direct();
        (1..=64).for_each(|number| bench.meet(2, &format!("{number:016x}"), "bob"));
        for why in ["too many are here", "we are leaving"] {
            bench.hear(2, &format!("PING lobby {BOB} bob"));
            assert_eq!(bench.remarks(), [(0, format!("ignored: {why}"))]);
            bench.peer.leave(bench.now);
        }
    }

    #[test]
    fn each_remark_is_about_a_message_of_the_datagram_that_has_just_come() {
        let mut bench = Bench::direct();
        let [bob, carol] = [BOB, "00000000000000c3"].map(|id| format!("SAY {ALICE} {id} 2 two"));
        bench.hear(2, &format!("PING lobby {BOB} bob\nnonsense\n{bob}\n{bob}\n{carol}"));
        let why = ["link made", "kept: 1 is missing", "ignored: had it already", "ignored: not introduced"];
        let expected: Vec<_> = [2, 2, 3, 4].into_iter().zip(why.map(str::to_owned)).collect();
        assert_eq!(bench.remarks(), expected);
        bench.hear(2, "nonsense");
        assert_eq!(bench.remarks(), []);
    }
}
