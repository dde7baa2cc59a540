//! Every message of the protocol, as one line of text.
//!
//! ```text
//! Meet   REGISTER <cookie> <id> <room> <name> <private endpoint>          peer -> tracker
//!        COOKIE <cookie>                                                  tracker -> peer
//!        WAIT <here>/<size> <public endpoint>                             tracker -> peer
//!        PEER <here>/<size> <id> <name> <public endpoint> <private endpoint>
//!        FULL <text>                                                      tracker -> peer
//!        MET <cookie> <id> <id of the other>                              peer -> tracker
//!        LEAVE <cookie> <id>                                              peer -> tracker
//! Reach  PING <to> <from> <name>      PONG <to> <from> <name>             peer -> peer
//! Talk   SAY  <to> <from> <sequence> <text>                               peer -> peer
//!        PART <to> <from> <sequence> <text>
//!        ACK  <to> <from> <next> [<first>-<last> ...]
//! Part   END  <to> <from> <sequence>
//!        BYE  <to> <from> <sequence>
//! ```
//!
//! `Display` writes a message without its final `\n`, `FromStr` reads it: they are inverses.

use std::fmt;
use std::net::SocketAddr;
use std::str::{FromStr, from_utf8};

use super::field::{Fields, Id, Malformed, Name};

/// The longest datagram, in bytes. RFC 8200 section 5 promises 1,280 to every IPv6 packet; the headers take
/// 48.
pub const MAX_DATAGRAM: usize = 1200;

/// The longest text of one SAY or PART: a datagram less the longest header.
pub const MAX_TEXT: usize =
    MAX_DATAGRAM - "PART 0123456789abcdef 0123456789abcdef 9223372036854775807 \n".len();

/// Sequence numbers from one to another, both included.
pub type Range = std::ops::RangeInclusive<u64>;

/// One message: a verb and its fields, in the order of the table above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Register { cookie: String, id: Id, room: Name, name: Name, private: SocketAddr },
    Cookie { cookie: String },
    Wait { here: u64, size: u64, public: SocketAddr },
    Peer { here: u64, size: u64, who: Introduction },
    Full { text: String },
    Met { cookie: String, id: Id, other: Id },
    Leave { cookie: String, id: Id },
    // `to` is an id, or a room where peers meet without a tracker.
    Ping { to: Name, from: Who },
    Pong { to: Id, from: Who },
    // SAY, PART, END or BYE: all that is delivered once and in order.
    Numbered { to: Id, from: Id, sequence: u64, body: Body },
    // All before `next` has arrived, and these ranges, in ascending order.
    Ack { to: Id, from: Id, next: u64, ranges: Vec<Range> },
}

/// A peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub id: Id,
    pub name: Name,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// Who is there, and where: as the tracker sees them, and as they see themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    pub id: Id,
    pub name: Name,
    pub public: SocketAddr,
    pub private: SocketAddr,
}

/// What a numbered message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    // The end of a line, most often all of it.
    Say(String),
    // A piece of a line, more follows.
    Part(String),
    // "I have said all, and still listen."
    End,
    // "I leave."
    Bye,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { cookie, id, room, name, private } => {
                write!(f, "REGISTER {cookie} {id} {room} {name} {private}")
            }
            Self::Cookie { cookie } => write!(f, "COOKIE {cookie}"),
            Self::Wait { here, size, public } => write!(f, "WAIT {here}/{size} {public}"),
            Self::Peer { here, size, who: Introduction { id, name, public, private } } => {
                write!(f, "PEER {here}/{size} {id} {name} {public} {private}")
            }
            Self::Full { text } => write!(f, "FULL {text}"),
            Self::Met { cookie, id, other } => write!(f, "MET {cookie} {id} {other}"),
            Self::Leave { cookie, id } => write!(f, "LEAVE {cookie} {id}"),
            Self::Ping { to, from } => write!(f, "PING {to} {} {}", from.id, from.name),
            Self::Pong { to, from } => write!(f, "PONG {to} {} {}", from.id, from.name),
            Self::Numbered { to, from, sequence, body } => match body {
                Body::Say(text) => write!(f, "SAY {to} {from} {sequence} {text}"),
                Body::Part(text) => write!(f, "PART {to} {from} {sequence} {text}"),
                Body::End => write!(f, "END {to} {from} {sequence}"),
                Body::Bye => write!(f, "BYE {to} {from} {sequence}"),
            },
            Self::Ack { to, from, next, ranges } => {
                write!(f, "ACK {to} {from} {next}")?;
                ranges.iter().try_for_each(|range| write!(f, " {}-{}", range.start(), range.end()))
            }
        }
    }
}

