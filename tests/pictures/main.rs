//! The pictures of the course, drawn from runs of the simulation: what they show has happened so.
//!
//! The test fails where a picture in `docs/pictures/` is another than the run would draw.
//! `UPDATE_PICTURES=1 cargo test --test pictures` writes them anew.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arrows;
mod canvas;
mod drawing;
#[allow(dead_code, reason = "the simulation's own tests use all of it")]
#[path = "../simulation/network.rs"]
mod network;
mod plot;
mod sequence;
#[path = "../simulation/told.rs"]
mod told;

use std::fs;
use std::path::Path;
use std::time::Duration;

use arrows::{Tale, lose};
use network::{MINUTE, Mapping, Weather, World};
use p2p_chat::protocol::event::Event;
use plot::Plot;
use sequence::Sequence;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pictures");
const UPDATE: &str = "UPDATE_PICTURES";

/// A name, and who draws it.
type Picture = (&'static str, fn() -> String);

#[test]
fn the_pictures_show_what_happens() {
    let pictures: [Picture; 9] = [
        ("meeting", meeting),
        ("late-tracker", late_tracker),
        ("punched-hole", punched_hole),
        ("port-clash", port_clash),
        ("lost-line", lost_line),
        ("ranges", ranges),
        ("window", window),
        ("parting", parting),
        ("forged-line", forged_line),
    ];
    let is_update = std::env::var_os(UPDATE).is_some();
    let differences: Vec<String> = pictures
        .iter()
        .filter_map(|(name, draw)| {
            let path = Path::new(FOLDER).join(format!("{name}.svg"));
            if is_update {
                fs::write(&path, draw()).unwrap();
            }
            difference(name, &fs::read_to_string(&path).unwrap_or_default(), &draw())
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{}\nIf it is better so: {UPDATE}=1 cargo test --test pictures",
        differences.join("\n")
    );
}

/// The first line in which a committed picture is another than the one that was drawn.
fn difference(name: &str, committed: &str, drawn: &str) -> Option<String> {
    let mut pairs =
        (1..).zip(committed.lines().map(Some).chain([None]).zip(drawn.lines().map(Some).chain([None])));
    let (line, (was, is)) = pairs.find(|(_, (was, is))| was != is)?;
    let show = |line: Option<&str>| line.unwrap_or("(its end)").to_owned();
    Some(format!("docs/pictures/{name}.svg:{line}:\n  is     {}\n  drawn  {}", show(was), show(is)))
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A network that tells its story, 20 ms from everybody to everybody.
fn world(seed: u64) -> World {
    let mut world = World::new(seed, Weather::FAIR);
    world.story = Some(Vec::new());
    world
}

/// Two peers that have met, and the time of day in milliseconds.
fn couple() -> (World, usize, usize, i64) {
    couple_of(1)
}

fn couple_of(seed: u64) -> (World, usize, usize, i64) {
    let mut world = world(seed);
    world.add_tracker(2, false);
    let [alice, bob] = [(1, "alice"), (2, "bob")].map(|(number, name)| world.add_public(number, name));
    meet(&mut world, alice, bob);
    world.run_for(milliseconds(1000));
    let now = elapsed(&world);
    (world, alice, bob, now)
}

fn meet(world: &mut World, alice: usize, bob: usize) {
    let is_ready = |world: &World, host: usize| {
        world.hosts[host].told().any(|event| matches!(event, Event::Reached { .. }))
    };
    assert!(world.run_until(MINUTE, |world| is_ready(world, alice) && is_ready(world, bob)));
}

fn elapsed(world: &World) -> i64 {
    world.elapsed().as_millis() as i64
}

fn meeting() -> String {
    let mut world = world(1);
    world.add_tracker(2, false);
    let alice = world.add_public(1, "alice");
    world.run_for(milliseconds(100));
    let bob = world.add_public(2, "bob");
    meet(&mut world, alice, bob);
    world.run_for(milliseconds(40));
    world.say(alice, "hello");
    world.run_for(milliseconds(60));
    let names = ["alice", "tracker", "bob"];
    Sequence::new("A meeting on a good day", &names, Tale::new(&world, &names, 0)).scale(19).draw()
}

fn late_tracker() -> String {
    let mut world = world(1);
    let alice = world.add_public(1, "alice");
    world.run_for(milliseconds(1200));
    world.add_tracker(2, false);
    world.run_until(MINUTE, |world| {
        world.hosts[alice].told().any(|event| matches!(event, Event::CheckedIn { .. }))
    });
    world.run_for(milliseconds(1100));
    let names = ["alice", "tracker"];
    let tale = Tale::new(&world, &names, 0);
    Sequence::new("A tracker that comes late", &names, tale).start("tracker", 1200).scale(12).draw()
}

/// Two homes: alice's computer is asleep when bob comes.
fn homes(asleep: u64, is_open: bool) -> World {
    let mut world = world(1);
    world.add_tracker(2, false);
    let homes = [1, 2].map(|number| {
        let realm = world.add_router(0, &format!("203.0.113.2{number}"), Mapping::Plain);
        let router = world.routers.last_mut().unwrap();
        (router.name, router.clashes) = (format!("home{number}"), is_open);
        realm
    });
    let alice = world.add_peer(homes[0], "192.168.1.11:50001", "alice");
    world.run_for(milliseconds(300));
    let awake = std::mem::replace(&mut world.hosts[alice].machine, network::Machine::Dead);
    let bob = world.add_peer(homes[1], "192.168.1.11:50001", "bob");
    world.run_for(milliseconds(asleep));
    world.hosts[alice].machine = awake;
    meet(&mut world, alice, bob);
    world.say(alice, "hello");
    world.run_for(milliseconds(45));
    world
}

const HOMES: [&str; 4] = ["alice", "home1", "home2", "bob"];

fn punched_hole() -> String {
    let world = homes(170, false);
    let tale = Tale::new(&world, &HOMES, 380);
    Sequence::new("A punched hole", &HOMES, tale)
        .note("alice", 0, "sleeps")
        .note("alice", 90, "wakes")
        .scale(16)
        .draw()
}

fn port_clash() -> String {
    let world = homes(170, true);
    let tale = Tale::new(&world, &HOMES, 380);
    Sequence::new("A port clash, and the fresh socket", &HOMES, tale)
        .note("alice", 0, "sleeps")
        .note("alice", 90, "wakes")
        .skip(290, 3075, "and so on, for 3 s: then bob takes a fresh socket, and both are introduced again")
        .scale(16)
        .draw()
}

fn lost_line() -> String {
    let (mut world, alice, bob, now) = couple();
    world.say(alice, "one");
    world.run_for(milliseconds(100));
    lose(&mut world, 0);
    world.say(alice, "two");
    world.run_for(milliseconds(300));
    world.say(alice, "three");
    lose(&mut world, 20);
    world.run_for(milliseconds(300));
    assert_eq!(world.hosts[bob].lines.len(), 3);
    let names = ["alice", "bob"];
    Sequence::new("A lost line, and a lost answer", &names, Tale::new(&world, &names, now).showing()).draw()
}

fn ranges() -> String {
    let (mut world, alice, bob, now) = couple();
    for number in 1..=8 {
        if [2, 4].contains(&number) {
            lose(&mut world, 0);
        }
        world.say(alice, &format!("line {number}"));
        world.run_for(milliseconds(15));
    }
    world.run_for(milliseconds(300));
    assert_eq!(world.hosts[bob].lines.len(), 8);
    let names = ["alice", "bob"];
    Sequence::new("What he has, he names: ranges", &names, Tale::new(&world, &names, now)).scale(30).draw()
}

/// A file that is sent, soon at 10 % loss, 30 ms from one to the other. At 4 s nothing passes for a while.
fn window() -> String {
    const TIME: i64 = 5000;
    const FAIR_UNTIL: i64 = 100;
    let (mut world, alice, _, now) = couple_of(5);
    let outage = [4000, 4600];
    world.partitions.push((milliseconds(now as u64 + 4000), milliseconds(now as u64 + 4600)));
    world.weather = Weather::FAIR.delaying(milliseconds(30));
    let (line, mut samples) = ("x".repeat(1000), Vec::new());
    let begins = world.story.as_ref().unwrap().len();
    for time in 0..TIME {
        world.weather.loss = if time < FAIR_UNTIL { 0 } else { 10 };
        while !world.peer(alice).is_full() {
            world.say(alice, &line);
        }
        let sender = &world.link(alice).sender;
        samples.push((time, sender.window.size as i64, sender.bytes_under_way as i64));
        world.run_for(milliseconds(1));
    }
    let told = &world.story.unwrap()[begins..];
    let times = |mark: &str| {
        let lines = told.iter().filter(|line| line.contains(" alice -") && line.contains(mark));
        let mut times: Vec<i64> = lines.map(|line| arrows::time(line) - now).collect();
        times.dedup();
        times
    };
    let (losses, timeouts) = (times("-x bob "), times("(again: no answer"));
    let description = format!(
        "After 100 ms without loss, in which the window doubles each round trip, one datagram of ten \
         is lost. Over {} seconds datagrams are lost at {} moments, and {} timeouts expire. The window grows, is halved \
         where something is lost, and never falls below 7.2 kB. The bytes under way follow it. From 4.0 to 4.6 \
         seconds nothing passes at all: that is where the timeouts expire.",
        TIME / 1000,
        losses.len(),
        timeouts.len()
    );
    Plot { time: TIME, most: 50_000, outage, fair_until: FAIR_UNTIL, samples, losses, timeouts }
        .draw("The congestion window at 10 % loss", &description)
}

fn parting() -> String {
    let (mut world, alice, bob, now) = couple();
    world.act(alice, |peer, now| peer.end(now));
    world.run_for(milliseconds(100));
    world.say(bob, "goodbye");
    world.run_for(milliseconds(100));
    world.act(bob, |peer, now| peer.leave(now));
    lose(&mut world, 20);
    world.run_for(milliseconds(2000));
    assert!(world.hosts[bob].outcome.is_some());
    let names = ["alice", "bob"];
    let tale = Tale::new(&world, &names, now);
    Sequence::new("END, BYE, and the last answer", &names, tale)
        .skip(460, 2000, "and so on, for 0.7 s")
        .draw()
}

fn forged_line() -> String {
    let (mut world, alice, bob, now) = couple();
    let eve = world.add_public(66, "eve");
    world.kill(eve);
    let (ids, endpoint) =
        ([alice, bob].map(|host| world.peer(host).links().next().unwrap().who.id), world.hosts[eve].endpoint);
    world.say(alice, "one");
    world.run_for(milliseconds(100));
    let forged = format!("SAY {} {} 2 I owe you 100 euros\n", ids[0], ids[1]);
    world.deliver(endpoint, bob, forged.as_bytes());
    world.run_for(milliseconds(40));
    world.say(alice, "never mind");
    world.run_for(milliseconds(45));
    let names = ["alice", "bob", "eve"];
    Sequence::new("A forged line", &names, Tale::new(&world, &names, now).showing()).scale(18).draw()
}
