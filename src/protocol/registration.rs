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

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::datagram::Outbox;
use super::field::{Cookie, Id, Name};
use super::message::{Introduction, Message};

/// Between the first three registrations.
const EAGER: Duration = Duration::from_millis(250);

/// A registration that was not answered is repeated so soon; and a COOKIE is answered no more
/// often.
const UNANSWERED: Duration = Duration::from_millis(500);

/// A registration that was answered is refreshed so soon: the tracker forgets it after five
/// seconds.
const REFRESH: Duration = Duration::from_secs(1);

/// A tracker that has said nothing for so long is called silent.
const SILENCE: Duration = Duration::from_secs(2);

/// What the peer should know of its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The tracker has answered, for the first time or after a silence.
    CheckedIn,
    /// The tracker at this address does not answer.
    TrackerSilent(SocketAddr),
    /// There is no place, for this reason.
    Full(String),
}

/// One peer's registration with one tracker.
#[derive(Debug)]
pub struct Registration {
    tracker: SocketAddr,
    id: Id,
    room: Name,
    name: Name,
    private: SocketAddr,
    cookie: Cookie,
    active: bool,
    /// How often, and when last, the timer has registered.
    count: u32,
    last: Instant,
    answered: bool,
    cookie_answered: Option<Instant>,
    /// Since when the tracker owes an answer.
    unanswered_since: Instant,
    silence_told: bool,
    full_told: bool,
    checked_in: bool,
    complete: Option<u64>,
    public: Option<SocketAddr>,
    events: VecDeque<Event>,
}

impl Registration {
    /// A registration that begins with the next timeout. `private` is this peer's own address.
    pub fn new(
        tracker: SocketAddr,
        id: Id,
        room: Name,
        name: Name,
        private: SocketAddr,
        now: Instant,
    ) -> Self {
        Self {
            tracker,
            id,
            room,
            name,
            private,
            cookie: Cookie::none(),
            active: true,
            count: 0,
            last: now,
            answered: false,
            cookie_answered: None,
            unanswered_since: now,
            silence_told: false,
            full_told: false,
            checked_in: false,
            complete: None,
            public: None,
            events: VecDeque::new(),
        }
    }

    /// The tracker's address.
    pub fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// The tracker's name has another address now.
    pub fn set_tracker(&mut self, tracker: SocketAddr) {
        self.tracker = tracker;
    }

