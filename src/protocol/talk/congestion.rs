//! Talk, how fast: how long to wait for an acknowledgement, and how much may be under way.
//!
//! ```text
//! bytes under way
//! 64 datagrams |            ......        the most that an unread socket holds for us
//!              |          /\    /         congestion avoidance: one datagram more each round trip
//!              |        /   \ /           loss: half of it, once for all that was lost together
//!              |      /                   slow start: twice as much each round trip
//! 10 datagrams |____/____________________ time
//! ```
//!
//! After RFC 6298 (the timer), RFC 5681 (the window) and RFC 9002 (numbers of datagrams).

use std::time::Duration;

use crate::protocol::MAX_DATAGRAM;

/// As in RFC 9002 section 7.2.
const INITIAL_WINDOW: usize = 10 * MAX_DATAGRAM;

/// RFC 9002 section 7.2 takes 2 datagrams. A loss shows when three overtake it, and on bad lines some of
/// those are lost too: with 2 all waiting is for timeouts, with 6 ten times as much gets through at 30 %
/// loss.
const MINIMUM_WINDOW: usize = 6 * MAX_DATAGRAM;

/// Datagrams under way at most. An unread Linux socket holds about 90 full ones.
const MAX_UNDER_WAY: usize = 64;

/// RFC 6298 section 2.1: before anything is known.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// RFC 6298 section 2.4 asks for 1 s and leaves room for less; Linux has used 200 ms for decades.
const MINIMUM_TIMEOUT: Duration = Duration::from_millis(200);

/// RFC 6298 section 2.5 allows a ceiling of 60 s: too long for somebody who watches a screen.
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(5);

/// After so many expiries in a row the timeouts begin to grow, not before: on a bad line a chat must not wait
/// for seconds because a few datagrams were lost. As in Linux for thin streams (`tcp_thin_linear_timeouts`);
/// one datagram each is little.
const LINEAR_TIMEOUTS: u32 = 6;

/// A thread may be late by so much: no sign of loss.
const MINIMUM_PROBE: Duration = Duration::from_millis(10);

/// How long an acknowledgement may take: RFC 6298.
#[derive(Default)]
pub struct RoundTrip {
    pub smoothed: Option<Duration>,
    variation: Duration,
    /// The estimate comes from a PING, which may have been answered late: the next sample replaces it.
    provisional: bool,
    /// How often in a row the timeout has expired.
    expiries: u32,
    /// What the last message that was sent more than once may have taken.
    doubtful: Duration,
    /// The timeout is no shorter than this until a clean sample.
    floor: Duration,
}

impl RoundTrip {
    /// The answer to a PING: a first guess.
    pub fn seed(&mut self, sample: Duration) {
        if self.smoothed.is_none() || self.provisional {
            (self.smoothed, self.variation, self.provisional) = (Some(sample), sample / 2, true);
        }
    }

    /// Something was acknowledged that was sent once only, and so says how long it took (Karn's algorithm,
    /// RFC 6298 section 3).
    pub fn measure(&mut self, sample: Duration) {
        let known = self.smoothed.filter(|_| !self.provisional);
        self.variation = known.map_or(sample / 2, |known| (self.variation * 3 + known.abs_diff(sample)) / 4);
        self.smoothed = Some(known.map_or(sample, |known| (known * 7 + sample) / 8));
        (self.provisional, self.expiries) = (false, 0);
        (self.doubtful, self.floor) = (Duration::ZERO, Duration::ZERO);
    }

    /// Something was acknowledged that was sent more than once, for the first time `waited` ago. Nobody knows
    /// which copy was.
    pub fn doubt(&mut self, waited: Duration) {
        (self.doubtful, self.expiries) = (waited, 0);
    }

    /// Nothing new was acknowledged, so long after something was. What had been sent again may have been
    /// needless, because the path has become slower (RFC 3708 learns the same from duplicates that TCP
    /// reports), or the network has copied a datagram: a copy comes at once, and a step is no more than
    /// twice.
    pub fn regret(&mut self, after: Duration) {
        if after > MINIMUM_PROBE {
            self.floor = self.floor.max(self.doubtful.min(self.base() * 2));
        }
    }

    /// Something else was heard: they are there, so what is missing was lost, and not the way to them.
    pub fn note_heard(&mut self) {
        self.expiries = self.expiries.min(LINEAR_TIMEOUTS);
    }

    /// The timeout expired. Tells the how manieth in a row it was.
    pub fn back_off(&mut self) -> u32 {
        self.expiries = (self.expiries + 1).min(LINEAR_TIMEOUTS + 5);
        self.expiries
    }

    /// When what was sent is to be sent again: in the end twice as late each time (RFC 6298 section 5.5).
    pub fn timeout(&self) -> Duration {
        let doublings = self.expiries.saturating_sub(LINEAR_TIMEOUTS);
        (self.base() * (1 << doublings)).min(MAXIMUM_TIMEOUT)
    }

    fn base(&self) -> Duration {
        let estimate = self.smoothed.map_or(INITIAL_TIMEOUT, |smoothed| smoothed + self.variation * 4);
        estimate.max(MINIMUM_TIMEOUT).max(self.floor)
    }

    /// When silence is worth a probe: RFC 9002 section 6.2.
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed.map_or(self.timeout(), |smoothed| (smoothed * 2).max(MINIMUM_PROBE).max(self.floor))
    }
}

