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
//! The last acknowledgement may be lost, and whoever said it cannot know: the problem of the two generals
//! (Gray, "Notes on data base operating systems", 1978). Lingering, as in TCP's TIME-WAIT (RFC 9293 section
//! 3.6.1), makes it unlikely that this matters.

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
    /// After END only BYE is in order, after BYE nothing.
    pub they: Side,
    /// When to stop waiting for what we said before they left.
    last_words: Option<Instant>,
    pub stage: Stage,
}

impl Parting {
    /// Whether we may still say a line.
    pub fn may_say(&self) -> bool {
        self.we == Side::Talking && self.they != Side::Left
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

    /// Whether both sides are done, now: of ours everything is acknowledged, or was waited for. Lingers then,
    /// if we owe an acknowledgement.
    pub fn begin_lingering(&mut self, is_acknowledged: bool, owes: bool, out: &mut Output) -> bool {
        let has_waited = self.last_words.is_some_and(|when| out.is_due(when));
        let is_done = match (self.we, self.they) {
            (_, Side::Left) => is_acknowledged || has_waited,
            (Side::Left, _) | (Side::Ended, Side::Ended) => is_acknowledged,
            _ => false,
        };
        if self.stage != Stage::Open || !is_done {
            return false;
        }
        let until = out.now + if owes { LINGER } else { Duration::ZERO };
        self.stage = Stage::Lingering { until, next_acknowledgement: out.now + LINGER_INTERVAL };
        true
    }

    /// Whether the last acknowledgement is to be said again, now; closes after the last time.
    pub fn repeat_acknowledgement(&mut self, out: &mut Output) -> bool {
        let Stage::Lingering { until, next_acknowledgement } = &mut self.stage else { return false };
        if out.is_due(*until) {
            self.stage = Stage::Closed;
            return false;
        }
        out.is_due_again(next_acknowledgement, LINGER_INTERVAL)
    }

    /// Gives them up as gone, now, if nothing was heard, or nothing acknowledged, since then. Where all was
    /// said and acknowledged it is no matter.
    pub fn give_up(&mut self, since: Instant, out: &mut Output) -> bool {
        if self.stage == Stage::Gone || self.they == Side::Left || !out.is_due(since + GONE) {
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

#[cfg(test)]
mod tests {
    use super::Side::{Ended, Left, Talking};
    use super::*;

    const SIDES: [Side; 3] = [Talking, Ended, Left];

    /// How a link parts, and a clock.
    struct Bench {
        parting: Parting,
        out: Output,
        start: Instant,
    }

    impl Bench {
        fn new(we: Side, they: Side) -> Self {
            let start = Instant::now();
            let parting = Parting { we, they, ..Parting::default() };
            Self { parting, out: Output::new(start), start }
        }

        /// Both have said END.
        fn lingering() -> Self {
            let mut bench = Self::new(Ended, Ended);
            assert!(bench.parting.begin_lingering(true, true, &mut bench.out));
            bench
        }

        fn wait_until(&mut self, milliseconds: u64) {
            self.out.begin(self.start + Duration::from_millis(milliseconds));
        }

        fn is_done(&mut self, is_acknowledged: bool) -> bool {
            self.parting.begin_lingering(is_acknowledged, true, &mut self.out)
        }

        /// When the acknowledgement is said again until then, in milliseconds.
        fn repeats(&mut self, range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
            let mut is_said = |milliseconds: &u64| {
                self.wait_until(*milliseconds);
                self.parting.repeat_acknowledgement(&mut self.out)
            };
            range.filter(|milliseconds| is_said(milliseconds)).collect()
        }

        /// Nothing was heard since the start.
        fn is_gone(&mut self) -> bool {
            self.parting.give_up(self.start, &mut self.out)
        }
    }

    #[test]
    fn we_may_say_only_bye_after_our_end_and_nothing_after_a_bye() {
        for (we, they) in SIDES.into_iter().flat_map(|we| SIDES.map(|they| (we, they))) {
            let may_say = match (we, they) {
                (Left, _) | (_, Left) => [false, false, false],
                (Ended, _) => [false, false, true],
                (Talking, _) => [true, true, true],
            };
            let new = || Bench::new(we, they).parting;
            assert_eq!([new().may_say(), new().say(Ended), new().say(Left)], may_say, "{we:?}, {they:?}");
        }
    }

    #[test]
    fn they_may_say_only_bye_after_their_end_and_nothing_after_their_bye() {
        let table =
            [(Talking, [true, true, true]), (Ended, [false, false, true]), (Left, [false, false, false])];
        for (they, may_hear) in table {
            let Bench { mut parting, start, .. } = Bench::new(Talking, they);
            let may_hear_line = parting.they == Talking;
            let heard = [may_hear_line, parting.hear(Ended, start), parting.hear(Left, start)];
            assert_eq!(heard, may_hear, "{they:?}");
            assert!(!parting.hear(Ended, start) && parting.they == Left, "nothing takes a BYE back");
        }
    }

    #[test]
    fn both_are_done_after_two_ends_or_one_bye_when_all_is_acknowledged() {
        for (we, they) in SIDES.into_iter().flat_map(|we| SIDES.map(|they| (we, they))) {
            let is_parted = we == Left || they == Left || (we, they) == (Ended, Ended);
            assert_eq!(Bench::new(we, they).is_done(true), is_parted, "{we:?}, {they:?}");
            assert!(!Bench::new(we, they).is_done(false), "{we:?}, {they:?}");
        }
        assert!(!Bench::lingering().is_done(true), "told once");
    }

    #[test]
    fn what_was_said_before_they_left_is_waited_for_three_seconds_from_their_first_bye() {
        let mut bench = Bench::new(Talking, Talking);
        bench.parting.hear(Left, bench.out.now);
        bench.wait_until(2999);
        bench.parting.hear(Left, bench.out.now); // a copy
        assert!(!bench.is_done(false));
        bench.wait_until(3000);
        assert!(bench.is_done(false));
    }

    #[test]
    fn whoever_is_done_says_its_acknowledgement_again_every_100_ms_for_700_ms() {
        let mut bench = Bench::lingering();
        assert_eq!(bench.repeats(0..=699), [100, 200, 300, 400, 500, 600]);
        assert_ne!(bench.parting.stage, Stage::Closed);
        assert_eq!(bench.repeats(700..=2000), []);
        assert_eq!(bench.parting.stage, Stage::Closed);
    }

    #[test]
    fn the_700_ms_are_counted_anew_from_each_numbered_message() {
        let mut bench = Bench::lingering();
        bench.repeats(0..=650);
        bench.parting.hear_numbered(bench.out.now);
        assert_eq!(bench.repeats(651..=2000), [700, 800, 900, 1000, 1100, 1200, 1300]);
    }

    #[test]
    fn whoever_owes_no_acknowledgement_does_not_linger() {
        let mut bench = Bench::new(Left, Talking);
        assert!(bench.parting.begin_lingering(true, false, &mut bench.out));
        assert_eq!(bench.repeats(0..=0), []);
        assert_eq!(bench.parting.stage, Stage::Closed);
    }

    #[test]
    fn after_20_seconds_they_are_gone() {
        let mut bench = Bench::new(Talking, Talking);
        bench.wait_until(19_999);
        assert!(!bench.is_gone());
        bench.wait_until(20_000);
        assert!(bench.is_gone() && bench.parting.is_over());
        assert!(!bench.is_gone(), "told once");
    }

    #[test]
    fn what_is_closed_both_ways_is_not_gone_but_over_after_20_seconds() {
        let mut bench = Bench::lingering();
        bench.repeats(0..=700);
        assert!(!bench.parting.is_over(), "a BYE may follow");
        bench.wait_until(20_000);
        assert!(!bench.is_gone());
        assert!(bench.parting.is_over());
    }
}
