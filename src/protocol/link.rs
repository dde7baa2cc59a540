//! One remote peer, from its introduction to its end: the way to it, what is said, and Part.
//!
//! ```text
//!              Path                    Sender, Receiver
//!  introduced ------> reached, talking -----------------> parted
//!                        |                                  END and END, or BYE from one side,
//!                        |                                  and everything acknowledged
//!                        +--> over: 20 s of silence, or a line too long
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::datagram::Outbox;
use super::delivery::{Received, Receiver};
use super::field::{Id, Name};
use super::message::Body;
use super::path::{ATTEMPTS, Path};
use super::sender::{Sender, Slowness};

/// After so long a silence, or without any acknowledgement of what was sent, the peer is gone.
const GONE: Duration = Duration::from_secs(20);

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
struct Linger {
    until: Instant,
    next_acknowledgement: Instant,
}

/// One remote peer.
#[derive(Debug)]
pub struct Link {
    us: Id,
    id: Id,
    name: Name,
    /// The way to them.
    pub path: Path,
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
    /// A peer that is said to be at `endpoint`.
    pub fn new(us: (Id, Name), id: Id, name: Name, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            us: us.0,
            id,
            name,
            path: Path::new(us, id, endpoint, now),
            sender: Sender::new(id, us.0),
            receiver: Receiver::default(),
            acknowledge: None,
            we: Side::Talking,
            they: Side::Talking,
            last_words: None,
            linger: None,
            closed: false,
            ending: None,
            events: VecDeque::from([Event::Introduced(endpoint)]),
        }
    }

    /// Their id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Their name.
    pub fn name(&self) -> Name {
        self.name
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

    /// Where they are, once they are reached.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.path.endpoint()
    }

    /// Takes in a PONG.
    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) {
        if let Some(sample) = self.path.handle_pong(source, now) {
            self.sender.round_trip.seed(sample);
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

    /// Does what it is time for; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        match self.path.handle_timeout(now, outbox) {
            Some(attempt) if attempt > ATTEMPTS => self.give_up(),
            Some(attempt) => self.events.push_back(Event::NextAttempt(attempt)),
            None => {}
        }
        if let Some(endpoint) = self.endpoint() {
            self.sender.handle_timeout(endpoint, outbox, now);
            if self.gone_time().is_some_and(|when| when <= now) {
                self.ending = Some(Ending::Gone);
                self.events.push_back(Event::Gone(self.sender.unacknowledged()));
            }
        }
        self.events.extend(self.sender.poll_slowness(now).map(Event::Slow));
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reached = self.endpoint().map(|_| [self.gone_time(), self.sender.poll_timeout()]);
        let linger = self.linger.as_ref().filter(|_| !self.closed);
        let linger = linger.map(|linger| linger.next_acknowledgement.min(linger.until));
        let last_words = self.last_words.filter(|_| self.linger.is_none());
        let others = [Some(self.path.poll_timeout()), linger, last_words, self.sender.slowness_time()];
        others.into_iter().chain(reached.into_iter().flatten()).flatten().min()
    }

    /// Lets out what has become due: the acknowledgement first, so that lines can travel with it.
    pub fn flush(&mut self, now: Instant, outbox: &mut Outbox) {
        self.part(now);
        if let Some(destination) = self.acknowledge.take() {
            outbox.push(destination, &self.receiver.acknowledgement(self.id, self.us));
        }
        if let Some(endpoint) = self.endpoint() {
            self.sender.flush(endpoint, outbox, now);
        }
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn note_heard(&mut self, source: SocketAddr, may_have_moved: bool, now: Instant) {
        if self.path.note_heard(source, may_have_moved, now) {
            self.events.push_back(Event::Reached(source));
        }
    }

    fn give_up(&mut self) {
        self.ending = Some(Ending::Unreachable);
        self.events.push_back(Event::Unreachable(Failure {
            tried: self.path.tried(),
            public: self.path.public(),
            heard: self.path.last_heard().is_some(),
            unacknowledged: self.sender.unacknowledged(),
            ours: None,
        }));
    }

    fn gone_time(&self) -> Option<Instant> {
        self.path.last_heard().into_iter().chain(self.sender.stalled_since()).min().map(|since| since + GONE)
    }

    fn deliver(&mut self, received: Received, now: Instant) {
        match received {
            Received::TooLong if self.ending.is_none() => {
                self.ending = Some(Ending::Gone);
                self.events.push_back(Event::Broken(self.sender.unacknowledged()));
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

    /// Closes the link once both sides are done, and lingers for those whose last acknowledgement
    /// was lost.
    fn part(&mut self, now: Instant) {
        if self.closed && self.they == Side::Left {
            self.ending.get_or_insert(Ending::Left);
        }
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
            let until = if self.receiver.has_received() { now + LINGER } else { now };
            self.linger = Some(Linger { until, next_acknowledgement: now + LINGER_INTERVAL });
        }
        let linger = self.linger.as_mut().expect("set above");
        if linger.until <= now {
            self.closed = true;
            self.part(now);
        } else if linger.next_acknowledgement <= now {
            linger.next_acknowledgement = now + LINGER_INTERVAL;
            self.acknowledge = self.endpoint();
        }
    }
}
