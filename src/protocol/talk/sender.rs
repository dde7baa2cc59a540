//! Talk, the half that sends, and sends again until it is acknowledged.
//!
//! ```text
//! number     1  2  3  4  5  6  7  8  9          first = 1, sent = 6
//!            -  *  *  .  *  *  -  -  -          . under way   * acknowledged   - to be sent
//! datagram      2  2  3  4  4                   1 left in datagram 1, which three have overtaken
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::congestion::{RoundTrip, Window};
use super::receiver::MAX_AHEAD;
use crate::protocol::{Body, Id, MAX_DATAGRAM, MAX_TEXT, Message, Output, Range, Reason};

/// A message overtaken by so many datagrams is lost: RFC 9002 section 6.1.1.
const OVERTAKEN: u64 = 3;

/// From so many timeouts in a row on, each is followed by a probe: RFC 9002 section 6.2.4 lets two datagrams
/// go, so that one more loss does not cost another timeout.
const DESPERATE: u32 = 3;

/// A person is told of a line that waits so long for its acknowledgement.
const SLOW: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Sender {
    to: Id,
    from: Id,
    /// All that is not acknowledged, and some that is behind a gap: `queue[0]` has the number `first`.
    queue: VecDeque<Outgoing>,
    first: u64,
    /// So many of the queue were sent, once at least.
    sent: usize,
    /// The next to be sent, or sent again, is not before this one.
    cursor: usize,
    /// Of each datagram under way, by number, how many of its messages are.
    under_way: BTreeMap<u64, usize>,
    pub bytes_under_way: usize,
    /// The number of the last one that was sent.
    last_datagram: u64,
    /// The numbers of those that have arrived, from the oldest one under way on.
    arrived: BTreeSet<u64>,
    /// One datagram may leave although the window is full.
    urgent: bool,
    probed: bool,
    last_sent: Option<Instant>,
    last_progress: Option<Instant>,
    pub window: Window,
    pub round_trip: RoundTrip,
}

struct Outgoing {
    line: String,
    /// A SAY: with it, a line of the person's is complete.
    ends_line: bool,
    said: Instant,
    /// When it left, for the last and for the first time.
    sent: Option<(Instant, Instant)>,
    /// Why it is to be sent again.
    reason: Option<Reason>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    ToBeSent,
    UnderWay { datagram: u64 },
    Acknowledged,
}

impl Sender {
    pub fn new(to: Id, from: Id) -> Self {
        Self { to, from, first: 1, ..Self::default() }
    }

