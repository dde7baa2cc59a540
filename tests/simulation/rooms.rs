//! Rooms of more than two, and meeting without a tracker.

use std::collections::BTreeMap;
use std::time::Duration;

use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::peer::Meeting;
use p2p_chat::protocol::wire::field::Id;

use crate::meeting::is_ready;
use crate::network::{TRACKER, Weather, World};

const MINUTE: Duration = Duration::from_secs(60);

fn company(world: &World, host: usize) -> usize {
    world.peer(host).links().filter(|link| link.is_up()).count()
}

/// What `host` heard of each speaker, who counts its lines: it must be what that speaker said, from some line on,
/// up to some line. Whether it is all of it is for those to ask who were there from the first line to the last.
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
        let mut dice = p2p_chat::io::harm::Dice(seed);
        let size = 2 + (dice.roll() % 15) as usize;
        let weather = Weather {
            loss: (dice.roll() % 30) as u8,
            duplicate: 10,
            jitter: Duration::from_millis(30),
            ..Weather::FAIR
        };
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
        let complete = world.run_until(MINUTE, |w| peers.iter().all(|host| company(w, *host) == size - 1));
        assert!(complete, "seed {seed}: the room of {size} is not complete");
        for number in 0..5 {
            for host in &peers {
                world.act(*host, |peer, now| peer.say(&number.to_string(), now));
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
        let mut dice = p2p_chat::io::harm::Dice(seed);
        let mut world = World::new(seed, Weather { loss: (dice.roll() % 20) as u8, ..Weather::FAIR });
        world.add_tracker(9, true);
        let stayers: Vec<usize> =
            (0..3).map(|n| world.add_peer(0, &format!("192.0.2.{n}:50001"), "stayer")).collect();
        assert!(
            world.run_until(MINUTE, |w| stayers.iter().all(|host| company(w, *host) == 2)),
            "seed {seed}"
        );
        let mut said = 0;
        let mut guests: Vec<usize> = Vec::new();
        for number in 0..20 {
            match dice.roll() % 5 {
                0 if guests.len() < 5 => {
                    let endpoint = format!("192.0.2.{}:50001", 10 + number);
                    guests.push(world.add_peer(0, &endpoint, "guest"));
                }
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
                world.act(*host, |peer, now| peer.say(&said.to_string(), now));
            }
            said += 1;
            world.run_for(Duration::from_millis(dice.roll() % 3000));
        }
        let others = |world: &World, host: usize| {
            let ids: Vec<Id> = world
                .peer(host)
                .links()
                .filter(|l| l.who.name.as_str() == "stayer")
                .map(|l| l.who.id)
                .collect();
            ids
        };
        let everything: Vec<usize> = (0..said).collect();
        let all = world.run_until(MINUTE, |w| {
            stayers.iter().all(|host| {
                let heard = heard_by(w, *host, seed);
                others(w, *host).iter().all(|id| heard.get(id).is_some_and(|lines| lines.len() >= said))
            })
        });
        assert!(all, "seed {seed}: lines are missing");
        for host in &stayers {
            let heard = heard_by(&world, *host, seed);
            assert!(others(&world, *host).iter().all(|id| heard[id] == everything), "seed {seed}");
        }
        for guest in stayers.len() + 1..world.hosts.len() {
            heard_by(&world, guest, seed); // those who came and went, too
        }
    }
}

#[test]
fn a_dead_peer_holds_nobody_up_for_longer_than_its_being_gone_takes() {
    let mut world = World::new(1, Weather::FAIR);
    world.add_tracker(3, true);
    let peers: Vec<usize> = (0..3).map(|n| world.add_peer(0, &format!("192.0.2.{n}:50001"), "p")).collect();
    assert!(world.run_until(MINUTE, |w| peers.iter().all(|host| company(w, *host) == 2)));
    world.kill(peers[2]);
    let killed = world.elapsed();
    let mut said = 0;
    while said < 5000 {
        if world.peer(peers[0]).is_full() {
            world.run_for(Duration::from_millis(10));
        } else {
            world.act(peers[0], |peer, now| peer.say(&said.to_string(), now));
            said += 1;
        }
    }
    assert!(world.elapsed() - killed < Duration::from_secs(22), "{:?}", world.elapsed() - killed);
    assert!(world.run_until(MINUTE, |w| w.hosts[peers[1]].lines.len() == 5000));
}

