//! What the network and the others do without being told by the script.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::experiment::Role;
use crate::io::harm::Dice;
use crate::protocol::Body;

/// Somebody repeats what is not acknowledged so often.
const REPEAT: Duration = Duration::from_millis(200);
/// And has so much under way.
const UNDER_WAY: usize = 3;

/// What the network between us and the program does.
#[derive(Default)]
pub struct Weather {
    /// Percent of all datagrams.
    pub loss: u8,
    pub copies: bool,
    /// Each is late by up to so much, and so may be overtaken.
    pub late: Duration,
}

/// When a datagram is through, between whom and which address of the program, and its bytes.
pub type Flight = (Instant, Role, SocketAddr, Vec<u8>);

/// One direction of the network: what is on its way.
pub struct Network {
    dice: Dice,
    flights: Vec<Flight>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), flights: Vec::new() }
    }

    /// Takes a datagram, and with it what the weather wants.
    pub fn take(&mut self, weather: &Weather, role: Role, address: SocketAddr, datagram: &[u8]) {
        if self.dice.percent(weather.loss) {
            return;
        }
        for _ in 0..1 + u8::from(weather.copies) {
            let late = Duration::from_micros(self.dice.roll() % (weather.late.as_micros() as u64 + 1));
            self.flights.push((Instant::now() + late, role, address, datagram.to_vec()));
        }
    }

    /// Hands out what is through.
    pub fn arrivals(&mut self) -> Vec<Flight> {
        let now = Instant::now();
        self.flights.sort_by_key(|(when, ..)| *when);
        let count = self.flights.iter().take_while(|(when, ..)| *when <= now).count();
        self.flights.drain(..count).collect()
    }
}

/// What somebody does without being told by the script.
#[derive(Default)]
pub struct Manners {
    /// Answers PING with PONG.
    pub pongs: bool,
    /// Answers what is numbered with ACK.
    pub acks: bool,
    /// What has arrived, by number, and up to which one all has.
    pub received: BTreeMap<u64, Body>,
    heard: u64,
    /// What is to be said, and when it was said last; the first has this number.
    to_say: VecDeque<(Body, Option<Instant>)>,
    next: u64,
}

impl Manners {
    /// Of somebody polite, who has said nothing yet.
    pub fn polite() -> Self {
        Self { pongs: true, acks: true, next: 1, ..Self::default() }
    }

    /// Says all this, one after the other.
    pub fn chat(&mut self, lines: impl IntoIterator<Item = Body>) {
        self.to_say.extend(lines.into_iter().map(|body| (body, None)));
    }

    /// What it is time to say, with the numbers.
    pub fn say_due(&mut self) -> Vec<(u64, Body)> {
        let now = Instant::now();
        let first = (self.next..).zip(&mut self.to_say).take(UNDER_WAY);
        let due = first.filter(|(_, (_, said))| said.is_none_or(|said| said + REPEAT <= now));
        due.map(|(number, (body, said))| (number, (body.clone(), *said = Some(now)).0)).collect()
    }

    /// Everything before this number is acknowledged.
    pub fn hear_ack(&mut self, next: u64) {
        while self.next < next && self.to_say.pop_front().is_some() {
            self.next += 1;
        }
    }

    /// All numbers before this one have come.
    pub fn next_to_hear(&mut self) -> u64 {
        while self.received.contains_key(&(self.heard + 1)) {
            self.heard += 1;
        }
        self.heard + 1
    }
}
