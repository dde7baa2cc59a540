//! The peer: meets others, and talks straight to them.
//!
//! ```text
//! main thread      keyboard  ->  lock, say, unlock  ->  send
//! receiver thread  receive   ->  lock, handle, unlock  ->  send, print; ends the process
//! ```

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{IsTerminal, stdin};
use std::net::SocketAddr;
use std::process::{ExitCode, exit};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use p2p_chat::io::arguments::{Arguments, host_and_port};
use p2p_chat::io::keyboard::{HELP, Input, Typed, read_line, understand};
use p2p_chat::io::news::{News, describe, greeting};
use p2p_chat::io::socket::{Arrival, Buffer, Socket, resolve};
use p2p_chat::io::terminal::{Terminal, printable};
use p2p_chat::protocol::datagram::{MAX_DATAGRAM, Transmit};
use p2p_chat::protocol::delivery::MAX_LINE;
use p2p_chat::protocol::field::Id;
use p2p_chat::protocol::link;
use p2p_chat::protocol::peer::{Event, NotFound, Peer, Settings};
use p2p_chat::protocol::registration;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Nothing: the receiver thread ends the process.
enum Never {}

fn run(arguments: &Arguments) -> Result<Never, Box<dyn Error>> {
    let terminal = Arc::new(Terminal::default());
    let meeting = arguments.meeting()?;
    let screen = terminal.clone();
    let socket = arguments.open_socket(&meeting, Box::new(move |lines| screen.news(lines)))?;
    let is_ipv6 = socket.local_addr()?.is_ipv6();
    let settings = Settings {
        id: Id(RandomState::new().hash_one(Instant::now())),
        name: arguments.name,
        room: arguments.room,
        private: socket.private_endpoint(),
        meeting,
    };
    if let Some(words) = greeting(&settings) {
        terminal.news(&words);
    }
    let conversation = Arc::new(Conversation {
        state: Mutex::new(State {
            peer: Peer::new(settings, Instant::now()),
            receiver_sleeps_until: None,
            keyboard_waits: false,
            last_said: None,
            failed: false,
        }),
        changed: Condvar::new(),
        socket,
        terminal,
        is_at_terminal: stdin().is_terminal(),
        tracker: arguments.tracker.clone(),
        is_ipv6,
    });
    let receiver = conversation.clone();
    thread::Builder::new().name("receiver".to_owned()).spawn(move || {
        let error = receiver.receive_until_over();
        eprintln!("error: cannot receive any more: {error}");
        exit(1);
    })?;
    conversation.read_keyboard();
    loop {
        thread::park(); // a thread in read_line could not be woken: the receiver ends the process
    }
}

/// What both threads share. Nothing is printed and nothing blocks while the state is locked.
struct Conversation {
    state: Mutex<State>,
    /// Tells the keyboard that somebody is there, or that there is room for more.
    changed: Condvar,
    socket: Socket,
    terminal: Arc<Terminal>,
    is_at_terminal: bool,
    tracker: String,
    is_ipv6: bool,
}

struct State {
    peer: Peer,
    receiver_sleeps_until: Option<Instant>,
    keyboard_waits: bool,
    last_said: Option<Instant>,
    /// A line from a pipe could not be said.
    failed: bool,
}

/// While somebody types or pipes lines, the receiver sleeps no longer than this: its deadlines come
/// closer with each line, and to wake it costs more than to look.
const NAP: Duration = Duration::from_millis(20);
const NAP_AFTER_LINE: Duration = Duration::from_secs(1);

/// A deadline that is missed by so little is not worth waking the receiver.
const LATENESS: Duration = Duration::from_millis(10);

/// How often a silent tracker's name is resolved again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

/// What a turn of the machine has brought.
struct Turn {
    events: Vec<Event>,
    /// Whether the conversation has ended, and well.
    outcome: Option<bool>,
    /// When the next turn is due.
    deadline: Option<Instant>,
}

// The receiver thread.
impl Conversation {
    fn receive_until_over(self: &Arc<Self>) -> std::io::Error {
        let mut buffer: Buffer = [0; MAX_DATAGRAM + 1];
        let mut news = News::default();
        let mut arrival = Arrival::Nothing;
        loop {
            let turn = self.handle(&arrival, &buffer);
            let has_acted = self.report(turn.events, &mut news);
            if let Some(ended_well) = turn.outcome {
                self.terminal.leave();
                exit(if ended_well { 0 } else { 1 });
            }
            let deadline = turn.deadline.filter(|_| !has_acted).or(has_acted.then(Instant::now));
            arrival = match self.socket.receive(&mut buffer, deadline) {
                Ok(arrival) => arrival,
                Err(error) => return error,
            };
        }
    }

