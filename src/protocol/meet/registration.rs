//! Meet, the peer's half: checking in with the tracker until everyone is introduced and reached.
//!
//! ```text
//! 0 s        REGISTER - ...     ->          no cookie yet
//!            COOKIE 9b1e...     <-
//!            REGISTER 9b1e...   ->          at once
//!            WAIT 1/2 ...       <-
//! 0.25 s     REGISTER 9b1e...   ->          twice more, for one of them may be lost;
//! 0.5 s      REGISTER 9b1e...   ->          then every second, to stay in the room
//! ```

use std::mem::{Discriminant, discriminant};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::protocol::{Event, Id, Introduction, Message, NO_COOKIE, Name, Output, Reason, Who};

/// Between the first three registrations.
const EAGER: Duration = Duration::from_millis(250);

/// A registration that was not answered is repeated so soon; and a COOKIE is answered no more often.
const UNANSWERED: Duration = Duration::from_millis(500);

/// A registration that was answered is refreshed so soon: the tracker forgets it after five seconds.
const REFRESH: Duration = Duration::from_secs(1);

/// A tracker that has said nothing for so long is called silent.
const SILENCE: Duration = Duration::from_secs(2);

/// One peer's registration with one tracker.
pub struct Registration {
    pub tracker: SocketAddr,
    us: Who,
    room: Name,
    /// Where we are as we see it, and as the tracker does.
    pub private: SocketAddr,
    pub public: Option<SocketAddr>,
    cookie: String,
    cookie_answered: Option<Instant>,
    /// Whether it registers at all: see `set_active`.
    active: bool,
    /// How often, and when last, the timer has registered.
    count: u32,
    last: Instant,
    /// Since when the tracker owes an answer.
    unanswered_since: Option<Instant>,
    /// What kind of news the person was told last.
    told: Option<Discriminant<Event>>,
    /// Nobody is reached yet.
    alone: bool,
    /// The size of the room, once it is complete: nobody else can come.
    pub complete: Option<u64>,
}

impl Registration {
    pub fn new(tracker: SocketAddr, us: Who, room: Name, private: SocketAddr, now: Instant) -> Self {
        Self {
            tracker,
            us,
            room,
            private,
            public: None,
            cookie: NO_COOKIE.to_owned(),
            cookie_answered: None,
            active: true,
            count: 0,
            last: now,
            unanswered_since: Some(now),
            told: None,
            alone: true,
            complete: None,
        }
    }

    /// Goes on registering, or rests while there is nothing to be had from the tracker.
    pub fn set_active(&mut self, active: bool) {
        if active && !self.active {
            self.unanswered_since = None;
        }
        self.active = active;
    }

    /// Starts anew from a fresh socket, which the tracker has never seen.
    pub fn restart(&mut self, private: SocketAddr, now: Instant) {
        (self.private, self.cookie, self.cookie_answered) = (private, NO_COOKIE.to_owned(), None);
        (self.active, self.count, self.last, self.unanswered_since) = (true, 0, now, Some(now));
    }

    /// Takes in a message that came from the tracker's address; hands out whom it introduces.
    pub fn handle_message(&mut self, message: Message, out: &mut Output) -> Option<Introduction> {
        match message {
            Message::Cookie { cookie } => {
                self.cookie = cookie;
                if !self.active || self.cookie_answered.is_some_and(|when| when + UNANSWERED > out.now) {
                    out.note(Reason::Ignored("not needed"));
                } else {
                    self.cookie_answered = Some(out.now);
                    self.register(Some(Reason::Again("with the cookie")), out);
                }
            }
            Message::Wait { here, size, public } => {
                self.public = Some(public);
                self.note_room(here, size, out);
            }
            Message::Peer { here, size, who } => {
                self.note_room(here, size, out);
                return Some(who);
            }
            Message::Full { text } => {
                self.unanswered_since = None;
                self.tell(Event::Full(text), out);
            }
            _ => out.note(Reason::Ignored("not for a peer")),
        }
        None
    }

    fn note_room(&mut self, here: u64, size: u64, out: &mut Output) {
        self.unanswered_since = None;
        self.tell(Event::CheckedIn { alone: self.alone }, out);
        self.complete = self.complete.or((size > 1 && here >= size).then_some(size)); // for good: an older WAIT may follow
    }