    /// This peer's address, as it sees it itself and as the tracker sees it.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.public.map(|public| (self.private, public))
    }

    /// The size of the room, once it is complete: nobody else can come.
    pub fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// Whether the tracker owes an answer for longer than it should.
    pub fn is_silent(&self) -> bool {
        self.silence_told
    }

    /// Goes on registering, or rests while there is nothing to be had from the tracker.
    pub fn set_active(&mut self, active: bool, now: Instant) {
        if active && !self.active {
            (self.answered, self.unanswered_since) = (true, now);
        }
        self.active = active;
    }

    /// Starts anew from a fresh socket, which the tracker has never seen.
    pub fn restart(&mut self, private: SocketAddr, now: Instant) {
        self.private = private;
        self.cookie = Cookie::none();
        (self.active, self.count, self.last, self.answered) = (true, 0, now, false);
        (self.cookie_answered, self.unanswered_since) = (None, now);
    }

    /// Takes in a message that came from the tracker's address; hands out whom it introduces.
    pub fn handle_message(
        &mut self,
        message: Message,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Option<Introduction> {
        match message {
            Message::Cookie { cookie } => {
                self.cookie = cookie;
                if self.active && self.cookie_answered.is_none_or(|when| when + UNANSWERED <= now) {
                    self.cookie_answered = Some(now);
                    self.register(outbox);
                }
            }
            Message::Wait { here, size, public } => {
                self.public = Some(public);
                self.note_room(here, size);
            }
            Message::Peer { here, size, who } => {
                self.note_room(here, size);
                return Some(who);
            }
            Message::Full { text } => {
                self.note_answer();
                if !self.full_told {
                    self.full_told = true;
                    self.events.push_back(Event::Full(text));
                }
            }
            _ => {}
        }
        None
    }

    /// Tells the tracker that this one is reached.
    pub fn met(&self, other: Id, outbox: &mut Outbox) {
        let met = Message::Met { cookie: self.cookie.clone(), id: self.id, other };
        outbox.push(self.tracker, &met);
    }

    /// Tells the tracker to introduce us to nobody any more.
    pub fn leave(&mut self, outbox: &mut Outbox) {
        self.active = false;
        if self.cookie != Cookie::none() {
            outbox.push(self.tracker, &Message::Leave { cookie: self.cookie.clone(), id: self.id });
        }
    }

    /// Registers when it is time; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        if !self.active {
            return;
        }
        if self.next_registration() <= now {
            self.count = self.count.saturating_add(1);
            self.last = now;
            if self.answered {
                self.unanswered_since = now;
            }
            self.register(outbox);
        }
        if !self.answered && !self.silence_told && self.unanswered_since + SILENCE <= now {
            self.silence_told = true;
            self.events.push_back(Event::TrackerSilent(self.tracker));
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.active.then(|| match self.answered || self.silence_told {
            true => self.next_registration(),
            false => self.next_registration().min(self.unanswered_since + SILENCE),
        })
    }

    /// What the peer should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_registration(&self) -> Instant {
        self.last
            + match self.count {
                0 => Duration::ZERO,
                1 | 2 => EAGER,
                _ if self.answered => REFRESH,
                _ => UNANSWERED,
            }
    }

    fn register(&mut self, outbox: &mut Outbox) {
        self.answered = false;
        let Self { id, room, name, private, .. } = *self;
        outbox
            .push(self.tracker, &Message::Register { cookie: self.cookie.clone(), id, room, name, private });
    }

    fn note_room(&mut self, here: u64, size: u64) {
        if !self.checked_in || self.silence_told {
            self.checked_in = true;
            self.events.push_back(Event::CheckedIn);
        }
        if here >= size {
            self.complete = Some(size); // for good: an older WAIT may come later
        }
        self.note_answer();
    }

    fn note_answer(&mut self) {
        self.answered = true;
        self.silence_told = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A registration and a clock; says at which milliseconds something was sent.
    struct Bench {
        registration: Registration,
        start: Instant,
        now: Instant,
        outbox: Outbox,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let endpoint = |text: &str| text.parse().expect("an endpoint");
            let name = |text: &str| text.parse().expect("a name");
            let tracker = endpoint("192.0.2.10:55555");
            let private = endpoint("192.168.1.5:50001");
            let registration = Registration::new(tracker, Id(1), name("lobby"), name("alice"), private, now);
            Self { registration, start: now, now, outbox: Outbox::default() }
        }

        fn run_until(&mut self, milliseconds: u64) -> Vec<u128> {
            let end = self.start + Duration::from_millis(milliseconds);
            let mut sent = Vec::new();
            while let Some(next) = self.registration.poll_timeout().filter(|next| *next <= end) {
                self.now = self.now.max(next);
                self.registration.handle_timeout(self.now, &mut self.outbox);
                while self.outbox.pop().is_some() {
                    sent.push((self.now - self.start).as_millis());
                }
            }
            self.now = end;
            sent
        }

        fn hear(&mut self, line: &str) -> usize {
            let message = line.parse().expect("well formed");
            self.registration.handle_message(message, self.now, &mut self.outbox);
            std::iter::from_fn(|| self.outbox.pop()).count()
        }

        fn events(&mut self) -> Vec<Event> {
            std::iter::from_fn(|| self.registration.poll_event()).collect()
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
        assert_eq!(bench.events(), [Event::CheckedIn]);
    }

    #[test]
    fn a_silent_tracker_is_mentioned_once_in_each_silence() {
        let silent = Event::TrackerSilent("192.0.2.10:55555".parse().expect("an endpoint"));
        let mut bench = Bench::new();
        bench.run_until(1999);
        assert_eq!(bench.events(), []);
        bench.run_until(2000);
        assert_eq!(bench.events(), std::slice::from_ref(&silent));
        bench.run_until(30_000);
        assert_eq!(bench.events(), []);
        bench.hear("WAIT 1/2 203.0.113.7:50001");
        assert_eq!(bench.events(), [Event::CheckedIn]);
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
        assert_eq!(bench.registration.complete(), Some(2));
    }
}