    /// One turn of the machine: what arrived goes in, and what comes out is sent.
    fn handle(&self, arrival: &Arrival, buffer: &Buffer) -> Turn {
        let mut state = self.lock();
        let now = Instant::now();
        if let Arrival::Datagram(source, length) = *arrival {
            state.peer.handle_datagram(source, &buffer[..length], now);
        }
        if state.peer.poll_timeout().is_some_and(|when| when <= now) {
            state.peer.handle_timeout(now);
        }
        let transmits = drain(&mut state.peer);
        let events: Vec<Event> = std::iter::from_fn(|| state.peer.poll_event()).collect();
        let outcome = state.peer.outcome().map(|ended_well| ended_well && !state.failed);
        if state.keyboard_waits && self.may_say(&state.peer) {
            self.changed.notify_one();
        }
        let nap = state.last_said.filter(|when| *when + NAP_AFTER_LINE > now).map(|_| now + NAP);
        let deadline = state.peer.poll_timeout().into_iter().chain(nap).min();
        state.receiver_sleeps_until = deadline;
        drop(state);
        self.send(transmits, now);
        // Asked only now: what was just sent may have been held back.
        let deadline = deadline.into_iter().chain(self.socket.poll_timeout()).min();
        Turn { events, outcome, deadline }
    }

    /// Tells the person; true where that has set the machine going again.
    fn report(self: &Arc<Self>, events: Vec<Event>, news: &mut News) -> bool {
        let mut chat = Vec::new();
        let mut has_acted = false;
        for event in events {
            if let Event::Link { name, event: link::Event::Line(line), .. } = &event {
                chat.push(format!("{name}: {}", printable(line)));
                continue;
            }
            has_acted |= self.show_chat(&mut chat);
            if let Some(text) = news.tell(&event) {
                self.terminal.news(&text);
            }
            match event {
                Event::FreshSocket => has_acted |= self.take_fresh_socket(),
                Event::Registration(registration::Event::TrackerSilent(_)) => self.resolve_again(),
                Event::Link { event: link::Event::Reached(_), .. } => self.terminal.first_prompt(),
                _ => {}
            }
        }
        self.show_chat(&mut chat) || has_acted
    }

    /// A stdout that is closed ends the conversation, quietly, as with any Unix tool: then true.
    fn show_chat(&self, chat: &mut Vec<String>) -> bool {
        let is_closed = !chat.is_empty() && self.terminal.chat(chat).is_err();
        if is_closed {
            self.lock().peer.leave(Instant::now());
        }
        chat.clear();
        is_closed
    }

    fn take_fresh_socket(&self) -> bool {
        let is_fresh = self.socket.replace().is_ok();
        if is_fresh {
            let private = self.socket.private_endpoint();
            let mut state = self.lock();
            state.peer.handle_fresh_socket(private, Instant::now());
        }
        is_fresh
    }

    /// The tracker's name may have another address by now. To ask may take long: a thread of its
    /// own does.
    fn resolve_again(self: &Arc<Self>) {
        if self.tracker.parse::<SocketAddr>().is_ok() {
            return;
        }
        let conversation = self.clone();
        thread::spawn(move || {
            loop {
                let found = resolve(&conversation.tracker, Some(conversation.is_ipv6));
                match (conversation.lock().peer.registration(), found) {
                    (Some(silent), Ok(address)) if silent.is_silent() => {
                        silent.set_tracker(address);
                    }
                    (Some(silent), Err(_)) if silent.is_silent() => {}
                    _ => break,
                }
                thread::sleep(RESOLVE_INTERVAL);
            }
        });
    }
}

// The main thread.
impl Conversation {
    fn read_keyboard(&self) {
        let mut input = stdin().lock();
        while let Some(typed) = read_line(&mut input) {
            self.terminal.line_was_typed();
            match &typed {
                Typed::Line(line) => {
                    if self.obey(line) {
                        return self.act(Peer::leave);
                    }
                }
                Typed::TooLong(length) => {
                    self.fail(&format!("a line of {length} bytes was not said: {MAX_LINE} are the most"));
                }
            }
            self.terminal.prompt_again();
        }
        self.act(if self.is_at_terminal { Peer::leave } else { Peer::end });
    }

