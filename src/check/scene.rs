//! One experiment: the program, everyone that it can talk to, and what has passed between them.
//!
//! ```text
//!   the program  <--- stdin, stdout --->  the script       types, shows, ends
//!                <--- datagrams ------->  four sockets     says, hears, never
//! ```
//!
//! For a peer, which is called alice, the four are the tracker, bob, carol and mallory; for a tracker, alice, bob,
//! carol and mallory. A message is written as on the page, with words for what only the experiment knows: `$bob`
//! is bob's id, `@bob` his endpoint, `$cookie` the cookie that counts, `$room` the room. Where one is heard, `*` is
//! any field, and `...` all the rest.

mod meanwhile;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::experiment::{
    BOB, CAROL, Entry, Failure, Heard, MALLORY, Role, Side, TRACKER, Verdict, expect, matches,
};
use super::others::{Manners, Network, Weather};
use super::program::Program;
use crate::io::harm::Dice;
use crate::io::terminal::printable;
use crate::protocol::{Body, Id, Message};

/// What is to come at once has so long: a busy computer is no defect.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// After the program has ended, what it has sent may still be on its way for so long.
const AFTERMATH: Duration = Duration::from_millis(300);

/// What is due is done so often, and so much taken in at a time.
const MOMENT: Duration = Duration::from_millis(5);
const MOST_AT_ONCE: usize = 1000;

pub struct Scene {
    pub program: Program,
    pub side: Side,
    pub room: String,
    pub cookie: String,
    /// Of the program, once it has told it, and where it was seen.
    pub id: Option<Id>,
    pub endpoint: SocketAddr,
    /// As a tracker: answers every REGISTER, and introduces these, in a room of this size.
    pub registers: bool,
    pub introduced: Vec<Role>,
    pub size: usize,
    met: Vec<Role>,
    pub manners: [Manners; 4],
    pub weather: Weather,
    dice: Dice,
    /// On the way to the program, and back.
    leaving: Network,
    arriving: Network,
    heard: [VecDeque<Heard>; 4],
    shown: VecDeque<String>,
    datagrams: usize,
    pub log: Vec<Entry>,
}

impl Scene {
    /// Nothing is said yet, and whoever is there is polite: answers PING and acknowledges lines.
    pub fn new(program: Program, side: Side, seed: u64) -> Self {
        let endpoint = program.listens_at;
        Self {
            program,
            side,
            room: format!("room-{seed}"),
            cookie: "c00c1e".to_owned(),
            id: None,
            endpoint,
            registers: true,
            introduced: Vec::new(),
            size: 2,
            met: Vec::new(),
            manners: [(); 4].map(|()| Manners::polite()),
            weather: Weather::default(),
            dice: Dice(seed),
            leaving: Network::new(seed),
            arriving: Network::new(seed + 1),
            heard: [const { VecDeque::new() }; 4],
            shown: VecDeque::new(),
            datagrams: 0,
            log: Vec::new(),
        }
    }

    pub fn name(&self, role: Role) -> &'static str {
        match self.side {
            Side::Peer => ["tracker", "bob", "carol", "mallory"][role],
            Side::Tracker => ["alice", "bob", "carol", "mallory"][role],
        }
    }

    fn us(&self) -> &'static str {
        if self.side == Side::Peer { "alice" } else { "tracker" }
    }

    pub fn id_of(role: Role) -> Id {
        Id([0xa1, 0xb0, 0xc3, 0xdd][role])
    }

    /// Puts in what only the experiment knows.
    fn fill(&self, form: &str) -> String {
        let mut text = form.replace("$cookie", &self.cookie).replace("$room", &self.room);
        for role in [TRACKER, BOB, CAROL, MALLORY] {
            let name = self.name(role);
            text = text.replace(&format!("${name}"), &Self::id_of(role).to_string());
            text = text.replace(&format!("@{name}"), &self.program.endpoint(role).to_string());
        }
        let id = self.id.map_or("?".to_owned(), |id| id.to_string());
        text.replace("$alice", &id).replace("@alice", &self.endpoint.to_string())
    }
}

/// One experiment, with the name of its rule.
pub struct Check {
    pub name: &'static str,
    pub what: &'static str,
    pub arguments: &'static [&'static str],
    pub script: fn(&mut Scene) -> Verdict,
}

impl Check {
    pub const fn new(name: &'static str, what: &'static str, script: fn(&mut Scene) -> Verdict) -> Self {
        Self::with(&[], name, what, script)
    }

    /// One that the program needs these arguments for.
    pub const fn with(
        arguments: &'static [&'static str],
        name: &'static str,
        what: &'static str,
        script: fn(&mut Scene) -> Verdict,
    ) -> Self {
        Self { name, what, arguments, script }
    }
}

/// What a script does.
impl Scene {
    /// Says a message to the program.
    pub fn says(&mut self, role: Role, form: &str) {
        let text = self.fill(form);
        let message: Message = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        self.says_bytes(role, format!("{message}\n").as_bytes());
    }

    /// Says anything, in one datagram.
    pub fn says_bytes(&mut self, role: Role, datagram: &[u8]) {
        let shown = String::from_utf8_lossy(datagram).trim_end().escape_debug().to_string();
        self.note(&format!("{} -> {}", self.name(role), self.us()), &shown);
        self.leaving.take(&self.weather, role, self.endpoint, datagram);
        self.deliver();
    }

    /// Says what may be several messages, or none, in one datagram.
    pub fn says_raw(&mut self, role: Role, form: &str) {
        let text = self.fill(form);
        self.says_bytes(role, text.as_bytes());
    }

