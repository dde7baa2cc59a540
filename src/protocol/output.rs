//! What a machine wants of the world: datagrams to send, events to tell, and when to be called again.
//!
//! Every part of a machine writes into the one `Output` of the whole. Time is in it too: all that happens in
//! one turn happens at one moment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::event::Event;
use super::reason::{Reason, Reasons};
use super::wire::message::{MAX_DATAGRAM, Message, read_datagram};

/// A datagram to be sent: one message or several, each a line that ends in `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub destination: SocketAddr,
    pub datagram: Vec<u8>,
    pub reasons: Reasons,
}

impl Transmit {
    /// How many messages it holds.
    pub fn messages(&self) -> usize {
        self.datagram.iter().filter(|byte| **byte == b'\n').count()
    }
}

pub struct Output {
    pub now: Instant,
    pub transmits: Vec<Transmit>,
    pub events: Vec<Event>,
    /// What became of the messages of the datagram that was taken in last.
    pub remarks: Reasons,
    /// Which of them is being taken in.
    pub reading: usize,
    /// When something is due, at the earliest.
    pub wake: Option<Instant>,
}

impl Output {
    pub fn new(now: Instant) -> Self {
        let (transmits, events, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { now, transmits, events, remarks, reading: 0, wake: Some(now) }
    }

    /// A new turn begins: whoever still wants to be woken says so again.
    pub fn begin(&mut self, now: Instant) {
        (self.now, self.wake) = (now, None);
    }

    /// A datagram has come: hands out its messages, and which of its lines they are.
    pub fn begin_reading(&mut self, datagram: &[u8], now: Instant) -> Vec<(usize, Message)> {
        self.now = now;
        self.remarks.clear();
        let lines = read_datagram(datagram).into_iter().enumerate();
        lines.filter_map(|(index, (_, message))| Some((index, message.ok()?))).collect()
    }

    /// Sends a message; one that is sent again has a reason.
    pub fn send(&mut self, destination: SocketAddr, message: &Message, reason: Option<Reason>) {
        self.send_line(destination, &format!("{message}\n"), reason);
    }

    /// Sends a message that is written already; it shares a datagram with others while they fit.
    pub fn send_line(&mut self, destination: SocketAddr, line: &str, reason: Option<Reason>) {
        let Some(open) = self.open_datagram(destination, line.len()) else {
            let reasons = reason.into_iter().map(|reason| (0, reason)).collect();
            return self.transmits.push(Transmit { destination, datagram: line.into(), reasons });
        };
        if let Some(reason) = reason {
            open.reasons.push((open.messages(), reason));
        }
        open.datagram.extend_from_slice(line.as_bytes());
    }

    /// The last datagram for this destination, not yet sent, if so many more bytes fit into it.
    pub fn open_datagram(&mut self, destination: SocketAddr, bytes: usize) -> Option<&mut Transmit> {
        let last = self.transmits.iter_mut().rev().find(|transmit| transmit.destination == destination);
        last.filter(|open| open.datagram.len() + bytes <= MAX_DATAGRAM)
    }

    /// Says what became of the message that is being taken in.
    pub fn note(&mut self, reason: Reason) {
        self.remarks.push((self.reading, reason));
    }

    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Whether it is time. If it is not yet, asks that the machine be called again when it is.
    pub fn is_due(&mut self, when: Instant) -> bool {
        self.wake_at(Some(when).filter(|when| *when > self.now));
        when <= self.now
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_for_one_destination_share_a_datagram_while_they_fit() {
        let mut out = Output::new(Instant::now());
        let [alice, bob] = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 50001)));
        let line = format!("{}\n", "x".repeat(MAX_DATAGRAM / 2 - 1));
        for destination in [alice, bob, alice, alice] {
            out.send_line(destination, &line, None);
        }
        let sizes: Vec<_> =
            out.transmits.iter().map(|sent| (sent.destination, sent.datagram.len())).collect();
        assert_eq!(sizes, [(alice, MAX_DATAGRAM), (bob, MAX_DATAGRAM / 2), (alice, MAX_DATAGRAM / 2)]);
    }

    #[test]
    fn the_machine_is_called_again_for_the_earliest_that_is_not_due_yet() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut out = Output::new(start);
        out.begin(after(10));
        assert!(out.is_due(after(10)));
        assert_eq!(out.wake, None);
        assert!(!out.is_due(after(30)));
        let mut again = after(5);
        assert!(out.is_due_again(&mut again, Duration::from_millis(7)));
        assert_eq!((again, out.wake), (after(17), Some(after(17))));
        assert!(!out.is_due_again(&mut again, Duration::from_millis(7)));
    }
}
