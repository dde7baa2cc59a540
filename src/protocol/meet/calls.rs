//! Meet without a tracker: calls to addresses that a person gave, and calls to the whole LAN.
//!
//! ```text
//! alice  PING lobby <alice> alice                ->          "anyone of this room here?"
//!        PONG <alice> <bob> bob                  <-          one datagram: "I am",
//!        PING <alice> <bob> bob                  <-          "and do you hear me?"
//!        PONG <bob> <alice> alice                ->          now both know
//! ```

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::protocol::{Event, Id, Message, Name, Output, Reason, Who};

/// The ports that peers on one machine share out among themselves, and that a LAN is called on.
pub const PORTS: std::ops::RangeInclusive<u16> = 50001..=50010;

/// Everyone on this network, and everyone on this machine, which the first does not reach while it is on no
/// network.
const EVERYONE: [Ipv4Addr; 2] = [Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST];

const CALL_INTERVAL: Duration = Duration::from_secs(1);
const LAN_INTERVAL: Duration = Duration::from_secs(2);

/// A person is told of a call that nobody has answered for so long.
const NOBODY_ANSWERS: Duration = Duration::from_secs(3);

/// Strangers that are remembered, to be known again when they answer.
const MAX_STRANGERS: usize = 64;

/// The calls of one peer, and those who have called it.
pub struct Calls {
    call: Message,
    calls: Vec<Call>,
    started: Instant,
    next_lan_call: Option<Instant>,
    strangers: VecDeque<Who>,
}

struct Call {
    endpoint: SocketAddr,
    since: Instant,
    next: Instant,
    /// Whether the person knows that nobody has answered.
    told: bool,
}

impl Calls {
    /// Calls for `room` in the name of `us`: these endpoints, and on a LAN everyone near.
    pub fn new(us: Who, room: Name, is_lan: bool, endpoints: &[SocketAddr], now: Instant) -> Self {
        let call = Message::Ping { to: room, from: us };
        let next_lan_call = is_lan.then_some(now);
        let (calls, strangers) = (Vec::new(), VecDeque::new());
        let mut calls = Self { call, calls, started: now, next_lan_call, strangers };
        endpoints.iter().for_each(|endpoint| calls.add(*endpoint, now));
        calls
    }

    /// Calls this endpoint until it answers.
    pub fn add(&mut self, endpoint: SocketAddr, now: Instant) {
        if self.calls.iter().all(|call| call.endpoint != endpoint) {
            self.calls.push(Call { endpoint, since: now, next: now, told: false });
        }
    }

    /// Somebody has answered from here: the call has done its work.
    pub fn answered(&mut self, endpoint: SocketAddr) {
        self.calls.retain(|call| call.endpoint != endpoint);
    }

    /// Remembers a stranger who has called.
    pub fn remember(&mut self, who: Who) {
        self.strangers.retain(|known| known.id != who.id);
        self.strangers.push_front(who);
        self.strangers.truncate(MAX_STRANGERS);
    }

    /// A stranger who has called before.
    pub fn stranger(&self, id: Id) -> Option<Who> {
        self.strangers.iter().find(|known| known.id == id).copied()
    }