    /// Takes a line of at most [`MAX_LINE`](super::receiver::MAX_LINE) bytes, in pieces where it is long.
    pub fn say(&mut self, line: &str, now: Instant) {
        let mut rest = line;
        while rest.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0);
            self.push(Body::Part(rest[..end].to_owned()), now);
            rest = &rest[end..];
        }
        self.push(Body::Say(rest.to_owned()), now);
    }

    /// Takes a message; the next number is its own.
    pub fn push(&mut self, body: Body, now: Instant) {
        let ends_line = matches!(body, Body::Say(_));
        let sequence = self.first + self.queue.len() as u64;
        let line = format!("{}\n", Message::Numbered { to: self.to, from: self.from, sequence, body });
        let state = State::ToBeSent;
        self.queue.push_back(Outgoing { line, ends_line, said: now, sent: None, reason: None, state });
    }

    /// Whether as much waits behind the window as may fly in it, so that the keyboard has to wait.
    pub fn is_full(&self) -> bool {
        self.queue.len() - self.sent >= MAX_AHEAD
    }

    /// Whether all that was said has arrived.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// The lines that have not been acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.open_lines().count()
    }

    /// When the oldest line has waited for long.
    pub fn slow_time(&self) -> Option<Instant> {
        self.open_lines().next().map(|outgoing| outgoing.said + SLOW)
    }

    fn open_lines(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter().filter(|outgoing| outgoing.ends_line && outgoing.state != State::Acknowledged)
    }

    /// Since when nothing was acknowledged although something is under way.
    pub fn stalled_since(&self) -> Option<Instant> {
        let (_, first) = self.queue.front()?.sent?;
        self.last_progress.max(Some(first))
    }

    /// Takes in an acknowledgement. One of what was never sent is dropped. Tells where it is of no use.
    pub fn handle_ack(&mut self, next: u64, ranges: &[Range], now: Instant) -> Option<Reason> {
        let end = self.first + self.sent as u64;
        if next > end || ranges.last().is_some_and(|range| *range.end() >= end) {
            return Some(Reason::Ignored("never sent"));
        }
        let bytes = self.bytes_under_way;
        // The one that left last; of those that left together, one that had not left before, if there is one.
        let mut newest = None;
        for range in [self.first..=next.saturating_sub(1)].iter().chain(ranges) {
            for sequence in self.first.max(*range.start())..=*range.end() {
                newest = newest.max(self.acknowledge((sequence - self.first) as usize));
            }
        }
        while self.queue.front().is_some_and(|outgoing| outgoing.state == State::Acknowledged) {
            self.queue.pop_front();
            (self.first, self.sent) = (self.first + 1, self.sent - 1);
            self.cursor = self.cursor.saturating_sub(1);
        }
        match newest {
            Some((last, first)) if last == first => self.round_trip.measure(now - first),
            Some((_, first)) => self.round_trip.doubt(now - first),
            None => {
                self.round_trip.regret(self.last_progress.map_or(Duration::ZERO, |when| now - when));
                return Some(Reason::NothingNew);
            }
        }
        (self.last_progress, self.probed) = (Some(now), false);
        self.window.grow(bytes - self.bytes_under_way);
        self.find_lost();
        None
    }

    /// Tells when the message was sent; `None` where it was acknowledged before.
    fn acknowledge(&mut self, index: usize) -> Option<(Instant, Instant)> {
        let outgoing = &mut self.queue[index];
        let sent = outgoing.sent.expect("nobody can acknowledge what was never sent");
        match std::mem::replace(&mut outgoing.state, State::Acknowledged) {
            State::UnderWay { datagram } => {
                self.arrived.insert(datagram);
                self.land(index, datagram);
            }
            State::ToBeSent => {}
            State::Acknowledged => return None,
        }
        Some(sent)
    }

    /// A message in a datagram that left three before one that has arrived will not come any more.
    fn find_lost(&mut self) {
        let highest = self.arrived.last().copied().unwrap_or(0);
        for index in 0..self.sent {
            let State::UnderWay { datagram } = self.queue[index].state else { continue };
            if datagram + OVERTAKEN <= highest {
                self.send_again(index, Reason::Overtaken(self.arrived.range(datagram + 1..).count()));
                self.window.shrink(datagram, self.last_datagram + 1);
            }
        }
        let oldest = self.under_way.keys().next().map_or(highest, |oldest| highest.min(*oldest));
        self.arrived = self.arrived.split_off(&oldest);
    }

    fn send_again(&mut self, index: usize, reason: Reason) {
        if let State::UnderWay { datagram } = self.queue[index].state {
            self.land(index, datagram);
            (self.queue[index].state, self.queue[index].reason) = (State::ToBeSent, Some(reason));
            self.cursor = self.cursor.min(index);
        }
    }

    /// A message is no longer under way in this datagram.
    fn land(&mut self, index: usize, datagram: u64) {
        self.bytes_under_way -= self.queue[index].line.len();
        let messages = self.under_way.get_mut(&datagram).expect("what is under way is counted");
        *messages -= 1;
        if *messages == 0 {
            self.under_way.remove(&datagram);
        }
    }

    /// Sends what is to be sent: again what nobody has acknowledged in time, then what has waited.
    pub fn run(&mut self, destination: SocketAddr, out: &mut Output) {
        let is_due = |when: Option<Instant>| when.is_some_and(|when| when <= out.now);
        if is_due(self.retransmission_time()) {
            self.retransmit_oldest(out.now);
        } else if is_due(self.probe_time()) {
            let is_under_way = |index: &usize| matches!(self.queue[*index].state, State::UnderWay { .. });
            let last = (0..self.sent).rev().find(is_under_way).expect("something is under way");
            let since = self.queue[last].sent.map(|(_, first)| first).max(self.last_progress);
            self.send_again(last, Reason::Probe(since.map_or(Duration::ZERO, |since| out.now - since)));
            (self.probed, self.urgent) = (true, true);
        }
        self.flush(destination, out);
        out.wake_at(self.retransmission_time());
        out.wake_at(self.probe_time());
    }

    /// One datagram's worth: its acknowledgement will show what else was lost.
    fn retransmit_oldest(&mut self, now: Instant) {
        let expiries = self.round_trip.back_off();
        (self.probed, self.urgent) = (expiries < DESPERATE, true);
        let mut bytes = 0;
        for index in 0..self.sent {
            let State::UnderWay { datagram } = self.queue[index].state else { continue };
            bytes += self.queue[index].line.len();
            if bytes > MAX_DATAGRAM {
                break;
            }
            if expiries == 1 {
                self.window.shrink(datagram, self.last_datagram + 1);
            }
            let waited = self.queue[index].sent.map_or(Duration::ZERO, |(_, first)| now - first);
            self.send_again(index, Reason::NoAnswer(waited));
        }
    }

    /// Messages share a datagram while they fit; a new one is opened while the window has room.
    fn flush(&mut self, destination: SocketAddr, out: &mut Output) {
        let mut is_open = false;
        while let Some(index) = self.next_to_send() {
            let bytes = self.queue[index].line.len();
            if !is_open || out.open_datagram(destination, bytes).is_none() {
                if !self.window.has_room(self.under_way.len(), self.bytes_under_way) && !self.urgent {
                    break;
                }
                (is_open, self.urgent) = (true, false);
                self.last_datagram += 1;
            }
            let outgoing = &mut self.queue[index];
            out.send_line(destination, &outgoing.line, outgoing.reason.take());
            outgoing.sent.get_or_insert((out.now, out.now)).0 = out.now;
            outgoing.state = State::UnderWay { datagram: self.last_datagram };
            *self.under_way.entry(self.last_datagram).or_default() += 1;
            self.bytes_under_way += bytes;
            self.last_sent = Some(out.now);
            self.sent = self.sent.max(index + 1);
        }
    }

    fn next_to_send(&mut self) -> Option<usize> {
        let end = self.queue.len().min(MAX_AHEAD);
        self.cursor = (self.cursor..end).find(|at| self.queue[*at].state == State::ToBeSent).unwrap_or(end);
        (self.cursor < end).then_some(self.cursor)
    }

    /// RFC 6298 section 5: from when the oldest was sent, or something arrived.
    fn retransmission_time(&self) -> Option<Instant> {
        let is_under_way = |outgoing: &&Outgoing| matches!(outgoing.state, State::UnderWay { .. });
        let (last, _) = self.queue.iter().find(is_under_way)?.sent?;
        Some(self.last_progress.max(Some(last))? + self.round_trip.timeout())
    }

    /// RFC 9002 section 6.2: from when the last one was sent, or something arrived; once for each silence.
    fn probe_time(&self) -> Option<Instant> {
        let last_sent = self.last_sent.filter(|_| !self.probed && !self.under_way.is_empty())?;
        Some(self.last_progress.max(Some(last_sent))? + self.round_trip.probe_timeout())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender and a clock. What leaves is noted as the numbers in each datagram.
    struct Bench {
        sender: Sender,
        out: Output,
        start: Instant,
        /// The numbers of those that had a reason, and it.
        reasons: Vec<(u64, Reason)>,
    }

    impl Bench {
        /// A round trip takes 40 ms, so a timeout 200 ms and a probe 80 ms.
        fn new() -> Self {
            let start = Instant::now();
            let mut sender = Sender::new(Id(0xb0), Id(0xa1));
            sender.round_trip.measure(Duration::from_millis(40));
            sender.round_trip.measure(Duration::from_millis(40));
            Self { sender, out: Output::new(start), start, reasons: Vec::new() }
        }

        /// Says lines of so many bytes, each by itself.
        fn say(&mut self, lines: usize, bytes: usize) -> Vec<Vec<u64>> {
            (0..lines)
                .flat_map(|_| {
                    self.sender.say(&"x".repeat(bytes), self.out.now);
                    self.turn(self.out.now)
                })
                .collect()
        }

        fn turn(&mut self, now: Instant) -> Vec<Vec<u64>> {
            self.out.begin(now);
            self.sender.run(SocketAddr::from(([192, 0, 2, 2], 50001)), &mut self.out);
            let numbers = |datagram: Vec<u8>| -> Vec<u64> {
                let lines = String::from_utf8(datagram).expect("we write UTF-8");
                lines
                    .lines()
                    .map(|line| line.split(' ').nth(3).and_then(|n| n.parse().ok()).expect("a number"))
                    .collect()
            };
            let left = self.out.transmits.drain(..).map(|transmit| {
                let numbers = numbers(transmit.datagram);
                self.reasons
                    .extend(transmit.reasons.iter().map(|(index, reason)| (numbers[*index], *reason)));
                numbers
            });
            left.collect()
        }

        /// What leaves until then, and when, in milliseconds.
        fn run_until(&mut self, milliseconds: u64) -> Vec<(u128, Vec<u64>)> {
            let end = self.start + Duration::from_millis(milliseconds);
            let mut left = Vec::new();
            while let Some(next) = self.out.wake.filter(|next| *next <= end) {
                let datagrams = self.turn(next.max(self.out.now));
                let time = (self.out.now - self.start).as_millis();
                left.extend(datagrams.into_iter().map(|numbers| (time, numbers)));
            }
            self.out.now = end;
            left
        }

        fn acknowledge(&mut self, next: u64, ranges: &[Range]) -> Vec<Vec<u64>> {
            self.sender.handle_ack(next, ranges, self.out.now);
            self.turn(self.out.now)
        }
    }

    #[test]
    fn a_message_that_three_datagrams_have_overtaken_is_sent_again_at_once() {
        let mut bench = Bench::new();
        assert_eq!(bench.say(5, 10), [[1], [2], [3], [4], [5]]);
        bench.run_until(40);
        assert!(bench.acknowledge(1, &[2..=3]).is_empty(), "by two only");
        assert_eq!(bench.acknowledge(1, &[2..=4]), [[1]]);
        assert!(bench.acknowledge(1, &[2..=5]).is_empty(), "once");
    }

    #[test]
    fn a_silence_brings_one_probe_of_the_last_and_a_timeout_one_datagram_of_the_oldest() {
        let mut bench = Bench::new();
        bench.say(3, 1000);
        assert_eq!(bench.run_until(300), [(80, vec![3]), (200, vec![1])]);
        assert_eq!(bench.run_until(500), [(400, vec![1])]);
    }

    #[test]
    fn from_the_third_timeout_in_a_row_on_each_is_followed_by_a_probe() {
        let mut bench = Bench::new();
        bench.say(1, 10);
        let times: Vec<u128> = bench.run_until(1000).into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, [0, 80, 280, 480, 680, 760, 960][1..]);
    }

    #[test]
    fn one_loss_episode_halves_the_window_once_even_where_the_last_datagram_is_lost() {
        let mut bench = Bench::new();
        let window = |bench: &Bench| {
            let has_room =
                |datagrams: &usize| bench.sender.window.has_room(0, (datagrams - 1) * MAX_DATAGRAM);
            (1..=64).rev().find(has_room).expect("there is always room for one")
        };
        bench.say(100, MAX_TEXT);
        bench.run_until(40);
        let flying = bench.acknowledge(11, &[]).concat();
        let (first, last) = (flying[0], flying[flying.len() - 1]);
        assert_eq!((first, window(&bench)), (11, 19), "slow start");
        bench.run_until(60);
        let flying = bench.acknowledge(11, &[12..=last - 1]).concat();
        assert_eq!(
            (flying[0], window(&bench)),
            (11, 9 + 9),
            "one is lost; arriving, the others have made room"
        );
        bench.run_until(100);
        let newest = flying[flying.len() - 1];
        let again = bench.acknowledge(last, &[last + 1..=newest]).concat();
        assert_eq!(again[0], last, "and so is the last of those that flew together");
        assert!(window(&bench) >= 18, "it is paid for: {}", window(&bench));
    }

    #[test]
    fn what_flies_is_bounded_in_datagrams_bytes_and_numbers() {
        for (bytes, datagrams, numbers) in [(1100, 64, 64), (300, 64, 192), (1, 40, MAX_AHEAD)] {
            let mut bench = Bench::new();
            let (mut flying, mut time) = (bench.say(3000, bytes), 0);
            for _ in 0..20 {
                time += 40;
                bench.run_until(time);
                let next = flying.concat().into_iter().max().map_or(1, |last| last + 1);
                flying = bench.acknowledge(next, &[]);
                assert!(flying.len() <= 64 && flying.concat().len() <= MAX_AHEAD, "{}", flying.len());
                bench.say(1000, bytes);
            }
            let (most, all) = (flying.len(), flying.concat().len());
            assert!(most <= datagrams && most * 11 >= datagrams * 10, "{bytes} bytes: {most} datagrams");
            assert!(all <= numbers && all * 11 >= numbers * 10, "{bytes} bytes: {all} messages");
        }
    }

    #[test]
    fn what_waits_leaves_packed_when_a_whole_datagram_fits() {
        let mut bench = Bench::new();
        let alone = bench.say(100, 10);
        assert!(alone.len() == 64 && alone.iter().all(|numbers| numbers.len() == 1), "{alone:?}");
        bench.run_until(40);
        let packed = bench.acknowledge(65, &[]);
        assert_eq!(packed.iter().map(Vec::len).sum::<usize>(), 36);
        assert_eq!(packed.len(), 2, "1,200 bytes hold 22 of these");
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_dropped_as_a_whole() {
        let mut bench = Bench::new();
        bench.say(2, 10);
        for (next, ranges) in [(4, vec![]), (2, vec![3..=3]), (u64::MAX >> 1, vec![])] {
            bench.acknowledge(next, &ranges);
            assert_eq!(bench.sender.unacknowledged(), 2);
        }
        bench.acknowledge(3, &[]);
        assert!(bench.sender.is_done());
        bench.acknowledge(0, &[]); // long out of date
    }

    #[test]
    fn a_long_line_goes_in_pieces_that_end_between_characters() {
        let mut sender = Sender::new(Id(0xb0), Id(0xa1));
        sender.say(&"\u{6f22}".repeat(1000), Instant::now());
        let pieces: Vec<Message> =
            sender.queue.iter().map(|piece| piece.line.trim_end().parse().expect("well formed")).collect();
        let text: String = pieces
            .iter()
            .map(|piece| match piece {
                Message::Numbered { body: Body::Say(text) | Body::Part(text), .. } => text.as_str(),
                _ => panic!("{piece} is no piece"),
            })
            .collect();
        assert_eq!(text, "\u{6f22}".repeat(1000));
        assert!(sender.queue.iter().all(|piece| piece.line.len() <= MAX_DATAGRAM));
        assert_eq!(sender.unacknowledged(), 1);
    }

    #[test]
    fn a_copied_acknowledgement_after_an_outage_makes_nobody_wait() {
        let mut bench = Bench::new();
        bench.say(1, 10);
        bench.run_until(8000);
        bench.acknowledge(2, &[]);
        bench.acknowledge(2, &[]);
        bench.say(1, 10);
        assert_eq!(bench.run_until(8300), [(8080, vec![2]), (8280, vec![2])]);
    }

    #[test]
    fn what_is_sent_for_the_first_time_needs_no_reason_and_what_nobody_has_answered_tells_for_how_long() {
        let mut bench = Bench::new();
        bench.say(3, 1000);
        assert_eq!(bench.reasons, []);
        bench.run_until(400);
        let [probe, first, second] = [80, 200, 400].map(Duration::from_millis);
        let [first, second] = [first, second].map(|time| (1, Reason::NoAnswer(time)));
        assert_eq!(bench.reasons, [(3, Reason::Probe(probe)), first, second]);
    }

    #[test]
    fn an_overtaken_message_tells_by_how_many_that_have_arrived() {
        for (arrived, count) in [(vec![2..=4], 3), (vec![2..=2, 4..=4], 2), (vec![4..=4], 1)] {
            let mut bench = Bench::new();
            bench.say(5, 10);
            bench.acknowledge(1, &arrived);
            assert_eq!(bench.reasons, [(1, Reason::Overtaken(count))]);
        }
    }

    #[test]
    fn among_new_ones_in_its_datagram_each_that_is_sent_again_keeps_its_reason() {
        let mut bench = Bench::new();
        bench.say(100, 10);
        let packed = bench.acknowledge(1, &[2..=2, 4..=64]);
        assert_eq!(packed[0][..4], [1, 3, 65, 66]);
        assert_eq!(bench.reasons, [(1, Reason::Overtaken(62)), (3, Reason::Overtaken(61))]);
    }

    #[test]
    fn an_acknowledgement_of_no_use_tells_why() {
        let mut bench = Bench::new();
        bench.say(2, 10);
        let (nothing_new, never_sent) = (Some(Reason::NothingNew), Some(Reason::Ignored("never sent")));
        for (next, ranges, reason) in [
            (1, vec![], nothing_new),
            (4, vec![], never_sent),
            (2, vec![3..=3], never_sent),
            (1, vec![2..=2], None),
            (1, vec![2..=2], nothing_new),
            (3, vec![], None),
            (3, vec![], nothing_new),
            (0, vec![], nothing_new),
        ] {
            assert_eq!(bench.sender.handle_ack(next, &ranges, bench.out.now), reason, "{next} {ranges:?}");
        }
    }

    #[test]
    fn a_datagram_that_was_given_up_is_not_one_that_has_arrived() {
        let mut bench = Bench::new();
        bench.say(3, 1000); // datagrams 1 to 3
        bench.run_until(450); // a probe of 3 and two timeouts of 1: datagrams 4 to 6
        bench.say(1, 10); // datagram 7, the only one that arrives
        bench.reasons.clear();
        bench.acknowledge(1, &[4..=4]);
        assert_eq!(bench.reasons[0], (2, Reason::Overtaken(1)));
    }
}
