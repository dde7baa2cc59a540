//! Talk, how fast: how long to wait for an acknowledgement, and how much may be under way.
//!
//! ```text
//! datagrams under way
//!       64 |            ......        the most that an unread socket holds for us
//!          |          /\    /         congestion avoidance: one datagram more each round trip
//!          |        /   \ /           loss: half of it, once for all that was lost together
//!          |      /                   slow start: twice as much each round trip
//!       10 |____/____________________ time
//! ```
//!
//! After RFC 6298 (the timer), RFC 5681 (the window) and RFC 9002 (numbers of datagrams).

use std::time::Duration;

/// As in RFC 9002 section 7.2.
const INITIAL_WINDOW: usize = 10;

/// RFC 9002 section 7.2 takes 2. A loss shows when three datagrams overtake it, and on bad lines
/// some of those are lost too: with 2 all waiting is for timeouts, with 6 ten times as much gets
/// through at 30 % loss.
const MINIMUM_WINDOW: usize = 6;

/// An unread Linux socket holds about 90 full datagrams.
const MAXIMUM_WINDOW: usize = 64;

/// RFC 6298 section 2.1: before anything is known.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// RFC 6298 section 2.4 asks for 1 s and leaves room for less; Linux has used 200 ms for decades.
const MINIMUM_TIMEOUT: Duration = Duration::from_millis(200);

/// RFC 6298 section 2.5 allows a ceiling of 60 s: too long for somebody who watches a screen.
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(5);

/// A thread may be late by so much: no sign of loss.
const MINIMUM_PROBE: Duration = Duration::from_millis(10);

/// How long an acknowledgement may take: RFC 6298.
#[derive(Debug, Default)]
pub struct RoundTrip {
    pub smoothed: Option<Duration>,
    variation: Duration,
    /// The estimate comes from a PING, which may have been answered late: the next sample replaces
    /// it.
    provisional: bool,
    /// How often the timeout has expired since something arrived.
    expiries: u32,
    /// No shorter than this until a clean sample: what the last retransmitted message took.
    floor: Duration,
}

impl RoundTrip {
    /// The answer to a PING: a first guess.
    pub fn seed(&mut self, sample: Duration) {
        if self.smoothed.is_none() || self.provisional {
            (self.smoothed, self.variation, self.provisional) = (Some(sample), sample / 2, true);
        }
    }

    /// Something was acknowledged that was sent once only, and so says how long it took (Karn's
    /// algorithm, RFC 6298 section 3).
    pub fn measure(&mut self, sample: Duration) {
        let known = self.smoothed.filter(|_| !self.provisional);
        self.variation = known.map_or(sample / 2, |known| (self.variation * 3 + known.abs_diff(sample)) / 4);
        self.smoothed = Some(known.map_or(sample, |known| (known * 7 + sample) / 8));
        (self.provisional, self.expiries, self.floor) = (false, 0, Duration::ZERO);
    }

    /// Something was acknowledged that was sent more than once, first `waited` ago.
    pub fn doubt(&mut self, waited: Duration) {
        (self.expiries, self.floor) = (0, waited);
    }

    /// The timeout expired: the next one is twice as long (RFC 6298 section 5.5). Tells the how
    /// manieth in a row it was.
    pub fn back_off(&mut self) -> u32 {
        self.expiries = (self.expiries + 1).min(8);
        self.expiries
    }

    /// When what was sent is to be sent again.
    pub fn timeout(&self) -> Duration {
        let estimate = self.smoothed.map_or(INITIAL_TIMEOUT, |smoothed| smoothed + self.variation * 4);
        (estimate.max(MINIMUM_TIMEOUT).max(self.floor) * (1 << self.expiries)).min(MAXIMUM_TIMEOUT)
    }

    /// When silence is worth a probe: RFC 9002 section 6.2.
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed.map_or(self.timeout(), |smoothed| (smoothed * 2).max(MINIMUM_PROBE))
    }
}

/// How many datagrams may be under way: RFC 5681.
#[derive(Debug)]
pub struct Window {
    size: usize,
    slow_start_until: usize,
    /// Acknowledged since the window last grew.
    acknowledged: usize,
    /// Losses among datagrams before this one belong to the episode that is already paid for.
    recovery: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: INITIAL_WINDOW, slow_start_until: MAXIMUM_WINDOW, acknowledged: 0, recovery: 0 }
    }
}

impl Window {
    pub fn has_room(&self, under_way: usize) -> bool {
        under_way < self.size
    }

    /// So many datagrams have arrived.
    pub fn grow(&mut self, datagrams: usize) {
        self.acknowledged += datagrams;
        let needed = if self.size < self.slow_start_until { 1 } else { self.size };
        self.size = (self.size + self.acknowledged / needed).min(MAXIMUM_WINDOW);
        self.acknowledged %= needed;
    }

    /// This datagram was lost, and `next` is the next to leave: halves the window, once for all that
    /// were under way together.
    pub fn shrink(&mut self, datagram: u64, next: u64) {
        if datagram >= self.recovery {
            self.size = (self.size / 2).max(MINIMUM_WINDOW);
            (self.recovery, self.slow_start_until) = (next, self.size);
        }
    }
}
