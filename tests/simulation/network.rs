//! A simulated internet in virtual time: hosts, routers that translate addresses, and bad weather.
//!
//! The machines are those of the real programs. Every choice comes from one seed, so that a run can be
//! repeated.

use std::collections::{BTreeMap, HashSet};
use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, UNIX_EPOCH};

use p2p_chat::io::harm::Dice;
use p2p_chat::io::trace::{Style, Trace, time_of_day};
use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::link::Link;
use p2p_chat::protocol::meet::tracker::Tracker;
use p2p_chat::protocol::output::Transmit;
use p2p_chat::protocol::peer::{Meeting, Peer};
use p2p_chat::protocol::wire::field::Id;
use p2p_chat::protocol::wire::message::{Message, Who, read_datagram};

pub const TRACKER: &str = "198.51.100.1:55555";

/// Longer than anything takes that is not about time.
pub const MINUTE: Duration = Duration::from_secs(60);

/// What the network does to datagrams: loses and duplicates so many percent, and takes its time.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub loss: u8,
    pub duplicate: u8,
    pub delay: Duration,
    /// Each datagram is late by up to so much more, and so may be overtaken.
    pub jitter: Duration,
}

impl Weather {
    pub const FAIR: Self =
        Self { loss: 0, duplicate: 0, delay: Duration::from_millis(20), jitter: Duration::ZERO };

    pub const fn losing(self, loss: u8) -> Self {
        Self { loss, ..self }
    }

    pub const fn duplicating(self, duplicate: u8) -> Self {
        Self { duplicate, ..self }
    }

