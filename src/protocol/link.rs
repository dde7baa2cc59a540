//! One remote peer, from its introduction to its end: the way to it, what is said, and how it parts.
//!
//! ```text
//!               Path (Reach)            Sender, Receiver (Talk)       Parting (Part)
//!  introduced --------------> reached ---------------------------------------------> over
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use super::part::{Parting, Side, Side::Talking, Stage};
use super::reach::{ATTEMPTS, Path};
use super::talk::receiver::{Received, Receiver};
use super::talk::sender::Sender;
use super::{Body, Event, Output, Range, Reason, Who};

pub struct Link {
    pub who: Who,
    /// Where they are, as the person was told.
    pub told: SocketAddr,
    pub path: Path,
    pub sender: Sender,
    receiver: Receiver,
    /// Where an acknowledgement is owed.
    acknowledge: Option<(SocketAddr, Option<Reason>)>,
    pub parting: Parting,
    is_slow: bool,
}

impl Link {
    pub fn new(us: Who, who: Who, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            who,
            told: endpoint,
            path: Path::new(us, who.id, endpoint, now),
            sender: Sender::new(who.id, us.id),
            receiver: Receiver::default(),
            acknowledge: None,
            parting: Parting::default(),
            is_slow: false,
        }
    }

    /// Whether they are reached and listen.
    pub fn is_up(&self) -> bool {
        self.path.endpoint.is_some() && self.parting.they != Side::Left
    }

    /// Whether a line for them has to wait.
    pub fn is_full(&self) -> bool {
        self.parting.they != Side::Left && self.sender.is_full()
    }

    /// Whether nothing more will happen here.
    pub fn is_over(&self) -> bool {
        self.parting.is_over() || self.path.is_given_up()
    }

    pub fn handle_pong(&mut self, source: SocketAddr, out: &mut Output) {
        let sample = self.path.handle_pong(source, out);
        sample.into_iter().for_each(|sample| self.sender.round_trip.seed(sample));
    }

    /// Takes in a SAY, PART, END or BYE; its acknowledgement is owed to where it came from.
    pub fn handle_numbered(&mut self, source: SocketAddr, sequence: u64, body: Body, out: &mut Output) {
        self.path.note_heard(source, true, out.now);
        self.parting.hear_numbered(out.now);
        self.acknowledge = Some((source, None));
        self.receiver.handle(sequence, body).into_iter().for_each(|reason| out.note(reason));
        while let Some(received) = self.receiver.deliver() {
            if !self.deliver(received, out) && self.receiver.delivered == sequence {
                out.note(Reason::Ignored("after the end"));
            }
        }
    }

    pub fn handle_ack(&mut self, source: SocketAddr, next: u64, ranges: &[Range], out: &mut Output) {
        self.path.note_heard(source, true, out.now);
        self.sender.handle_ack(next, ranges, out.now).into_iter().for_each(|reason| out.note(reason));
    }

    /// Says a line, unless they have left or we have said all.
    pub fn say(&mut self, line: &str, now: Instant) {
        if self.parting.may_say() {
            self.sender.say(line, now);
        }
    }

    /// Says END, no line will follow, or BYE.
    pub fn say_last(&mut self, side: Side, now: Instant) {
        if self.parting.say(side) {
            self.sender.push(if side == Side::Left { Body::Bye } else { Body::End }, now);
        }
    }

    /// Does what it is time for, and lets out what may leave. True where another attempt to reach them
    /// begins.
    pub fn run(&mut self, out: &mut Output) -> bool {
        let next_attempt = self.path.run(out).filter(|attempt| *attempt <= ATTEMPTS);
        if let Some(attempt) = next_attempt {
            out.tell(Event::NextAttempt { who: self.who, attempt, of: ATTEMPTS });
        }
        self.run_parting(out);
        // The acknowledgement first, so that lines can travel with it.
        if let Some((destination, reason)) = self.acknowledge.take() {
            out.send(destination, &self.receiver.acknowledgement(self.who.id, self.path.us.id), reason);
        }
        // Heard in this very turn.
        if self.path.last_heard == Some(out.now) {
            self.sender.round_trip.note_heard();
        }
        if let Some(endpoint) = self.path.endpoint {
            self.sender.run(endpoint, out);
        }
        self.tell_if_slow(out);
        next_attempt.is_some()
    }

    /// False where it comes after the end, and nobody is told.
    fn deliver(&mut self, received: Received, out: &mut Output) -> bool {
        match received {
            _ if self.parting.is_over() => return false,
            Received::Line(line) if self.parting.they == Talking => out.tell(Event::Line(self.who, line)),
            Received::End if self.parting.hear(Side::Ended, out.now) => out.tell(Event::Ended(self.who)),
            Received::Bye if self.parting.hear(Side::Left, out.now) => out.tell(Event::Left(self.who)),
            Received::TooLong => {
                self.parting.stage = Stage::Gone;
                out.tell(Event::Broken(self.who, self.sender.unacknowledged()));
            }
            _ => return false,
        }
        true
    }

    fn run_parting(&mut self, out: &mut Output) {
        let is_done = self.parting.begin_lingering(self.sender.is_done(), self.receiver.delivered > 0, out);
        if is_done && self.sender.unacknowledged() > 0 {
            out.tell(Event::Unacknowledged(self.who, self.sender.unacknowledged()));
        }
        if self.parting.repeat_acknowledgement(out) {
            self.acknowledge = self.path.endpoint.map(|endpoint| (endpoint, Some(Reason::OnceMore)));
        }
        let silent_since = self.path.last_heard.filter(|_| self.path.endpoint.is_some());
        let since = silent_since.into_iter().chain(self.sender.stalled_since()).min();
        if since.is_some_and(|since| self.parting.give_up(since, out)) {
            out.tell(Event::Gone(self.who, self.sender.unacknowledged()));
        }
    }

    fn tell_if_slow(&mut self, out: &mut Output) {
        let is_slow = self.sender.slow_time().is_some_and(|when| out.is_due(when));
        if std::mem::replace(&mut self.is_slow, is_slow) != is_slow {
            out.tell(if is_slow { Event::Slow(self.who) } else { Event::NoLongerSlow(self.who) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::talk::receiver::MAX_LINE;
    use crate::protocol::{Id, MAX_TEXT, Reasons};
    use std::time::Duration;

    const BOB: &str = "192.0.2.2:50001";
    const NEW: &str = "192.0.2.3:50001";

    fn at(endpoint: &str) -> SocketAddr {
        endpoint.parse().expect("an endpoint")
    }

    fn who(id: u64, name: &str) -> Who {
        Who { id: Id(id), name: name.parse().expect("a name") }
    }

    fn bob() -> Who {
        who(0xb0, "bob")
    }

    fn text(line: &str) -> Body {
        Body::Say(line.to_owned())
    }

    /// Alice's link to bob, and a clock. What leaves is noted as destination and verbs.
    struct Bench {
        link: Link,
        out: Output,
        start: Instant,
        /// Why something left again, and at which place in its datagram.
        reasons: Reasons,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                link: Link::new(who(0xa1, "alice"), bob(), at(BOB), start),
                out: Output::new(start),
                start,
                reasons: Reasons::new(),
            }
        }

        fn reached() -> Self {
            let mut bench = Self::new();
            bench.link.handle_pong(at(BOB), &mut bench.out);
            bench.turn();
            bench
        }

        fn turn(&mut self) -> Vec<String> {
            self.out.begin(self.out.now);
            self.link.run(&mut self.out);
            let written = self.out.transmits.drain(..).map(|sent| {
                self.reasons.extend(sent.reasons);
                let lines = String::from_utf8(sent.datagram).expect("we write UTF-8");
                let verbs: Vec<&str> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
                format!("{} {}", sent.destination, verbs.join(" "))
            });
            written.collect()
        }

        fn run_until(&mut self, milliseconds: u64) -> Vec<Event> {
            let end = self.start + Duration::from_millis(milliseconds);
            while let Some(next) = self.out.wake.filter(|next| *next <= end) {
                self.out.now = next.max(self.out.now);
                self.turn();
            }
            self.out.now = end;
            self.events()
        }

        fn events(&mut self) -> Vec<Event> {
            self.out.events.drain(..).collect()
        }

        fn say(&mut self, line: &str) -> Vec<String> {
            self.link.say(line, self.out.now);
            self.turn()
        }

        /// What is told when a numbered message arrives.
        fn hear(&mut self, sequence: u64, body: Body) -> Vec<Event> {
            self.link.handle_numbered(at(BOB), sequence, body, &mut self.out);
            self.events()
        }

        fn hear_ack(&mut self, next: u64) -> Vec<Event> {
            self.link.handle_ack(at(BOB), next, &[], &mut self.out);
            self.turn();
            self.events()
        }
    }

    #[test]
    fn a_line_said_before_they_are_reached_leaves_when_they_are() {
        let mut bench = Bench::new();
        assert!(bench.say("hello").is_empty());
        bench.link.handle_pong(at(BOB), &mut bench.out);
        assert_eq!(bench.turn(), [format!("{BOB} SAY")]);
    }

    #[test]
    fn a_slow_line_is_told_after_two_seconds_and_its_acknowledgement_in_the_turn_in_which_it_comes() {
        let mut bench = Bench::reached();
        bench.say("hello");
        assert_eq!(bench.run_until(1999), []);
        assert_eq!(bench.run_until(4000), [Event::Slow(bob())]);
        assert_eq!(bench.hear_ack(2), [Event::NoLongerSlow(bob())]);
    }

    #[test]
    fn one_acknowledgement_answers_a_datagram_and_a_line_travels_with_it() {
        let mut bench = Bench::reached();
        bench.hear(1, text("one"));
        bench.hear(2, text("two"));
        assert_eq!(bench.say("three"), [format!("{BOB} ACK SAY")]);
    }

    #[test]
    fn an_acknowledgement_goes_where_the_line_came_from() {
        let mut bench = Bench::reached();
        bench.link.handle_numbered(at(NEW), 1, text("one"), &mut bench.out);
        assert!(bench.turn().contains(&format!("{NEW} PING ACK")));
    }

    #[test]
    fn a_line_over_64_kib_ends_the_link() {
        for (excess, events) in
            [(0, [Event::Line(bob(), "x".repeat(MAX_LINE))]), (1, [Event::Broken(bob(), 1)])]
        {
            let mut bench = Bench::reached();
            bench.say("never acknowledged");
            let pieces = (MAX_LINE / MAX_TEXT) as u64;
            for sequence in 1..=pieces {
                assert_eq!(bench.hear(sequence, Body::Part("x".repeat(MAX_TEXT))), []);
            }
            assert_eq!(bench.hear(pieces + 1, text(&"x".repeat(MAX_LINE % MAX_TEXT + excess))), events);
            assert_eq!(bench.link.is_over(), excess > 0);
        }
    }

    #[test]
    fn after_their_end_a_line_is_not_told_and_a_bye_is() {
        let mut bench = Bench::reached();
        assert_eq!(bench.hear(1, Body::End), [Event::Ended(bob())]);
        assert_eq!(bench.hear(2, text("one more")), []);
        assert_eq!(bench.hear(3, Body::End), []);
        assert_eq!(bench.out.remarks, [(0, Reason::Ignored("after the end")); 2]);
        assert_eq!(bench.hear(4, Body::Bye), [Event::Left(bob())]);
    }

    #[test]
    fn a_bye_is_answered_with_an_acknowledgement_only() {
        let mut bench = Bench::reached();
        bench.hear(1, Body::Bye);
        assert_eq!(bench.say("too late"), [format!("{BOB} ACK")]);
        assert_eq!(bench.link.sender.unacknowledged(), 0);
    }

    #[test]
    fn what_they_have_not_acknowledged_three_seconds_after_their_bye_is_counted() {
        let mut bench = Bench::reached();
        bench.say("one");
        bench.say("two");
        bench.hear(1, Body::Bye);
        bench.hear_ack(2);
        assert_eq!(bench.run_until(2999).last(), Some(&Event::Slow(bob())));
        assert_eq!(bench.run_until(3000), [Event::Unacknowledged(bob(), 1)]);
    }

    #[test]
    fn whoever_says_nothing_or_acknowledges_nothing_for_20_seconds_is_gone() {
        for unacknowledged in [0, 2] {
            let mut bench = Bench::reached();
            (0..unacknowledged).for_each(|_| _ = bench.say("hello"));
            bench.run_until(10_000);
            if unacknowledged > 0 {
                bench.link.handle_pong(at(BOB), &mut bench.out);
            }
            bench.run_until(19_999);
            assert!(!bench.link.is_over());
            assert_eq!(bench.run_until(20_000), [Event::Gone(bob(), unacknowledged)]);
        }
    }

    #[test]
    fn after_a_line_that_is_too_long_nothing_is_delivered() {
        let mut bench = Bench::reached();
        let pieces = MAX_LINE.div_ceil(MAX_TEXT) as u64 + 1;
        let told: Vec<Event> =
            (1..=pieces).flat_map(|number| bench.hear(number, Body::Part("x".repeat(MAX_TEXT)))).collect();
        assert_eq!(told, [Event::Broken(bob(), 0)]);
        assert_eq!(bench.hear(pieces + 1, text("")), []);
        assert_eq!(bench.hear(pieces + 2, Body::Bye), []);
    }

    #[test]
    fn last_words_have_their_three_seconds_however_long_nothing_was_acknowledged() {
        let mut bench = Bench::reached();
        bench.say("are you there?");
        for second in 1..=18 {
            bench.run_until(second * 1000);
            bench.link.path.note_heard(at(BOB), true, bench.out.now);
        }
        bench.events();
        assert_eq!(bench.hear(1, Body::Bye), [Event::Left(bob())]);
        let told = bench.run_until(30_000);
        assert!(told.contains(&Event::Unacknowledged(bob(), 1)), "{told:?}");
        assert!(!told.iter().any(|event| matches!(event, Event::Gone(..))), "{told:?}");
    }

    #[test]
    fn the_last_attempt_begins_no_other() {
        let start = Instant::now();
        let (mut link, mut out) = (Link::new(who(0xa1, "alice"), bob(), at(BOB), start), Output::new(start));
        let mut begins = 0;
        for second in 1..20 {
            out.begin(start + Duration::from_secs(second));
            begins += usize::from(link.run(&mut out));
        }
        assert_eq!(begins, 2, "a second and a third");
        assert!(link.is_over());
    }

    #[test]
    fn what_lingers_says_its_acknowledgement_once_more_and_why() {
        let mut bench = Bench::reached();
        bench.hear(1, Body::Bye);
        bench.turn();
        assert_eq!(bench.reasons, [], "the first time");
        bench.run_until(250);
        assert_eq!(bench.reasons, [(0, Reason::OnceMore); 2]);
    }

    #[test]
    fn behind_an_acknowledgement_a_line_that_is_sent_again_keeps_its_reason() {
        let mut bench = Bench::reached();
        (0..4).for_each(|_| _ = bench.say("hello"));
        bench.hear(1, text("one"));
        bench.link.handle_ack(at(BOB), 1, &[2..=4], &mut bench.out);
        assert_eq!(bench.turn(), [format!("{BOB} ACK SAY")]);
        assert_eq!(bench.reasons, [(1, Reason::Overtaken(3))]);
    }

    #[test]
    fn what_is_of_no_use_is_remarked() {
        let mut bench = Bench::reached();
        bench.hear(2, text("two"));
        bench.hear(2, text("two"));
        bench.hear_ack(1);
        bench.hear_ack(2);
        let ignored = ["had it already", "never sent"].map(Reason::Ignored);
        let remarks = [Reason::Kept(1), ignored[0], Reason::NothingNew, ignored[1]];
        assert_eq!(bench.out.remarks, remarks.map(|remark| (0, remark)));
    }

    #[test]
    fn what_comes_after_the_end_is_ignored_and_not_the_end() {
        let mut bench = Bench::reached();
        bench.hear(2, text("after"));
        assert_eq!(bench.hear(1, Body::End), [Event::Ended(bob())]);
        assert_eq!(bench.out.remarks, [(0, Reason::Kept(1))]);
        bench.hear(3, text("after, too"));
        assert_eq!(bench.out.remarks[1..], [(0, Reason::Ignored("after the end"))]);
    }
}