impl FromStr for Message {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        if line.contains('\n') {
            return Err(Malformed("bad", "text"));
        }
        let f = &mut Fields(Some(line));
        let message = match f.word("verb")? {
            "REGISTER" => {
                let (cookie, id, room, name) = (f.cookie()?, f.get("id")?, f.get("room")?, f.get("name")?);
                Self::Register { cookie, id, room, name, private: f.endpoint("private endpoint")? }
            }
            "COOKIE" => Self::Cookie { cookie: f.cookie()? },
            "WAIT" => {
                let (here, size) = f.pair("count", '/')?;
                Self::Wait { here, size, public: f.endpoint("public endpoint")? }
            }
            "PEER" => {
                let (here, size) = f.pair("count", '/')?;
                let (id, name) = (f.get("id")?, f.get("name")?);
                let (public, private) = (f.endpoint("public endpoint")?, f.endpoint("private endpoint")?);
                Self::Peer { here, size, who: Introduction { id, name, public, private } }
            }
            "FULL" => Self::Full { text: f.text()? },
            "MET" => Self::Met { cookie: f.cookie()?, id: f.get("id")?, other: f.get("id of the other")? },
            "LEAVE" => Self::Leave { cookie: f.cookie()?, id: f.get("id")? },
            "PING" => Self::Ping { to: f.get("to")?, from: Who { id: f.get("from")?, name: f.get("name")? } },
            "PONG" => Self::Pong { to: f.get("to")?, from: Who { id: f.get("from")?, name: f.get("name")? } },
            verb @ ("SAY" | "PART" | "END" | "BYE") => {
                let (to, from, sequence) = (f.get("to")?, f.get("from")?, f.number("sequence")?);
                let body = match verb {
                    "SAY" => Body::Say(f.text()?),
                    "PART" => Body::Part(f.text()?),
                    "END" => Body::End,
                    _ => Body::Bye,
                };
                Self::Numbered { to, from, sequence, body }
            }
            "ACK" => {
                let (to, from, next) = (f.get("to")?, f.get("from")?, f.number("next")?);
                Self::Ack { to, from, next, ranges: ranges(f, next)? }
            }
            _ => return Err(Malformed("unknown", "verb")),
        };
        if f.0.is_some() { Err(Malformed("too many", "fields")) } else { Ok(message) }
    }
}

fn ranges(fields: &mut Fields<'_>, mut highest: u64) -> Result<Vec<Range>, Malformed> {
    let mut ranges = Vec::new();
    while fields.0.is_some() {
        let (first, last) = fields.pair("range", '-')?;
        if first <= highest || last < first {
            return Err(Malformed("bad", "range"));
        }
        highest = last;
        ranges.push(first..=last);
    }
    Ok(ranges)
}

/// Takes a datagram apart: each line as it came, and what it means. One bad line does not spoil the others;
/// an empty or too long datagram is one bad line.
pub fn read_datagram(datagram: &[u8]) -> Vec<(&[u8], Result<Message, Malformed>)> {
    let lines = datagram.split_inclusive(|byte| *byte == b'\n');
    match datagram.len() {
        0 => vec![(datagram, Err(Malformed("empty", "datagram")))],
        1..=MAX_DATAGRAM => lines.map(|line| (line, read_line(line))).collect(),
        _ => vec![(datagram, Err(Malformed("too long a", "datagram")))],
    }
}