    pub const fn delaying(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub const fn jittering(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }
}

/// Where a host or a router's outer side is: realm 0 is the internet, the others are behind routers.
pub type Realm = usize;

pub struct Host {
    pub name: String,
    pub realm: Realm,
    pub endpoint: SocketAddr,
    pub machine: Machine,
    pub events: Vec<(Duration, Event)>,
    pub lines: Vec<(Id, String)>,
    pub outcome: Option<bool>,
    pub sent: usize,
    /// The numbered messages that left, and how many of them had left before.
    said: HashSet<String>,
    pub repeats: usize,
    trace: Option<Trace>,
}

pub enum Machine {
    Peer(Box<Peer>),
    Tracker(Box<Tracker>),
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// One port for all destinations, the inner one where it is free; answers let in from there only.
    Plain,
    /// Another port for every destination.
    Symmetric,
    /// One port for all destinations; everything let in.
    FullCone,
}

pub struct Router {
    /// What the story calls it.
    pub name: String,
    pub mapping: Mapping,
    pub public: IpAddr,
    pub inner: Realm,
    pub outer: Realm,
    pub hairpin: bool,
    /// Linux, INPUT accepting: what arrives unasked takes the port for its sender, for good.
    pub clashes: bool,
    table: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    let_in: HashSet<(u16, SocketAddr)>,
    taken: HashSet<(u16, SocketAddr)>,
    heard: HashSet<(u16, SocketAddr)>,
    next_port: u16,
}

#[derive(Debug, Clone)]
struct Flight {
    realm: Realm,
    source: SocketAddr,
    destination: SocketAddr,
    datagram: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    start: Instant,
    pub dice: Dice,
    pub weather: Weather,
    pub hosts: Vec<Host>,
    pub routers: Vec<Router>,
    /// No datagram crosses during these times.
    pub partitions: Vec<(Duration, Duration)>,
    in_flight: BTreeMap<(Instant, u64), Flight>,
    count: u64,
    pub lost: usize,
    pub events: Vec<Event>,
    ids: u64,
    /// What the traces of all hosts show, and what routers note, where it is wanted before the first host comes.
    pub story: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, weather: Weather) -> Self {
        let start = Instant::now();
        Self {
            now: start,
            start,
            dice: Dice(seed),
            weather,
            hosts: Vec::new(),
            routers: Vec::new(),
            partitions: Vec::new(),
            in_flight: BTreeMap::new(),
            count: 0,
            lost: 0,
            events: Vec::new(),
            ids: 0,
            story: None,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub fn add_tracker(&mut self, size: u8, forever: bool) -> usize {
        self.add_tracker_at(TRACKER, size, forever)
    }

    pub fn add_tracker_at(&mut self, endpoint: &str, size: u8, forever: bool) -> usize {
        let machine = self.new_tracker(size, forever);
        self.add_host(0, endpoint.parse().unwrap(), "tracker", machine)
    }

    pub fn new_tracker(&self, size: u8, forever: bool) -> Machine {
        Machine::Tracker(Box::new(Tracker::new(size, forever, RandomState::new(), self.now)))
    }

    pub fn add_peer(&mut self, realm: Realm, endpoint: &str, name: &str) -> usize {
        self.add_peer_in(realm, endpoint, name, "lobby", Meeting::Tracker(TRACKER.parse().unwrap()))
    }

    pub fn add_peer_in(
        &mut self,
        realm: Realm,
        endpoint: &str,
        name: &str,
        room: &str,
        meeting: Meeting,
    ) -> usize {
        self.ids += 1;
        let us = Who { id: Id(self.ids << 32 | self.dice.roll() >> 40), name: name.parse().unwrap() };
        let (room, private) = (room.parse().unwrap(), endpoint.parse().unwrap());
        let machine = Machine::Peer(Box::new(Peer::new(us, room, private, meeting, self.now)));
        let host = self.add_host(realm, endpoint.parse().unwrap(), name, machine);
        self.act(host, |peer, now| peer.handle_timeout(now));
        host
    }

    /// A peer on the internet itself.
    pub fn add_public(&mut self, number: usize, name: &str) -> usize {
        self.add_peer(0, &format!("192.0.2.{number}:50001"), name)
    }

    fn add_host(&mut self, realm: Realm, endpoint: SocketAddr, name: &str, machine: Machine) -> usize {
        let (events, lines, said) = (Vec::new(), Vec::new(), HashSet::new());
        let trace = self.story.as_ref().map(|_| Trace::new(Style::Story, name, UNIX_EPOCH));
        let (outcome, sent, repeats) = (None, 0, 0);
        self.hosts.push(Host {
            name: name.to_owned(),
            realm,
            endpoint,
            machine,
            events,
            lines,
            outcome,
            sent,
            said,
            repeats,
            trace,
        });
        self.hosts.len() - 1
    }

    /// A router between the realm `outer` and a new one, which is handed out.
    pub fn add_router(&mut self, outer: Realm, public: &str, mapping: Mapping) -> Realm {
        let inner = self.routers.len() + 1;
        self.routers.push(Router {
            name: format!("router{inner}"),
            mapping,
            public: public.parse().unwrap(),
            inner,
            outer,
            hairpin: false,
            clashes: false,
            table: BTreeMap::new(),
            let_in: HashSet::new(),
            taken: HashSet::new(),
            heard: HashSet::new(),
            next_port: 1024,
        });
        inner
    }

    /// The datagrams that are on their way to a host of the internet.
    pub fn flying_to(&self, host: usize) -> Vec<&[u8]> {
        let flights =
            self.in_flight.values().filter(|flight| flight.destination == self.hosts[host].endpoint);
        flights.map(|flight| flight.datagram.as_slice()).collect()
    }

    pub fn peer(&self, host: usize) -> &Peer {
        match &self.hosts[host].machine {
            Machine::Peer(peer) => peer,
            _ => panic!("host {host} is no peer"),
        }
    }

    /// The first link of a peer: of a pair, the only one.
    pub fn link(&self, host: usize) -> &Link {
        self.peer(host).links().next().unwrap()
    }

    /// Lets a peer do something, and what comes of it happen.
    pub fn act<R>(&mut self, host: usize, action: impl FnOnce(&mut Peer, Instant) -> R) -> R {
        let now = self.now;
        let Machine::Peer(peer) = &mut self.hosts[host].machine else { panic!("host {host} is no peer") };
        let result = action(peer, now);
        self.pump(host);
        result
    }

    pub fn say(&mut self, host: usize, line: &str) {
        self.act(host, |peer, now| peer.say(line, now));
    }

    /// Says a line as soon as there is room for it.
    pub fn say_in_time(&mut self, host: usize, line: &str) {
        while self.peer(host).is_full() {
            self.run_for(Duration::from_millis(1));
        }
        self.say(host, line);
    }

    pub fn kill(&mut self, host: usize) {
        self.hosts[host].machine = Machine::Dead;
    }

    /// Goes on until the condition holds; false where it does not within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !condition(self) {
            let arrival = self.in_flight.first_key_value().map(|((when, _), _)| *when);
            let timeouts = self.hosts.iter().filter_map(|host| host.machine.poll_timeout());
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                self.now = end;
                return condition(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
        true
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn step(&mut self) {
        let now = self.now;
        if self.in_flight.first_key_value().is_some_and(|((when, _), _)| *when <= now) {
            let (_, flight) = self.in_flight.pop_first().unwrap();
            return self.arrive(flight);
        }
        for host in 0..self.hosts.len() {
            if self.hosts[host].machine.poll_timeout().is_some_and(|when| when <= now) {
                match &mut self.hosts[host].machine {
                    Machine::Peer(peer) => peer.handle_timeout(now),
                    Machine::Tracker(tracker) => tracker.handle_timeout(now),
                    Machine::Dead => {}
                }
                self.pump(host);
            }
        }
    }

    /// Takes out of a machine what it has to say.
    fn pump(&mut self, host: usize) {
        let mut transmits = Vec::new();
        match &mut self.hosts[host].machine {
            Machine::Peer(peer) => transmits.append(&mut peer.out.transmits),
            Machine::Tracker(tracker) => {
                transmits.append(&mut tracker.out.transmits);
                self.events.append(&mut tracker.out.events);
            }
            Machine::Dead => {}
        }
        transmits.into_iter().for_each(|transmit| self.send(host, transmit));
        let Machine::Peer(peer) = &mut self.hosts[host].machine else {
            return;
        };
        let events = std::mem::take(&mut peer.out.events);
        let outcome = peer.outcome();
        for event in events {
            match event {
                Event::FreshSocket => self.renew_socket(host),
                Event::Line(who, line) => self.hosts[host].lines.push((who.id, line)),
                _ => {
                    let elapsed = self.elapsed();
                    self.hosts[host].events.push((elapsed, event));
                }
            }
        }
        if outcome.is_some() {
            self.hosts[host].outcome = outcome;
            self.kill(host);
        }
    }

    fn renew_socket(&mut self, host: usize) {
        let port = 40_000 + (self.dice.roll() % 20_000) as u16;
        self.hosts[host].endpoint.set_port(port);
        let private = self.hosts[host].endpoint;
        self.act(host, |peer, now| peer.handle_fresh_socket(private, now));
    }

    fn send(&mut self, from: usize, transmit: Transmit) {
        let datagram = transmit.datagram.clone();
        assert!((1..=1200).contains(&datagram.len()), "{} bytes", datagram.len());
        self.hosts[from].note_sent(&datagram);
        let (way, notes) = self.go_out(from, transmit.destination);
        let flight =
            way.map(|(realm, source)| Flight { realm, source, destination: transmit.destination, datagram });
        let is_lost = flight.is_some_and(|flight| self.carry(flight));
        self.show(from, if is_lost { "-x" } else { "->" }, &transmit);
        self.story.iter_mut().for_each(|story| story.extend_from_slice(&notes));
    }

    /// Out through the sender's routers, which note it; what happens at the other end is decided when it gets
    /// there. Tells the realm that it has come to, and whom it seems to come from there.
    fn go_out(&mut self, from: usize, destination: SocketAddr) -> (Option<(Realm, SocketAddr)>, Vec<String>) {
        let (mut realm, mut source) = (self.hosts[from].realm, self.hosts[from].endpoint);
        let mut notes = Vec::new();
        while !self.is_at(realm, destination) {
            let Some(index) = self.routers.iter().position(|r| r.inner == realm) else {
                notes.push(self.note("internet", realm, "drops", (source, destination), ": nobody is there"));
                return (None, notes);
            };
            let router = &mut self.routers[index];
            let (name, inside, outer) = (router.name.clone(), source, router.outer);
            if router.public == destination.ip() && !router.hairpin {
                notes.push(self.note(
                    &name,
                    realm,
                    "drops",
                    (inside, destination),
                    ": sends nothing back inside",
                ));
                return (None, notes);
            }
            let (outside, is_new) = router.go_out(source, destination);
            if is_new {
                notes.push(self.note(
                    &name,
                    realm,
                    "new",
                    (inside, destination),
                    &format!(", outside {outside}"),
                ));
            }
            (source, realm) = (outside, outer);
        }
        (Some((realm, source)), notes)
    }

    /// A line of a router's, in the words of the laboratory's `watch`. It has no step: a router knows of none.
    fn note(&self, who: &str, realm: Realm, what: &str, ends: (SocketAddr, SocketAddr), how: &str) -> String {
        let time = time_of_day(UNIX_EPOCH + self.elapsed());
        let [from, to] = [ends.0, ends.1].map(|end| self.end(who, realm, end));
        format!("{time}        {who} {what:<8} {from} to {to}{how}")
    }

    /// An endpoint as a router tells of it: with the name of who is there, in the home or outside.
    fn end(&self, router: &str, inner: Realm, end: SocketAddr) -> String {
        let outer = self.routers.iter().find(|router| router.inner == inner).map(|router| router.outer);
        let is_near = |realm| realm == inner || Some(realm) == outer;
        let hosts = self.hosts.iter().filter(|host| is_near(host.realm) && host.endpoint == end);
        let routers = self.routers.iter().filter(|r| is_near(r.outer) && r.public == end.ip());
        match hosts.map(|host| &host.name).chain(routers.map(|router| &router.name)).next() {
            Some(name) if name != router => format!("{end} ({name})"),
            _ => end.to_string(),
        }
    }

    /// Whether an endpoint, or the outer side of a router that may know it, is in this realm.
    fn is_at(&self, realm: Realm, endpoint: SocketAddr) -> bool {
        let is_host = |host: &Host| host.realm == realm && host.endpoint == endpoint;
        let is_router = |router: &Router| router.outer == realm && router.public == endpoint.ip();
        self.hosts.iter().any(is_host) || self.routers.iter().any(is_router)
    }

    /// In through the receiver's routers.
    fn arrive(&mut self, flight: Flight) {
        let Flight { mut realm, source, mut destination, datagram } = flight;
        loop {
            let host = self.hosts.iter().rposition(|h| h.realm == realm && h.endpoint == destination);
            if let Some(host) = host {
                return self.deliver(source, host, &datagram);
            }
            let is_outside = |r: &Router| r.outer == realm && r.public == destination.ip();
            let Some(index) = self.routers.iter().position(is_outside) else {
                return;
            };
            let inner = self.routers[index].come_in(source, destination.port());
            self.tell_arrival(index, source, destination, inner);
            let Some(inner) = inner else {
                return;
            };
            (realm, destination) = (self.routers[index].inner, inner);
        }
    }

    /// What a router has to say of what has come: of what it lets in, once.
    fn tell_arrival(
        &mut self,
        index: usize,
        source: SocketAddr,
        outside: SocketAddr,
        inside: Option<SocketAddr>,
    ) {
        let router = &mut self.routers[index];
        let key = (outside.port(), source);
        let (is_asked, is_first) = (router.let_in.contains(&key), router.heard.insert(key));
        let (name, realm, is_open) = (router.name.clone(), router.inner, router.clashes);
        let note = match inside {
            Some(inside) if is_asked && is_first => {
                self.note(&name, realm, "answered", (inside, source), &format!(", outside {outside}"))
            }
            Some(inside) if is_first => {
                let inside = format!(": handed to {}", self.end(&name, realm, inside));
                self.note(&name, realm, "lets in", (source, outside), &inside)
            }
            Some(_) => return,
            None if is_open => self.note(&name, realm, "unasked", (source, outside), ": nobody inside"),
            None => self.note(&name, realm, "drops", (source, outside), ": nobody inside has asked for it"),
        };
        self.story.iter_mut().for_each(|story| story.push(note.clone()));
    }

    /// Whether the datagram is lost.
    fn carry(&mut self, flight: Flight) -> bool {
        let elapsed = self.elapsed();
        let is_cut = self.partitions.iter().any(|(from, to)| (*from..*to).contains(&elapsed));
        if is_cut || self.dice.percent(self.weather.loss) {
            self.lost += 1;
            return true;
        }
        let copies = if self.dice.percent(self.weather.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.weather.jitter.as_micros() as u64;
            let late = Duration::from_micros(self.dice.roll() % (jitter + 1));
            self.count += 1;
            let when = self.now + self.weather.delay + late;
            self.in_flight.insert((when, self.count), flight.clone());
        }
        false
    }

    pub fn deliver(&mut self, source: SocketAddr, host: usize, datagram: &[u8]) {
        let now = self.now;
        let out = match &mut self.hosts[host].machine {
            Machine::Peer(peer) => {
                peer.handle_datagram(source, datagram, now);
                &mut peer.out
            }
            Machine::Tracker(tracker) => {
                tracker.handle_datagram(source, datagram, now);
                &mut tracker.out
            }
            Machine::Dead => return,
        };
        let reasons = std::mem::take(&mut out.remarks);
        self.show(host, "<-", &Transmit { destination: source, datagram: datagram.into(), reasons });
        self.pump(host);
    }

    fn show(&mut self, host: usize, arrow: &str, passing: &Transmit) {
        let time = UNIX_EPOCH + self.elapsed();
        let Some((story, trace)) = self.story.as_mut().zip(self.hosts[host].trace.as_mut()) else { return };
        let lines = trace.lines(time, arrow, passing, "");
        story.extend(lines.into_iter().map(|(line, _)| line));
    }
}

impl Host {
    /// What its person was told, but for the lines.
    pub fn told(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(_, event)| event)
    }

    fn note_sent(&mut self, datagram: &[u8]) {
        self.sent += 1;
        for (line, message) in read_datagram(datagram) {
            if let Ok(Message::Numbered { .. }) = message {
                self.repeats += usize::from(!self.said.insert(String::from_utf8_lossy(line).into_owned()));
            }
        }
    }
}

impl Machine {
    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Peer(peer) => peer.out.wake,
            Self::Tracker(tracker) => tracker.out.wake,
            Self::Dead => None,
        }
    }
}

