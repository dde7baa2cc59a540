//! Meet: a tracker's room, and who in it has yet to be introduced to whom.
//!
//! ```text
//! place    0 alice   1 bob   2 carol
//! met      0b110     0b001   0b000       alice has said MET of both, bob of alice:
//!                                        carol and bob, carol and alice are still introduced
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::datagram::Outbox;
use super::field::{Id, Name};
use super::message::{Introduction, Message};

/// The largest room: a bit for each place.
pub const MAX_ROOM: u8 = 64;

/// A registration lives so long without being repeated; a peer repeats it every second.
pub const REGISTRATION_LIFETIME: Duration = Duration::from_secs(5);

/// A complete room is remembered so long for the sake of late copies.
pub const MEMORY: Duration = Duration::from_secs(10);

/// A room: the first so many who registered for it.
#[derive(Debug)]
pub struct Room {
    name: Name,
    size: u8,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    who: Introduction,
    heard: Instant,
    left: bool,
    /// The members that this one has said MET about: one bit for each place in the room.
    met: u64,
}

impl Room {
    /// An empty room for `size` members.
    pub fn new(name: Name, size: u8) -> Self {
        Self { name, size, members: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// Whether it takes no newcomer.
    pub fn is_complete(&self) -> bool {
        self.members.len() == usize::from(self.size)
    }

    /// The ids of those who are in it.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.members.iter().map(|member| member.who.id)
    }

    /// Takes a newcomer.
    pub fn add(&mut self, who: Introduction, now: Instant) {
        self.members.reserve_exact(1); // most rooms stay small, and there may be many
        self.members.push(Member { who, heard: now, left: false, met: 0 });
    }

    /// A member has registered again. If its address has changed, nobody has met it there.
    pub fn refresh(&mut self, who: Introduction, now: Instant) {
        let Some(place) = self.place(who.id) else {
            return;
        };
        let member = &mut self.members[place];
        let has_moved = (member.who.public, member.who.private) != (who.public, who.private);
        (member.who, member.heard, member.left) = (who, now, false);
        if has_moved {
            member.met = 0;
            self.members.iter_mut().for_each(|other| other.met &= !(1 << place));
        }
    }

    /// Answers a member with WAIT, and with an introduction, both ways, to everyone with whom it
    /// has yet to meet.
    pub fn answer(&self, id: Id, outbox: &mut Outbox) {
        let Some(place) = self.place(id) else { return };
        let (here, size) = (self.members.len() as u64, u64::from(self.size));
        let member = &self.members[place];
        let public = member.who.public;
        outbox.push(public, &Message::Wait { here, size, public });
        for (other_place, other) in self.members.iter().enumerate() {
            let have_met = member.met & (1 << other_place) != 0 && other.met & (1 << place) != 0;
            if other_place != place && !other.left && !have_met {
                outbox.push(public, &Message::Peer { here, size, who: other.who });
                outbox.push(other.who.public, &Message::Peer { here, size, who: member.who });
            }
        }
    }

    /// Notes that a member has met another. It counts only from the address that is being
    /// introduced: a MET on its way while that changed says nothing about the new one.
    pub fn note_met(&mut self, source: SocketAddr, id: Id, other: Id, now: Instant) {
        let (Some(place), Some(other)) = (self.place(id), self.place(other)) else {
            return;
        };
        let member = &mut self.members[place];
        if member.who.public == source && !member.left {
            member.met |= 1 << other;
            member.heard = now;
        }
    }

    /// Whether every two members have met, both ways.
    pub fn has_everyone_met(&self) -> bool {
        let everyone = u64::MAX >> (64 - self.members.len());
        self.members.iter().enumerate().all(|(place, member)| member.met | (1 << place) == everyone)
    }

    /// A member of a complete room has left: it is introduced to nobody any more.
    pub fn note_left(&mut self, id: Id) {
        if let Some(place) = self.place(id) {
            self.members[place].left = true;
        }
    }

    /// Takes a member out of a room that is not complete; the places behind it move up.
    pub fn remove(&mut self, id: Id) {
        let Some(place) = self.place(id) else { return };
        self.members.remove(place);
        let before = (1 << place) - 1;
        for member in &mut self.members {
            member.met = (member.met & before) | (member.met >> 1 & !before);
        }
    }

    /// Who has not registered for too long.
    pub fn silent(&self, now: Instant) -> Vec<Id> {
        let silent = |member: &&Member| member.heard + REGISTRATION_LIFETIME <= now;
        self.members.iter().filter(silent).map(|member| member.who.id).collect()
    }

    /// When somebody in it, or all of it if it is complete, may have to be forgotten; `None` for
    /// an empty room.
    pub fn next_check(&self) -> Option<Instant> {
        let heard = self.members.iter().map(|member| member.heard);
        match self.is_complete() {
            true => heard.max().map(|last| last + MEMORY),
            false => heard.min().map(|first| first + REGISTRATION_LIFETIME),
        }
    }

    fn place(&self, id: Id) -> Option<usize> {
        self.members.iter().position(|member| member.who.id == id)
    }
}