fn read_line(line: &[u8]) -> Result<Message, Malformed> {
    let line = line.strip_suffix(b"\n").ok_or(Malformed("no", "newline at the end"))?;
    from_utf8(line).map_err(|_| Malformed("not", "UTF-8"))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::harm::Dice;

    const EVERY_FORM: [&str; 17] = [
        "REGISTER - 5f0c7a1be2d94863 lobby alice 192.168.1.5:50001",
        "REGISTER 9b1e0c44d2f7a358 5f0c7a1be2d94863 lobby alice [2001:db8::7]:50001",
        "COOKIE 9b1e0c44d2f7a358",
        "WAIT 1/2 203.0.113.7:50001",
        "PEER 2/2 5f0c7a1be2d94863 alice 203.0.113.7:50001 192.168.1.5:50001",
        "FULL no place, come back later",
        "MET 9b1e0c44d2f7a358 5f0c7a1be2d94863 c2d07a93b1e84f56",
        "LEAVE 9b1e0c44d2f7a358 5f0c7a1be2d94863",
        "PING lobby c2d07a93b1e84f56 bob",
        "PONG 5f0c7a1be2d94863 c2d07a93b1e84f56 bob",
        "SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 1 hello,  you ",
        "SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 9223372036854775807 ",
        "PART 5f0c7a1be2d94863 c2d07a93b1e84f56 2 a piece",
        "END 5f0c7a1be2d94863 c2d07a93b1e84f56 3",
        "BYE 5f0c7a1be2d94863 c2d07a93b1e84f56 4",
        "ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 5",
        "ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 3-3 5-9",
    ];

    #[test]
    fn what_is_written_is_read_and_what_is_read_is_written() {
        for line in EVERY_FORM {
            let message: Message = line.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(message.to_string(), line);
            assert_eq!(message.to_string().parse(), Ok(message));
        }
    }

    #[test]
    fn a_line_cut_anywhere_is_another_message_or_none() {
        for line in EVERY_FORM {
            for end in 0..line.len() {
                if let Ok(message) = line[..end].parse::<Message>() {
                    assert_eq!(message.to_string(), line[..end]);
                }
            }
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let table = [
            ("", Malformed("unknown", "verb")),
            ("say 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x", Malformed("unknown", "verb")),
            (" COOKIE x", Malformed("unknown", "verb")),
            ("COOKIE", Malformed("missing", "cookie")),
            ("COOKIE ", Malformed("bad", "cookie")),
            ("COOKIE a b", Malformed("too many", "fields")),
            ("COOKIE caf\u{e9}", Malformed("bad", "cookie")),
            ("LEAVE - 5F0C7A1BE2D94863", Malformed("bad", "id")),
            ("LEAVE - 5f0c7a1be2d9486", Malformed("bad", "id")),
            ("LEAVE -  5f0c7a1be2d94863", Malformed("bad", "id")),
            ("WAIT 1/2 203.0.113.7:0", Malformed("bad", "public endpoint")),
            ("WAIT 1/2 203.0.113.7", Malformed("bad", "public endpoint")),
            ("WAIT 1 203.0.113.7:50001", Malformed("bad", "count")),
            ("WAIT +1/2 203.0.113.7:50001", Malformed("bad", "count")),
            ("PING a\u{202e}b c2d07a93b1e84f56 bob", Malformed("bad", "to")),
            ("PING lobby c2d07a93b1e84f56", Malformed("missing", "name")),
            ("PING lobby c2d07a93b1e84f56 a-name-of-more-than-thirty-two-bytes", Malformed("bad", "name")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 1", Malformed("missing", "text")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 01 x", Malformed("bad", "sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 9223372036854775808 x", Malformed("bad", "sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 -1 x", Malformed("bad", "sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x\ny", Malformed("bad", "text")),
            ("END 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x", Malformed("too many", "fields")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 2-3", Malformed("bad", "range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5-4", Malformed("bad", "range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5-6 4-4", Malformed("bad", "range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5", Malformed("bad", "range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 ", Malformed("bad", "range")),
        ];
        for (line, error) in table {
            assert_eq!(line.parse::<Message>(), Err(error), "{line:?}");
        }
    }

    #[test]
    fn one_bad_line_of_a_datagram_does_not_spoil_the_others_and_each_ends_in_a_newline() {
        let read = read_datagram(b"COOKIE one\nnonsense\nCOOKIE two");
        let meanings: Vec<_> = read.into_iter().map(|(_, message)| message).collect();
        let (one, unknown) = ("COOKIE one".parse(), Malformed("unknown", "verb"));
        assert_eq!(meanings, [one, Err(unknown), Err(Malformed("no", "newline at the end"))]);
    }

    #[test]
    fn an_ipv4_mapped_endpoint_is_ipv4() {
        let mapped: Message = "WAIT 1/2 [::ffff:203.0.113.7]:50001".parse().expect("well formed");
        assert_eq!(mapped.to_string(), "WAIT 1/2 203.0.113.7:50001");
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut dice = Dice(1);
        for _ in 0..10_000 {
            let mut datagram: Vec<u8> = EVERY_FORM[dice.roll() as usize % EVERY_FORM.len()].into();
            datagram.push(b'\n');
            for _ in 0..dice.roll() % 8 {
                let place = dice.roll() as usize % datagram.len();
                datagram[place] = dice.roll() as u8;
            }
            datagram.truncate(dice.roll() as usize % (datagram.len() + 1));
            for (_, message) in read_datagram(&datagram) {
                if let Ok(message) = message {
                    assert_eq!(message.to_string().parse(), Ok(message));
                }
            }
        }
    }
}