#[test]
fn peers_that_call_each_other_meet_without_a_tracker() {
    for seed in 0..200 {
        let mut world = World::new(seed, Weather { loss: 30, duplicate: 20, ..Weather::FAIR });
        let at = ["192.0.2.1:50001", "192.0.2.2:50001"];
        let calls =
            |to: &[&str]| Meeting::Direct(to.iter().map(|endpoint| endpoint.parse().unwrap()).collect());
        let both = seed % 2 == 0;
        let alice = world.add_peer_in(0, at[0], "alice", "lobby", calls(&at[1..]));
        world.run_for(Duration::from_secs(seed % 7));
        let bob = world.add_peer_in(0, at[1], "bob", "lobby", calls(if both { &at[..1] } else { &[] }));
        assert!(world.run_until(MINUTE, |w| is_ready(w, alice) && is_ready(w, bob)), "seed {seed}");
        world.act(alice, |peer, now| peer.say("1", now));
        world.act(bob, |peer, now| peer.say("2", now));
        let both =
            world.run_until(MINUTE, |w| w.hosts[alice].lines.len() == 1 && w.hosts[bob].lines.len() == 1);
        assert!(both, "seed {seed}");
        assert_eq!((company(&world, alice), company(&world, bob)), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_call_into_another_room_or_to_oneself_is_not_answered() {
    let mut world = World::new(1, Weather::FAIR);
    let [a, b] = ["192.0.2.1:50001", "192.0.2.2:50001"];
    let calls =
        |to: [&str; 2]| Meeting::Direct(to.iter().map(|endpoint| endpoint.parse().unwrap()).collect());
    let alice = world.add_peer_in(0, a, "alice", "physics", calls([a, b]));
    let bob = world.add_peer_in(0, b, "bob", "chemistry", calls([a, b]));
    world.run_for(MINUTE);
    assert_eq!((company(&world, alice), company(&world, bob)), (0, 0));
    let told = |event: &Event| matches!(event, Event::NobodyAnswers(_));
    assert_eq!(world.hosts[alice].events.iter().filter(|(_, event)| told(event)).count(), 2);
}

#[test]
fn a_line_to_one_peer_is_heard_by_no_other() {
    let mut world = World::new(1, Weather::FAIR);
    world.add_tracker(3, true);
    let peers: Vec<usize> =
        (0..3).map(|n| world.add_peer(0, &format!("192.0.2.{n}:50001"), &format!("p{}", n.max(1)))).collect();
    assert!(world.run_until(MINUTE, |w| peers.iter().all(|host| company(w, *host) == 2)));
    let found = world.peer(peers[0]).find("p1");
    assert_eq!(found.len(), 1, "{found:?}");
    world.act(peers[0], |peer, now| peer.say_to(found[0], "7", now));
    world.run_for(Duration::from_secs(1));
    let heard = peers.iter().map(|host| world.hosts[*host].lines.len());
    assert_eq!(heard.collect::<Vec<_>>(), [0, 1, 0]);
    // Two of one name are told apart by their ids.
    assert_eq!(world.peer(peers[2]).find("p1").len(), 2);
    let id = world.peer(peers[2]).links().next().unwrap().who.id;
    assert_eq!(world.peer(peers[2]).find(&id.to_string()), [id]);
}

#[test]
fn joins_and_leaves_are_told() {
    let mut world = World::new(1, Weather::FAIR);
    world.add_tracker(3, true);
    let alice = world.add_peer(0, "192.0.2.1:50001", "alice");
    let bob = world.add_peer(0, "192.0.2.2:50001", "bob");
    assert!(world.run_until(MINUTE, |w| is_ready(w, alice) && is_ready(w, bob)));
    world.act(bob, |peer, now| peer.leave(now));
    let left = |w: &World| w.hosts[alice].events.iter().any(|(_, e)| matches!(e, Event::Left(_)));
    assert!(world.run_until(MINUTE, left));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[alice].outcome, None, "others may still come");
}
