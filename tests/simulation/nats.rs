//! Reach: every kind of router with every other.

use std::time::Duration;

use p2p_chat::protocol::event::Event;

use crate::meeting::{become_ready, is_ready};
use crate::network::{MINUTE, Mapping, Realm, Weather, World};

const SEEDS: u64 = 200;

/// What stands between a peer and the internet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Public,
    Behind(Mapping),
    /// A home router behind the provider's.
    Double,
}

use Mapping::{FullCone, Plain, Symmetric};

const SIDES: [Side; 5] =
    [Side::Public, Side::Behind(FullCone), Side::Behind(Plain), Side::Behind(Symmetric), Side::Double];

/// Whether two peers can meet at all. A plain router lets in only those whose address its peer has pinged:
/// the port that a symmetric one opens for us cannot be pinged before it is seen, nor seen before it is
/// pinged.
fn can_meet(one: Side, other: Side) -> bool {
    let is_open = |side| matches!(side, Side::Public | Side::Behind(FullCone));
    let is_symmetric = |side| side == Side::Behind(Symmetric);
    is_open(one) || is_open(other) || !(is_symmetric(one) || is_symmetric(other))
}

fn add_side(world: &mut World, side: Side, number: u8, clashes: bool) -> (Realm, String) {
    match side {
        Side::Public => (0, format!("203.0.113.{}:50001", 100 + number)),
        Side::Behind(mapping) => {
            let realm = world.add_router(0, &format!("203.0.113.{number}"), mapping);
            world.routers.last_mut().unwrap().clashes = clashes;
            (realm, "192.168.1.5:50001".to_owned()) // the same on both sides: half of all homes have it
        }
        Side::Double => {
            let provider = world.add_router(0, &format!("203.0.113.{number}"), Plain);
            let realm = world.add_router(provider, "100.64.0.7", Plain);
            (realm, "192.168.1.5:50001".to_owned())
        }
    }
}

fn meet(seed: u64, sides: [Side; 2], weather: Weather, clashes: bool) -> (World, usize, usize) {
    let mut world = World::new(seed, weather);
    world.add_tracker(2, false);
    let (realm, endpoint) = add_side(&mut world, sides[0], 1, clashes);
    let alice = world.add_peer(realm, &endpoint, "alice");
    let wait = Duration::from_millis(world.dice.roll() % 2000);
    world.run_for(wait);
    let (realm, endpoint) = add_side(&mut world, sides[1], 2, clashes);
    let bob = world.add_peer(realm, &endpoint, "bob");
    (world, alice, bob)
}

pub fn is_talking(world: &mut World, alice: usize, bob: usize) -> bool {
    world.say(alice, "hello");
    world.say(bob, "hello");
    world.run_until(MINUTE, |w| w.hosts[alice].lines.len() == 1 && w.hosts[bob].lines.len() == 1)
}

#[test]
fn every_pair_of_routers_meets_where_it_can_and_is_told_where_it_cannot() {
    for loss in [0, 20] {
        for one in SIDES {
            for other in SIDES {
                for seed in 0..SEEDS {
                    let weather = Weather::FAIR.losing(loss).jittering(Duration::from_millis(5));
                    let (mut world, alice, bob) = meet(seed, [one, other], weather, false);
                    let what = format!("{one:?} with {other:?}, seed {seed}, loss {loss}");
                    let met = become_ready(&mut world, &[alice, bob]);
                    assert_eq!(met, can_meet(one, other), "{what}");
                    if met {
                        assert!(is_talking(&mut world, alice, bob), "{what}: no talk");
                    } else {
                        assert_eq!(world.hosts[alice].outcome, Some(false), "{what}: alice is not told");
                        assert_eq!(world.hosts[bob].outcome, Some(false), "{what}: bob is not told");
                        assert!(is_explained(&world, alice) && is_explained(&world, bob), "{what}");
                    }
                }
            }
        }
    }
}

/// When each side was introduced, and when it was ready.
fn times(world: &World, host: usize) -> [Duration; 2] {
    let time = |is_it: fn(&Event) -> bool| {
        let found = world.hosts[host].events.iter().find(|(_, event)| is_it(event));
        found.map(|(when, _)| *when).expect("it has happened")
    };
    [
        time(|event| matches!(event, Event::Introduced(..))),
        time(|event| matches!(event, Event::Reached { .. })),
    ]
}

#[test]
fn two_homes_are_ready_one_and_a_half_round_trips_after_the_introduction() {
    let one_way = Duration::from_millis(10);
    for seed in 0..SEEDS {
        let weather = Weather::FAIR.delaying(one_way);
        let (mut world, alice, bob) = meet(seed, [Side::Behind(Plain); 2], weather, false);
        assert!(world.run_until(MINUTE, |w| is_ready(w, alice) && is_ready(w, bob)), "seed {seed}");
        for host in [alice, bob] {
            let [introduced, ready] = times(&world, host);
            assert!(ready - introduced <= one_way * 3, "seed {seed}: {:?}", ready - introduced);
        }
    }
}

/// The first PINGs cross, or one of them is faster than the introduction.
#[test]
fn crossing_and_early_pings_cost_no_round_of_pings() {
    for seed in 0..SEEDS {
        let weather = Weather::FAIR.delaying(Duration::ZERO).jittering(Duration::from_micros(200));
        let (mut world, alice, bob) = meet(seed, [Side::Public; 2], weather, false);
        assert!(world.run_until(MINUTE, |w| is_ready(w, alice) && is_ready(w, bob)), "seed {seed}");
        let [introduced, _] = times(&world, bob);
        let late = world.elapsed() - introduced;
        assert!(late <= Duration::from_millis(2), "seed {seed}: {late:?}");
    }
}