    /// Calls whom it is time to call.
    pub fn run(&mut self, out: &mut Output) {
        for call in &mut self.calls {
            let again = (call.next > call.since).then_some(Reason::NoAnswer(out.now - call.since));
            if out.is_due_again(&mut call.next, CALL_INTERVAL) {
                out.send(call.endpoint, &self.call, again);
            }
            if !call.told && out.is_due(call.since + NOBODY_ANSWERS) {
                call.told = true;
                out.tell(Event::NobodyAnswers(call.endpoint));
            }
        }
        let is_first = self.next_lan_call == Some(self.started);
        if self.next_lan_call.as_mut().is_some_and(|next| out.is_due_again(next, LAN_INTERVAL)) {
            let again = (!is_first).then_some(Reason::Again("for whoever has come since"));
            for address in EVERYONE {
                PORTS.for_each(|port| out.send((address, port).into(), &self.call, again));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: &str = "203.0.113.7:50001";

    fn at(endpoint: &str) -> SocketAddr {
        endpoint.parse().expect("an endpoint")
    }

    fn who(id: u64, name: &str) -> Who {
        Who { id: Id(id), name: name.parse().expect("a name") }
    }

    /// Alice's calls, and a clock.
    struct Bench {
        calls: Calls,
        out: Output,
        start: Instant,
        /// Of all calls, one by one.
        reasons: Vec<Option<Reason>>,
    }

    impl Bench {
        fn new(is_lan: bool, endpoints: &[SocketAddr]) -> Self {
            let start = Instant::now();
            let lobby = "lobby".parse().expect("a name");
            let calls = Calls::new(who(0xa1, "alice"), lobby, is_lan, endpoints, start);
            Self { calls, out: Output::new(start), start, reasons: Vec::new() }
        }

        /// Whom it calls until then, and when, in milliseconds.
        fn run_until(&mut self, milliseconds: u64) -> Vec<(u128, SocketAddr)> {
            let end = self.start + Duration::from_millis(milliseconds);
            let mut called = Vec::new();
            while let Some(next) = self.out.wake.filter(|next| *next <= end) {
                self.out.begin(next.max(self.out.now));
                self.calls.run(&mut self.out);
                let time = (self.out.now - self.start).as_millis();
                for sent in self.out.transmits.drain(..) {
                    assert_eq!(sent.datagram, b"PING lobby 00000000000000a1 alice\n");
                    called.push((time, sent.destination));
                    self.reasons.push(sent.reasons.first().map(|(_, reason)| *reason));
                }
            }
            self.out.now = end;
            called
        }
    }

    #[test]
    fn an_endpoint_is_called_every_second_until_it_answers() {
        let mut bench = Bench::new(false, &[at(BOB), at("203.0.113.8:50001")]);
        bench.calls.answered(at("203.0.113.8:50001"));
        bench.calls.add(at(BOB), bench.start); // no second call
        assert_eq!(bench.run_until(2999), [(0, at(BOB)), (1000, at(BOB)), (2000, at(BOB))]);
        bench.calls.answered(at(BOB));
        assert_eq!(bench.run_until(10_000), []);
        assert_eq!(bench.out.events, []);
    }

    #[test]
    fn that_nobody_answers_is_told_once_after_three_seconds() {
        let mut bench = Bench::new(false, &[at(BOB)]);
        bench.run_until(2999);
        assert_eq!(bench.out.events, []);
        bench.run_until(3000);
        assert_eq!(bench.out.events, [Event::NobodyAnswers(at(BOB))]);
        assert_eq!(bench.run_until(60_000).len(), 57, "it goes on calling");
        assert_eq!(bench.out.events.len(), 1);
    }

    #[test]
    fn a_lan_is_called_every_two_seconds_at_ten_ports_here_and_everywhere() {
        let hosts = ["255.255.255.255", "127.0.0.1"];
        let everyone = hosts.into_iter().flat_map(|host| (50001..=50010).map(move |port| (host, port)));
        let everyone: Vec<SocketAddr> = everyone.map(|(host, port)| at(&format!("{host}:{port}"))).collect();
        let mut bench = Bench::new(true, &[]);
        for time in [0, 2000, 4000] {
            let called: Vec<_> = everyone.iter().map(|endpoint| (u128::from(time), *endpoint)).collect();
            assert_eq!(bench.run_until(time + 1999), called);
        }
        assert_eq!(bench.out.events, [], "nobody is missed");
    }

    #[test]
    fn the_last_64_strangers_are_remembered() {
        let mut bench = Bench::new(false, &[]);
        (1..=64).for_each(|id| bench.calls.remember(who(id, "bob")));
        bench.calls.remember(who(64, "bobby")); // again: no other has to go
        assert_eq!(bench.calls.stranger(Id(64)), Some(who(64, "bobby")));
        assert!(bench.calls.stranger(Id(1)).is_some());
        bench.calls.remember(who(65, "carol"));
        assert!(bench.calls.stranger(Id(1)).is_none(), "the oldest");
        assert!((2..=65).all(|id| bench.calls.stranger(Id(id)).is_some()));
    }

    #[test]
    fn every_call_but_the_first_tells_why() {
        let mut bench = Bench::new(false, &[]);
        bench.run_until(500);
        bench.calls.add(at(BOB), bench.out.now);
        bench.out.wake = Some(bench.out.now);
        bench.run_until(2500);
        let no_answer = |seconds| Some(Reason::NoAnswer(Duration::from_secs(seconds)));
        assert_eq!(bench.reasons, [None, no_answer(1), no_answer(2)]);
        let mut bench = Bench::new(true, &[]);
        bench.run_until(4000);
        let again = Some(Reason::Again("for whoever has come since"));
        assert_eq!(bench.reasons, [[None; 20], [again; 20], [again; 20]].concat());
    }
}
