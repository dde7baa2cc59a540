//! One remote peer, from its introduction to its end: the way to it, what is said, and how it parts.
//!
//! ```text
//!               Path (Reach)            Sender, Receiver (Talk)       Parting (Part)
//!  introduced --------------> reached ---------------------------------------------> over
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use super::part::{Parting, Side, Stage};
use super::reach::{ATTEMPTS, Path};
use super::talk::receiver::{Received, Receiver};
use super::talk::sender::Sender;
use super::{Body, Event, Output, Range, Who};

pub struct Link {
    pub who: Who,
    pub path: Path,
    pub sender: Sender,
    receiver: Receiver,
    /// Where an acknowledgement is owed.
    acknowledge: Option<SocketAddr>,
    pub parting: Parting,
    is_slow: bool,
}

impl Link {
    pub fn new(us: Who, who: Who, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            who,
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
        self.path.endpoint.is_some() && !self.parting.have_they_left()
    }

    /// Whether a line for them has to wait.
    pub fn is_full(&self) -> bool {
        !self.parting.have_they_left() && self.sender.is_full()
    }

    /// Whether nothing more will happen here.
    pub fn is_over(&self) -> bool {
        self.parting.is_over() || self.path.is_given_up()
    }

    pub fn handle_pong(&mut self, source: SocketAddr, now: Instant) {
        let sample = self.path.handle_pong(source, now);
        sample.into_iter().for_each(|sample| self.sender.round_trip.seed(sample));
    }

    /// Takes in a SAY, PART, END or BYE; its acknowledgement is owed to where it came from.
    pub fn handle_numbered(&mut self, source: SocketAddr, sequence: u64, body: Body, out: &mut Output) {
        self.path.note_heard(source, true, out.now);
        self.parting.hear_numbered(out.now);
        self.acknowledge = Some(source);
        self.receiver.handle(sequence, body);
        while let Some(received) = self.receiver.deliver() {
            self.deliver(received, out);
        }
    }

    pub fn handle_ack(&mut self, source: SocketAddr, next: u64, ranges: &[Range], now: Instant) {
        self.path.note_heard(source, true, now);
        self.sender.handle_ack(next, ranges, now);
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

    /// Does what it is time for, and lets out what may leave. True where an attempt to reach them has failed.
    pub fn run(&mut self, out: &mut Output) -> bool {
        let next_attempt = self.path.run(out);
        if let Some(attempt) = next_attempt.filter(|attempt| *attempt <= ATTEMPTS) {
            out.tell(Event::NextAttempt { who: self.who, attempt, of: ATTEMPTS });
        }
        self.part(out);
        // The acknowledgement first, so that lines can travel with it.
        if let Some(destination) = self.acknowledge.take() {
            out.send(destination, &self.receiver.acknowledgement(self.who.id, self.path.us.id));
        }
        if self.path.last_heard == Some(out.now) {
            self.sender.round_trip.note_heard();
        }
        if let Some(endpoint) = self.path.endpoint {
            self.sender.run(endpoint, out);
        }
        self.tell_if_slow(out);
        next_attempt.is_some()
    }

    fn deliver(&mut self, received: Received, out: &mut Output) {
        match received {
            Received::Line(line) if self.parting.may_hear() => out.tell(Event::Line(self.who, line)),
            Received::End if self.parting.hear(Side::Ended, out.now) => out.tell(Event::Ended(self.who)),
            Received::Bye if self.parting.hear(Side::Left, out.now) => out.tell(Event::Left(self.who)),
            Received::TooLong if !self.is_over() => {
                self.parting.stage = Stage::Gone;
                out.tell(Event::Broken(self.who, self.sender.unacknowledged()));
            }
            _ => {}
        }
    }

    fn part(&mut self, out: &mut Output) {
        let is_done = self.parting.is_done(self.sender.is_done(), self.receiver.delivered > 0, out);
        if is_done && self.sender.unacknowledged() > 0 {
            out.tell(Event::Unacknowledged(self.who, self.sender.unacknowledged()));
        }
        if self.parting.repeats_acknowledgement(out) {
            self.acknowledge = self.path.endpoint;
        }
        let silent_since = self.path.last_heard.filter(|_| self.path.endpoint.is_some());
        let since = silent_since.into_iter().chain(self.sender.stalled_since()).min();
        if since.is_some_and(|since| self.parting.is_gone(since, out)) {
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
