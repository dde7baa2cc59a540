//! What has happened, for every browser that looks on: those that come later get the latest of it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime};

use crate::io::terminal::lock;

/// So many lines of each kind are kept for whoever comes, or comes back.
const KEPT: usize = 1000;
/// In so many bytes at most.
const KEPT_BYTES: usize = 4 << 20;
/// Of what is true for a moment only.
const KEPT_FOR_A_MOMENT: usize = 64;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    // A line that was typed into the window.
    Said,
    // A line of the peer's stdout: somebody has said it.
    Heard,
    // The rest of its stderr.
    News,
    // A message that has left or come.
    Trace,
    // One who is here, as `/peers` describes.
    Peer,
    // The peer has ended, with this status.
    End,
}

impl Kind {
    /// As the page knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Said => "said",
            Self::Heard => "heard",
            Self::News => "news",
            Self::Trace => "trace",
            Self::Peer => "peer",
            Self::End => "end",
        }
    }

    /// Of a line of the peer's stderr, with `--trace=both`.
    pub fn of_stderr(line: &str) -> Self {
        match line {
            _ if line.contains('\t') => Self::Trace,
            _ if line.contains("  round trip ") && line.contains(" unacknowledged  ") => Self::Peer,
            "nobody is here yet" => Self::Peer,
            _ => Self::News,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub number: u64,
    pub time: SystemTime,
    pub kind: Kind,
    pub line: String,
}

#[derive(Default)]
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    chat: VecDeque<Event>,
    trace: VecDeque<Event>,
    peers: VecDeque<Event>,
}

impl Feed {
    pub fn tell(&self, kind: Kind, line: String) {
        self.tell_if(kind, line, || true);
    }

    /// Tells what is about to be done, if it can be: so it is told before all that follows from it.
    pub fn tell_if(&self, kind: Kind, line: String, can_be_done: impl FnOnce() -> bool) -> bool {
        let state = &mut *lock(&self.state);
        if !can_be_done() {
            return false;
        }
        state.last += 1;
        let event = Event { number: state.last, time: SystemTime::now(), kind, line };
        let (events, most) = match kind {
            Kind::Trace => (&mut state.trace, KEPT),
            Kind::Peer => (&mut state.peers, KEPT_FOR_A_MOMENT),
            _ => (&mut state.chat, KEPT),
        };
        events.push_back(event);
        while events.len() > most || events.iter().map(|event| event.line.len()).sum::<usize>() > KEPT_BYTES {
            events.pop_front();
        }
        self.changed.notify_all();
        true
    }

    /// All after number `seen` that is still known, in order; waits so long for it.
    pub fn after(&self, seen: u64, patience: Duration) -> Vec<Event> {
        let state = lock(&self.state);
        let is_news = |state: &mut State| state.last <= seen;
        let waited = self.changed.wait_timeout_while(state, patience, is_news);
        let (state, _) = waited.expect("a panic ends the program");
        let kept = [&state.chat, &state.trace, &state.peers];
        let new = kept.into_iter().flatten().filter(|event| event.number > seen);
        let mut new: Vec<Event> = new.cloned().collect();
        new.sort_unstable_by_key(|event| event.number);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn whoever_comes_later_gets_the_latest_and_whoever_was_there_the_rest() {
        let feed = Feed::default();
        feed.tell(Kind::Said, "hello".to_owned());
        (0..1500).for_each(|number| feed.tell(Kind::Trace, number.to_string()));
        let all = feed.after(0, Duration::ZERO);
        assert_eq!(all.len(), 1 + KEPT, "a flood of messages drives no line out");
        assert_eq!((all[0].number, all[1].number, all[KEPT].number), (1, 502, 1501));
        feed.tell(Kind::Heard, "bob: hi".to_owned());
        assert_eq!(numbers(&feed.after(1501, Duration::ZERO)), [1502]);
        assert_eq!(numbers(&feed.after(1502, Duration::ZERO)), []);
    }

    #[test]
    fn a_line_of_stderr_is_known_by_its_form() {
        let peer =
            "bob  00000000000000b0  127.0.0.1:50002  round trip 0.1 ms  0 unacknowledged  silent for 0.4 s";
        for (line, kind) in [
            ("12:04:40.772 Talk   alice -> bob      SAY 1 a\tSAY 2 1 1 a", Kind::Trace),
            (peer, Kind::Peer),
            ("nobody is here yet", Kind::Peer),
            ("nobody is here yet: not said", Kind::News),
            ("bob has left", Kind::News),
        ] {
            assert_eq!(Kind::of_stderr(line), kind, "{line}");
        }
    }
}
