//! Meet, the tracker's half: who waits, and who is introduced to whom.
//!
//! ```text
//! alice  REGISTER - ...        ->              an unproven address: nothing is kept
//!        COOKIE 9b1e...        <-
//!        REGISTER 9b1e... ...  ->              alice waits in her room
//!        WAIT 1/2 <alice>      <-
//!                              REGISTER ...    bob comes, his address proven likewise
//!        PEER 2/2 <bob>        <-  ->          each is told of the other, at once
//! ```
//!
//! A registration is repeated by its peer, and all that is lost on the way is mended by that: each
//! REGISTER is answered with every introduction that both sides have not yet confirmed with MET.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::datagram::{Outbox, Transmit, read_datagram};
use super::field::{Cookie, Id, Name};
use super::message::Message;

/// The members that a tracker keeps, in all rooms together.
pub const MAX_MEMBERS: usize = 1_000_000;

/// The largest room.
pub const MAX_ROOM: usize = 64;

/// A registration lives so long without being repeated; a peer repeats it every second.
const REGISTRATION_LIFETIME: Duration = Duration::from_secs(5);

/// A complete room, and an id that has left, are remembered so long for the sake of late copies.
const MEMORY: Duration = Duration::from_secs(10);

/// A cookie is good in the period in which it was given and in the next.
const COOKIE_PERIOD: Duration = Duration::from_secs(60);

/// What the person at the tracker should learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new id has registered.
    Registered {
        /// Its address, as seen from here.
        endpoint: SocketAddr,
        /// What it calls itself.
        name: Name,
    },
    /// A room has as many members as it takes.
    Complete {
        /// How many.
        size: usize,
    },
    /// The classic tracker's work is done.
    Finished,
}

/// The tracker: rooms, their members, and what is to be sent to them.
#[derive(Debug)]
pub struct Tracker {
    size: usize,
    forever: bool,
    started: Instant,
    cookie_key: RandomState,
    rooms: HashMap<u64, Room>,
    next_room: u64,
    /// The room of each name that still takes newcomers.
    open: HashMap<Name, u64>,
    members: HashMap<Id, u64>,
    /// When to look at each room again; what is found to live by then is put off.
    checks: BTreeSet<(Instant, u64)>,
    /// Ids that have left lately, and when to forget them.
    departed: HashSet<Id>,
    departures: VecDeque<(Instant, Id)>,
    first_complete: Option<u64>,
    finished: bool,
    outbox: Outbox,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Room {
    name: Name,
    complete: bool,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: Id,
    name: Name,
    public: SocketAddr,
    private: SocketAddr,
    heard: Instant,
    left: bool,
    /// The members that this one has said MET about: one bit for each place in the room.
    met: u64,
}

impl Tracker {
    /// A tracker for rooms of `size` members, 2 to [`MAX_ROOM`]. Unless it works `forever`, it
    /// finishes with its first complete room.
    pub fn new(size: usize, forever: bool, cookie_key: RandomState, now: Instant) -> Self {
        Self {
            size: size.clamp(2, MAX_ROOM),
            forever,
            started: now,
            cookie_key,
            rooms: HashMap::new(),
            next_room: 0,
            open: HashMap::new(),
            members: HashMap::new(),
            checks: BTreeSet::new(),
            departed: HashSet::new(),
            departures: VecDeque::new(),
            first_complete: None,
            finished: false,
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// Takes in what arrived from `source`.
    pub fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8], now: Instant) {
        self.handle_timeout(now);
        for (_, message) in read_datagram(datagram) {
            match message {
                Ok(Message::Register {
                    cookie,
                    id,
                    room,
                    name,
                    private,
                }) => {
                    let member = Member {
                        id,
                        name,
                        public: source,
                        private,
                        heard: now,
                        left: false,
                        met: 0,
                    };
                    if self.is_proven(&cookie, source, now) {
                        self.register(room, member, now);
                    }
                }
                Ok(Message::Met { cookie, id, other }) if self.is_proven(&cookie, source, now) => {
                    self.note_met(source, id, other, now);
                }
                Ok(Message::Leave { cookie, id }) if self.is_proven(&cookie, source, now) => {
                    self.note_left(id, now);
                }
                _ => {} // a peer's message that has lost its way, or nonsense
            }
        }
    }