    /// Tells the tracker that this one is reached.
    pub fn met(&mut self, other: Id, reason: Option<Reason>, out: &mut Output) {
        self.alone = false;
        let cookie = self.cookie.clone();
        out.send(self.tracker, &Message::Met { cookie, id: self.us.id, other }, reason);
    }

    /// Tells the tracker, where it knows us, to introduce us to nobody any more.
    pub fn leave(&mut self, out: &mut Output) {
        self.active = false;
        if self.cookie != NO_COOKIE {
            out.send(self.tracker, &Message::Leave { cookie: self.cookie.clone(), id: self.us.id }, None);
        }
    }

    fn register(&mut self, reason: Option<Reason>, out: &mut Output) {
        self.unanswered_since.get_or_insert(out.now);
        let (cookie, Who { id, name }) = (self.cookie.clone(), self.us);
        let (room, private) = (self.room, self.private);
        out.send(self.tracker, &Message::Register { cookie, id, room, name, private }, reason);
    }

    /// Registers when it is time.
    pub fn run(&mut self, out: &mut Output) {
        if !self.active {
            return;
        }
        if out.is_due(self.next_registration()) {
            let unanswered =
                self.unanswered_since.map(|since| self.cookie_answered.unwrap_or(since).max(since));
            let why =
                unanswered.map_or(Reason::Again("still waiting"), |since| Reason::NoAnswer(out.now - since));
            self.register(Some(why).filter(|_| self.count > 0), out);
            (self.count, self.last) = (self.count.saturating_add(1), out.now);
            out.wake_at(Some(self.next_registration()));
        }
        if self.unanswered_since.is_some_and(|since| out.is_due(since + SILENCE)) {
            self.tell(Event::TrackerSilent { tracker: self.tracker, alone: self.alone }, out);
        }
    }

    /// Tells what the person does not know yet.
    fn tell(&mut self, event: Event, out: &mut Output) {
        if self.told.replace(discriminant(&event)) != Some(discriminant(&event)) {
            out.tell(event);
        }
    }

