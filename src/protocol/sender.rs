//! Talk, the half that sends, and sends again until it is acknowledged.
//!
//! ```text
//! sequence   1  2  3  4  5  6  7  8  9          first_sequence = 1, next_unsent = 7
//!            x  *  *  .  *  *  -  -  -          . under way   * acknowledged   x lost   - waiting
//! datagram   1  2  2  3  4  4                   1 left in datagram 1, which three have overtaken
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::congestion::{MAX_DATAGRAMS, RoundTrip, Window};
use super::datagram::{MAX_DATAGRAM, Outbox};
use super::delivery::MAX_AHEAD;
use super::field::Id;
use super::message::{Body, MAX_TEXT, Message};

/// A message overtaken by so many datagrams is lost: RFC 9002 section 6.1.1.
const OVERTAKEN: u64 = 3;

/// From so many timeouts in a row on, each is followed by a probe: RFC 9002 section 6.2.4 lets two
/// datagrams go, so that one more loss does not cost another timeout.
const DESPERATE: u32 = 3;

/// What may wait behind the window before the keyboard has to.
const MAX_WAITING_BYTES: usize = 64 * 1024;

/// A person is told of a line that waits so long for its acknowledgement.
const SLOW: Duration = Duration::from_secs(2);

/// The half that sends, and sends again.
#[derive(Debug, Default)]
pub struct Sender {
    to: Id,
    from: Id,
    /// All that is not acknowledged, and some that is behind a gap: `queue[0]` has
    /// `first_sequence`.
    queue: VecDeque<Outgoing>,
    first_sequence: u64,
    /// The first that was never sent: all from here on wait.
    next_unsent: u64,
    waiting_bytes: usize,
    lost: BTreeSet<u64>,
    next_datagram: u64,
    /// Of each datagram under way, how many of its messages are.
    under_way: BTreeMap<u64, usize>,
    bytes_under_way: usize,
    highest_acknowledged: u64,
    window: Window,
    /// The estimate of the round trip.
    pub round_trip: RoundTrip,
    last_sent: Option<Instant>,
    last_progress: Option<Instant>,
    probed: bool,
    retransmissions: u64,
    /// Whether a line has waited long, and the person knows.
    is_slow: bool,
}

#[derive(Debug)]
struct Outgoing {
    line: String,
    /// A SAY: with it, a line of the person's is complete.
    ends_line: bool,
    said: Instant,
    first_sent: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting,
    UnderWay { datagram: u64, sent: Instant },
    Lost,
    Acknowledged,
}

/// What a person should know about slow lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowness {
    /// A line has waited for two seconds.
    Waiting,
    /// It has arrived.
    Arrived,
}

impl Sender {
    /// The sender of `from`'s messages to `to`.
    pub fn new(to: Id, from: Id) -> Self {
        Self { to, from, first_sequence: 1, next_unsent: 1, next_datagram: 1, ..Self::default() }
    }