impl Router {
    /// Tells the outside address, and whether this is the first datagram from there to the destination.
    fn go_out(&mut self, source: SocketAddr, destination: SocketAddr) -> (SocketAddr, bool) {
        let per_destination = self.mapping == Mapping::Symmetric;
        let mut key = (source, per_destination.then_some(destination));
        let wanted = if per_destination { None } else { Some(source.port()) };
        if !per_destination && self.clashes {
            let usual = self.table.get(&key).copied().or(wanted);
            if usual.is_some_and(|port| self.taken.contains(&(port, destination))) {
                key.1 = Some(destination); // the port is taken for this destination
            }
        }
        let free = |port: u16| !self.table.values().any(|used| *used == port);
        let port = match self.table.get(&key) {
            Some(port) => *port,
            None => match wanted.filter(|port| key.1.is_none() && free(*port)) {
                Some(port) => port,
                None => {
                    self.next_port += 1;
                    self.next_port
                }
            },
        };
        self.table.insert(key, port);
        (SocketAddr::new(self.public, port), self.let_in.insert((port, destination)))
    }

    pub fn come_in(&mut self, source: SocketAddr, port: u16) -> Option<SocketAddr> {
        let inner = self.table.iter().find(|(_, used)| **used == port).map(|((inner, _), _)| *inner);
        if self.mapping == Mapping::FullCone || self.let_in.contains(&(port, source)) {
            return inner;
        }
        self.taken.insert((port, source));
        None
    }

    /// Forgets every mapping, as after a long silence; the next ones begin at other ports.
    pub fn forget(&mut self) {
        self.table.clear();
        self.let_in.clear();
        self.heard.clear();
        self.next_port += 1000;
    }
}
