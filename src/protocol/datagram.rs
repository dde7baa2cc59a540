//! Datagrams: one line of text or several for the same destination, each ended by `\n`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::message::{Message, MessageError};

/// The longest datagram, in bytes. RFC 8200 section 5 promises 1,280 to every IPv6 packet; the
/// headers take 48 of them.
pub const MAX_DATAGRAM: usize = 1200;

/// Takes a datagram apart: each line as it came, and what it means. One bad line does not spoil the
/// others; an empty or too long datagram is one bad line.
pub fn read_datagram(datagram: &[u8]) -> impl Iterator<Item = (&[u8], Result<Message, MessageError>)> {
    let refused = match datagram.len() {
        0 => Some(MessageError::EmptyDatagram),
        length if length > MAX_DATAGRAM => Some(MessageError::LongDatagram),
        _ => None,
    };
    let lines = datagram.split_inclusive(|byte| *byte == b'\n').filter(move |_| refused.is_none());
    refused.map(|error| (datagram, Err(error))).into_iter().chain(lines.map(|line| (line, read_line(line))))
}

fn read_line(line: &[u8]) -> Result<Message, MessageError> {
    let line = line.strip_suffix(b"\n").ok_or(MessageError::Unterminated)?;
    str::from_utf8(line).map_err(|_| MessageError::NotUtf8)?.parse()
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub destination: SocketAddr,
    /// At most [`MAX_DATAGRAM`] bytes.
    pub datagram: Vec<u8>,
}

/// Datagrams that wait to be sent; messages for one destination share a datagram while they fit.
#[derive(Debug, Default)]
pub struct Outbox(VecDeque<Transmit>);

impl Outbox {
    /// Adds a message of at most [`MAX_DATAGRAM`] bytes.
    pub fn push(&mut self, destination: SocketAddr, message: &Message) {
        self.push_line(destination, &format!("{message}\n"));
    }

    /// Adds a message that is written already, with its `\n`.
    pub fn push_line(&mut self, destination: SocketAddr, line: &str) {
        if let Some(open) = self.last_for(destination)
            && open.datagram.len() + line.len() <= MAX_DATAGRAM
        {
            open.datagram.extend_from_slice(line.as_bytes());
        } else {
            self.0.push_back(Transmit { destination, datagram: line.into() });
        }
    }

    /// Whether so many more bytes for this destination would join a datagram that is waiting.
    pub fn has_room(&mut self, destination: SocketAddr, bytes: usize) -> bool {
        self.last_for(destination).is_some_and(|open| open.datagram.len() + bytes <= MAX_DATAGRAM)
    }

    /// The datagram to send next.
    pub fn pop(&mut self) -> Option<Transmit> {
        self.0.pop_front()
    }

    fn last_for(&mut self, destination: SocketAddr) -> Option<&mut Transmit> {
        self.0.iter_mut().rev().find(|transmit| transmit.destination == destination)
    }
}