    /// Does what a line says; true where it says to leave.
    fn obey(&self, line: &str) -> bool {
        match understand(line) {
            Input::Quit => return true,
            Input::Help => self.terminal.news(HELP),
            Input::Peers => self.show_peers(),
            Input::Connect(endpoint) => self.connect(endpoint),
            Input::Say(text) => self.say(text),
            Input::To { who, line } => self.say_to(who, line),
            Input::Unknown(text) if !self.is_at_terminal => self.say(text),
            Input::Unknown(_) => self
                .terminal
                .news("no such command: /help lists them; a space before the slash makes it text"),
        }
        false
    }

    fn say(&self, line: &str) {
        if let Some(mut state) = self.wait_until_may_say() {
            let now = Instant::now();
            state.peer.say(line, now);
            self.finish_acting(state, now);
        }
    }

    fn say_to(&self, who: &str, line: &str) {
        let Some(mut state) = self.wait_until_may_say() else {
            return;
        };
        match state.peer.find(who) {
            Ok(id) => {
                let now = Instant::now();
                state.peer.say_to(id, line, now);
                self.finish_acting(state, now);
                if self.is_at_terminal {
                    self.terminal.news(&format!("(to {who} only)"));
                }
            }
            Err(NotFound::Unknown) if !self.is_at_terminal => {
                drop(state);
                self.say(line);
            }
            Err(NotFound::Unknown) => {
                drop(state);
                self.terminal.news(&format!("nobody here is called {}: /peers lists who is", printable(who)));
            }
            Err(NotFound::Ambiguous(ids)) => {
                drop(state);
                let ids: Vec<String> = ids.iter().map(|id| format!("@{id}")).collect();
                self.fail(&format!(
                    "several are called {}, not said: write {}",
                    printable(who),
                    ids.join(" or ")
                ));
            }
        }
    }

    fn connect(&self, endpoint: &str) {
        match host_and_port(endpoint).and_then(|endpoint| resolve(&endpoint, Some(self.is_ipv6))) {
            Err(error) => self.terminal.news(&format!("/connect: {error}")),
            Ok(endpoint) => {
                let mut state = self.lock();
                let now = Instant::now();
                let is_calling = state.peer.connect(endpoint, now);
                self.finish_acting(state, now);
                if !is_calling {
                    self.terminal.news("/connect works with --direct and --lan; here a tracker introduces");
                }
            }
        }
    }

    fn show_peers(&self) {
        let now = Instant::now();
        let peers: Vec<String> = self.lock().peer.links().map(|link| describe(link, now)).collect();
        let peers = peers.join("\n");
        self.terminal.news(if peers.is_empty() { "nobody is here yet" } else { &peers });
    }

    /// Waits until a line can be said. At a terminal nobody waits for company: `None`, and a word.
    fn wait_until_may_say(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if self.is_at_terminal && !state.peer.has_company() {
            drop(state);
            self.terminal.news("nobody is here yet: not said");
            return None;
        }
        while !self.may_say(&state.peer) {
            state.keyboard_waits = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.keyboard_waits = false;
        Some(state)
    }

    fn act(&self, action: impl FnOnce(&mut Peer, Instant)) {
        let mut state = self.lock();
        let now = Instant::now();
        action(&mut state.peer, now);
        self.finish_acting(state, now);
    }

    /// Sends what the keyboard has brought about, and wakes the receiver where it would sleep too
    /// long.
    fn finish_acting(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        let transmits = drain(&mut state.peer);
        state.last_said = Some(now);
        let sleeps_until = state.receiver_sleeps_until;
        let deadline = state.peer.poll_timeout();
        let is_over = state.peer.outcome().is_some();
        drop(state);
        self.send(transmits, now);
        let deadline = deadline.into_iter().chain(self.socket.poll_timeout()).min();
        let is_late = |when: Instant| sleeps_until.is_none_or(|until| when + LATENESS < until);
        if is_over || deadline.is_some_and(is_late) {
            self.socket.wake();
        }
    }

    /// A line was not said. At a terminal a person sees that and says it again.
    fn fail(&self, text: &str) {
        self.lock().failed |= !self.is_at_terminal;
        self.terminal.news(&format!("error: {text}"));
    }
}

// Both.
impl Conversation {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_say(&self, peer: &Peer) -> bool {
        (self.is_at_terminal || peer.has_company()) && !peer.is_full()
    }

    fn send(&self, transmits: Vec<Transmit>, now: Instant) {
        transmits.into_iter().for_each(|transmit| self.socket.send(transmit));
        self.socket.send_late(now);
    }
}

fn drain(peer: &mut Peer) -> Vec<Transmit> {
    std::iter::from_fn(|| peer.poll_transmit()).collect()
}
