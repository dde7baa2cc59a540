//! What the two threads of a peer share: the machine behind its lock, the socket, and the screen.

use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, IsTerminal, stdin};
use std::mem::{replace, take};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::arguments::{PEER, PeerArguments, host_and_port};
use super::socket::{Socket, resolve};
use super::terminal::{Terminal, lock};
use crate::protocol::link::Link;
use crate::protocol::peer::{Meeting, Peer};
use crate::protocol::{Event, Id, Output, Who};

/// When something has arrived, the receiver takes a nap before it sleeps: where much is going on, to wake it
/// for each line would cost more than to send it.
const NAP: Duration = Duration::from_millis(20);
const SLEEP: Duration = Duration::from_secs(1);

/// Nothing is printed and nothing is sent while the machine is locked.
pub struct Chat {
    peer: Mutex<Peer>,
    /// Until when the receiver sleeps.
    asleep: Mutex<Instant>,
    /// Tells the keyboard that somebody is there, or that there may be room for more.
    changed: Condvar,
    /// With a line that nobody can take yet.
    keyboard_waits: AtomicBool,
    pub socket: Socket,
    pub terminal: Arc<Terminal>,
    pub is_at_terminal: bool,
    /// Something that came from a pipe could not be said, or something that was heard not be written.
    failed: AtomicBool,
}

impl Chat {
    /// Opens the socket, and sets up the machine that talks through it.
    pub fn open(arguments: &PeerArguments) -> Result<Self, Box<dyn std::error::Error>> {
        let terminal = Arc::new(Terminal::open());
        let meeting = arguments.meeting()?;
        let socket = arguments.open_socket(&meeting, &terminal)?;
        let private = socket.private_endpoint()?;
        let called = arguments.direct.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" and ");
        match meeting {
            Meeting::Tracker(_) => {}
            Meeting::Lan => terminal.news("Calling everyone on this network, waiting for peer..."),
            Meeting::Direct(_) if called.is_empty() => {
                terminal.news(&format!("Waiting to be called at {private}"));
            }
            Meeting::Direct(_) => terminal.news(&format!("Calling {called}, waiting for peer...")),
        }
        let us = Who { id: Id(RandomState::new().hash_one(Instant::now())), name: arguments.name };
        Ok(Self {
            peer: Mutex::new(Peer::new(us, arguments.room, private, meeting, Instant::now())),
            asleep: Mutex::new(Instant::now()),
            changed: Condvar::new(),
            keyboard_waits: AtomicBool::new(false),
            socket,
            terminal,
            is_at_terminal: stdin().is_terminal(),
            failed: AtomicBool::new(false),
        })
    }

    /// Lets the machine do something, then sends what comes of it.
    fn act<R>(&self, mut peer: MutexGuard<'_, Peer>, action: impl FnOnce(&mut Peer, Instant) -> R) -> R {
        let result = action(&mut peer, Instant::now());
        let transmits = take(&mut peer.out.transmits);
        let is_news = !peer.out.events.is_empty() || peer.outcome().is_some(); // for the receiver to tell
        let wake = if is_news { Some(Instant::now()) } else { peer.out.wake };
        drop(peer);
        transmits.into_iter().for_each(|transmit| self.socket.send(transmit));
        self.wake_receiver(wake);
        result
    }

    /// Wakes the receiver, unless it will look by then, or little later.
    fn wake_receiver(&self, by: Option<Instant>) {
        if by.is_some_and(|by| by + NAP < *lock(&self.asleep)) {
            self.socket.wake();
        }
    }

    pub fn leave(&self) {
        self.terminal.leave();
        self.act(lock(&self.peer), Peer::leave);
        self.keyboard_waits.store(false, Relaxed); // what it waits with is not wanted any more
    }
}

/// What the receiver thread does.
impl Chat {
    /// Takes in what has arrived, if anything, and does what is due by now. Tells what is to be printed, when
    /// to come again even if nothing arrives, and, once the conversation is over, whether it ended well.
    pub fn handle(&self, arrival: Option<(SocketAddr, &[u8])>) -> (Vec<Event>, Instant, Option<bool>) {
        let (mut peer, now) = (lock(&self.peer), Instant::now());
        match arrival {
            Some((source, datagram)) => peer.handle_datagram(source, datagram, now),
            None => peer.handle_timeout(now),
        }
        let at_most = now + if arrival.is_some() { NAP } else { SLEEP };
        let wake = peer.out.wake.map_or(at_most, |wake| wake.min(at_most));
        *lock(&self.asleep) = wake;
        let outcome = peer.outcome();
        let Output { events, transmits, remarks, .. } = replace(&mut peer.out, Output::new(now));
        drop(peer);
        if let Some((source, datagram)) = arrival {
            self.socket.show_arrival(source, datagram, &remarks);
        }
        transmits.into_iter().for_each(|transmit| self.socket.send(transmit));
        if self.terminal.is_unread() {
            self.leave(); // as for a closed stdout: a program that has shown us in a window is gone, perhaps
        }
        let wake = self.terminal.prompt().map_or(wake, |due| wake.min(due));
        let keyboard_waits = self.keyboard_waits.load(Relaxed);
        if keyboard_waits && outcome.is_some() {
            self.fail("not all of the input was said: nobody is here any more");
        } else if keyboard_waits {
            self.changed.notify_one(); // a call to the system, so only then
        }
        (events, wake, outcome.map(|ended_well| ended_well && !self.failed.load(Relaxed)))
    }

