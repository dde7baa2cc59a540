//! What a machine wants of the world: datagrams to send, events to tell, and when to be called again.
//!
//! Every part of a machine writes into the one `Output` of the whole. Time is in it too: all that
//! happens in one turn happens at one moment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Event, MAX_DATAGRAM, Message};
/// A datagram to be sent: one line of text or several, each ended by `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub destination: SocketAddr,
    pub datagram: Vec<u8>,
}

#[derive(Debug)]
pub struct Output {
    pub now: Instant,
    pub transmits: Vec<Transmit>,
    pub events: Vec<Event>,
    /// When something is due, at the earliest.
    pub wake: Option<Instant>,
}

impl Output {
    pub fn new(now: Instant) -> Self {
        Self { now, transmits: Vec::new(), events: Vec::new(), wake: Some(now) }
    }

    /// A new turn begins: whoever still wants to be woken says so again.
    pub fn begin(&mut self, now: Instant) {
        (self.now, self.wake) = (now, None);
    }

    pub fn send(&mut self, destination: SocketAddr, message: &Message) {
        self.send_line(destination, &format!("{message}\n"));
    }

    /// Sends a message that is written already; it shares a datagram with others while they fit.
    pub fn send_line(&mut self, destination: SocketAddr, line: &str) {
        match self.open_datagram(destination, line.len()) {
            Some(open) => open.datagram.extend_from_slice(line.as_bytes()),
            None => self.transmits.push(Transmit { destination, datagram: line.into() }),
        }
    }

    /// The datagram, not yet sent, that so many more bytes for this destination would join.
    pub fn open_datagram(&mut self, destination: SocketAddr, bytes: usize) -> Option<&mut Transmit> {
        let last = self.transmits.iter_mut().rev().find(|transmit| transmit.destination == destination);
        last.filter(|open| open.datagram.len() + bytes <= MAX_DATAGRAM)
    }

    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Whether it is time. If it is not yet, the machine is called again when it is.
    pub fn is_due(&mut self, when: Instant) -> bool {
        let is_due = when <= self.now;
        if !is_due {
            self.wake_at(Some(when));
        }
        is_due
    }

    /// The same for what comes again and again.
    pub fn is_due_again(&mut self, when: &mut Instant, interval: Duration) -> bool {
        let is_due = *when <= self.now;
        if is_due {
            *when = self.now + interval;
        }
        self.wake_at(Some(*when));
        is_due
    }

    pub fn wake_at(&mut self, when: Option<Instant>) {
        self.wake = self.wake.into_iter().chain(when).min();
    }
}
