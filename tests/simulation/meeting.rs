//! Meet: registrations, introductions, and those who die or come back in between.

use std::collections::BTreeSet;
use std::time::Duration;

use p2p_chat::protocol::event::Event;

use crate::network::{MINUTE, TRACKER, Weather, World};

pub fn is_ready(world: &World, host: usize) -> bool {
    world.hosts[host].told().any(|event| matches!(event, Event::Reached { .. }))
}

/// Whether each of these has met somebody within a minute.
pub fn become_ready(world: &mut World, hosts: &[usize]) -> bool {
    become_ready_within(MINUTE, world, hosts)
}

fn become_ready_within(limit: Duration, world: &mut World, hosts: &[usize]) -> bool {
    world.run_until(limit, |w| hosts.iter().all(|host| is_ready(w, *host)))
}

fn met(world: &World, host: usize) -> BTreeSet<String> {
    let names = world.hosts[host].told().filter_map(|event| match event {
        Event::Reached { who, .. } => Some(who.to_string()),
        _ => None,
    });
    names.collect()
}

#[test]
fn two_peers_meet_at_30_percent_loss_each_way() {
    for seed in 0..1000 {
        let weather = Weather::FAIR.losing(30).duplicating(10).jittering(Duration::from_millis(50));
        let mut world = World::new(seed, weather);
        world.add_tracker(2, false);
        let alice = world.add_public(1, "alice");
        let wait = world.dice.roll() % 3000;
        world.run_for(Duration::from_millis(wait));
        let bob = world.add_public(2, "bob");
        assert!(become_ready(&mut world, &[alice, bob]), "seed {seed}: not met after a minute");
        assert_eq!((met(&world, alice), met(&world, bob)), (["bob".into()].into(), ["alice".into()].into()));
        let finished = world.run_until(MINUTE, |w| w.events.contains(&Event::Finished));
        assert!(finished, "seed {seed}: the tracker stays");
    }
}

#[test]
fn a_pairing_without_loss_takes_few_datagrams() {
    let mut world = World::new(1, Weather::FAIR);
    world.add_tracker(2, false);
    let alice = world.add_public(1, "alice");
    world.run_for(Duration::from_millis(2100));
    let before: usize = world.hosts.iter().map(|host| host.sent).sum();
    let bob = world.add_public(2, "bob");
    world.run_until(MINUTE, |w| w.events.contains(&Event::Finished));
    assert!(is_ready(&world, alice) && is_ready(&world, bob));
    let after: usize = world.hosts.iter().map(|host| host.sent).sum();
    println!("datagrams from the second registration until the tracker leaves: {}", after - before);
    assert!(after - before <= 12, "{} datagrams", after - before);
}

#[test]
fn duplicates_never_pair_a_peer_with_itself() {
    for seed in 0..100 {
        let weather = Weather::FAIR.duplicating(100).jittering(Duration::from_millis(300));
        let mut world = World::new(seed, weather);
        world.add_tracker(2, false);
        let alice = world.add_public(1, "alice");
        world.run_for(MINUTE);
        assert!(world.peer(alice).links().next().is_none(), "seed {seed}: alice has met somebody");
    }
}

#[test]
fn a_peer_that_died_while_waiting_is_never_introduced() {
    for seed in 0..100 {
        let mut world = World::new(seed, Weather::FAIR.losing(20));
        world.add_tracker(2, true);
        let ghost = world.add_public(1, "ghost");
        world.run_for(Duration::from_secs(3));
        world.kill(ghost);
        world.run_for(Duration::from_millis(5100));
        let alice = world.add_public(2, "alice");
        world.run_for(Duration::from_secs(3));
        let bob = world.add_public(3, "bob");
        assert!(become_ready(&mut world, &[alice, bob]), "seed {seed}");
        assert_eq!(met(&world, alice), ["bob".into()].into(), "seed {seed}");
        assert_eq!(met(&world, bob), ["alice".into()].into(), "seed {seed}");
    }
}

#[test]
fn a_peer_that_leaves_while_waiting_is_never_introduced() {
    for seed in 0..100 {
        let weather = Weather::FAIR.duplicating(50).jittering(Duration::from_millis(300));
        let mut world = World::new(seed, weather);
        world.add_tracker(2, true);
        let first = world.add_public(1, "alice");
        world.run_for(Duration::from_millis(700));
        world.act(first, |peer, now| peer.leave(now));
        world.run_for(Duration::from_millis(400)); // late copies of its REGISTER open nothing
        world.add_public(4, "again");
        let bob = world.add_public(3, "bob");
        assert!(become_ready(&mut world, &[bob]), "seed {seed}: bob is alone");
        assert_eq!(met(&world, bob), ["again".into()].into(), "seed {seed}");
    }
}

#[test]
fn a_third_and_a_fourth_peer_form_the_next_pair() {
    for seed in 0..100 {
        let mut world = World::new(seed, Weather::FAIR.losing(20).duplicating(20));
        world.add_tracker(2, true);
        let mut peers = Vec::new();
        for (index, name) in ["alice", "bob", "carol", "dave"].into_iter().enumerate() {
            peers.push(world.add_public(index, name));
            world.run_for(Duration::from_secs(2));
        }
        assert!(become_ready(&mut world, &peers), "seed {seed}");
        for host in peers {
            assert_eq!(met(&world, host).len(), 1, "seed {seed}: a pair is two");
        }
    }
}

#[test]
fn a_tracker_that_comes_late_is_found() {
    let mut world = World::new(1, Weather::FAIR);
    let alice = world.add_public(1, "alice");
    let bob = world.add_public(2, "bob");
    world.run_for(Duration::from_secs(30));
    let silent = Event::TrackerSilent { tracker: TRACKER.parse().unwrap(), alone: true };
    assert_eq!(world.hosts[alice].told().filter(|event| **event == silent).count(), 1);
    world.add_tracker(2, false);
    assert!(become_ready_within(Duration::from_secs(2), &mut world, &[alice, bob]));
}

#[test]
fn a_tracker_that_is_restarted_while_two_wait_meets_them_again() {
    let mut world = World::new(1, Weather::FAIR);
    let tracker = world.add_tracker(3, true);
    let alice = world.add_public(1, "alice");
    world.run_for(Duration::from_secs(3));
    world.kill(tracker);
    world.run_for(Duration::from_secs(10));
    world.hosts[tracker].machine = world.new_tracker(3, true);
    world.run_for(Duration::from_secs(2));
    let bob = world.add_public(2, "bob");
    assert!(become_ready_within(Duration::from_secs(2), &mut world, &[alice, bob]));
}
