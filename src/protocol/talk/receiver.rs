//! Talk: every line arrives once, in order, though datagrams get lost.
//!
//! ```text
//! sent       1 2 3 4 5 6 . . .        the next one will be 7
//! arrived    1   3   5                delivered = 1; 3 and 5 are held
//! answered   ACK 2 3-3 5-5            "I have all before 2, and these"
//! sent again   2   4                  overtaken by three datagrams, or no answer in time
//! ```
//!
//! This is the half that listens; `sender.rs` is the other.

use crate::protocol::{Body, Id, MAX_DATAGRAM, Message, Reason};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// So far ahead of what it expects does a receiver keep messages, and a sender send them.
pub const MAX_AHEAD: usize = 1024;

/// The half that listens.
#[derive(Default)]
pub struct Receiver {
    /// All numbers up to this one have been handed out.
    pub delivered: u64,
    held: std::collections::BTreeMap<u64, Body>,
    unfinished_line: String,
}

/// What has arrived, once and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Line(String),
    End,
    Bye,
    // A line over [`MAX_LINE`]: no peer of good will sends one.
    TooLong,
}

impl Receiver {
    /// Takes in a numbered message, in any order and any number of times. Tells why it cannot be handed out.
    pub fn handle(&mut self, sequence: u64, body: Body) -> Option<Reason> {
        let next = self.delivered + 1;
        match sequence {
            _ if sequence < next || self.held.contains_key(&sequence) => {
                return Some(Reason::Ignored("had it already"));
            }
            _ if sequence - next > MAX_AHEAD as u64 => return Some(Reason::Ignored("too far ahead")),
            _ => self.held.insert(sequence, body),
        };
        (sequence > next).then_some(Reason::Kept(next))
    }

    /// Hands out what comes next, if it has arrived.
    pub fn deliver(&mut self) -> Option<Received> {
        loop {
            let body = self.held.remove(&(self.delivered + 1))?;
            self.delivered += 1;
            let (text, is_last_piece) = match body {
                Body::Part(text) => (text, false),
                Body::Say(text) => (text, true),
                Body::End => return Some(Received::End),
                Body::Bye => return Some(Received::Bye),
            };
            if self.unfinished_line.len() + text.len() > MAX_LINE {
                return Some(Received::TooLong);
            }
            self.unfinished_line.push_str(&text);
            if is_last_piece {
                return Some(Received::Line(std::mem::take(&mut self.unfinished_line)));
            }
        }
    }

    /// Says what has arrived: the lowest ranges that fit into a datagram.
    pub fn acknowledgement(&self, to: Id, from: Id) -> Message {
        let next = self.delivered + 1;
        let mut bytes = format!("ACK {to} {from} {next}\n").len();
        let held: Vec<u64> = self.held.keys().copied().collect();
        let ranges = held.chunk_by(|one, other| one + 1 == *other).map(|run| run[0]..=run[run.len() - 1]);
        let fitting = ranges.take_while(|range| {
            bytes += format!(" {}-{}", range.start(), range.end()).len();
            bytes <= MAX_DATAGRAM
        });
        Message::Ack { to, from, next, ranges: fitting.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(receiver: &mut Receiver, sequence: u64, body: Body) -> Vec<Received> {
        receiver.handle(sequence, body);
        std::iter::from_fn(|| receiver.deliver()).collect()
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
        receive(&mut receiver, 1 + MAX_AHEAD as u64, say("just near enough"));
        receive(&mut receiver, 2 + MAX_AHEAD as u64, say("too far"));
        assert!(receiver.acknowledgement(Id(1), Id(2)).to_string().ends_with(" 1 1025-1025"));
    }

    #[test]
    fn whatever_cannot_be_handed_out_tells_why() {
        let mut receiver = Receiver::default();
        let had = Some(Reason::Ignored("had it already"));
        let far = (MAX_AHEAD + 10, Some(Reason::Ignored("too far ahead")));
        let heard =
            [(3, Some(Reason::Kept(1))), (3, had), far, (1, None), (1, had), (4, Some(Reason::Kept(2)))];
        for (sequence, reason) in heard {
            assert_eq!(receiver.handle(sequence as u64, say("x")), reason, "{sequence}");
            while receiver.deliver().is_some() {}
        }
    }
}