    fn next_registration(&self) -> Instant {
        self.last
            + match self.count {
                0 => Duration::ZERO,
                1 | 2 => EAGER,
                _ if self.unanswered_since.is_none() => REFRESH,
                _ => UNANSWERED,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Transmit;

    /// A registration and a clock; says at which milliseconds something was sent.
    struct Bench {
        registration: Registration,
        start: Instant,
        out: Output,
        /// Of all that was sent, one by one.
        reasons: Vec<Option<Reason>>,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let endpoint = |text: &str| text.parse().expect("an endpoint");
            let name = |text: &str| text.parse().expect("a name");
            let us = Who { id: Id(1), name: name("alice") };
            let (tracker, private) = (endpoint("192.0.2.10:55555"), endpoint("192.168.1.5:50001"));
            let registration = Registration::new(tracker, us, name("lobby"), private, now);
            let (out, reasons) = (Output::new(now), Vec::new());
            let mut bench = Self { registration, start: now, out, reasons };
            bench.turn(now);
            bench
        }

        fn turn(&mut self, now: Instant) {
            self.out.begin(now);
            self.registration.run(&mut self.out);
        }

        fn run_until(&mut self, milliseconds: u64) -> Vec<u128> {
            let end = self.start + Duration::from_millis(milliseconds);
            let mut sent = Vec::new();
            loop {
                sent.extend((0..self.sent()).map(|_| (self.out.now - self.start).as_millis()));
                let Some(next) = self.out.wake.filter(|next| *next <= end) else { break };
                self.turn(next.max(self.out.now));
            }
            self.out.now = end;
            sent
        }

        fn hear(&mut self, line: &str) -> usize {
            let message = line.parse().expect("well formed");
            self.registration.handle_message(message, &mut self.out);
            self.turn(self.out.now);
            self.sent()
        }

        fn sent(&mut self) -> usize {
            let reason = |sent: Transmit| sent.reasons.first().map(|(_, reason)| *reason);
            let before = self.reasons.len();
            self.reasons.extend(self.out.transmits.drain(..).map(reason));
            self.reasons.len() - before
        }

        fn events(&mut self) -> Vec<Event> {
            self.out.events.drain(..).collect()
        }
    }

    #[test]
    fn it_is_repeated_soon_and_then_every_half_second_while_nobody_answers() {
        let mut bench = Bench::new();
        assert_eq!(bench.run_until(2600), [0, 250, 500, 1000, 1500, 2000, 2500]);
    }

    #[test]
    fn an_answered_one_is_repeated_every_second() {
        let mut bench = Bench::new();
        let mut sent = Vec::new();
        for tick in 0..350 {
            sent.extend(bench.run_until(tick * 10));
            bench.hear("WAIT 1/2 203.0.113.7:50001");
        }
        assert_eq!(sent, [0, 250, 500, 1500, 2500]);
        assert_eq!(bench.events(), [Event::CheckedIn { alone: true }]);
    }

    #[test]
    fn a_silent_tracker_is_mentioned_once_in_each_silence() {
        let tracker = "192.0.2.10:55555".parse().expect("an endpoint");
        let silent = Event::TrackerSilent { tracker, alone: true };
        let mut bench = Bench::new();
        bench.run_until(1999);
        assert_eq!(bench.events(), []);
        bench.run_until(2000);
        assert_eq!(bench.events(), std::slice::from_ref(&silent));
        bench.run_until(30_000);
        assert_eq!(bench.events(), []);
        bench.hear("WAIT 1/2 203.0.113.7:50001");
        assert_eq!(bench.events(), [Event::CheckedIn { alone: true }]);
        bench.run_until(40_000);
        assert_eq!(bench.events(), [silent]);
    }

    #[test]
    fn a_cookie_is_answered_at_once_but_no_more_than_twice_a_second() {
        let mut bench = Bench::new();
        bench.run_until(0);
        assert_eq!(bench.hear("COOKIE one"), 1);
        assert_eq!(bench.hear("COOKIE two"), 0);
        bench.run_until(499);
        assert_eq!(bench.hear("COOKIE three"), 0);
        bench.run_until(500);
        assert_eq!(bench.hear("COOKIE four"), 1);
    }

    #[test]
    fn full_is_told_once_and_the_peer_goes_on_trying() {
        let mut bench = Bench::new();
        bench.run_until(600);
        bench.hear("FULL come back later");
        assert_eq!(bench.run_until(1600), [1500]);
        bench.hear("FULL come back later");
        assert_eq!(bench.events(), [Event::Full("come back later".to_owned())]);
    }

    #[test]
    fn a_late_copy_does_not_make_a_complete_room_incomplete() {
        let mut bench = Bench::new();
        bench.hear("WAIT 2/2 203.0.113.7:50001");
        bench.hear("WAIT 1/2 203.0.113.7:50001");
        assert_eq!(bench.registration.complete, Some(2));
    }

    #[test]
    fn every_registration_but_the_first_tells_why() {
        let mut bench = Bench::new();
        bench.run_until(100);
        bench.hear("COOKIE one");
        bench.run_until(500);
        bench.hear("WAIT 1/2 203.0.113.7:50001");
        bench.run_until(2499);
        let no_answer = |milliseconds| Some(Reason::NoAnswer(Duration::from_millis(milliseconds)));
        let [cookie, here] = ["with the cookie", "still waiting"].map(|why| Some(Reason::Again(why)));
        assert_eq!(bench.reasons, [None, cookie, no_answer(150), no_answer(400), here, no_answer(500)]);
    }

    #[test]
    fn a_second_cookie_and_what_only_a_peer_may_say_are_ignored() {
        let mut bench = Bench::new();
        for line in ["COOKIE one", "COOKIE two", "MET - 0000000000000001 0000000000000002"] {
            bench.hear(line);
            bench.out.reading += 1;
        }
        let ignored = [(1, "not needed"), (2, "not for a peer")];
        assert_eq!(bench.out.remarks, ignored.map(|(index, why)| (index, Reason::Ignored(why))));
    }

    #[test]
    fn a_cookie_is_an_answer() {
        let mut bench = Bench::new();
        bench.run_until(40);
        bench.hear("COOKIE one");
        bench.run_until(250);
        assert_eq!(bench.reasons[2], Some(Reason::NoAnswer(Duration::from_millis(210))));
    }
}
