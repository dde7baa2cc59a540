//! The fields that messages are made of, and the reader that takes a line apart into them.
//!
//! ```text
//! id            5f0c7a1be2d94863                 16 lower-case hex digits
//! name, room    alice                            1 to 32 bytes, no white space, nothing unprintable
//! endpoint      203.0.113.7:50001                port not 0; [2001:db8::7]:50001
//! number        42                               decimal, no sign, no leading zero, below 2^63
//! cookie        9b1e0c44d2f7a358                 1 to 64 printable ASCII characters; - for none
//! text          anything but a newline           may be empty; always the last field
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::message::MessageError;

/// A peer's identity: 16 hex digits, drawn anew at each start. Whoever knows it may talk to that
/// peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Id {
    type Err = MessageError;

    fn from_str(digits: &str) -> Result<Self, MessageError> {
        let plain =
            digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let value = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
        value.map(Self).ok_or(MessageError::BadField("id"))
    }
}

/// The name of a person or of a room: 1 to 32 bytes, no white space, nothing unprintable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    length: u8,
    bytes: [u8; 32], // in place: a tracker keeps a million of them
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("a name is made from a str")
    }
}

impl FromStr for Name {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        if text.is_empty() || text.len() > 32 || text.chars().any(|c| c.is_whitespace() || is_unprintable(c))
        {
            return Err(MessageError::BadField("name: 1 to 32 bytes, no spaces, nothing unprintable"));
        }
        let mut bytes = [0; 32];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { length: text.len() as u8, bytes })
    }
}

impl From<Id> for Name {
    fn from(id: Id) -> Self {
        id.to_string().parse().expect("16 hex digits are a name")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A tracker's token, which proves that its holder receives at the address it sends from: 1 to 64
/// printable ASCII characters, meaningless to everyone but the tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie(Box<str>);

impl Cookie {
    /// `-`: none yet.
    pub fn none() -> Self {
        Self("-".into())
    }
}

impl FromStr for Cookie {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Self(text.into())).ok_or(MessageError::BadField("cookie"))
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is still unread of a line: fields divided by single spaces, free text last.
pub(super) struct Fields<'a>(pub(super) Option<&'a str>);

impl<'a> Fields<'a> {
    pub(super) fn next(&mut self, what: &'static str) -> Result<&'a str, MessageError> {
        let rest = self.0.ok_or(MessageError::MissingField(what))?;
        let (field, rest) = rest.split_once(' ').map_or((rest, None), |(field, rest)| (field, Some(rest)));
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn parse<T: FromStr>(&mut self, what: &'static str) -> Result<T, MessageError> {
        self.next(what)?.parse().map_err(|_| MessageError::BadField(what))
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, MessageError> {
        number(self.next(what)?).ok_or(MessageError::BadField(what))
    }

    pub(super) fn endpoint(&mut self, what: &'static str) -> Result<SocketAddr, MessageError> {
        let endpoint: SocketAddr = self.parse(what)?;
        if endpoint.port() == 0 { Err(MessageError::BadField(what)) } else { Ok(canonical(endpoint)) }
    }

    pub(super) fn count(&mut self) -> Result<(u64, u64), MessageError> {
        let count = self.next("count")?.split_once('/');
        count
            .and_then(|(here, size)| Some((number(here)?, number(size)?)))
            .ok_or(MessageError::BadField("count"))
    }

    pub(super) fn ranges(&mut self, next: u64) -> Result<Vec<RangeInclusive<u64>>, MessageError> {
        let mut ranges = Vec::new();
        let mut highest = next;
        while self.0.is_some() {
            let range = self.next("range")?.split_once('-');
            let range = range.and_then(|(first, last)| Some((number(first)?, number(last)?)));
            let (first, last) = range.ok_or(MessageError::BadField("range"))?;
            if first <= highest || last < first {
                return Err(MessageError::BadField("range"));
            }
            highest = last;
            ranges.push(first..=last);
        }
        Ok(ranges)
    }

    pub(super) fn text(&mut self) -> Result<String, MessageError> {
        self.0.take().map(str::to_owned).ok_or(MessageError::MissingField("text"))
    }

    pub(super) fn end(self) -> Result<(), MessageError> {
        if self.0.is_none() { Ok(()) } else { Err(MessageError::TooManyFields) }
    }
}

/// Decimal digits, no sign, no leading zero, below 2^63.
fn number(digits: &str) -> Option<u64> {
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|number| plain && *number < 1 << 63)
}

/// The same endpoint in the one form in which endpoints are written and compared: an IPv4-mapped
/// address as IPv4.
pub fn canonical(endpoint: SocketAddr) -> SocketAddr {
    SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port())
}

/// Whether a character would disturb the screen: a control character, or one that turns the writing
/// direction.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
