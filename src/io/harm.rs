//! Harm on purpose: datagrams that are lost, doubled or reordered, to see what happens.

use std::time::{Duration, Instant};

use crate::protocol::{Reason, Transmit};

/// A reordered datagram leaves after the next one, or when it has waited for so long.
pub const LATE: Duration = Duration::from_millis(50);

/// Percent of the datagrams that are sent.
#[derive(Clone, Default, clap::Args)]
pub struct Harm {
    /// Lose so many percent of the datagrams that are sent, to see what happens
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(super) loss: u8,

    /// Send so many percent of them twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(super) duplicate: u8,

    /// Let so many percent of them leave after the next one
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(super) reorder: u8,

    #[arg(skip)]
    pub dice: Dice,

    /// To leave after the next one, and since when.
    #[arg(skip)]
    pub held_back: Option<(Instant, Transmit)>,
}

impl Harm {
    pub fn is_any(&self) -> bool {
        self.loss | self.duplicate | self.reorder > 0
    }

    /// What can be written after `/harm`.
    pub fn percentages(&self) -> String {
        format!("{} {} {}", self.loss, self.duplicate, self.reorder)
    }

    /// Whether something may have to be let out later.
    pub fn holds_back(&self) -> bool {
        self.reorder > 0 || self.held_back.is_some()
    }

    /// What leaves when this datagram is to be sent; `Err` where it is lost.
    pub fn pass(&mut self, transmit: Transmit) -> Result<Vec<Transmit>, Transmit> {
        let harms = [self.loss, self.duplicate, self.reorder];
        let [is_lost, is_doubled, is_late] = harms.map(|percent| self.dice.percent(percent));
        if is_lost {
            return Err(transmit);
        }
        let earlier = self.held_back.take();
        let mut leaving = vec![transmit];
        if is_late {
            self.held_back = leaving.pop().map(|late| (Instant::now(), mark(late, "late")));
        } else if is_doubled {
            leaving.push(mark(leaving[0].clone(), "copied"));
        }
        leaving.extend(earlier.map(|(_, earlier)| earlier));
        Ok(leaving)
    }
}

/// Says of each message that this was done on purpose.
fn mark(mut transmit: Transmit, what: &'static str) -> Transmit {
    let messages = 0..transmit.messages();
    transmit.reasons.extend(messages.map(|message| (message, Reason::OnPurpose(what))));
    transmit
}

/// A small random number generator that repeats itself for the same seed: `SplitMix64` (Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone, Default)]
pub struct Dice(pub u64);

impl Dice {
    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, percent: u8) -> bool {
        self.roll() % 100 < u64::from(percent)
    }
}
