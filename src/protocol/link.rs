//! One remote peer, from its introduction to its end: the way to it, what is said, and Part.
//!
//! ```text
//!              Path                    Sender, Receiver
//!  introduced ------> reached, talking -----------------> parted
//!                        |                                  END and END, or BYE from one side,
//!                        |                                  and everything acknowledged
//!                        +--> over: 20 s of silence, or a line too long
//! ```

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::delivery::{Received, Receiver};
use super::path::{ATTEMPTS, Path};
use super::sender::Sender;
use super::{Body, Event, Output, Who};

/// After so long a silence, or without any acknowledgement of what was sent, the peer is gone.
const GONE: Duration = Duration::from_secs(20);

/// Whoever is done repeats its last acknowledgement for so long: it may have been lost.
const LINGER: Duration = Duration::from_millis(700);
const LINGER_INTERVAL: Duration = Duration::from_millis(100);

/// What was said before the other left is waited for so long.
pub const LAST_WORDS: Duration = Duration::from_secs(3);

/// How far one side has come in parting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Talking,
    Ended,
    Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Open,
    // Both are done.
    Lingering { until: Instant, next_acknowledgement: Instant },
    // All is said and acknowledged that has to be.
    Closed,
    Unreachable,
    // It fell silent, or broke the rules.
    Gone,
}

/// One remote peer.
#[derive(Debug)]
pub struct Link {
    us: Who,
    pub who: Who,
    pub path: Path,
    pub sender: Sender,
    receiver: Receiver,
    /// Where an acknowledgement is owed.
    acknowledge: Option<SocketAddr>,
    we: Side,
    they: Side,
    /// When to stop waiting for what we said before they left.
    last_words: Option<Instant>,
    pub stage: Stage,
    is_slow: bool,
}

impl Link {
    pub fn new(us: Who, who: Who, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            us,
            who,
            path: Path::new(us, who.id, endpoint, now),
            sender: Sender::new(who.id, us.id),
            receiver: Receiver::default(),
            acknowledge: None,
            we: Side::Talking,
            they: Side::Talking,
            last_words: None,
            stage: Stage::Open,
            is_slow: false,
        }
    }

    /// Whether they are reached and listen.
    pub fn is_up(&self) -> bool {
        self.path.endpoint.is_some() && self.they != Side::Left
    }

    /// Whether a line for them has to wait.
    pub fn is_full(&self) -> bool {
        self.they != Side::Left && self.sender.is_full()
    }

    /// Whether nothing more will happen here.
    pub fn is_over(&self) -> bool {
        match self.stage {
            Stage::Open | Stage::Lingering { .. } => false,
            Stage::Closed => self.they == Side::Left,
            Stage::Unreachable | Stage::Gone => true,
        }
    }

    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) {
        if let Some(sample) = self.path.handle_pong(source, now) {
            self.sender.round_trip.seed(sample);
        }
    }

    /// Takes in a SAY, PART, END or BYE; its acknowledgement is owed to where it came from.
    pub fn handle_numbered(&mut self, source: SocketAddr, sequence: u64, body: Body, out: &mut Output) {
        self.path.note_heard(source, true, out.now);
        self.acknowledge = Some(source);
        if let Stage::Lingering { until, .. } = &mut self.stage {
            *until = out.now + LINGER;
        }
        self.receiver.handle(sequence, body);
        while let Some(received) = self.receiver.deliver() {
            self.deliver(received, out);
        }
    }

    pub fn handle_ack(
        &mut self,
        source: SocketAddr,
        next: u64,
        ranges: &[RangeInclusive<u64>],
        now: Instant,
    ) {
        self.path.note_heard(source, true, now);
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

    /// Does what it is time for, and lets out what may leave. True where an attempt to reach them
    /// has failed.
    pub fn run(&mut self, out: &mut Output) -> bool {
        let attempt = self.path.run(out);
        match attempt {
            Some(attempt) if attempt > ATTEMPTS => self.stage = Stage::Unreachable,
            Some(attempt) => out.tell(Event::NextAttempt(self.who, attempt)),
            None => {}
        }
        self.part(out);
        // The acknowledgement first, so that lines can travel with it.
        if let Some(destination) = self.acknowledge.take() {
            out.send(destination, &self.receiver.acknowledgement(self.who.id, self.us.id));
        }
        if let Some(endpoint) = self.path.endpoint {
            self.sender.run(endpoint, out);
            let gone = self.path.last_heard.into_iter().chain(self.sender.stalled_since()).min();
            if gone.is_some_and(|since| out.is_due(since + GONE)) {
                self.stage = Stage::Gone;
                out.tell(Event::Gone(self.who, self.sender.unacknowledged()));
            }
        }
        let is_slow = self.sender.slow_time().is_some_and(|when| out.is_due(when));
        if is_slow != self.is_slow {
            self.is_slow = is_slow;
            out.tell(if is_slow { Event::Slow(self.who) } else { Event::NoLongerSlow(self.who) });
        }
        attempt.is_some()
    }

    fn deliver(&mut self, received: Received, out: &mut Output) {
        match received {
            Received::TooLong if !self.is_over() => {
                self.stage = Stage::Gone;
                out.tell(Event::Broken(self.who, self.sender.unacknowledged()));
            }
            Received::Bye if self.they != Side::Left => {
                self.they = Side::Left;
                self.last_words = Some(out.now + LAST_WORDS);
                out.tell(Event::Left(self.who));
            }
            Received::Line(line) if self.they == Side::Talking => out.tell(Event::Line(self.who, line)),
            Received::End if self.they == Side::Talking => {
                self.they = Side::Ended;
                out.tell(Event::Ended(self.who));
            }
            _ => {} // after END only BYE may follow, after BYE nothing
        }
    }

    /// Once both sides are done, lingers for those whose last acknowledgement was lost; then closes.
    fn part(&mut self, out: &mut Output) {
        if self.stage == Stage::Open {
            let has_waited = self.last_words.is_some_and(|when| out.is_due(when));
            let is_done = match (self.we, self.they) {
                (_, Side::Left) => self.sender.is_done() || has_waited,
                (Side::Left, _) | (Side::Ended, Side::Ended) => self.sender.is_done(),
                _ => false,
            };
            if is_done {
                let unacknowledged = self.sender.unacknowledged();
                if unacknowledged > 0 {
                    out.tell(Event::Unacknowledged(self.who, unacknowledged));
                }
                let until = if self.receiver.has_received() { out.now + LINGER } else { out.now };
                self.stage = Stage::Lingering { until, next_acknowledgement: out.now + LINGER_INTERVAL };
            }
        }
        if let Stage::Lingering { until, next_acknowledgement } = &mut self.stage {
            if out.is_due(*until) {
                self.stage = Stage::Closed;
            } else if out.is_due_again(next_acknowledgement, LINGER_INTERVAL) {
                self.acknowledge = self.path.endpoint;
            }
        }
    }
}
