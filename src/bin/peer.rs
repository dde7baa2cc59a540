//! The peer: meets others, and talks straight to them.
//!
//! ```text
//! main thread      keyboard  ->  lock, say, unlock  ->  send
//! receiver thread  receive   ->  lock, handle, unlock  ->  send, print; ends the process
//! ```

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;
use std::io::{IsTerminal, stdin};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{ExitCode, exit};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use p2p_chat::io::keyboard::{HELP, Input, Typed, read_line, understand};
use p2p_chat::io::news::News;
use p2p_chat::io::socket::{Arrival, Buffer, Harm, Socket, Trace, resolve};
use p2p_chat::io::terminal::{Terminal, printable};
use p2p_chat::protocol::calls::PORTS;
use p2p_chat::protocol::datagram::{MAX_DATAGRAM, Transmit};
use p2p_chat::protocol::delivery::MAX_LINE;
use p2p_chat::protocol::field::{Id, Name};
use p2p_chat::protocol::link::{self, Link};
use p2p_chat::protocol::peer::{Event, Meeting, NotFound, Peer, Settings};
use p2p_chat::protocol::registration;

/// Meets another peer through a tracker, then talks straight to it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  peer                                    meet through the tracker on this machine
  peer --tracker 192.0.2.10:55555         meet through a tracker elsewhere
  peer --lan --name alice                 meet everyone on this network, without a tracker
  peer --direct                           wait to be called
  peer --direct 192.168.1.7:50001         call a peer that waits"
)]
struct Arguments {
    /// The tracker to meet at; its name is resolved again while it is silent
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:55555", value_parser = host_and_port)]
    tracker: String,

    /// Meet everyone on this network and this machine, without a tracker
    #[arg(long, conflicts_with_all = ["tracker", "direct"])]
    lan: bool,

    /// Meet without a tracker: wait to be called, and call these endpoints
    #[arg(long, value_name = "ENDPOINT", num_args = 0.., conflicts_with = "tracker", value_parser = host_and_port)]
    direct: Option<Vec<String>>,

    /// The address to send from [default: the first free port of 50001 to 50010, on every address]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<Bind>,

    /// What the others call you: 1 to 32 bytes, no spaces
    #[arg(long, default_value = "peer")]
    name: Name,

    /// Only peers of one room meet
    #[arg(long, default_value = "lobby")]
    room: Name,

    /// Show every message on stderr: -> sent, <- received, -x lost on purpose, <? not understood
    #[arg(long)]
    trace: bool,

    /// Lose so many percent of the datagrams that are sent, to see what happens
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    loss: u8,

    /// Send so many percent of them twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    duplicate: u8,

    /// Let so many percent of them leave after the next one
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    reorder: u8,

    /// Make the same choices of what to lose, send twice or reorder [default: others each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

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
    let wants_ipv6 = arguments
        .bind
        .as_ref()
        .map(|Bind(addresses)| addresses[0].is_ipv6());
    let meeting = meeting(arguments, wants_ipv6)?;
    let socket = open_socket(arguments, &meeting, &terminal)?;
    let is_ipv6 = socket.local_addr()?.is_ipv6();
    let settings = Settings {
        id: Id(RandomState::new().hash_one(Instant::now())),
        name: arguments.name,
        room: arguments.room,
        private: socket.private_endpoint(),
        meeting,
    };
    match &settings.meeting {
        Meeting::Tracker(_) => {}
        Meeting::Lan => terminal.news("Calling everyone on this network, waiting for peer..."),
        Meeting::Direct(_) => {
            terminal.news(&format!("Waiting to be called at {}", settings.private))
        }
    }
    let conversation = Arc::new(Conversation {
        state: Mutex::new(State {
            peer: Peer::new(settings, Instant::now()),
            receiver_sleeps_until: None,
            keyboard_waits: false,
            last_said: None,
        }),
        changed: Condvar::new(),
        socket,
        terminal,
        is_at_terminal: stdin().is_terminal(),
        tracker: arguments.tracker.clone(),
        is_ipv6,
    });
    let receiver = conversation.clone();
    thread::Builder::new()
        .name("receiver".to_owned())
        .spawn(move || {
            let error = receiver.receive_until_over();
            eprintln!("error: cannot receive any more: {error}");
            exit(1);
        })?;
    conversation.read_keyboard();
    loop {
        thread::park(); // a thread in read_line could not be woken: the receiver ends the process
    }
}