fn is_explained(world: &World, host: usize) -> bool {
    world.hosts[host].told().any(|event| match event {
        Event::Unreachable(_, failure) => !failure.tried.is_empty() && failure.ours.is_some(),
        _ => false,
    })
}

#[test]
fn two_behind_one_router_meet_by_their_private_addresses() {
    for mapping in [Plain, Symmetric, FullCone] {
        for seed in 0..SEEDS {
            let mut world = World::new(seed, Weather::FAIR.losing(20));
            world.add_tracker(2, false);
            let home = world.add_router(0, "203.0.113.1", mapping);
            let alice = world.add_peer(home, "192.168.1.5:50001", "alice");
            let bob = world.add_peer(home, "192.168.1.6:50001", "bob");
            assert!(become_ready(&mut world, &[alice, bob]), "{mapping:?}, seed {seed}");
            let endpoint = world.link(alice).path.endpoint.unwrap();
            assert_eq!(endpoint, world.hosts[bob].endpoint, "{mapping:?}, seed {seed}");
            let told: Vec<String> = world.hosts[alice].told().map(ToString::to_string).collect();
            let elsewhere = "  reached bob at 192.168.1.6 50001\n\nready to exchange messages";
            assert!(told.iter().any(|told| told == elsewhere), "{mapping:?}, seed {seed}: {told:#?}");
        }
    }
}

#[test]
fn two_homes_behind_one_provider_meet_only_with_hairpin() {
    for hairpin in [false, true] {
        for seed in 0..SEEDS {
            let mut world = World::new(seed, Weather::FAIR);
            world.add_tracker(2, false);
            let provider = world.add_router(0, "203.0.113.1", Plain);
            world.routers[provider - 1].hairpin = hairpin;
            let homes = [7, 8].map(|number| world.add_router(provider, &format!("100.64.0.{number}"), Plain));
            let alice = world.add_peer(homes[0], "192.168.1.5:50001", "alice");
            let bob = world.add_peer(homes[1], "192.168.1.6:50001", "bob");
            assert_eq!(become_ready(&mut world, &[alice, bob]), hairpin, "seed {seed}");
        }
    }
}

#[test]
fn a_port_clash_is_cured_by_a_fresh_socket() {
    for seed in 0..SEEDS {
        let (mut world, alice, bob) = meet(seed, [Side::Behind(Plain); 2], Weather::FAIR, true);
        // Alice's pings arrive before bob has opened his router for them, which takes his port for them.
        world.routers[1].come_in("203.0.113.1:50001".parse().unwrap(), 50001);
        world.routers[0].come_in("203.0.113.2:50001".parse().unwrap(), 50001);
        assert!(become_ready(&mut world, &[alice, bob]), "seed {seed}");
        assert!(world.elapsed() > Duration::from_secs(3), "seed {seed}: there was no clash");
        assert!(is_talking(&mut world, alice, bob), "seed {seed}");
    }
}

#[test]
fn a_mapping_that_is_lost_is_punched_again() {
    for [speaker, listener] in [[0, 1], [1, 0]] {
        for seed in 0..SEEDS {
            let sides = [Side::Behind(FullCone), Side::Behind(Plain)];
            let (mut world, alice, bob) = meet(seed, sides, Weather::FAIR, false);
            assert!(become_ready(&mut world, &[alice, bob]));
            world.run_for(Duration::from_secs(3));
            let peers = [alice, bob];
            world.routers[speaker].forget();
            world.say(peers[speaker], "from a new port");
            let heard = world.run_until(MINUTE, |w| w.hosts[peers[listener]].lines.len() == 1);
            assert!(heard, "seed {seed}");
            world.say(peers[listener], "back to it");
            let heard =
                world.run_until(Duration::from_secs(10), |w| w.hosts[peers[speaker]].lines.len() == 1);
            assert!(heard, "seed {seed}: speaker {speaker}");
        }
    }
}

#[test]
fn a_peer_that_changes_its_address_keeps_its_conversation() {
    for mover_speaks in [true, false] {
        for seed in 0..SEEDS {
            let (mut world, alice, bob) = meet(seed, [Side::Public; 2], Weather::FAIR.losing(10), false);
            assert!(become_ready(&mut world, &[alice, bob]));
            world.run_for(Duration::from_secs(2));
            world.hosts[alice].endpoint = "203.0.113.222:50001".parse().unwrap();
            let (speaker, listener) = if mover_speaks { (alice, bob) } else { (bob, alice) };
            for number in 0..20 {
                world.say(speaker, &number.to_string());
                world.run_for(Duration::from_millis(300));
            }
            let all = world.run_until(Duration::from_secs(15), |w| w.hosts[listener].lines.len() == 20);
            assert!(all, "seed {seed}: {} lines arrived", world.hosts[listener].lines.len());
            world.run_for(Duration::from_secs(8)); // a keepalive at the latest moves the link
            let path = world.link(bob).path.endpoint;
            assert_eq!(path, Some(world.hosts[alice].endpoint), "seed {seed}, mover speaks: {mover_speaks}");
        }
    }
}
