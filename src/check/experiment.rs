//! The words in which an experiment is written: who takes part, what is heard, and what comes of it.

use std::net::SocketAddr;

/// Who says and hears something, beside the program.
pub type Role = usize;
/// Where the program is a peer.
pub const TRACKER: Role = 0;
/// Where the program is a tracker.
pub const ALICE: Role = 0;
pub const BOB: Role = 1;
pub const CAROL: Role = 2;
pub const MALLORY: Role = 3;

/// Why an experiment has failed: what was expected, and what happened instead.
#[derive(Debug)]
pub struct Failure(pub String);

pub type Verdict<T = ()> = Result<T, Failure>;

/// So begins in the log what is no message.
pub const MALFORMED: &str = "MALFORMED ";

/// Something that was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub source: SocketAddr,
    pub text: String,
    /// Messages with one number came in one datagram.
    pub datagram: usize,
}

/// Something that has passed: a message, a line, or what the script did.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// In seconds since the program was started.
    pub time: f64,
    pub who: String,
    pub what: String,
}

/// Which kind of program an experiment is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Peer,
    Tracker,
}

/// Whether a message has this form: `*` is any field, `...` at the end all the rest.
pub fn matches(form: &str, text: &str) -> bool {
    let (form, is_open) = form.strip_suffix(" ...").map_or((form, false), |form| (form, true));
    let (wanted, fields): (Vec<_>, Vec<_>) = (form.split(' ').collect(), text.split(' ').collect());
    let is_long_enough = if is_open { fields.len() >= wanted.len() } else { fields.len() == wanted.len() };
    is_long_enough && wanted.iter().zip(&fields).all(|(wanted, field)| *wanted == "*" || wanted == field)
}

/// Goes on where this holds.
pub fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Failure(otherwise())) }
}
