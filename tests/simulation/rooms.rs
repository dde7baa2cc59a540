//! Rooms of more than two, and meeting without a tracker.

use std::collections::BTreeMap;
use std::time::Duration;

use p2p_chat::io::harm::Dice;
use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::peer::Meeting;
use p2p_chat::protocol::wire::field::Id;

use crate::meeting::become_ready;
use crate::nats::is_talking;
use crate::network::{MINUTE, TRACKER, Weather, World};

fn company(world: &World, host: usize) -> usize {
    world.peer(host).links().filter(|link| link.is_up()).count()
}

/// Whether within a minute each of these has a link to each other.
fn become_complete(world: &mut World, hosts: &[usize]) -> bool {
    world.run_until(MINUTE, |w| hosts.iter().all(|host| company(w, *host) == hosts.len() - 1))
}

/// Peers that have all met, and a tracker that introduces more of them, up to `size`.
pub fn room<const N: usize>(seed: u64, weather: Weather, size: u8, names: [&str; N]) -> (World, [usize; N]) {
    let mut world = World::new(seed, weather);
    world.add_tracker(size, true);
    let mut numbers = 1..;
    let peers = names.map(|name| world.add_public(numbers.next().unwrap(), name));
    assert!(become_complete(&mut world, &peers), "seed {seed}");
    (world, peers)
}

/// Meets by calling these.
fn calls(endpoints: &[&str]) -> Meeting {
    Meeting::Direct(endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect())
}

/// What `host` heard of each speaker, who counts its lines: it must be what that speaker said, from some line
/// on, up to some line. Whether it is all of it is for those to ask who were there from the first line to the
/// last.
fn heard_by(world: &World, host: usize, seed: u64) -> BTreeMap<Id, Vec<usize>> {
    let mut heard: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
    for (id, line) in &world.hosts[host].lines {
        heard.entry(*id).or_default().push(line.parse().unwrap());
    }
    for lines in heard.values() {
        assert!(
            lines.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "seed {seed}: host {host} heard {lines:?}"
        );
    }
    heard
}

#[test]
fn everyone_in_a_room_hears_everyone_else_exactly_once() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let size = 2 + (dice.roll() % 15) as usize;
        let weather = Weather::FAIR
            .losing((dice.roll() % 30) as u8)
            .duplicating(10)
            .jittering(Duration::from_millis(30));
        let mut world = World::new(seed, weather);
        world.add_tracker(size as u8, true);
        let meeting = || Meeting::Tracker(TRACKER.parse().unwrap());
        // A room of our own, and another one in which nobody must hear us.
        let peers: Vec<usize> = (0..size)
            .map(|n| {
                world.add_peer_in(0, &format!("192.0.2.{n}:50001"), &format!("p{n}"), "physics", meeting())
            })
            .collect();
        let other = world.add_peer_in(0, "192.0.2.200:50001", "other", "chemistry", meeting());
        assert!(become_complete(&mut world, &peers), "seed {seed}: the room of {size} is not complete");
        for number in 0..5 {
            for host in &peers {
                world.say(*host, &number.to_string());
            }
            world.run_for(Duration::from_millis(dice.roll() % 100));
        }
        let total = 5 * (size - 1);
        let all = world.run_until(MINUTE, |w| peers.iter().all(|host| w.hosts[*host].lines.len() == total));
        assert!(all, "seed {seed}, size {size}: lines are missing");
        world.run_for(Duration::from_secs(5));
        for host in &peers {
            let heard = heard_by(&world, *host, seed);
            assert_eq!(heard.len(), size - 1, "seed {seed}");
            assert!(heard.values().all(|lines| *lines == [0, 1, 2, 3, 4]), "seed {seed}: {heard:?}");
        }
        assert!(world.hosts[other].lines.is_empty(), "seed {seed}: rooms hear each other");
    }
}

