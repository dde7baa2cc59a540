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

use crate::protocol::{Event, Id, Message, Name, Output, Who};

/// The ports that peers on one machine share out among themselves, and that a LAN is called on.
pub const PORTS: std::ops::RangeInclusive<u16> = 50001..=50010;

/// Everyone on this network, and everyone on this machine, which the first does not reach while it is on no network.
const EVERYONE: [Ipv4Addr; 2] = [Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST];

const CALL_INTERVAL: Duration = Duration::from_secs(1);
const LAN_INTERVAL: Duration = Duration::from_secs(2);

/// A person is told of a call that nobody has answered for so long.
const UNANSWERED: Duration = Duration::from_secs(3);

/// Strangers that are remembered, to be known again when they answer.
const MAX_STRANGERS: usize = 64;

/// The calls of one peer, and those who have called it.
pub struct Calls {
    call: Message,
    calls: Vec<Call>,
    next_lan_call: Option<Instant>,
    strangers: VecDeque<Who>,
}

struct Call {
    endpoint: SocketAddr,
    next: Instant,
    /// When to tell that nobody has answered; `None` once that is told.
    tell: Option<Instant>,
}

impl Calls {
    /// Calls for `room` in the name of `us`: these endpoints, and on a LAN everyone near.
    pub fn new(us: Who, room: Name, is_lan: bool, endpoints: &[SocketAddr], now: Instant) -> Self {
        let call = Message::Ping { to: room, from: us };
        let next_lan_call = is_lan.then_some(now);
        let mut calls = Self { call, calls: Vec::new(), next_lan_call, strangers: VecDeque::new() };
        endpoints.iter().for_each(|endpoint| calls.add(*endpoint, now));
        calls
    }

    /// Calls this endpoint until it answers.
    pub fn add(&mut self, endpoint: SocketAddr, now: Instant) {
        if self.calls.iter().all(|call| call.endpoint != endpoint) {
            self.calls.push(Call { endpoint, next: now, tell: Some(now + UNANSWERED) });
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
            if out.is_due_again(&mut call.next, CALL_INTERVAL) {
                out.send(call.endpoint, &self.call);
            }
            if call.tell.take_if(|when| out.is_due(*when)).is_some() {
                out.tell(Event::NobodyAnswers(call.endpoint));
            }
        }
        if self.next_lan_call.as_mut().is_some_and(|next| out.is_due_again(next, LAN_INTERVAL)) {
            for address in EVERYONE {
                PORTS.for_each(|port| out.send((address, port).into(), &self.call));
            }
        }
    }
}