    /// Bytes that mean nothing, always the same ones.
    pub fn junk(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.dice.roll() as u8).collect()
    }

    /// Writes a line to the program's input.
    pub fn types(&mut self, line: &str) {
        self.types_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes anything to the program's input.
    pub fn types_bytes(&mut self, bytes: &[u8]) {
        self.note("typed", String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        self.program.types(bytes);
    }

    /// The input ends.
    pub fn ends_input(&mut self) {
        self.note("typed", "(end of input)");
        self.program.ends_input();
    }

    /// Waits until somebody hears a message of this form.
    pub fn hears(&mut self, role: Role, form: &str) -> Verdict<Heard> {
        self.hears_within(PATIENCE, role, form)
    }

    pub fn hears_within(&mut self, patience: Duration, role: Role, form: &str) -> Verdict<Heard> {
        let wanted = self.name(role);
        let (filled, seconds) = (self.fill(form), patience.as_secs_f64());
        let what = format!("expected {filled} to come to {wanted}, within {seconds} s");
        let heard = self.wait(patience, &what, |scene| {
            let index = scene.heard[role].iter().position(|heard| matches(&scene.fill(form), &heard.text))?;
            scene.heard[role].remove(index)
        });
        heard.map_err(|Failure(why)| Failure(why + &self.instead(role, &filled)))
    }

    /// What has come in its place, perhaps.
    fn instead(&self, role: Role, wanted: &str) -> String {
        let verb = wanted.split(' ').next();
        let is_alike = |heard: &&Heard| heard.text.split(' ').next() == verb;
        match self.heard[role].iter().rfind(is_alike) {
            Some(heard) => format!("; this came: {}", heard.text),
            None if self.datagrams == 0 => "; nothing at all has come from the program".to_owned(),
            None => String::new(),
        }
    }

    /// None of this form has come to somebody, and none comes for so long.
    pub fn never(&mut self, time: Duration, role: Role, form: &str) -> Verdict {
        match self.hears_within(time, role, form) {
            Err(_) if self.program.has_ended().is_none() => Ok(()),
            Err(failure) => Err(failure),
            Ok(heard) => Err(Failure(format!("expected no {form}, and {} came", heard.text))),
        }
    }

    /// So much time passes.
    pub fn passes(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step(end);
        }
    }

    /// All messages of this form that somebody hears in this time.
    pub fn collects(&mut self, time: Duration, role: Role, form: &str) -> Vec<Heard> {
        self.passes(time);
        let form = self.fill(form);
        self.heard[role].drain(..).filter(|heard| matches(&form, &heard.text)).collect()
    }

    /// Waits until the program shows this, and shows nothing else before.
    pub fn shows(&mut self, line: &str) -> Verdict {
        self.shows_within(PATIENCE, line)
    }

    pub fn shows_within(&mut self, patience: Duration, line: &str) -> Verdict {
        let seconds = patience.as_secs();
        let what = format!("expected `{line}` on its standard output (is it flushed?), within {seconds} s");
        let shown = self.wait(patience, &what, |scene| scene.shown.pop_front())?;
        expect(shown == line, || {
            format!("expected `{line}` on its standard output, and `{}` came", printable(&shown))
        })
    }

    /// For so long, it shows nothing.
    pub fn shows_nothing(&mut self, time: Duration) -> Verdict {
        self.passes(time);
        let shown = self.shown.pop_front();
        expect(shown.is_none(), || {
            format!("expected nothing on its standard output, and `{}` came", shown.unwrap_or_default())
        })
    }

    /// Waits until it ends, with this status.
    pub fn ends(&mut self, patience: Duration, status: i32) -> Verdict {
        let ended = self.ends_somehow(patience)?;
        expect(ended.code() == Some(status), || {
            format!("expected status {status}; {}", self.program.last_words())
        })
    }

    /// Waits until it ends, and tells its status.
    pub fn ends_somehow(&mut self, patience: Duration) -> Verdict<ExitStatus> {
        let what = format!("expected that it ends, within {} s", patience.as_secs());
        let status = self.wait(patience, &what, |scene| scene.program.has_ended())?;
        self.passes(AFTERMATH);
        Ok(status)
    }

    /// It lives on for so long.
    pub fn lives(&mut self, time: Duration) -> Verdict {
        self.passes(time);
        let ended = self.program.has_ended();
        expect(ended.is_none(), || self.program.last_words())
    }

    /// Somebody says all this, one after the other, each until it is acknowledged.
    pub fn chats(&mut self, role: Role, lines: impl IntoIterator<Item = Body>) {
        self.manners[role].chat(lines);
    }

    /// Goes on until somebody has heard this numbered message.
    pub fn receives(&mut self, patience: Duration, role: Role, sequence: u64) -> Verdict<Body> {
        let (name, seconds) = (self.name(role), patience.as_secs());
        let what = format!("expected number {sequence} to come to {name}, within {seconds} s");
        self.wait(patience, &what, |scene| scene.manners[role].received.get(&sequence).cloned())
    }

    /// What has come so far is of no interest any more.
    pub fn forget(&mut self) {
        self.step(Instant::now());
        self.heard.iter_mut().for_each(VecDeque::clear);
    }

    /// Kills the program, and starts it anew.
    pub fn restarts(&mut self) -> Verdict {
        self.note("killed", "(and started again)");
        self.id = None;
        self.program.restart().map_err(|error| Failure(format!("it cannot be started again: {error}")))
    }

    /// Somebody listens again at the port that was closed.
    pub fn opens(&mut self, role: Role) -> Verdict {
        let opened = self.program.open(role);
        opened.map_err(|error| {
            Failure(format!("this computer has given the port to others, try again: {error}"))
        })
    }

    /// Introduces somebody to the program.
    pub fn introduce(&mut self, role: Role) {
        if !self.introduced.contains(&role) {
            self.introduced.push(role);
        }
        self.says_peer(role);
    }
}