    /// Chat goes to stdout, many lines at once; all else is news.
    pub fn print(&self, events: &[Event]) {
        let is_line = |event: &Event| matches!(event, Event::Line(..));
        for events in events.chunk_by(|one, other| is_line(one) && is_line(other)) {
            match &events[0] {
                Event::Line(..) => {
                    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
                    if let Err(error) = self.terminal.chat(&lines.join("\n")) {
                        if error.kind() != ErrorKind::BrokenPipe {
                            self.fail(&format!("cannot write what is said: {error}"));
                        }
                        self.leave(); // a closed pipe ends any Unix tool, quietly
                    }
                }
                Event::FreshSocket => {
                    let fresh = self.socket.replace().and_then(|()| self.socket.private_endpoint());
                    let renew =
                        |at| self.act(lock(&self.peer), |peer, now| peer.handle_fresh_socket(at, now));
                    fresh.into_iter().for_each(renew);
                }
                event => self.terminal.news(&event.to_string()),
            }
            if let Event::Reached { .. } = events[0] {
                self.terminal.prompt_first();
            }
        }
    }
}

/// What the main thread does: a method for everything that can be typed.
impl Chat {
    /// A line was typed, and the prompt is to come back.
    pub fn line_was_typed(&self) {
        if self.is_at_terminal {
            self.terminal.line_was_typed();
            self.wake_receiver(Some(Instant::now()));
        }
    }

    pub fn say(&self, line: &str) {
        if let Some(peer) = self.wait_until_may_say() {
            self.act(peer, |peer, now| peer.say(line, now));
        }
    }

    pub fn say_to(&self, who: &str, line: &str) {
        let Some(peer) = self.wait_until_may_say() else { return };
        match peer.find(who)[..] {
            [id] => {
                self.act(peer, |peer, now| peer.say_to(id, line, now));
                if self.is_at_terminal {
                    self.terminal.answer(&format!("(to {who} only)"));
                }
            }
            [] if !self.is_at_terminal => self.act(peer, |peer, now| peer.say(line, now)),
            [] => {
                drop(peer);
                self.terminal.answer(&format!("nobody here is called {who}: /peers lists who is"));
            }
            ref several => {
                drop(peer);
                let ids: Vec<String> = several.iter().map(|id| format!("@{id}")).collect();
                self.fail(&format!("several are called {who}, not said: write {}", ids.join(" or ")));
            }
        }
    }

    /// In a pipe anything may begin with slashes.
    pub fn say_unknown(&self, line: &str) {
        if !self.is_at_terminal {
            self.say(line);
        } else if line.starts_with("//") {
            self.say(&line[1..]);
        } else {
            self.terminal.answer("no such command, not said: /help lists them; one more slash makes it text");
        }
    }

    pub fn connect(&self, endpoint: &str) {
        let is_ipv6 = self.socket.local_addr().is_ok_and(|own| own.is_ipv6());
        match host_and_port(endpoint, PEER).and_then(|endpoint| resolve(&endpoint, is_ipv6)) {
            Err(error) => self.terminal.answer(&format!("/connect: {error}")),
            Ok(endpoint) if self.act(lock(&self.peer), |peer, now| peer.connect(endpoint, now)) => {}
            Ok(_) => {
                self.terminal.answer("/connect works with --direct and --lan; here a tracker introduces");
            }
        }
    }

    pub fn harm(&self, percentages: &str) {
        let numbers: Result<Vec<u8>, _> = percentages.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[loss @ 0..=100, duplicate @ 0..=100, reorder @ 0..=100]) => {
                self.socket.set_harm(loss, duplicate, reorder);
                self.terminal.answer(&format!(
                    "from now on {loss} % are lost, {duplicate} % sent twice, {reorder} % reordered"
                ));
            }
            _ => self.terminal.answer("/harm: write three percentages: /harm 30 0 0 loses 30 of 100"),
        }
    }

    pub fn show_peers(&self) {
        let peers: Vec<String> = lock(&self.peer).links().map(describe).collect();
        let peers = if peers.is_empty() { "nobody is here yet".to_owned() } else { peers.join("\n") };
        self.terminal.answer(&peers);
    }

    /// The input has ended: a person leaves with it, and behind a pipe one still listens.
    pub fn end(&self) {
        if self.is_at_terminal { self.leave() } else { self.act(lock(&self.peer), Peer::end) }
    }

    /// A line was not said. At a terminal a person sees that and says it again.
    pub fn fail(&self, text: &str) {
        self.failed.fetch_or(!self.is_at_terminal, Relaxed);
        self.terminal.answer(&format!("error: {text}"));
    }

    /// Waits until a line can be said. At a terminal nobody waits for company: `None`, and a word.
    fn wait_until_may_say(&self) -> Option<MutexGuard<'_, Peer>> {
        let peer = lock(&self.peer);
        if self.is_at_terminal && !peer.has_company() {
            drop(peer);
            self.terminal.answer("nobody is here yet: not said");
            return None;
        }
        let must_wait = |peer: &mut Peer| peer.is_full() || !self.is_at_terminal && !peer.has_company();
        self.keyboard_waits.store(true, Relaxed); // the lock makes it known
        let peer = self.changed.wait_while(peer, must_wait).expect("a panic ends the program");
        self.keyboard_waits.store(false, Relaxed);
        Some(peer)
    }
}

/// A line of `/peers`.
fn describe(link: &Link) -> String {
    let Who { id, name } = link.who;
    let endpoint = link.path.endpoint.map_or("being reached".to_owned(), |endpoint| endpoint.to_string());
    let time = link.sender.round_trip.smoothed.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    let round_trip = time.unwrap_or("-".to_owned());
    let unacknowledged = link.sender.unacknowledged();
    let seconds = link.path.last_heard.map(|when| when.elapsed().as_secs_f64());
    let silent = seconds.map_or("never heard".to_owned(), |seconds| format!("silent for {seconds:.1} s"));
    format!("{name}  {id}  {endpoint}  round trip {round_trip}  {unacknowledged} unacknowledged  {silent}")
}
