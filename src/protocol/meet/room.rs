//! Meet: a tracker's room, and who in it has yet to be introduced to whom.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::protocol::{Id, Introduction, Message, Output, Reason};

/// The largest room: everybody in it talks to everybody.
pub const MAX_ROOM: u8 = 64;

/// A registration lives so long without being repeated; a peer repeats it every second.
const REGISTRATION_LIFETIME: Duration = Duration::from_secs(5);

/// For the sake of late copies, a complete room is remembered so long after a member was last heard, and who
/// has left so long after that.
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

    /// A member has registered again. If its address has changed, nobody has met it there: hands out the one
    /// before.
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

    /// Answers a member with WAIT, and with an introduction, both ways, to everyone with whom it has yet to
    /// meet. Tells whether it has done so before.
    pub fn answer(&self, who: Introduction, is_again: bool, out: &mut Output) {
        let (here, size, public) = (self.members.len() as u64, u64::from(self.size), who.public);
        let again = |why| Some(Reason::Again(why)).filter(|_| is_again);
        out.send(public, &Message::Wait { here, size, public }, again("so did the REGISTER"));
        for other in self.members.iter().filter(|other| other.who.id != who.id && !other.left) {
            if !self.has_met(who.id, other.who.id) || !self.has_met(other.who.id, who.id) {
                let again = again("not both have said MET");
                out.send(public, &Message::Peer { here, size, who: other.who }, again);
                out.send(other.who.public, &Message::Peer { here, size, who }, again);
            }
        }
    }

    /// Notes that a member has met another; false where that is nothing new.
    pub fn note_met(&mut self, id: Id, other: Id, now: Instant) -> bool {
        let is_here = other != id && self.ids().any(|member| member == other) && !self.has_met(id, other);
        let Some(member) = self.member(id).filter(|member| !member.left) else { return false };
        member.heard = now;
        member.met.extend(is_here.then_some(other));
        is_here
    }

    fn has_met(&self, id: Id, other: Id) -> bool {
        self.members.iter().any(|member| member.who.id == id && member.met.contains(&other))
    }

    /// Whether every two members have met, both ways.
    pub fn has_everyone_met(&self) -> bool {
        self.members.iter().all(|member| member.met.len() + 1 == self.members.len())
    }

    /// A member has left a complete room: it is introduced to nobody any more. False where that is nothing
    /// new.
    pub fn note_left(&mut self, id: Id) -> bool {
        self.member(id).is_some_and(|member| !std::mem::replace(&mut member.left, true))
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u8 = 1;
    const BOB: u8 = 2;

    /// A member: its host number is its id, too.
    fn who(host: u8) -> Introduction {
        let [public, private] = [[203, 0, 113, host], [192, 168, 1, host]].map(|ip| (ip, 50001).into());
        Introduction { id: Id(host.into()), name: "somebody".parse().expect("a name"), public, private }
    }

    /// A room and a clock.
    struct Bench {
        room: Room,
        now: Instant,
    }

    impl Bench {
        fn new(size: u8, members: std::ops::RangeInclusive<u8>) -> Self {
            let mut bench = Self { room: Room::new(size), now: Instant::now() };
            members.for_each(|host| bench.room.add(who(host), bench.now));
            bench
        }

        fn wait(&mut self, milliseconds: u64) {
            self.now += Duration::from_millis(milliseconds);
        }

        fn met(&mut self, host: u8, other: u8) {
            self.room.note_met(Id(host.into()), Id(other.into()), self.now);
        }

        /// Who is introduced to whom when this one registers again.
        fn answer(&mut self, host: u8) -> Vec<(u8, u8)> {
            let mut out = Output::new(self.now);
            self.room.answer(who(host), true, &mut out);
            let mut introduced = Vec::new();
            for sent in out.transmits {
                let lines = String::from_utf8(sent.datagram).expect("we write UTF-8");
                let SocketAddr::V4(to) = sent.destination else { panic!("only IPv4 here") };
                for line in lines.lines() {
                    if let Message::Peer { who, .. } = line.parse().expect("well formed") {
                        introduced.push((who.id.0 as u8, to.ip().octets()[3]));
                    }
                }
            }
            introduced
        }

        fn silent(&self) -> Vec<u8> {
            self.room.silent(self.now).iter().map(|id| id.0 as u8).collect()
        }
    }

    #[test]
    fn two_are_introduced_to_each_other_until_both_have_said_met() {
        let both = [(BOB, ALICE), (ALICE, BOB)];
        for [first, second] in [[ALICE, BOB], [BOB, ALICE]] {
            let mut bench = Bench::new(2, 1..=2);
            assert_eq!(bench.answer(ALICE), both);
            bench.met(first, second);
            assert_eq!(bench.answer(ALICE), both, "{first} only has said so");
            bench.met(second, first);
            assert_eq!(bench.answer(ALICE), []);
        }
    }

    #[test]
    fn who_has_left_is_introduced_to_nobody_until_it_registers_again() {
        let mut bench = Bench::new(2, 1..=2);
        bench.room.note_left(Id(BOB.into()));
        assert_eq!(bench.answer(ALICE), []);
        bench.room.refresh(who(BOB), bench.now);
        assert_eq!(bench.answer(ALICE).len(), 2);
    }

    #[test]
    fn a_changed_address_public_or_private_has_been_met_by_nobody() {
        let elsewhere = SocketAddr::from(([192, 168, 1, 99], 50001));
        let changes =
            [Introduction { public: elsewhere, ..who(BOB) }, Introduction { private: elsewhere, ..who(BOB) }];
        for (changed, [first, second]) in changes.into_iter().zip([[ALICE, BOB], [BOB, ALICE]]) {
            let mut bench = Bench::new(2, 1..=2);
            bench.met(ALICE, BOB);
            bench.met(BOB, ALICE);
            assert_eq!(bench.room.refresh(who(BOB), bench.now), None);
            assert!(bench.room.has_everyone_met());
            assert_eq!(bench.room.refresh(changed, bench.now), Some(who(BOB).public));
            bench.met(first, second);
            assert!(!bench.room.has_everyone_met(), "{second} has to say it again, too");
            bench.met(second, first);
            assert!(bench.room.has_everyone_met());
        }
    }

    #[test]
    fn everyone_has_met_when_every_pair_has_said_so_both_ways() {
        let mut bench = Bench::new(3, 1..=3);
        for (host, other) in [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3)] {
            bench.met(host, other);
            bench.met(host, other); // a copy
            bench.met(host, 9); // about somebody who is not here
            assert!(!bench.room.has_everyone_met());
        }
        bench.met(3, 2);
        assert!(bench.room.has_everyone_met());
    }

    #[test]
    fn a_member_of_an_incomplete_room_is_silent_after_five_seconds() {
        let mut bench = Bench::new(3, 1..=2);
        bench.wait(4000);
        bench.room.refresh(who(ALICE), bench.now);
        bench.wait(999);
        assert_eq!(bench.silent(), []);
        bench.wait(1);
        assert_eq!(bench.silent(), [BOB]);
    }

    #[test]
    fn a_complete_room_is_silent_as_a_whole_ten_seconds_after_any_member_was_heard() {
        let mut bench = Bench::new(2, 1..=2);
        bench.wait(9000);
        bench.met(ALICE, BOB); // is heard, too
        bench.wait(9999);
        assert_eq!(bench.silent(), []);
        bench.wait(1);
        assert_eq!(bench.silent(), [ALICE, BOB]);
    }

    #[test]
    fn nobody_meets_oneself() {
        let mut bench = Bench::new(2, ALICE..=BOB);
        bench.met(ALICE, ALICE);
        bench.met(BOB, ALICE);
        assert!(!bench.room.has_everyone_met());
        bench.met(ALICE, BOB);
        assert!(bench.room.has_everyone_met());
    }

    #[test]
    fn only_who_was_answered_before_is_told_why_again() {
        let bench = Bench::new(2, 1..=2);
        let again = |index, why| (index, Reason::Again(why));
        let (registered, met) = ("so did the REGISTER", "not both have said MET");
        let repeats = [vec![again(0, registered), again(1, met)], vec![again(0, met)]];
        for (is_again, reasons) in [(false, [vec![], vec![]]), (true, repeats)] {
            let mut out = Output::new(bench.now);
            bench.room.answer(who(ALICE), is_again, &mut out);
            let told: Vec<_> = out.transmits.into_iter().map(|sent| sent.reasons).collect();
            assert_eq!(told, reasons);
        }
    }
}
