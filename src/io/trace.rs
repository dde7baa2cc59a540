//! The trace: a line for every message, to see what happens, and why.
//!
//! ```text
//! 12:04:40.772 Talk   alice -x bob      SAY 4 line 4
//! 12:04:40.787 Talk   alice -> bob      SAY 4 line 4    (again: no answer for 15 ms)
//! 12:04:40.788 Talk   alice <- bob      ACK 5
//! ```
//!
//! or, with `--trace=wire`, what was on the wire:
//!
//! ```text
//!   9.331 -x 127.0.0.1:50002  SAY cb0d348e934f7ddf b5207d4236097959 4 line 4
//!   9.346 -> 127.0.0.1:50002  SAY cb0d348e934f7ddf b5207d4236097959 4 line 4
//!   9.347 <- 127.0.0.1:50002  ACK b5207d4236097959 cb0d348e934f7ddf 5
//! ```
//!
//! The arrows: `->` sent, `<-` received, `-x` lost on purpose, `-!` not sent, `<?` not understood.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::{Id, Reason, Transmit, read_datagram};

/// How to show a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    // Who says what to whom, and why.
    Story,
    // What can be typed into `nc`.
    Wire,
}

/// So many others are known by name.
const MAX_KNOWN: usize = 256;

/// A word and its colour: one of the eight of ANSI. The four steps have one each.
pub type Coloured = (&'static str, u8);

const MEET: Coloured = ("Meet", 6);
const REACH: Coloured = ("Reach", 5);
const TALK: Coloured = ("Talk", 2);
const PART: Coloured = ("Part", 3);
const RED: u8 = 1;

/// What one program shows of its datagrams. It learns from them who is who, and who is where.
pub struct Trace {
    style: Style,
    started: SystemTime,
    us: String,
    tracker: Option<SocketAddr>,
    others: Vec<Other>,
}

struct Other {
    id: String,
    name: String,
    at: SocketAddr,
    is_linked: bool,
}

/// A line, and the words in it that have a colour.
pub type Line = (String, Vec<Coloured>);

impl Trace {
    /// The trace of a peer or of the tracker, by its name.
    pub fn new(style: Style, us: &str, started: SystemTime) -> Self {
        Self { style, started, us: us.to_owned(), tracker: None, others: Vec::new() }
    }

    /// A line for each message of a datagram that has left or come, with what the system says, if it does.
    pub fn lines(&mut self, time: SystemTime, arrow: &str, datagram: &Transmit, error: &str) -> Vec<Line> {
        let (mut lines, at) = (Vec::new(), datagram.destination);
        for (index, (bytes, message)) in read_datagram(&datagram.datagram).into_iter().enumerate() {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let text = String::from_utf8_lossy(bytes).replace('\n', "\u{fffd}");
            let arrow = if message.is_ok() { arrow } else { "<?" };
            let error = message.map_or_else(|error| error.to_string(), |_| error.to_owned());
            let why = |gap, why: String| if why.is_empty() { why } else { format!("{gap}({why})") };
            lines.push(if self.style == Style::Wire {
                let line = format!("{}  {text}{}", self.wire_head(time, arrow, at, index), why("  ", error));
                (line, Vec::new())
            } else {
                let reasons = datagram.reasons.iter().filter(|(of, _)| *of == index);
                let reasons: Vec<Reason> = reasons.map(|(_, reason)| *reason).collect();
                let (step, parties, fields) = self.read(arrow, at, &text, &reasons);
                let all = reasons.iter().map(Reason::to_string).chain([error]).filter(|why| !why.is_empty());
                let all = why("    ", all.collect::<Vec<_>>().join("; "));
                let line = format!("{} {:<6} {parties:<16}  {fields}{all}", time_of_day(time), step.0);
                let loss = ["-x", "-!", "<?"].into_iter().find(|loss| *loss == arrow);
                (line, [step].into_iter().chain(loss.map(|loss| (loss, RED))).collect())
            });
        }
        lines
    }

    /// Further messages of a datagram are indented under the first.
    fn wire_head(&self, time: SystemTime, arrow: &str, at: SocketAddr, index: usize) -> String {
        let since = time.duration_since(self.started).unwrap_or_default().as_secs_f64();
        let head = format!("{since:7.3} {arrow} {at}");
        match index {
            0 => head,
            _ if arrow == "<?" => format!("{:width$}", "        <?", width = head.len()),
            _ => " ".repeat(head.len()),
        }
    }

    /// The step; who and whom; and the message, with names for ids, and without those of the two.
    fn read(
        &mut self,
        arrow: &str,
        at: SocketAddr,
        text: &str,
        reasons: &[Reason],
    ) -> (Coloured, String, String) {
        let words: Vec<&str> = text.split(' ').collect();
        let is_sent = arrow != "<-";
        let (step, other, named, fields) = match words[..] {
            _ if arrow == "<?" => (("?", RED), "", None, text.to_owned()),
            ["REGISTER", cookie, id, room, name, private] => {
                self.tracker = self.tracker.or(is_sent.then_some(at));
                (MEET, id, Some((id, name)), format!("REGISTER {cookie} {name} {room} {private}"))
            }
            ["PEER", count, id, name, public, private] => {
                (MEET, "", Some((id, name)), format!("PEER {count} {name} {public} {private}"))
            }
            ["MET", cookie, id, other] => (MEET, id, None, format!("MET {cookie} {}", self.name(other))),
            ["LEAVE", cookie, id] => (MEET, id, None, format!("LEAVE {cookie}")),
            [verb @ ("PING" | "PONG"), to, from, name] => {
                let room = if to.parse::<Id>().is_ok() { String::new() } else { format!(" {to}") };
                (REACH, if is_sent { to } else { from }, Some((from, name)), format!("{verb}{room}"))
            }
            [verb @ ("SAY" | "PART" | "ACK" | "END" | "BYE"), to, from, ..] => {
                let step = if matches!(verb, "END" | "BYE") { PART } else { TALK };
                (step, if is_sent { to } else { from }, None, format!("{verb} {}", words[3..].join(" ")))
            }
            _ => (MEET, "", None, text.to_owned()),
        };
        let is_ignored = reasons.iter().any(|why| matches!(why, Reason::Ignored(_) | Reason::Departed(..)));
        let learnt = named.filter(|_| !is_sent && !is_ignored);
        learnt.into_iter().for_each(|(id, name)| self.learn(id, name, at));
        let whom = self.whom(other, at);
        if reasons.iter().any(|why| matches!(why, Reason::Linked(_))) {
            let linked = self.others.iter_mut().filter(|known| known.id == other);
            linked.for_each(|known| (known.at, known.is_linked) = (at, true));
        }
        (step, format!("{} {arrow} {whom}", self.us), fields)
    }

    fn learn(&mut self, id: &str, name: &str, at: SocketAddr) {
        let known =
            self.others.iter().position(|other| other.id == id).map(|index| self.others.remove(index));
        let new = Other { id: id.to_owned(), name: name.to_owned(), at, is_linked: false };
        self.others.push(known.filter(|other| other.is_linked).unwrap_or(new));
        self.others.drain(..self.others.len().saturating_sub(MAX_KNOWN));
    }

    /// By id or by address: a name, with the address unless they are linked there.
    fn whom(&self, id: &str, at: SocketAddr) -> String {
        let is_id = id.parse::<Id>().is_ok();
        let is_meant = |other: &&Other| if is_id { other.id == id } else { other.at == at };
        match self.others.iter().rev().find(is_meant) {
            _ if self.tracker == Some(at) => "tracker".to_owned(),
            Some(other) if other.is_linked && other.at == at => self.name(&other.id),
            Some(other) => format!("{} {at}", other.name),
            None => at.to_string(),
        }
    }

    /// A name in place of an id; two of one name are told apart by their ports.
    fn name(&self, word: &str) -> String {
        match self.others.iter().find(|other| other.id == word) {
            Some(Other { name, at, .. }) => {
                let namesakes = self.others.iter().filter(|other| other.name == *name).count();
                let is_alone = namesakes == 1 && *name != self.us;
                if is_alone { name.clone() } else { format!("{name}:{}", at.port()) }
            }
            None => word.to_owned(),
        }
    }
}

/// In UTC: std knows no other.
fn time_of_day(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}
