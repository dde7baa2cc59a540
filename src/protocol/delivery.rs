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
        Self {
            expected_sequence: 1,
            held: BTreeMap::new(),
            unfinished_line: String::new(),
        }
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
            Body::Part(text) | Body::Say(text)
                if self.unfinished_line.len() + text.len() > MAX_LINE =>
            {
                Some(Received::TooLong)
            }
            Body::Part(text) => {
                self.unfinished_line.push_str(&text);
                None
            }
            Body::Say(text) if self.unfinished_line.is_empty() => Some(Received::Line(text)),
            Body::Say(text) => Some(Received::Line(
                std::mem::take(&mut self.unfinished_line) + &text,
            )),
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
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for &sequence in self.held.keys() {
            if let Some(range) = ranges.last_mut()
                && *range.end() + 1 == sequence
            {
                *range = *range.start()..=sequence;
            } else if ranges.len() < MAX_RANGES {
                ranges.push(sequence..=sequence);
            } else {
                break;
            }
        }
        Message::Ack {
            to,
            from,
            next: self.expected_sequence,
            ranges,
        }
    }
}

/// So many ranges fit into a datagram behind the longest header, at the longest numbers.
const MAX_RANGES: usize = (MAX_DATAGRAM - 59) / 40;