/// How many bytes may be under way: RFC 5681.
pub struct Window {
    pub size: usize,
    slow_start_until: usize,
    /// Losses among datagrams before this one belong to the episode that is already paid for.
    recovery: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: INITIAL_WINDOW, slow_start_until: usize::MAX, recovery: 0 }
    }
}

impl Window {
    /// Whether there is room for a whole datagram beside what is under way: no dribble of small ones (RFC
    /// 896).
    pub fn has_room(&self, datagrams: usize, bytes: usize) -> bool {
        datagrams < MAX_UNDER_WAY && bytes + MAX_DATAGRAM <= self.size
    }

    /// So many bytes have arrived.
    pub fn grow(&mut self, bytes: usize) {
        let is_slow_start = self.size < self.slow_start_until;
        self.size += if is_slow_start { bytes } else { MAX_DATAGRAM * bytes / self.size };
        self.size = self.size.min(MAX_UNDER_WAY * MAX_DATAGRAM);
    }

    /// This datagram was lost, and `next` is the next to leave: halves the window, once for all that were
    /// under way together.
    pub fn shrink(&mut self, datagram: u64, next: u64) {
        if datagram >= self.recovery {
            self.size = (self.size / 2).max(MINIMUM_WINDOW);
            (self.recovery, self.slow_start_until) = (next, self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// The timeouts that follow one another while nothing is acknowledged.
    fn timeouts(round_trip: &mut RoundTrip, count: usize) -> Vec<u128> {
        let mut expire = || {
            let timeout = round_trip.timeout().as_millis();
            round_trip.back_off();
            timeout
        };
        (0..count).map(|_| expire()).collect()
    }

    #[test]
    fn the_first_timeouts_are_of_one_length_and_then_each_is_twice_the_one_before() {
        let mut round_trip = RoundTrip::default();
        round_trip.measure(milliseconds(40));
        assert_eq!(timeouts(&mut round_trip, 13)[..7], [200; 7]);
        let mut round_trip = RoundTrip::default();
        round_trip.measure(milliseconds(40));
        assert_eq!(timeouts(&mut round_trip, 13)[6..], [200, 400, 800, 1600, 3200, 5000, 5000]);
        round_trip.note_heard();
        assert_eq!(round_trip.timeout(), milliseconds(200), "they are there");
        assert_eq!(timeouts(&mut round_trip, 3), [200, 400, 800]);
        round_trip.doubt(milliseconds(9000));
        assert_eq!(timeouts(&mut round_trip, 7), [200; 7], "something was acknowledged");
    }

    #[test]
    fn a_ping_is_a_first_guess_and_a_clean_sample_replaces_it() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout(), milliseconds(1000));
        round_trip.seed(milliseconds(400));
        assert_eq!(
            (round_trip.timeout(), round_trip.probe_timeout()),
            (milliseconds(1200), milliseconds(800))
        );
        round_trip.measure(milliseconds(40));
        assert_eq!(round_trip.smoothed, Some(milliseconds(40)));
        round_trip.seed(milliseconds(400));
        round_trip.measure(milliseconds(120));
        assert_eq!(
            round_trip.smoothed,
            Some(milliseconds(50)),
            "RFC 6298 section 2.3: an eighth of the difference"
        );
    }

    #[test]
    fn a_needless_copy_lengthens_the_timeout_until_a_clean_sample() {
        let mut round_trip = RoundTrip::default();
        round_trip.measure(milliseconds(40));
        round_trip.doubt(milliseconds(3000));
        assert_eq!(round_trip.timeout(), milliseconds(200), "either copy may have arrived");
        round_trip.regret(MINIMUM_PROBE);
        assert_eq!(round_trip.timeout(), milliseconds(200), "the network may copy a datagram");
        for timeout in [400, 800, 1600, 3000, 3000].map(milliseconds) {
            round_trip.regret(milliseconds(80));
            assert_eq!((round_trip.timeout(), round_trip.probe_timeout()), (timeout, timeout));
        }
        round_trip.measure(milliseconds(40));
        assert_eq!(round_trip.timeout(), milliseconds(200));
    }

    #[test]
    fn the_window_opens_twice_as_wide_then_by_a_datagram_and_is_halved_once_an_episode() {
        let mut window = Window::default();
        window.grow(10 * MAX_DATAGRAM);
        assert_eq!(window.size, 20 * MAX_DATAGRAM);
        window.shrink(7, 30);
        window.shrink(29, 31);
        assert_eq!(window.size, 10 * MAX_DATAGRAM, "one episode");
        (0..10).for_each(|_| window.grow(MAX_DATAGRAM));
        assert!((10 * MAX_DATAGRAM..=11 * MAX_DATAGRAM).contains(&window.size), "{}", window.size);
        window.shrink(31, 40);
        window.shrink(41, 50);
        assert_eq!(window.size, MINIMUM_WINDOW);
        assert!(window.has_room(0, 5 * MAX_DATAGRAM) && !window.has_room(0, 5 * MAX_DATAGRAM + 1));
        (0..1000).for_each(|_| window.grow(64 * MAX_DATAGRAM));
        assert!(window.has_room(63, 63 * MAX_DATAGRAM) && !window.has_room(64, 0));
    }
}