fn meeting(arguments: &Arguments, wants_ipv6: Option<bool>) -> Result<Meeting, String> {
    match &arguments.direct {
        _ if arguments.lan => Ok(Meeting::Lan),
        Some(endpoints) => {
            let endpoints = endpoints
                .iter()
                .map(|endpoint| resolve(endpoint, wants_ipv6.or(Some(false))));
            Ok(Meeting::Direct(endpoints.collect::<Result<_, _>>()?))
        }
        None => Ok(Meeting::Tracker(resolve(
            &arguments.tracker,
            wants_ipv6.or(Some(false)),
        )?)),
    }
}

fn open_socket(
    arguments: &Arguments,
    meeting: &Meeting,
    terminal: &Arc<Terminal>,
) -> Result<Socket, String> {
    let towards_ipv6 = match meeting {
        Meeting::Tracker(tracker) => tracker.is_ipv6(),
        Meeting::Direct(endpoints) => endpoints.iter().any(SocketAddr::is_ipv6),
        Meeting::Lan => false,
    };
    let everywhere: IpAddr = match towards_ipv6 {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let Bind(addresses) = arguments.bind.clone().unwrap_or_else(|| everywhere.into());
    let trace = arguments.trace.then(|| {
        let terminal = terminal.clone();
        Box::new(move |lines: &str| terminal.news(lines)) as Trace
    });
    let Arguments {
        loss,
        duplicate,
        reorder,
        seed,
        ..
    } = *arguments;
    let harm = Harm {
        loss,
        duplicate,
        reorder,
        seed: seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
    };
    let socket = Socket::bind(&addresses, trace, harm).map_err(|error| {
        let address = addresses[0];
        format!("cannot bind to {address}: {error} (is another program using it? without --bind, a free port is found)")
    })?;
    if *meeting == Meeting::Lan {
        socket.allow_broadcast();
    }
    Ok(socket)
}

/// Addresses to bind to, the first free one of them.
#[derive(Debug, Clone)]
struct Bind(Vec<SocketAddr>);

impl From<IpAddr> for Bind {
    /// std cannot share a port: peers on one machine take one each of the range, or any other.
    fn from(ip: IpAddr) -> Self {
        Self(PORTS.chain([0]).map(|port| (ip, port).into()).collect())
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint = text
            .parse()
            .map(|endpoint: SocketAddr| Self(vec![endpoint]));
        let address = || text.parse().map(|ip: IpAddr| ip.into());
        endpoint
            .or_else(|_| address())
            .map_err(|_| "write ADDRESS:PORT or ADDRESS, for example 0.0.0.0:50009".to_owned())
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, for example 192.0.2.10:55555".to_owned()),
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
}

/// While somebody types or pipes lines, the receiver sleeps no longer than this: its deadlines come
/// closer with each line, and to wake it costs more than to look.
const NAP: Duration = Duration::from_millis(20);
const NAP_AFTER_LINE: Duration = Duration::from_secs(1);

/// A deadline that is missed by so little is not worth waking the receiver.
const LATENESS: Duration = Duration::from_millis(10);

/// How often a silent tracker's name is resolved again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

// The receiver thread.
impl Conversation {
    fn receive_until_over(self: &Arc<Self>) -> std::io::Error {
        let mut buffer: Buffer = [0; MAX_DATAGRAM + 1];
        let mut news = News::default();
        let mut arrival = Arrival::Nothing;
        loop {
            let (events, outcome, deadline) = self.handle(&arrival, &buffer);
            self.report(events, &mut news);
            if let Some(ended_well) = outcome {
                exit(if ended_well { 0 } else { 1 });
            }
            arrival = match self.socket.receive(&mut buffer, deadline) {
                Ok(arrival) => arrival,
                Err(error) => return error,
            };
        }
    }

    /// One turn of the machine: what arrived goes in, and what comes out is sent.
    fn handle(
        &self,
        arrival: &Arrival,
        buffer: &Buffer,
    ) -> (Vec<Event>, Option<bool>, Option<Instant>) {
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
        let outcome = state.peer.outcome();
        if state.keyboard_waits && self.may_say(&state.peer) {
            self.changed.notify_one();
        }
        let nap = state
            .last_said
            .filter(|when| *when + NAP_AFTER_LINE > now)
            .map(|_| now + NAP);
        let late = self.socket.poll_timeout();
        let deadline = state
            .peer
            .poll_timeout()
            .into_iter()
            .chain(nap)
            .chain(late)
            .min();
        state.receiver_sleeps_until = deadline;
        drop(state);
        self.send(transmits, now);
        (events, outcome, deadline)
    }

    fn report(self: &Arc<Self>, events: Vec<Event>, news: &mut News) {
        let mut chat = Vec::new();
        for event in events {
            if let Event::Link {
                name,
                event: link::Event::Line(line),
                ..
            } = &event
            {
                chat.push(format!("{name}: {}", printable(line)));
                continue;
            }
            self.show_chat(&mut chat);
            if let Some(text) = news.tell(&event) {
                self.terminal.news(&text);
            }
            match event {
                Event::FreshSocket => self.take_fresh_socket(),
                Event::Registration(registration::Event::TrackerSilent(_)) => self.resolve_again(),
                Event::Link {
                    event: link::Event::Reached(_),
                    ..
                } => _ = self.terminal.first_prompt(),
                _ => {}
            }
        }
        self.show_chat(&mut chat);
    }

    /// A stdout that is closed ends the conversation, quietly, as with any Unix tool.
    fn show_chat(&self, chat: &mut Vec<String>) {
        if !chat.is_empty() && self.terminal.chat(chat).is_err() {
            self.lock().peer.leave(Instant::now());
        }
        chat.clear();
    }

    fn take_fresh_socket(&self) {
        if self.socket.replace().is_ok() {
            let private = self.socket.private_endpoint();
            self.lock()
                .peer
                .handle_fresh_socket(private, Instant::now());
        }
    }

    /// The tracker's name may have another address by now. To ask may take long: a thread of its own does.
    fn resolve_again(self: &Arc<Self>) {
        if self.tracker.parse::<SocketAddr>().is_ok() {
            return;
        }
        let conversation = self.clone();
        thread::spawn(move || {
            while let Ok(address) = resolve(&conversation.tracker, Some(conversation.is_ipv6)) {
                match conversation.lock().peer.registration() {
                    Some(registration) if registration.is_silent() => {
                        registration.set_tracker(address);
                    }
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
            match &typed {
                Typed::Line(line) => {
                    if self.obey(line) {
                        return self.act(Peer::leave);
                    }
                }
                Typed::TooLong(length) => {
                    self.fail(&format!(
                        "a line of {length} bytes was not said: {MAX_LINE} are the most"
                    ));
                }
            }
            _ = self.terminal.prompt_again();
        }
        self.act(if self.is_at_terminal {
            Peer::leave
        } else {
            Peer::end
        });
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
                self.terminal.news(&format!(
                    "nobody here is called {}: /peers lists who is",
                    printable(who)
                ));
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
                    self.terminal
                        .news("/connect works with --direct and --lan; here a tracker introduces");
                }
            }
        }
    }

    fn show_peers(&self) {
        let now = Instant::now();
        let peers: Vec<String> = self
            .lock()
            .peer
            .links()
            .map(|link| describe(link, now))
            .collect();
        let peers = peers.join("\n");
        self.terminal.news(if peers.is_empty() {
            "nobody is here yet"
        } else {
            &peers
        });
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
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
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

    /// Sends what the keyboard has brought about, and wakes the receiver where it would sleep too long.
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

    fn fail(&self, text: &str) {
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
        transmits
            .into_iter()
            .for_each(|transmit| self.socket.send(transmit));
        self.socket.send_late(now);
    }
}

fn drain(peer: &mut Peer) -> Vec<Transmit> {
    std::iter::from_fn(|| peer.poll_transmit()).collect()
}

/// A line of `/peers`.
fn describe(link: &Link, now: Instant) -> String {
    let (name, id, sender) = (link.name(), link.id(), link.sender());
    let address = link
        .endpoint()
        .map_or("being reached".to_owned(), |endpoint| endpoint.to_string());
    let round_trip = sender.round_trip.smoothed().map_or("-".to_owned(), |time| {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    });
    let silent = link
        .path()
        .last_heard()
        .map_or("never heard".to_owned(), |when| {
            format!("silent for {:.1} s", (now - when).as_secs_f64())
        });
    let unacknowledged = sender.unacknowledged();
    format!(
        "{name}  {id}  {address}  round trip {round_trip}  {unacknowledged} unacknowledged  {silent}"
    )
}