    /// Forgets who is no longer there; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(when, number)) = self.checks.first()
            && when <= now
        {
            self.checks.pop_first();
            self.check(number, now);
        }
        while let Some(&(when, id)) = self.departures.front()
            && when <= now
        {
            self.departures.pop_front();
            self.departed.remove(&id);
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let check = self.checks.first().map(|(when, _)| *when);
        let departure = self.departures.front().map(|(when, _)| *when);
        check.into_iter().chain(departure).min()
    }

    /// Whether the sender is known to receive at its address. If not, it is sent the cookie to say
    /// so with, which is shorter than what it said: RFC 8085 section 3.1 on amplification.
    fn is_proven(&mut self, cookie: &Cookie, source: SocketAddr, now: Instant) -> bool {
        let period = now.duration_since(self.started).as_secs() / COOKIE_PERIOD.as_secs();
        let current = self.cookie(source, period);
        if *cookie == current || (period > 0 && *cookie == self.cookie(source, period - 1)) {
            return true;
        }
        self.outbox
            .push(source, &Message::Cookie { cookie: current });
        false
    }

    /// Keyed, so that nobody can make one for an address at which they do not receive.
    fn cookie(&self, source: SocketAddr, period: u64) -> Cookie {
        let hash = self
            .cookie_key
            .hash_one((source.ip(), source.port(), period));
        format!("{hash:016x}")
            .parse()
            .expect("16 hex digits are a cookie")
    }

    fn register(&mut self, room: Name, member: Member, now: Instant) {
        if self.departed.contains(&member.id) {
            return; // a late copy of what it said before it left
        }
        let (number, place) = match self.refresh(&member) {
            Some(found) => found,
            None if self.members.len() + self.departed.len() >= MAX_MEMBERS => {
                let text = "this tracker is full: wait, or use another".to_owned();
                self.outbox.push(member.public, &Message::Full { text });
                return;
            }
            None => self.add(room, member, now),
        };
        self.answer(number, place);
    }

    /// Refreshes a member that is here already, and tells its room and its place there.
    fn refresh(&mut self, said: &Member) -> Option<(u64, usize)> {
        let number = *self.members.get(&said.id)?;
        let room = self.rooms.get_mut(&number)?;
        let place = room
            .members
            .iter()
            .position(|member| member.id == said.id)?;
        let member = &mut room.members[place];
        member.heard = said.heard;
        member.left = false;
        member.name = said.name;
        if (member.public, member.private) != (said.public, said.private) {
            (member.public, member.private) = (said.public, said.private);
            member.met = 0;
            room.members
                .iter_mut()
                .for_each(|other| other.met &= !(1 << place));
        }
        Some((number, place))
    }

    fn add(&mut self, name: Name, member: Member, now: Instant) -> (u64, usize) {
        let number = self
            .open
            .get(&name)
            .copied()
            .unwrap_or_else(|| self.open_room(name, now));
        let room = self.rooms.get_mut(&number).expect("an open room exists");
        let Member {
            id,
            public: endpoint,
            name,
            ..
        } = member;
        room.members.reserve_exact(1);
        room.members.push(member);
        let here = room.members.len();
        self.members.insert(id, number);
        self.events.push_back(Event::Registered { endpoint, name });
        if here == self.size {
            room.complete = true;
            self.open.remove(&room.name);
            self.first_complete.get_or_insert(number);
            self.events.push_back(Event::Complete { size: here });
        }
        (number, here - 1)
    }

    fn open_room(&mut self, name: Name, now: Instant) -> u64 {
        let number = self.next_room;
        self.next_room += 1;
        self.open.insert(name, number);
        self.rooms.insert(
            number,
            Room {
                name,
                complete: false,
                members: Vec::new(),
            },
        );
        self.checks.insert((now + REGISTRATION_LIFETIME, number));
        number
    }

