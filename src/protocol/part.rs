//! Part: both sides come to know that it is over.
//!
//! ```text
//!           END and END, or BYE from one side,           nothing was said again
//!           and everything acknowledged                  for 0.7 s
//!  Open ---------------------------------> Lingering -----------------------> Closed
//!    |                                                                           |
//!    +--> Gone: 20 s of silence, or a line too long      20 s of silence: left <-+
//! ```
//!
//! The last acknowledgement may be lost, and whoever said it cannot know: the problem of the two generals (Gray,
//! "Notes on data base operating systems", 1978). Lingering, as in TCP's TIME-WAIT (RFC 9293 section 3.6.1), makes
//! it unlikely that this matters.

use std::time::{Duration, Instant};

use super::Output;

/// After so long a silence, or without any acknowledgement of what was sent, the other is gone.
const GONE: Duration = Duration::from_secs(20);

/// Whoever is done repeats its last acknowledgement for so long: it may have been lost.
const LINGER: Duration = Duration::from_millis(700);
const LINGER_INTERVAL: Duration = Duration::from_millis(100);

/// What was said before the other left is waited for so long.
pub const LAST_WORDS: Duration = Duration::from_secs(3);

/// How far one side has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    #[default]
    Talking,
    Ended, // by END
    Left,  // by BYE
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    #[default]
    Open,
    // Both are done.
    Lingering {
        until: Instant,
        next_acknowledgement: Instant,
    },
    Closed,
    // They fell silent, or broke the rules.
    Gone,
}

#[derive(Default)]
pub struct Parting {
    we: Side,
    they: Side,
    /// When to stop waiting for what we said before they left.
    last_words: Option<Instant>,
    pub stage: Stage,
}

impl Parting {
    /// Whether we may still say a line.
    pub fn may_say(&self) -> bool {
        self.we == Side::Talking && self.they != Side::Left
    }

    /// Whether a line of theirs is in order: after END only BYE may follow, after BYE nothing.
    pub fn may_hear(&self) -> bool {
        self.they == Side::Talking
    }

    pub fn have_they_left(&self) -> bool {
        self.they == Side::Left
    }

    /// Whether nothing more will happen here.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Gone || self.stage == Stage::Closed && self.they == Side::Left
    }

    /// We want to come so far, by END or BYE: whether that is in order.
    pub fn say(&mut self, to: Side) -> bool {
        self.they != Side::Left && advance(&mut self.we, to)
    }

    /// They have come so far, by END or BYE: whether that is news.
    pub fn hear(&mut self, to: Side, now: Instant) -> bool {
        if to == Side::Left {
            self.last_words.get_or_insert(now + LAST_WORDS);
        }
        advance(&mut self.they, to)
    }

    /// They have said something, again perhaps: our acknowledgement may not have arrived.
    pub fn hear_numbered(&mut self, now: Instant) {
        if let Stage::Lingering { until, .. } = &mut self.stage {
            *until = now + LINGER;
        }
    }

    /// Whether both sides are done, now: of ours everything is acknowledged, or was waited for. Then lingers for the
    /// sake of those whom we owe an acknowledgement.
    pub fn is_done(&mut self, is_acknowledged: bool, owes_acknowledgement: bool, out: &mut Output) -> bool {
        let has_waited = self.last_words.is_some_and(|when| out.is_due(when));
        let is_done = match (self.we, self.they) {
            (_, Side::Left) => is_acknowledged || has_waited,
            (Side::Left, _) | (Side::Ended, Side::Ended) => is_acknowledged,
            _ => false,
        };
        if self.stage != Stage::Open || !is_done {
            return false;
        }
        let until = out.now + if owes_acknowledgement { LINGER } else { Duration::ZERO };
        self.stage = Stage::Lingering { until, next_acknowledgement: out.now + LINGER_INTERVAL };
        true
    }

    /// Whether the last acknowledgement is to be said again, now; closes after the last time.
    pub fn repeats_acknowledgement(&mut self, out: &mut Output) -> bool {
        let Stage::Lingering { until, next_acknowledgement } = &mut self.stage else { return false };
        if out.is_due(*until) {
            self.stage = Stage::Closed;
            return false;
        }
        out.is_due_again(next_acknowledgement, LINGER_INTERVAL)
    }

    /// Whether they are gone, now: nothing was heard, or nothing acknowledged, since then. Where all was said and
    /// acknowledged it is no matter.
    pub fn is_gone(&mut self, since: Instant, out: &mut Output) -> bool {
        if self.is_over() || !out.is_due(since + GONE) {
            return false;
        }
        let is_early = self.stage != Stage::Closed;
        (self.stage, self.they) =
            if is_early { (Stage::Gone, self.they) } else { (Stage::Closed, Side::Left) };
        is_early
    }
}

/// Parting goes one way only: whether this is a step.
fn advance(side: &mut Side, to: Side) -> bool {
    let is_step = *side < to;
    *side = to.max(*side);
    is_step
}
