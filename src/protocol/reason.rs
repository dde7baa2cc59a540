//! Why a message is sent once more, and what becomes of one that has come: for those who watch.

use std::fmt;
use std::time::Duration;

use super::wire::field::Name;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    // Of one that is sent.
    Again(&'static str),
    NoAnswer(Duration),
    Probe(Duration),
    // So many datagrams that left after the one before have arrived.
    Overtaken(usize),
    Keepalive,
    OnceMore,
    OnPurpose(&'static str),
    // Of one that has come.
    Linked(&'static str),
    // Until the one with this number comes.
    Kept(u64),
    NothingNew,
    Unproven,
    Ignored(&'static str),
    // The same, because of what has become of this peer.
    Departed(Name, &'static str),
}

/// The reasons of the messages in one datagram: of which, counted from 0. Most need none.
pub type Reasons = Vec<(usize, Reason)>;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again(why) => write!(f, "again: {why}"),
            Self::NoAnswer(time) => write!(f, "again: no answer for {} ms", time.as_millis()),
            Self::Probe(time) => write!(f, "probe: silent for {} ms", time.as_millis()),
            Self::Overtaken(1) => f.write_str("again: 1 later one arrived"),
            Self::Overtaken(count) => write!(f, "again: {count} later ones arrived"),
            Self::Keepalive => f.write_str("keepalive"),
            Self::OnceMore => f.write_str("once more: the last one may be lost"),
            Self::OnPurpose(what) => write!(f, "{what} on purpose"),
            Self::Linked(how) => write!(f, "link {how}"),
            Self::Kept(missing) => write!(f, "kept: {missing} is missing"),
            Self::NothingNew => f.write_str("nothing new"),
            Self::Unproven => f.write_str("no valid cookie: gets one"),
            Self::Ignored(why) => write!(f, "ignored: {why}"),
            Self::Departed(name, fate) => write!(f, "ignored: {name} {fate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_words() {
        let time = Duration::from_micros(15_900);
        let name = "bob".parse().expect("a name");
        let table = [
            (Reason::Again("still here"), "again: still here"),
            (Reason::NoAnswer(time), "again: no answer for 15 ms"),
            (Reason::Probe(time), "probe: silent for 15 ms"),
            (Reason::Overtaken(1), "again: 1 later one arrived"),
            (Reason::Overtaken(3), "again: 3 later ones arrived"),
            (Reason::Keepalive, "keepalive"),
            (Reason::OnceMore, "once more: the last one may be lost"),
            (Reason::Linked("made"), "link made"),
            (Reason::Kept(4), "kept: 4 is missing"),
            (Reason::NothingNew, "nothing new"),
            (Reason::Ignored("for another"), "ignored: for another"),
            (Reason::Departed(name, "has left"), "ignored: bob has left"),
        ];
        for (reason, words) in table {
            assert_eq!(reason.to_string(), words);
        }
    }
}