    /// Takes a line to be delivered, of at most [`MAX_LINE`](super::delivery::MAX_LINE) bytes, in
    /// pieces where it is long.
    pub fn say(&mut self, line: &str, now: Instant) {
        let mut rest = line;
        while rest.len() > MAX_TEXT {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(MAX_TEXT));
            self.push(Body::Part(piece.to_owned()), now);
            rest = more;
        }
        self.push(Body::Say(rest.to_owned()), now);
    }

    /// Takes a message to be delivered: the next number is its own.
    pub fn push(&mut self, body: Body, now: Instant) {
        let ends_line = matches!(body, Body::Say(_));
        let sequence = self.first_sequence + self.queue.len() as u64;
        let Self { to, from, .. } = *self;
        let line = format!("{}\n", Message::Numbered { to, from, sequence, body });
        self.waiting_bytes += line.len();
        self.queue.push_back(Outgoing {
            line,
            ends_line,
            said: now,
            first_sent: None,
            state: State::Waiting,
        });
    }

    /// Whether so much waits already that the next line has to.
    pub fn is_full(&self) -> bool {
        let waiting = self.first_sequence + self.queue.len() as u64 - self.next_unsent;
        self.waiting_bytes >= MAX_WAITING_BYTES || waiting >= MAX_AHEAD
    }

    /// Whether all that was said has arrived.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many lines have not been acknowledged.
    pub fn unacknowledged(&self) -> usize {
        let open = |outgoing: &&Outgoing| outgoing.ends_line && outgoing.state != State::Acknowledged;
        self.queue.iter().filter(open).count()
    }

    /// How many messages were sent more than once, counted each time.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// What is under way: datagrams, bytes, and messages from the oldest to the newest.
    pub fn under_way(&self) -> (usize, usize, u64) {
        (self.under_way.len(), self.bytes_under_way, self.next_unsent - self.first_sequence)
    }

    /// Since when nothing was acknowledged although something is under way.
    pub fn stalled_since(&self) -> Option<Instant> {
        let first_sent = self.queue.front()?.first_sent?;
        Some(self.last_progress.map_or(first_sent, |progress| progress.max(first_sent)))
    }

    /// Takes in an acknowledgement. One of what was never sent is dropped.
    pub fn handle_ack(&mut self, next: u64, ranges: &[RangeInclusive<u64>], now: Instant) {
        if next > self.next_unsent || ranges.last().is_some_and(|range| *range.end() >= self.next_unsent) {
            return;
        }
        let mut acknowledged = Acknowledged::default();
        for range in [self.first_sequence..=next.saturating_sub(1)].iter().chain(ranges) {
            for sequence in (*range.start()).max(self.first_sequence)..=*range.end() {
                self.acknowledge(sequence, now, &mut acknowledged);
            }
        }
        while self.queue.front().is_some_and(|outgoing| outgoing.state == State::Acknowledged) {
            self.queue.pop_front();
            self.first_sequence += 1;
        }
        if acknowledged.bytes > 0 {
            self.note_progress(&acknowledged, now);
        }
    }

    fn acknowledge(&mut self, sequence: u64, now: Instant, acknowledged: &mut Acknowledged) {
        let outgoing = &mut self.queue[(sequence - self.first_sequence) as usize];
        let state = std::mem::replace(&mut outgoing.state, State::Acknowledged);
        let first_sent = outgoing.first_sent.unwrap_or(now);
        let bytes = outgoing.line.len();
        match state {
            State::UnderWay { datagram, sent } => {
                acknowledged.highest_datagram = acknowledged.highest_datagram.max(datagram);
                match sent == first_sent {
                    true => acknowledged.clean = acknowledged.clean.max(Some(sent)),
                    false => acknowledged.doubtful = acknowledged.doubtful.max(Some(first_sent)),
                }
                self.leave(datagram, bytes);
            }
            State::Lost => {
                self.lost.remove(&sequence);
                acknowledged.doubtful = acknowledged.doubtful.max(Some(first_sent));
            }
            State::Acknowledged | State::Waiting => return,
        }
        acknowledged.bytes += bytes;
    }

    fn note_progress(&mut self, acknowledged: &Acknowledged, now: Instant) {
        self.last_progress = Some(now);
        self.probed = false;
        self.round_trip.progress();
        if let Some(sent) = acknowledged.clean {
            self.round_trip.measure(now - sent);
        } else if let Some(first_sent) = acknowledged.doubtful {
            self.round_trip.doubt(now - first_sent);
        }
        self.window.grow(acknowledged.bytes);
        self.highest_acknowledged = self.highest_acknowledged.max(acknowledged.highest_datagram);
        self.find_lost();
    }

    /// A message in a datagram that left three before one that has arrived will not come any more.
    fn find_lost(&mut self) {
        let overtaken = |datagram: u64| datagram + OVERTAKEN <= self.highest_acknowledged;
        if !self.under_way.first_key_value().is_some_and(|(datagram, _)| overtaken(*datagram)) {
            return;
        }
        for index in 0..(self.next_unsent - self.first_sequence) as usize {
            if let State::UnderWay { datagram, .. } = self.queue[index].state
                && datagram + OVERTAKEN <= self.highest_acknowledged
            {
                self.queue[index].state = State::Lost;
                self.lost.insert(self.first_sequence + index as u64);
                self.leave(datagram, self.queue[index].line.len());
                self.window.shrink(datagram, self.next_datagram);
            }
        }
    }

    /// Something is no longer under way.
    fn leave(&mut self, datagram: u64, bytes: usize) {
        self.bytes_under_way -= bytes;
        let messages = self.under_way.get_mut(&datagram).expect("what is under way is counted");
        *messages -= 1;
        if *messages == 0 {
            self.under_way.remove(&datagram);
        }
    }

    /// Sends what may leave now: the lost first, then what has waited, packed.
    pub fn flush(&mut self, destination: SocketAddr, outbox: &mut Outbox, now: Instant) {
        let mut datagram_open = false;
        while let Some(sequence) = self.next_to_send() {
            let bytes = self.queue[(sequence - self.first_sequence) as usize].line.len();
            if !(datagram_open && outbox.has_room(destination, bytes)) {
                if !self.has_room() {
                    break;
                }
                self.next_datagram += 1;
                datagram_open = true;
            }
            self.send(sequence, destination, outbox, now);
        }
    }

    fn next_to_send(&self) -> Option<u64> {
        let end = self.first_sequence + (self.queue.len() as u64).min(MAX_AHEAD);
        self.lost.first().copied().or((self.next_unsent < end).then_some(self.next_unsent))
    }

    /// Whether a whole datagram may leave: RFC 896 spares the world many small ones.
    fn has_room(&self) -> bool {
        let fits = self.bytes_under_way + MAX_DATAGRAM <= self.window.bytes();
        self.under_way.is_empty() || (fits && self.under_way.len() < MAX_DATAGRAMS)
    }

    fn send(&mut self, sequence: u64, destination: SocketAddr, outbox: &mut Outbox, now: Instant) {
        let datagram = self.next_datagram;
        let outgoing = &mut self.queue[(sequence - self.first_sequence) as usize];
        let bytes = outgoing.line.len();
        outbox.push_line(destination, &outgoing.line);
        let state = std::mem::replace(&mut outgoing.state, State::UnderWay { datagram, sent: now });
        self.retransmissions += u64::from(outgoing.first_sent.is_some());
        outgoing.first_sent.get_or_insert(now);
        match state {
            State::Waiting => {
                self.next_unsent += 1;
                self.waiting_bytes -= bytes;
            }
            State::UnderWay { datagram, .. } => self.leave(datagram, bytes),
            State::Lost | State::Acknowledged => _ = self.lost.remove(&sequence),
        }
        *self.under_way.entry(datagram).or_default() += 1;
        self.bytes_under_way += bytes;
        self.last_sent = Some(now);
    }

    /// Sends again what nobody has acknowledged in time; harmless when early.
    pub fn handle_timeout(&mut self, destination: SocketAddr, outbox: &mut Outbox, now: Instant) {
        if self.retransmission_time().is_some_and(|when| when <= now) {
            self.retransmit_oldest(destination, outbox, now);
        } else if self.probe_time().is_some_and(|when| when <= now) {
            self.probed = true;
            let sent = self.queue.range(..(self.next_unsent - self.first_sequence) as usize);
            let last = sent.rev().position(|outgoing| matches!(outgoing.state, State::UnderWay { .. }));
            let last = self.next_unsent - 1 - last.expect("something is under way") as u64;
            self.next_datagram += 1;
            self.send(last, destination, outbox, now);
        }
    }

    /// One datagram's worth: its acknowledgement will show what else was lost.
    fn retransmit_oldest(&mut self, destination: SocketAddr, outbox: &mut Outbox, now: Instant) {
        let expiries = self.round_trip.back_off();
        self.probed = expiries < DESPERATE;
        self.next_datagram += 1;
        let mut room = MAX_DATAGRAM;
        for sequence in self.first_sequence..self.next_unsent {
            let outgoing = &self.queue[(sequence - self.first_sequence) as usize];
            let State::UnderWay { datagram, .. } = outgoing.state else {
                continue;
            };
            let Some(rest) = room.checked_sub(outgoing.line.len()) else {
                break;
            };
            room = rest;
            if expiries == 1 {
                self.window.shrink(datagram, self.next_datagram);
            }
            self.send(sequence, destination, outbox, now);
        }
    }

    /// When to send again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.retransmission_time().into_iter().chain(self.probe_time()).min()
    }

    /// RFC 6298 section 5: from when the oldest was sent, or something arrived.
    fn retransmission_time(&self) -> Option<Instant> {
        let oldest = self.queue.iter().find_map(|outgoing| match outgoing.state {
            State::UnderWay { sent, .. } => Some(sent),
            _ => None,
        });
        oldest.map(|sent| {
            self.last_progress.map_or(sent, |progress| progress.max(sent)) + self.round_trip.timeout()
        })
    }

    fn probe_time(&self) -> Option<Instant> {
        let last_sent = self.last_sent.filter(|_| !self.probed && !self.under_way.is_empty())?;
        let since = self.last_progress.map_or(last_sent, |progress| progress.max(last_sent));
        Some(since + self.round_trip.probe_timeout())
    }

    /// Tells once that a line has waited long, and once that none does any more.
    pub fn poll_slowness(&mut self, now: Instant) -> Option<Slowness> {
        let is_slow = self.oldest_line().is_some_and(|said| said + SLOW <= now);
        match (std::mem::replace(&mut self.is_slow, is_slow), is_slow) {
            (false, true) => Some(Slowness::Waiting),
            (true, false) => Some(Slowness::Arrived),
            _ => None,
        }
    }

    /// When a line will have waited long.
    pub fn slowness_time(&self) -> Option<Instant> {
        self.oldest_line().filter(|_| !self.is_slow).map(|said| said + SLOW)
    }

    fn oldest_line(&self) -> Option<Instant> {
        let is_open = |line: &&Outgoing| line.ends_line && line.state != State::Acknowledged;
        self.queue.iter().find(is_open).map(|line| line.said)
    }
}

/// What one ACK brought.
#[derive(Default)]
struct Acknowledged {
    bytes: usize,
    highest_datagram: u64,
    /// When the last of those that were sent once was sent.
    clean: Option<Instant>,
    /// When the last of the others was first sent.
    doubtful: Option<Instant>,
}