#[test]
fn joins_leaves_deaths_and_restarts_disturb_nobody_else() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let weather = Weather::FAIR.losing((dice.roll() % 20) as u8);
        let (mut world, stayers) = room(seed, weather, 9, ["stayer"; 3]);
        let mut guests: Vec<usize> = Vec::new();
        for number in 0..20 {
            match dice.roll() % 5 {
                0 if guests.len() < 5 => guests.push(world.add_public(10 + number, "guest")),
                1 if !guests.is_empty() => {
                    let guest = guests.swap_remove(0);
                    if world.hosts[guest].outcome.is_none() {
                        world.act(guest, |peer, now| peer.leave(now));
                    }
                }
                2 if !guests.is_empty() => world.kill(guests.swap_remove(0)),
                3 if !guests.is_empty() => {
                    let guest = guests.swap_remove(0);
                    let endpoint = world.hosts[guest].endpoint.to_string();
                    world.kill(guest);
                    guests.push(world.add_peer(0, &endpoint, "guest"));
                }
                _ => {}
            }
            for host in &stayers {
                world.say(*host, &number.to_string());
            }
            world.run_for(Duration::from_millis(dice.roll() % 3000));
        }
        let everything: Vec<usize> = (0..20).collect();
        let has_heard_all = |w: &World, host: usize| {
            let heard = heard_by(w, host, seed);
            heard.len() == 2 && heard.values().all(|lines| *lines == everything)
        };
        let all = world.run_until(MINUTE, |w| stayers.iter().all(|host| has_heard_all(w, *host)));
        assert!(all, "seed {seed}: lines are missing");
        for guest in stayers.len() + 1..world.hosts.len() {
            heard_by(&world, guest, seed); // those who came and went, too
        }
    }
}

#[test]
fn a_dead_peer_holds_nobody_up_for_longer_than_its_being_gone_takes() {
    let (mut world, peers) = room(1, Weather::FAIR, 3, ["p"; 3]);
    world.kill(peers[2]);
    let killed = world.elapsed();
    for number in 0..5000 {
        world.say_in_time(peers[0], &number.to_string());
    }
    assert!(world.elapsed() - killed < Duration::from_secs(22), "{:?}", world.elapsed() - killed);
    assert!(world.run_until(MINUTE, |w| w.hosts[peers[1]].lines.len() == 5000));
}

#[test]
fn peers_that_call_each_other_meet_without_a_tracker() {
    for seed in 0..200 {
        let mut world = World::new(seed, Weather::FAIR.losing(30).duplicating(20));
        let at = ["192.0.2.1:50001", "192.0.2.2:50001"];
        let both = seed % 2 == 0;
        let alice = world.add_peer_in(0, at[0], "alice", "lobby", calls(&at[1..]));
        world.run_for(Duration::from_secs(seed % 7));
        let bob = world.add_peer_in(0, at[1], "bob", "lobby", calls(if both { &at[..1] } else { &[] }));
        assert!(become_ready(&mut world, &[alice, bob]), "seed {seed}");
        assert!(is_talking(&mut world, alice, bob), "seed {seed}");
        assert_eq!((company(&world, alice), company(&world, bob)), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_call_into_another_room_or_to_oneself_is_not_answered() {
    let mut world = World::new(1, Weather::FAIR);
    let [a, b] = ["192.0.2.1:50001", "192.0.2.2:50001"];
    let alice = world.add_peer_in(0, a, "alice", "physics", calls(&[a, b]));
    let bob = world.add_peer_in(0, b, "bob", "chemistry", calls(&[a, b]));
    world.run_for(MINUTE);
    assert_eq!((company(&world, alice), company(&world, bob)), (0, 0));
    let calls_in_vain = |event: &&Event| matches!(event, Event::NobodyAnswers(_));
    assert_eq!(world.hosts[alice].told().filter(calls_in_vain).count(), 2);
}

#[test]
fn a_line_to_one_peer_is_heard_by_no_other() {
    let (mut world, peers) = room(1, Weather::FAIR, 3, ["p1", "p1", "p2"]);
    let found = world.peer(peers[0]).find("p1");
    assert_eq!(found.len(), 1, "{found:?}");
    world.act(peers[0], |peer, now| peer.say_to(found[0], "7", now));
    world.run_for(Duration::from_secs(1));
    let heard = peers.iter().map(|host| world.hosts[*host].lines.len());
    assert_eq!(heard.collect::<Vec<_>>(), [0, 1, 0]);
    // Two of one name are told apart by their ids.
    assert_eq!(world.peer(peers[2]).find("p1").len(), 2);
    let id = world.link(peers[2]).who.id;
    assert_eq!(world.peer(peers[2]).find(&id.to_string()), [id]);
}

#[test]
fn joins_and_leaves_are_told() {
    let (mut world, [alice, bob]) = room(1, Weather::FAIR, 3, ["alice", "bob"]);
    world.act(bob, |peer, now| peer.leave(now));
    let left = |w: &World| w.hosts[alice].told().any(|event| matches!(event, Event::Left(_)));
    assert!(world.run_until(MINUTE, left));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[alice].outcome, None, "others may still come");
}
