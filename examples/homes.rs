//! Two peers meet in a simulated internet: what they, the tracker and their routers say is one story.
//!
//! ```text
//! cargo run --quiet --example homes -- plain symmetric     two homes, with such routers
//! cargo run --quiet --example homes -- plain               one home, and both are in it
//! ```
//!
//! The machines are those of the real programs, the routers those of the tests: no root, no Linux, no waiting.
//! Addresses and words are those of the laboratory, `tests/nat/lab`.

#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "it is made for the tests, which use all of it"
)]
#[path = "../tests/simulation/network.rs"]
mod network;

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use network::{MINUTE, Machine, Mapping, Realm, Weather, World};
use p2p_chat::io::trace::time_of_day;
use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::peer::Meeting;

const TRACKER: &str = "203.0.113.1:55555";

/// So many of those that repeat each other are shown, until something new is told.
const REPETITIONS: usize = 2;

/// Watch two peers meet through the routers of their homes, in a simulated internet.
#[derive(Parser)]
struct Arguments {
    /// Where alice lives
    alice: Kind,
    /// Where bob lives; without it he sits in alice's kitchen
    bob: Option<Kind>,
    /// Alice's computer sleeps so long when bob comes, and what comes for her is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60))]
    asleep: u64,
    /// The routers let what nobody asked for come as far as themselves, where nobody listens
    #[arg(long)]
    open: bool,
    /// Another seed, other ports; the same one makes the same run, but for the cookies
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show what repeats itself, too
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// One outside port for an inside port; in comes what was asked for
    Plain,
    /// One outside port for an inside port; everybody is let in there
    Cone,
    /// Another outside port for every destination; in comes what was asked for
    Symmetric,
    /// No router: on the internet itself
    Public,
}

fn main() {
    let Arguments { alice, bob, asleep, open, seed, all } = Arguments::parse();
    let mut world = World::new(seed, Weather::FAIR);
    world.story = Some(Vec::new());
    world.add_tracker_at(TRACKER, 2, false);
    let home1 = add_home(&mut world, alice, 1, open);
    let (home2, inside) = match bob {
        Some(kind) => (add_home(&mut world, kind, 2, open), "192.168.1.11"),
        None => (home1, "192.168.1.12"),
    };
    let alice = add_peer(&mut world, home1, "alice", ["203.0.113.11", "192.168.1.11"]);
    world.run_for(Duration::from_millis(300));
    let awake = mem::replace(&mut world.hosts[alice].machine, Machine::Dead);
    tell(&mut world, "alice sleeps: what comes for her is lost", asleep);
    let bob = add_peer(&mut world, home2, "bob", ["203.0.113.12", inside]);
    world.run_for(Duration::from_secs(asleep));
    world.hosts[alice].machine = awake;
    tell(&mut world, "alice wakes", asleep);
    world.run_until(MINUTE, |world| [alice, bob].iter().all(|peer| fate(world, *peer).is_some()));
    let outcome = outcome(&world, [alice, bob]);
    if outcome.is_ok() {
        world.say(alice, "hello");
        world.run_for(Duration::from_millis(100));
    }
    print(&world.story.take().unwrap_or_default(), all);
    println!("{}", outcome.unwrap_or_else(|why| why));
}

/// Tells the realm inside of it.
fn add_home(world: &mut World, kind: Kind, number: u8, is_open: bool) -> Realm {
    let mapping = match kind {
        Kind::Plain => Mapping::Plain,
        Kind::Cone => Mapping::FullCone,
        Kind::Symmetric => Mapping::Symmetric,
        Kind::Public => return 0,
    };
    let inside = world.add_router(0, &format!("203.0.113.2{number}"), mapping);
    let router = &mut world.routers[inside - 1];
    (router.name, router.clashes) = (format!("home{number}"), is_open);
    inside
}

fn add_peer(world: &mut World, home: Realm, name: &str, [public, private]: [&str; 2]) -> usize {
    let endpoint = format!("{}:50001", if home == 0 { public } else { private });
    let tracker = TRACKER.parse().expect("it is an endpoint");
    world.add_peer_in(home, &endpoint, name, "lobby", Meeting::Tracker(tracker))
}

fn tell(world: &mut World, what: &str, asleep: u64) {
    let line = format!("{}        {what}", time_of_day(UNIX_EPOCH + world.elapsed()));
    world.story.iter_mut().filter(|_| asleep > 0).for_each(|story| story.push(line.clone()));
}

/// Whether the other was reached or given up, once that is known.
fn fate(world: &World, peer: usize) -> Option<&Event> {
    world.hosts[peer].told().find(|event| matches!(event, Event::Reached { .. } | Event::Unreachable(..)))
}

fn print(story: &[String], all: bool) {
    let (mut told, mut left_out) = (BTreeMap::new(), 0);
    for line in story {
        let message = line.split_once(' ').and_then(|(_time, rest)| rest.split("    (").next());
        if !told.contains_key(&message) {
            told.values_mut().for_each(|count| *count = 0);
        }
        let count = told.entry(message).or_insert(0);
        *count += 1;
        if all || *count <= REPETITIONS {
            println!("{line}");
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        println!("({left_out} lines that repeat others were left out; --all shows them)");
    }
}

/// How they have met, or why not.
fn outcome(world: &World, peers: [usize; 2]) -> Result<String, String> {
    for (peer, fate) in peers.into_iter().filter_map(|peer| Some((peer, fate(world, peer)?.to_string()))) {
        if let Some(likely) = fate.lines().find_map(|line| line.strip_prefix("  likely: ")) {
            return Err(format!("They have not met; {} is told: {likely}.", world.hosts[peer].name));
        }
    }
    let attempt = peers.iter().flat_map(|peer| world.hosts[*peer].told()).map(|event| match event {
        Event::NextAttempt { attempt, .. } => *attempt,
        _ => 1,
    });
    let found = |peer| world.link(peer).path.endpoint.expect("it is reached");
    let ([bob, alice], attempt) = (peers.map(found), attempt.max().unwrap_or(1));
    Ok(format!("They have met in attempt {attempt}: alice found bob at {bob}, and bob alice at {alice}."))
}
