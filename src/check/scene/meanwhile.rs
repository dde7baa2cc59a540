//! What happens while a script waits: what arrives is taken in, and the others do what they do by themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{AFTERMATH, MOMENT, MOST_AT_ONCE, Scene};
use crate::check::experiment::{BOB, CAROL, Entry, Failure, Heard, MALFORMED, Role, Side, TRACKER, Verdict};
use crate::check::program::What;
use crate::io::terminal::printable;
use crate::protocol::{Message, read_datagram};

/// So much of what passes is kept: a program may flood us.
const KEPT: usize = 50_000;
const KEPT_LINES: usize = 2_000;

/// So many characters of a message are shown.
const SHOWN: usize = 90;

impl Scene {
    pub(super) fn note(&mut self, who: &str, what: &str) {
        let time = self.program.started.elapsed().as_secs_f64();
        let rest = if what.chars().count() > SHOWN { "..." } else { "" };
        let what = printable(&what.chars().take(SHOWN).collect::<String>()) + rest;
        self.log.push(Entry { time, who: who.to_owned(), what });
        if self.log.len() > 2 * KEPT {
            self.log.drain(..KEPT);
        }
    }

    /// Goes on until something is found.
    pub(super) fn wait<T>(
        &mut self,
        patience: Duration,
        what: &str,
        mut find: impl FnMut(&mut Self) -> Option<T>,
    ) -> Verdict<T> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = find(self) {
                return Ok(found);
            }
            if self.program.ended_before(AFTERMATH) {
                return Err(Failure(format!("{what}; {}", self.program.last_words())));
            }
            if Instant::now() >= end {
                return Err(Failure(what.to_owned()));
            }
            self.step(end);
        }
    }

    /// Takes in what comes by then, for a moment at most, and does what is due.
    pub(super) fn step(&mut self, end: Instant) {
        let mut wait = MOMENT.min(end.saturating_duration_since(Instant::now()));
        for _ in 0..MOST_AT_ONCE {
            let Some(what) = self.program.next(wait) else { break };
            wait = Duration::ZERO;
            match what {
                What::Shown(line) => {
                    self.note("shown", &line);
                    self.shown.push_back(line);
                    self.shown.truncate(KEPT_LINES);
                }
                What::Datagram { role, source, bytes } => {
                    self.arriving.take(&self.weather, role, source, &bytes);
                }
            }
            self.deliver();
        }
        self.deliver();
        [BOB, CAROL].into_iter().for_each(|role| self.say_due(role));
    }

    /// Lets through what has been on its way for long enough.
    pub(super) fn deliver(&mut self) {
        for (_, role, address, datagram) in self.leaving.arrivals() {
            self.program.send(role, address, &datagram);
        }
        for (_, role, source, datagram) in self.arriving.arrivals() {
            self.datagrams += 1;
            for (line, message) in read_datagram(&datagram) {
                let text = message.as_ref().map_or_else(
                    |error| format!("{MALFORMED}({error}) {}", String::from_utf8_lossy(line).escape_debug()),
                    ToString::to_string,
                );
                self.note(&format!("{} -> {}", self.us(), self.name(role)), &text);
                let heard = Heard { source, text, datagram: self.datagrams };
                self.heard[role].push_back(heard);
                self.heard[role].truncate(KEPT);
                message.into_iter().for_each(|message| self.react(role, source, &message));
            }
        }
    }

    /// What is done without the script.
    fn react(&mut self, role: Role, source: SocketAddr, message: &Message) {
        match message {
            Message::Register { cookie, id, .. } if role == TRACKER && self.side == Side::Peer => {
                (self.id, self.endpoint) = (Some(*id), source);
                match self.registers {
                    true if *cookie != self.cookie => self.says(TRACKER, "COOKIE $cookie"),
                    true => self.answer_registration(),
                    false => {}
                }
            }
            Message::Met { other, .. } if role == TRACKER => {
                self.met.extend([BOB, CAROL].into_iter().find(|role| Self::id_of(*role) == *other));
            }
            Message::Ping { to, from } if self.manners[role].pongs && *to == Self::id_of(role).into() => {
                let name = self.name(role);
                self.says(role, &format!("PONG {} ${name} {name}", from.id));
            }
            Message::Numbered { to, from, sequence, body } if *to == Self::id_of(role) => {
                self.manners[role].received.insert(*sequence, body.clone());
                if self.manners[role].acks {
                    let next = self.manners[role].next_to_hear();
                    self.says(role, &format!("ACK {from} {to} {next}"));
                }
            }
            Message::Ack { next, .. } => {
                self.manners[role].hear_ack(*next);
                self.say_due(role);
            }
            _ => {}
        }
    }

    fn answer_registration(&mut self) {
        let here = self.introduced.len() + 1;
        self.says(TRACKER, &format!("WAIT {here}/{} @alice", self.size));
        for role in self.introduced.clone() {
            if !self.met.contains(&role) {
                self.says_peer(role);
            }
        }
    }

    pub(super) fn says_peer(&mut self, role: Role) {
        let (here, size, name) = (self.introduced.len() + 1, self.size, self.name(role));
        self.says(TRACKER, &format!("PEER {here}/{size} ${name} {name} @{name} @{name}"));
    }

    fn say_due(&mut self, role: Role) {
        let Some(to) = self.id else { return };
        for (sequence, body) in self.manners[role].say_due() {
            let message = Message::Numbered { to, from: Self::id_of(role), sequence, body };
            self.says_bytes(role, format!("{message}\n").as_bytes());
        }
    }
}