    /// WAIT, and an introduction, both ways, to everyone it has not yet met.
    fn answer(&mut self, number: u64, place: usize) {
        let room = &self.rooms[&number];
        let (here, size) = (room.members.len() as u64, self.size as u64);
        let introduce = |member: &Member| Message::Peer {
            here,
            size,
            id: member.id,
            name: member.name,
            public: member.public,
            private: member.private,
        };
        let newcomer = &room.members[place];
        self.outbox.push(
            newcomer.public,
            &Message::Wait {
                here,
                size,
                public: newcomer.public,
            },
        );
        for (other_place, other) in room.members.iter().enumerate() {
            let have_met = newcomer.met & (1 << other_place) != 0 && other.met & (1 << place) != 0;
            if other_place != place && !other.left && !have_met {
                self.outbox.push(newcomer.public, &introduce(other));
                self.outbox.push(other.public, &introduce(newcomer));
            }
        }
    }

    /// Counts only from the address that is being introduced: a MET on its way while that changed
    /// says nothing about the new one.
    fn note_met(&mut self, source: SocketAddr, id: Id, other: Id, now: Instant) {
        let Some(number) = self.members.get(&id).copied() else {
            return;
        };
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        let Some(place) = room.members.iter().position(|member| member.id == other) else {
            return;
        };
        for member in room
            .members
            .iter_mut()
            .filter(|member| member.id == id && !member.left)
        {
            if member.public == source {
                member.met |= 1 << place;
                member.heard = now;
            }
        }
        if self.first_complete == Some(number) && room.everyone_has_met() {
            self.finish();
        }
    }

    fn note_left(&mut self, id: Id, now: Instant) {
        let Some(number) = self.members.get(&id).copied() else {
            return;
        };
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        if self.departed.insert(id) {
            self.departures.push_back((now + MEMORY, id));
        }
        if room.complete {
            room.members
                .iter_mut()
                .filter(|m| m.id == id)
                .for_each(|member| member.left = true);
        } else {
            self.remove(number, id);
        }
    }

    /// Takes a member out of a room that is not complete; the places behind it move up.
    fn remove(&mut self, number: u64, id: Id) {
        let room = self.rooms.get_mut(&number).expect("a member's room exists");
        let Some(place) = room.members.iter().position(|member| member.id == id) else {
            return;
        };
        room.members.remove(place);
        self.members.remove(&id);
        for member in &mut room.members {
            let (before, after) = (member.met & ((1 << place) - 1), member.met >> 1);
            member.met = before | (after & !((1 << place) - 1));
        }
        if room.members.is_empty() {
            self.open.remove(&room.name);
            self.rooms.remove(&number);
        }
    }

    fn drop_silent(&mut self, number: u64, now: Instant) {
        let silent = |member: &&Member| member.heard + REGISTRATION_LIFETIME <= now;
        let dead: Vec<Id> = self.rooms[&number]
            .members
            .iter()
            .filter(silent)
            .map(|m| m.id)
            .collect();
        dead.into_iter().for_each(|id| self.remove(number, id));
    }

    /// Looks whether a room, or a part of it, is to be forgotten; if not, when to look again.
    fn check(&mut self, number: u64, now: Instant) {
        let Some(room) = self.rooms.get(&number) else {
            return;
        };
        if !room.complete {
            self.drop_silent(number, now);
        } else if room.last_heard() + MEMORY <= now {
            self.forget(number);
        }
        if let Some(room) = self.rooms.get(&number) {
            self.checks.insert((room.next_check(), number));
        }
    }

    fn forget(&mut self, number: u64) {
        let room = self.rooms.remove(&number).expect("the caller has seen it");
        room.members
            .iter()
            .for_each(|member| _ = self.members.remove(&member.id));
        if self.first_complete == Some(number) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if !self.forever && !self.finished {
            self.finished = true;
            self.events.push_back(Event::Finished);
        }
    }
}

impl Room {
    fn last_heard(&self) -> Instant {
        self.members
            .iter()
            .map(|member| member.heard)
            .max()
            .expect("a room has members")
    }

    fn next_check(&self) -> Instant {
        let first_silent = self.members.iter().map(|member| member.heard).min();
        match self.complete {
            true => self.last_heard() + MEMORY,
            false => first_silent.expect("a room has members") + REGISTRATION_LIFETIME,
        }
    }

    fn everyone_has_met(&self) -> bool {
        let everyone = u64::MAX >> (64 - self.members.len());
        self.members
            .iter()
            .enumerate()
            .all(|(place, member)| member.met | (1 << place) == everyone)
    }
}
