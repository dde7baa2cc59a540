//! Meet: a tracker's room, and who in it has yet to be introduced to whom.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::protocol::{Id, Introduction, Message, Output};

/// The largest room: everybody in it talks to everybody.
pub const MAX_ROOM: u8 = 64;

/// A registration lives so long without being repeated; a peer repeats it every second.
const REGISTRATION_LIFETIME: Duration = Duration::from_secs(5);

/// A complete room, and who has left, is remembered so long for the sake of late copies.
pub const MEMORY: Duration = Duration::from_secs(10);

/// A room: the first so many who registered for it.
pub struct Room {
    size: u8,
    members: Vec<Member>,
}

struct Member {
    who: Introduction,
    heard: Instant,
    left: bool,
    /// About whom this one has said MET.
    met: Vec<Id>,
}

impl Room {
    pub fn new(size: u8) -> Self {
        Self { size, members: Vec::new() }
    }

    /// Whether it takes no newcomer.
    pub fn is_complete(&self) -> bool {
        self.members.len() == usize::from(self.size)
    }

    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.members.iter().map(|member| member.who.id)
    }

    pub fn add(&mut self, who: Introduction, now: Instant) {
        self.members.reserve_exact(1); // most rooms stay small, and there may be many
        self.members.push(Member { who, heard: now, left: false, met: Vec::new() });
    }

    /// A member has registered again. If its address has changed, nobody has met it there: hands out the one before.
    pub fn refresh(&mut self, who: Introduction, now: Instant) -> Option<SocketAddr> {
        let member = self.member(who.id)?;
        let before = member.who;
        (member.who, member.heard, member.left) = (who, now, false);
        if (before.public, before.private) == (who.public, who.private) {
            return None;
        }
        member.met.clear();
        self.members.iter_mut().for_each(|other| other.met.retain(|id| *id != who.id));
        Some(before.public)
    }

    /// Answers a member with WAIT, and with an introduction, both ways, to everyone with whom it
    /// has yet to meet.
    pub fn answer(&self, who: Introduction, out: &mut Output) {
        let (here, size, public) = (self.members.len() as u64, u64::from(self.size), who.public);
        out.send(public, &Message::Wait { here, size, public });
        for other in self.members.iter().filter(|other| other.who.id != who.id && !other.left) {
            if !self.has_met(who.id, other.who.id) || !self.has_met(other.who.id, who.id) {
                out.send(public, &Message::Peer { here, size, who: other.who });
                out.send(other.who.public, &Message::Peer { here, size, who });
            }
        }
    }

    /// Notes that a member has met another.
    pub fn note_met(&mut self, id: Id, other: Id, now: Instant) {
        let is_here = self.ids().any(|id| id == other) && !self.has_met(id, other);
        if let Some(member) = self.member(id).filter(|member| !member.left) {
            member.heard = now;
            member.met.extend(is_here.then_some(other));
        }
    }

    fn has_met(&self, id: Id, other: Id) -> bool {
        self.members.iter().any(|member| member.who.id == id && member.met.contains(&other))
    }

    /// Whether every two members have met, both ways.
    pub fn has_everyone_met(&self) -> bool {
        self.members.iter().all(|member| member.met.len() + 1 == self.members.len())
    }

    /// A member has left a complete room: it is introduced to nobody any more.
    pub fn note_left(&mut self, id: Id) {
        self.member(id).into_iter().for_each(|member| member.left = true);
    }

    /// Takes a member out; hands out its address.
    pub fn remove(&mut self, id: Id) -> Option<SocketAddr> {
        self.members.iter_mut().for_each(|other| other.met.retain(|met| *met != id));
        let index = self.members.iter().position(|member| member.who.id == id)?;
        Some(self.members.remove(index).who.public)
    }

    /// Who has not registered for too long. A complete room is forgotten as a whole.
    pub fn silent(&self, now: Instant) -> Vec<Id> {
        let lifetime = if self.is_complete() { MEMORY } else { REGISTRATION_LIFETIME };
        let silent = self.members.iter().filter(|member| member.heard + lifetime <= now);
        let silent: Vec<Id> = silent.map(|member| member.who.id).collect();
        let stays = self.is_complete() && silent.len() < self.members.len();
        if stays { Vec::new() } else { silent }
    }

    fn member(&mut self, id: Id) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.who.id == id)
    }
}
