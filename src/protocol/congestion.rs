//! Talk, how fast: how long to wait for an acknowledgement, and how much may be under way.
//!
//! ```text
//! bytes under way
//!   76,800 |            ......        the most that an unread socket holds for us
//!          |          /\    /         congestion avoidance: one datagram more each round trip
//!          |        /   \ /           loss: half of it, once for all that was lost together
//!          |      /                   slow start: twice as much each round trip
//!   12,000 |____/____________________ time
//! ```
//!
//! After RFC 6298 (the timer), RFC 5681 (the window) and RFC 9002 (numbers of datagrams).

use std::time::Duration;

use super::datagram::MAX_DATAGRAM;

/// As in RFC 9002 section 7.2.
const INITIAL_WINDOW: usize = 10 * MAX_DATAGRAM;

/// RFC 9002 section 7.2 takes 2. A loss shows when three datagrams overtake it, and on bad lines
/// some of those are lost too: with 2 all waiting is for timeouts, with 6 ten times as much gets
/// through at 30 % loss.
const MINIMUM_WINDOW: usize = 6 * MAX_DATAGRAM;

/// Datagrams under way at most: an unread Linux socket holds about 90 full ones.
pub const MAX_DATAGRAMS: usize = 64;

const MAXIMUM_WINDOW: usize = MAX_DATAGRAMS * MAX_DATAGRAM;

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
    smoothed: Option<Duration>,
    variation: Duration,
    /// The estimate comes from a PING, which may have been answered late: the next sample replaces
    /// it.
    provisional: bool,
    doublings: u32,
    /// No shorter than this until a clean sample: what the last retransmitted message took.
    floor: Duration,
}

impl RoundTrip {
    /// The smoothed round trip, once something was measured.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The answer to a PING: a first guess, which a message's own acknowledgement replaces.
    pub fn seed(&mut self, sample: Duration) {
        if self.smoothed.is_none() || self.provisional {
            self.restart(sample);
            self.provisional = true;
        }
    }

    /// A clean sample: of a message that was sent once only (Karn's algorithm, RFC 6298 section 3).
    pub fn measure(&mut self, sample: Duration) {
        match self.smoothed {
            Some(smoothed) if !self.provisional => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
            _ => self.restart(sample),
        }
        self.provisional = false;
        self.floor = Duration::ZERO;
    }

    /// Something new was acknowledged, though it says nothing clean about the time: it was sent
    /// more than once, first `waited` ago.
    pub fn doubt(&mut self, waited: Duration) {
        self.floor = waited;
    }

    /// An acknowledgement of something new undoes the doubling.
    pub fn progress(&mut self) {
        self.doublings = 0;
    }

    /// The timeout expired: the next one is twice as long (RFC 6298 section 5.5). Tells how
    /// often it has expired since something arrived.
    pub fn back_off(&mut self) -> u32 {
        self.doublings = (self.doublings + 1).min(8);
        self.doublings
    }

    /// When what was sent is to be sent again.
    pub fn timeout(&self) -> Duration {
        let estimate = self.smoothed.map_or(INITIAL_TIMEOUT, |smoothed| smoothed + self.variation * 4);
        let timeout = estimate.max(MINIMUM_TIMEOUT).max(self.floor) * (1 << self.doublings);
        timeout.min(MAXIMUM_TIMEOUT)
    }

    /// When silence is worth a probe: RFC 9002 section 6.2.
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed.map_or(self.timeout(), |smoothed| (smoothed * 2).max(MINIMUM_PROBE))
    }

    fn restart(&mut self, sample: Duration) {
        self.smoothed = Some(sample);
        self.variation = sample / 2;
    }
}

/// How many bytes may be under way: RFC 5681.
#[derive(Debug)]
pub struct Window {
    bytes: usize,
    slow_start_until: usize,
    /// Losses among datagrams before this one belong to the episode that is already paid for.
    recovery: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { bytes: INITIAL_WINDOW, slow_start_until: MAXIMUM_WINDOW, recovery: 0 }
    }
}

impl Window {
    /// The window, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many bytes have arrived.
    pub fn grow(&mut self, acknowledged: usize) {
        let growth = match self.bytes < self.slow_start_until {
            true => acknowledged,
            false => (acknowledged * MAX_DATAGRAM / self.bytes).max(1),
        };
        self.bytes = (self.bytes + growth).min(MAXIMUM_WINDOW);
    }

    /// This datagram was lost, and `next_datagram` is the next to leave: halves the window, once
    /// for all that were under way together.
    pub fn shrink(&mut self, datagram: u64, next_datagram: u64) {
        if datagram >= self.recovery {
            self.recovery = next_datagram;
            self.bytes = (self.bytes / 2).max(MINIMUM_WINDOW);
            self.slow_start_until = self.bytes;
        }
    }
}
