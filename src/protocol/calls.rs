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

use super::datagram::Outbox;
use super::field::{Id, Name};
use super::message::Message;

/// The ports that peers on one machine share out among themselves, and that a LAN is called on.
pub const PORTS: std::ops::RangeInclusive<u16> = 50001..=50010;

/// Everyone on this network, and everyone on this machine, which the first does not reach while it
/// is on no network.
const EVERYONE: [Ipv4Addr; 2] = [Ipv4Addr::BROADCAST, Ipv4Addr::new(127, 255, 255, 255)];

const CALL_INTERVAL: Duration = Duration::from_secs(1);
const LAN_INTERVAL: Duration = Duration::from_secs(2);

/// A person is told of a call that nobody has answered for so long.
const UNANSWERED: Duration = Duration::from_secs(3);

/// Strangers that are remembered, to be known again when they answer.
const MAX_STRANGERS: usize = 64;

/// The calls of one peer, and those who have called it.
#[derive(Debug)]
pub struct Calls {
    call: Message,
    calls: Vec<Call>,
    next_lan_call: Option<Instant>,
    strangers: VecDeque<(Id, Name)>,
}

#[derive(Debug)]
struct Call {
    endpoint: SocketAddr,
    since: Instant,
    next: Instant,
    told: bool,
}

impl Calls {
    /// Calls for `room` in the name of the peer `id`; with `lan`, to everyone near.
    pub fn new(id: Id, name: Name, room: Name, lan: bool, now: Instant) -> Self {
        Self {
            call: Message::Ping { to: room, from: id, name },
            calls: Vec::new(),
            next_lan_call: lan.then_some(now),
            strangers: VecDeque::new(),
        }
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
    pub fn remember(&mut self, id: Id, name: Name) {
        self.strangers.retain(|(known, _)| *known != id);
        self.strangers.push_back((id, name));
        if self.strangers.len() > MAX_STRANGERS {
            self.strangers.pop_front();
        }
    }

    /// The name of a stranger who has called before.
    pub fn stranger(&self, id: Id) -> Option<Name> {
        self.strangers.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
    }

    /// Calls whom it is time to call; hands out an endpoint that has not answered for long.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) -> Option<SocketAddr> {
        for call in self.calls.iter_mut().filter(|call| call.next <= now) {
            call.next = now + CALL_INTERVAL;
            outbox.push(call.endpoint, &self.call);
        }
        if self.next_lan_call.is_some_and(|when| when <= now) {
            self.next_lan_call = Some(now + LAN_INTERVAL);
            for (address, port) in
                EVERYONE.into_iter().flat_map(|address| PORTS.map(move |port| (address, port)))
            {
                outbox.push((address, port).into(), &self.call);
            }
        }
        let unanswered = self.calls.iter_mut().find(|call| !call.told && call.since + UNANSWERED <= now)?;
        unanswered.told = true;
        Some(unanswered.endpoint)
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let told = |call: &Call| {
            if call.told { call.next } else { call.next.min(call.since + UNANSWERED) }
        };
        self.calls.iter().map(told).chain(self.next_lan_call).min()
    }
}
