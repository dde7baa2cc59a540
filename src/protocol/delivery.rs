//! Talk: every line arrives once, in order, though datagrams get lost.
//!
//! ```text
//! sent       1 2 3 4 5 6 . . .        next_sequence = 7
//! arrived    1   3   5                expected_sequence = 2; 3 and 5 are held back
//! answered   ACK 2 3-3 5-5            "I have all before 2, and these"
//! sent again   2   4                  overtaken by three datagrams, or no answer in time
//! ```
//!
//! This is the half that listens; [`Sender`](super::sender::Sender) is the other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::datagram::MAX_DATAGRAM;
use super::field::Id;
use super::message::{Body, Message};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// So far ahead of what it expects does a receiver keep messages, and a sender send them.
pub const MAX_AHEAD: u64 = 1024;

/// The half that listens.
#[derive(Debug)]
pub struct Receiver {
    expected_sequence: u64,
    held: BTreeMap<u64, Body>,
    unfinished_line: String,
}

/// What has arrived, once and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A whole line.
    Line(String),
    /// The other has said all.
    End,
    /// The other leaves.
    Bye,
    /// A line over [`MAX_LINE`]: no peer of good will sends one.
    TooLong,
}

impl Default for Receiver {
    fn default() -> Self {
        Self { expected_sequence: 1, held: BTreeMap::new(), unfinished_line: String::new() }
    }
}

impl Receiver {
    /// Takes in a numbered message, and hands out what is complete and in order by now.
    pub fn handle(&mut self, sequence: u64, body: Body, received: &mut Vec<Received>) {
        if sequence < self.expected_sequence || sequence - self.expected_sequence > MAX_AHEAD {
            return;
        }
        if sequence > self.expected_sequence {
            self.held.entry(sequence).or_insert(body);
            return;
        }
        let mut next = Some(body);
        while let Some(body) = next {
            self.expected_sequence += 1;
            received.extend(self.deliver(body));
            next = self.held.remove(&self.expected_sequence);
        }
    }

    fn deliver(&mut self, body: Body) -> Option<Received> {
        match body {
            Body::Part(text) | Body::Say(text) if self.unfinished_line.len() + text.len() > MAX_LINE => {
                Some(Received::TooLong)
            }
            Body::Part(text) => {
                self.unfinished_line.push_str(&text);
                None
            }
            Body::Say(text) if self.unfinished_line.is_empty() => Some(Received::Line(text)),
            Body::Say(text) => Some(Received::Line(std::mem::take(&mut self.unfinished_line) + &text)),
            Body::End => Some(Received::End),
            Body::Bye => Some(Received::Bye),
        }
    }

    /// Whether anything has ever arrived in order.
    pub fn has_received(&self) -> bool {
        self.expected_sequence > 1
    }

    /// Says what has arrived: the lowest ranges that fit into a datagram.
    pub fn acknowledgement(&self, to: Id, from: Id) -> Message {
        let next = self.expected_sequence;
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for &sequence in self.held.keys() {
            match ranges.last_mut() {
                Some(range) if *range.end() + 1 == sequence => *range = *range.start()..=sequence,
                _ => ranges.push(sequence..=sequence),
            }
        }
        let mut room = MAX_DATAGRAM - format!("ACK {to} {from} {next}\n").len();
        let fitting = ranges.iter().take_while(|range| {
            let rest = room.checked_sub(format!(" {}-{}", range.start(), range.end()).len());
            rest.map(|rest| room = rest).is_some()
        });
        let count = fitting.count();
        ranges.truncate(count);
        Message::Ack { to, from, next, ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(receiver: &mut Receiver, sequence: u64, body: Body) -> Vec<Received> {
        let mut received = Vec::new();
        receiver.handle(sequence, body, &mut received);
        received
    }

    fn say(text: &str) -> Body {
        Body::Say(text.to_owned())
    }

    #[test]
    fn a_gap_holds_back_what_follows_and_is_named() {
        let mut receiver = Receiver::default();
        assert_eq!(receive(&mut receiver, 3, say("c")), []);
        assert_eq!(receive(&mut receiver, 5, say("e")), []);
        assert_eq!(
            receiver.acknowledgement(Id(1), Id(2)).to_string(),
            format!("ACK {} {} 1 3-3 5-5", Id(1), Id(2))
        );
        assert_eq!(receive(&mut receiver, 1, Body::Part("a".to_owned())), []);
        let lines = ["ab", "c"].map(|line| Received::Line(line.to_owned()));
        assert_eq!(receive(&mut receiver, 2, say("b")), lines);
        assert_eq!(receive(&mut receiver, 2, say("late copy")), []);
    }

    #[test]
    fn an_acknowledgement_lists_the_lowest_ranges_that_fit() {
        let mut receiver = Receiver::default();
        for sequence in (3..1000).step_by(2) {
            receive(&mut receiver, sequence, say("x"));
        }
        let written = receiver.acknowledgement(Id(1), Id(2)).to_string();
        assert!(written.contains(" 1 3-3 5-5 7-7 "), "{written}");
        assert!((MAX_DATAGRAM - 10..MAX_DATAGRAM).contains(&written.len()), "{} bytes", written.len());
    }

    #[test]
    fn what_is_too_far_ahead_is_dropped() {
        let mut receiver = Receiver::default();
        receive(&mut receiver, 1 + MAX_AHEAD, say("just near enough"));
        receive(&mut receiver, 2 + MAX_AHEAD, say("too far"));
        assert!(receiver.acknowledgement(Id(1), Id(2)).to_string().ends_with(" 1 1025-1025"));
    }
}
