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
//! `Display` writes a message without its final `\n`, `FromStr` reads it: they are inverses. A
//! datagram is one such line or several, each ended by `\n`: [`Outbox`] packs them,
//! [`read_datagram`] takes them apart.
//!
//! [`Outbox`]: super::datagram::Outbox
//! [`read_datagram`]: super::datagram::read_datagram

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::datagram::MAX_DATAGRAM;
use super::field::{Cookie, Fields, Id, Name};

/// The longest text that one SAY or PART can carry, in bytes: a datagram less the longest header.
pub const MAX_TEXT: usize =
    MAX_DATAGRAM - "PART 0123456789abcdef 0123456789abcdef 9223372036854775807 \n".len();

/// One message: a verb and its fields, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the table above")]
pub enum Message {
    Register {
        cookie: Cookie,
        id: Id,
        room: Name,
        name: Name,
        private: SocketAddr,
    },
    Cookie {
        cookie: Cookie,
    },
    Wait {
        here: u64,
        size: u64,
        public: SocketAddr,
    },
    Peer {
        here: u64,
        size: u64,
        who: Introduction,
    },
    Full {
        text: String,
    },
    Met {
        cookie: Cookie,
        id: Id,
        other: Id,
    },
    Leave {
        cookie: Cookie,
        id: Id,
    },
    /// `to` is an id, or a room where peers meet without a tracker: an id written out is a name
    /// like any other.
    Ping {
        to: Name,
        from: Id,
        name: Name,
    },
    Pong {
        to: Id,
        from: Id,
        name: Name,
    },
    /// SAY, PART, END or BYE: all that is delivered once and in order.
    Numbered {
        to: Id,
        from: Id,
        sequence: u64,
        body: Body,
    },
    /// All before `next` has arrived, and these ranges, in ascending order.
    Ack {
        to: Id,
        from: Id,
        next: u64,
        ranges: Vec<RangeInclusive<u64>>,
    },
}

/// Who is there, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    /// Whom to reach.
    pub id: Id,
    /// What they call themselves.
    pub name: Name,
    /// Where the tracker sees them.
    pub public: SocketAddr,
    /// Where they see themselves.
    pub private: SocketAddr,
}

/// What a numbered message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The end of a line, most often all of it.
    Say(String),
    /// A piece of a line, more follows.
    Part(String),
    /// "I have said all, and still listen."
    End,
    /// "I leave."
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
            Self::Peer { here, size, who } => {
                let Introduction { id, name, public, private } = who;
                write!(f, "PEER {here}/{size} {id} {name} {public} {private}")
            }
            Self::Full { text } => write!(f, "FULL {text}"),
            Self::Met { cookie, id, other } => write!(f, "MET {cookie} {id} {other}"),
            Self::Leave { cookie, id } => write!(f, "LEAVE {cookie} {id}"),
            Self::Ping { to, from, name } => write!(f, "PING {to} {from} {name}"),
            Self::Pong { to, from, name } => write!(f, "PONG {to} {from} {name}"),
            Self::Numbered { to, from, sequence, body } => {
                let (verb, text) = match body {
                    Body::Say(text) => ("SAY", Some(text)),
                    Body::Part(text) => ("PART", Some(text)),
                    Body::End => ("END", None),
                    Body::Bye => ("BYE", None),
                };
                write!(f, "{verb} {to} {from} {sequence}")?;
                text.map_or(Ok(()), |text| write!(f, " {text}"))
            }
            Self::Ack { to, from, next, ranges } => {
                write!(f, "ACK {to} {from} {next}")?;
                ranges.iter().try_for_each(|range| write!(f, " {}-{}", range.start(), range.end()))
            }
        }
    }
}

impl FromStr for Message {
    type Err = MessageError;

    fn from_str(line: &str) -> Result<Self, MessageError> {
        if line.contains('\n') {
            return Err(MessageError::BadField("text"));
        }
        let mut fields = Fields(Some(line));
        let verb = fields.next("verb")?;
        let message = match verb {
            "REGISTER" | "COOKIE" | "WAIT" | "PEER" | "FULL" | "MET" | "LEAVE" => {
                Self::read_meet(verb, &mut fields)
            }
            "PING" | "PONG" | "SAY" | "PART" | "END" | "BYE" | "ACK" => Self::read_talk(verb, &mut fields),
            _ => Err(MessageError::UnknownVerb),
        }?;
        fields.end()?;
        Ok(message)
    }
}

impl Message {
    /// The fields of what goes between a peer and a tracker.
    fn read_meet(verb: &str, fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(match verb {
            "REGISTER" => Self::Register {
                cookie: fields.parse("cookie")?,
                id: fields.parse("id")?,
                room: fields.parse("room")?,
                name: fields.parse("name")?,
                private: fields.endpoint("private endpoint")?,
            },
            "COOKIE" => Self::Cookie { cookie: fields.parse("cookie")? },
            "WAIT" => {
                let (here, size) = fields.count()?;
                Self::Wait { here, size, public: fields.endpoint("public endpoint")? }
            }
            "PEER" => {
                let (here, size) = fields.count()?;
                let (id, name) = (fields.parse("id")?, fields.parse("name")?);
                let public = fields.endpoint("public endpoint")?;
                let private = fields.endpoint("private endpoint")?;
                Self::Peer { here, size, who: Introduction { id, name, public, private } }
            }
            "FULL" => Self::Full { text: fields.text()? },
            "MET" => {
                let (cookie, id) = (fields.parse("cookie")?, fields.parse("id")?);
                Self::Met { cookie, id, other: fields.parse("id of the other")? }
            }
            _ => Self::Leave { cookie: fields.parse("cookie")?, id: fields.parse("id")? },
        })
    }

    /// The fields of what goes between two peers.
    fn read_talk(verb: &str, fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        if verb == "PING" {
            let (to, from) = (fields.parse("to")?, fields.parse("from")?);
            return Ok(Self::Ping { to, from, name: fields.parse("name")? });
        }
        let (to, from) = (fields.parse("to")?, fields.parse("from")?);
        if verb == "PONG" {
            return Ok(Self::Pong { to, from, name: fields.parse("name")? });
        }
        if verb == "ACK" {
            let next = fields.number("next")?;
            return Ok(Self::Ack { to, from, next, ranges: fields.ranges(next)? });
        }
        let sequence = fields.number("sequence")?;
        let body = match verb {
            "SAY" => Body::Say(fields.text()?),
            "PART" => Body::Part(fields.text()?),
            "END" => Body::End,
            _ => Body::Bye,
        };
        Ok(Self::Numbered { to, from, sequence, body })
    }
}

/// Why a datagram, or a line of one, is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageError {
    /// A datagram of no bytes.
    EmptyDatagram,
    /// A datagram of more than [`MAX_DATAGRAM`] bytes.
    LongDatagram,
    /// The last line lacks its `\n`: it may have been cut.
    Unterminated,
    /// Not UTF-8.
    NotUtf8,
    /// The first word is none of ours.
    UnknownVerb,
    /// The line ends before this field.
    MissingField(&'static str),
    /// This field does not have its form.
    BadField(&'static str),
    /// The line goes on after its last field.
    TooManyFields,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyDatagram => f.write_str("empty datagram"),
            Self::LongDatagram => write!(f, "datagram over {MAX_DATAGRAM} bytes"),
            Self::Unterminated => f.write_str("no newline at the end"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::UnknownVerb => f.write_str("unknown verb"),
            Self::MissingField(what) => write!(f, "missing {what}"),
            Self::BadField(what) => write!(f, "bad {what}"),
            Self::TooManyFields => f.write_str("too many fields"),
        }
    }
}

impl Error for MessageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::socket::Dice;
    use crate::protocol::datagram::read_datagram;

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
        use MessageError::{BadField, MissingField, TooManyFields, UnknownVerb};
        let table = [
            ("", UnknownVerb),
            ("say 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x", UnknownVerb),
            (" COOKIE x", UnknownVerb),
            ("COOKIE", MissingField("cookie")),
            ("COOKIE ", BadField("cookie")),
            ("COOKIE a b", TooManyFields),
            ("COOKIE caf\u{e9}", BadField("cookie")),
            ("LEAVE - 5F0C7A1BE2D94863", BadField("id")),
            ("LEAVE - 5f0c7a1be2d9486", BadField("id")),
            ("LEAVE -  5f0c7a1be2d94863", BadField("id")),
            ("WAIT 1/2 203.0.113.7:0", BadField("public endpoint")),
            ("WAIT 1/2 203.0.113.7", BadField("public endpoint")),
            ("WAIT 1 203.0.113.7:50001", BadField("count")),
            ("WAIT +1/2 203.0.113.7:50001", BadField("count")),
            ("PING a\u{202e}b c2d07a93b1e84f56 bob", BadField("to")),
            ("PING lobby c2d07a93b1e84f56", MissingField("name")),
            ("PING lobby c2d07a93b1e84f56 a-name-of-more-than-thirty-two-bytes", BadField("name")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 1", MissingField("text")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 01 x", BadField("sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 9223372036854775808 x", BadField("sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 -1 x", BadField("sequence")),
            ("SAY 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x\ny", BadField("text")),
            ("END 5f0c7a1be2d94863 c2d07a93b1e84f56 1 x", TooManyFields),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 2-3", BadField("range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5-4", BadField("range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5-6 4-4", BadField("range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 5", BadField("range")),
            ("ACK 5f0c7a1be2d94863 c2d07a93b1e84f56 2 ", BadField("range")),
        ];
        for (line, error) in table {
            assert_eq!(line.parse::<Message>(), Err(error), "{line:?}");
        }
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
