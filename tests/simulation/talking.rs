//! Talk and Part: every line exactly once and in order, or both sides are told.

use std::time::Duration;

use p2p_chat::io::harm::Dice;
use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::wire::field::Id;
use p2p_chat::protocol::wire::message::read_datagram;

use crate::meeting::become_ready;
use crate::network::{MINUTE, Weather, World};
use crate::rooms::room;

/// Two peers that have met, in fair weather until then.
pub fn couple(seed: u64, weather: Weather) -> (World, usize, usize) {
    let mut world = World::new(seed, weather.losing(0));
    world.add_tracker(2, false);
    let alice = world.add_public(1, "alice");
    let bob = world.add_public(2, "bob");
    assert!(become_ready(&mut world, &[alice, bob]), "seed {seed}");
    world.weather = weather;
    (world, alice, bob)
}

fn lines(world: &World, host: usize) -> Vec<&str> {
    world.hosts[host].lines.iter().map(|(_, line)| line.as_str()).collect()
}

/// The ids of two that have met: each knows the other's.
fn ids(world: &World, alice: usize, bob: usize) -> [Id; 2] {
    [bob, alice].map(|host| world.link(host).who.id)
}

fn is_told(world: &World, host: usize) -> bool {
    world.hosts[host].told().any(|event| matches!(event, Event::Gone(..) | Event::Unacknowledged(..)))
}

/// Says all lines, each as soon as there is room, then ends; goes on until both are over.
fn converse(world: &mut World, sides: [(usize, &[String]); 2]) {
    let mut next = [0, 0];
    let mut ended = [false, false];
    let end = world.elapsed() + MINUTE * 10;
    while world.elapsed() < end && sides.iter().any(|(host, _)| world.hosts[*host].outcome.is_none()) {
        for (side, (host, lines)) in sides.iter().enumerate() {
            while world.hosts[*host].outcome.is_none() && !ended[side] && !world.peer(*host).is_full() {
                if let Some(line) = lines.get(next[side]) {
                    world.say(*host, line);
                    next[side] += 1;
                } else {
                    world.act(*host, |peer, now| peer.end(now));
                    ended[side] = true;
                }
            }
        }
        world.run_for(Duration::from_millis(5));
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

#[test]
fn every_line_arrives_once_and_in_order_whatever_the_network_does() {
    for seed in 0..2000 {
        let mut dice = Dice(seed ^ 0x5eed);
        let weather = Weather {
            loss: (dice.roll() % 51) as u8,
            duplicate: (dice.roll() % 30) as u8,
            delay: Duration::from_millis(dice.roll() % 400),
            jitter: Duration::from_millis(dice.roll() % 200),
        };
        let (mut world, alice, bob) = couple(seed, weather);
        if seed % 3 == 0 {
            let from = world.elapsed() + Duration::from_millis(dice.roll() % 2000);
            world.partitions.push((from, from + Duration::from_millis(1000 + dice.roll() % 14_000)));
        }
        let (from_alice, from_bob) = (numbered("alice", 30), numbered("bob", 20));
        converse(&mut world, [(alice, &from_alice), (bob, &from_bob)]);
        let told = [alice, bob].map(|host| is_told(&world, host));
        for (to, said) in [(bob, &from_alice), (alice, &from_bob)] {
            let heard = lines(&world, to);
            assert_same(&heard, &said[..heard.len().min(said.len())], &format!("seed {seed}, {weather:?}"));
            // Only the very last acknowledgement may be missing to one side without the other's knowing.
            let is_whole = heard.len() == said.len();
            assert!(
                is_whole || told == [true; 2],
                "seed {seed}, {weather:?}: {} of {} lines",
                heard.len(),
                said.len()
            );
        }
        for (side, host) in [alice, bob].into_iter().enumerate() {
            assert_eq!(world.hosts[host].outcome, Some(!told[side]), "seed {seed}, {weather:?}");
        }
        let is_cut = !world.partitions.is_empty();
        assert!(is_cut || weather.loss > 35 || told == [false; 2], "seed {seed}, {weather:?}: {told:?}");
    }
}

/// The lists are too long to be printed: only the first difference is.
fn assert_same(heard: &[&str], said: &[String], what: &str) {
    let difference = (0..heard.len().max(said.len()))
        .find(|index| heard.get(*index).copied() != said.get(*index).map(String::as_str));
    if let Some(index) = difference {
        panic!("{what}: line {index} is {:?}, not {:?}", heard.get(index), said.get(index));
    }
}

#[test]
fn a_burst_of_5000_lines_and_a_line_of_64_kib_arrive() {
    for (seed, loss) in [(1, 0), (2, 5), (3, 30)] {
        let weather = Weather::FAIR.losing(loss).jittering(Duration::from_millis(10));
        let (mut world, alice, bob) = couple(seed, weather);
        let mut from_alice = numbered("alice", 5000);
        from_alice.insert(2500, "ä".repeat(32 * 1024));
        converse(&mut world, [(alice, &from_alice), (bob, &[])]);
        assert_same(
            &lines(&world, bob),
            &from_alice,
            &format!("seed {seed}, after {:?}: {:?}", world.elapsed(), world.hosts[alice].events),
        );
        assert_eq!(world.hosts[alice].outcome, Some(true), "seed {seed}");
    }
}

#[test]
fn without_loss_nothing_is_sent_again_and_with_loss_little_more_than_was_lost() {
    for delay in [0, 1, 20, 400] {
        let weather = Weather::FAIR.delaying(Duration::from_millis(delay));
        let (mut world, alice, bob) = couple(7, weather);
        let from_alice = numbered("alice", 3000);
        from_alice.iter().for_each(|line| world.say_in_time(alice, line));
        assert!(world.run_until(MINUTE, |w| w.hosts[bob].lines.len() == 3000), "delay {delay}");
        assert_eq!(world.hosts[alice].repeats, 0, "delay {delay}");
    }
    for seed in 0..20 {
        let (mut world, alice, bob) = couple(seed, Weather::FAIR.losing(10));
        let lost_before = world.lost;
        for line in numbered("alice", 2000) {
            // One line to a datagram, so that messages and datagrams can be compared.
            world.say(alice, &line);
            world.run_for(Duration::from_millis(30));
        }
        assert!(world.run_until(MINUTE, |w| w.hosts[bob].lines.len() == 2000), "seed {seed}");
        world.run_for(Duration::from_secs(2));
        let (again, lost) = (world.hosts[alice].repeats, world.lost - lost_before);
        assert!(again as f64 <= 1.5 * lost as f64, "seed {seed}: {again} retransmissions for {lost} losses");
    }
}

/// How long the last of 300 lines waits for its acknowledgement, where both sides lose 30 %.
fn last_of_300(seed: u64, pace: Duration) -> Duration {
    let (mut world, alice, _) = couple(seed, Weather::FAIR.losing(30));
    for line in numbered("alice", 300) {
        world.run_for(pace);
        world.act(alice, |peer, now| peer.say(&line, now));
    }
    let said = world.elapsed();
    let is_done = |world: &World| world.peer(alice).links().all(|link| link.sender.is_done());
    assert!(world.run_until(MINUTE, is_done), "seed {seed}, a line every {pace:?}");
    world.elapsed() - said
}

#[test]
fn at_30_percent_loss_each_way_the_last_of_300_lines_is_acknowledged_within_3_seconds() {
    for pace in [0, 30, 200].map(Duration::from_millis) {
        let mut times: Vec<Duration> = (0..1000).map(|seed| last_of_300(seed, pace)).collect();
        times.sort_unstable();
        println!("a line every {pace:?}: median {:?}, worst {:?}", times[500], &times[995..]);
        assert!(times[998] <= Duration::from_secs(3), "a line every {pace:?}: {:?}", &times[990..]);
    }
}

/// Single lines, three seconds apart: how long each takes to arrive, in order of time.
fn single_lines(weather: Weather) -> Vec<Duration> {
    let mut times = Vec::new();
    for seed in 0..30 {
        let (mut world, alice, bob) = couple(seed, weather);
        for count in 1..=40 {
            let said = world.elapsed();
            world.act(alice, |peer, now| peer.say("hello", now));
            assert!(world.run_until(MINUTE, |w| w.hosts[bob].lines.len() == count), "seed {seed}");
            times.push(world.elapsed() - said);
            world.run_for(Duration::from_secs(3));
        }
    }
    times.sort_unstable();
    times
}

#[test]
fn copies_that_the_network_makes_slow_nothing_down() {
    let alone = single_lines(Weather::FAIR.losing(30));
    for percent in [20, 50, 100] {
        let copied = single_lines(Weather::FAIR.losing(30).duplicating(percent));
        let worst = copied.len() * 99 / 100;
        println!("{percent} % copied: {:?} of a hundred, at worst {:?}", copied[worst], copied.last());
        assert!(copied[worst] <= alone[worst], "{:?}, without copies {:?}", copied[worst], alone[worst]);
        assert!(copied.last() <= alone.last(), "{:?}, without copies {:?}", copied.last(), alone.last());
    }
}

#[test]
fn a_path_that_becomes_slow_is_learnt_and_its_lines_are_no_longer_sent_twice() {
    for seed in 0..50 {
        let (mut world, alice, bob) = couple(seed, Weather::FAIR);
        let say = |world: &mut World| {
            world.act(alice, |peer, now| peer.say("hello", now));
            world.run_for(Duration::from_millis(2100));
        };
        say(&mut world);
        world.weather.delay = Duration::from_millis(1000);
        (0..20).for_each(|_| say(&mut world));
        let learnt = world.hosts[alice].repeats;
        (0..20).for_each(|_| say(&mut world));
        assert_eq!(world.hosts[alice].repeats, learnt, "seed {seed}");
        assert_eq!(lines(&world, bob).len(), 41, "seed {seed}");
    }
}

#[test]
fn a_full_window_never_exceeds_its_bounds() {
    for (seed, line) in [(1, "x".repeat(1000)), (2, "x".to_owned()), (3, "x".repeat(300))] {
        let weather = Weather::FAIR.losing(3).delaying(Duration::from_millis(100));
        let (mut world, alice, bob) = couple(seed, weather);
        for _ in 0..20_000 {
            world.say_in_time(alice, &line);
            let flying = world.flying_to(bob);
            let messages: usize = flying.iter().map(|datagram| read_datagram(datagram).len()).sum();
            assert!(flying.len() <= 64 && messages <= 1024, "{} {messages}", flying.len());
        }
        assert!(world.run_until(MINUTE * 5, |w| w.hosts[bob].lines.len() == 20_000));
    }
}

#[test]
fn an_idle_link_sends_one_ping_and_one_pong_in_five_seconds() {
    let (mut world, alice, bob) = couple(1, Weather::FAIR);
    world.run_for(Duration::from_secs(20));
    let before = world.hosts[alice].sent + world.hosts[bob].sent;
    world.run_for(Duration::from_secs(600));
    let sent = world.hosts[alice].sent + world.hosts[bob].sent - before;
    assert!((200..=480).contains(&sent), "{sent} datagrams in ten minutes");
}

#[test]
fn a_peer_that_is_killed_is_gone_after_20_seconds_and_its_successor_is_new() {
    let (mut world, [alice, bob]) = room(1, Weather::FAIR, 2, ["alice", "bob"]);
    world.say(bob, "half of a story");
    world.run_for(Duration::from_secs(1));
    world.kill(bob);
    let killed = world.elapsed();
    world.say(alice, "are you there?");
    let bob_again = world.add_public(2, "bob");
    assert!(world.run_until(MINUTE, |w| w.hosts[alice].outcome.is_some()));
    assert!((19..=22).contains(&(world.elapsed() - killed).as_secs()));
    assert_eq!(world.hosts[alice].outcome, Some(false));
    assert!(world.hosts[bob_again].lines.is_empty(), "nothing of the old conversation reaches the new bob");
}

#[test]
fn quit_is_told_to_the_other_and_ends_a_pair() {
    for seed in 0..200 {
        let (mut world, alice, bob) = couple(seed, Weather::FAIR.losing(30));
        world.say(alice, "goodbye");
        world.act(alice, |peer, now| peer.leave(now));
        world.run_until(MINUTE, |w| w.hosts[alice].outcome.is_some() && w.hosts[bob].outcome.is_some());
        assert!(world.hosts[alice].outcome.is_some(), "seed {seed}");
        assert!(world.hosts[bob].outcome.is_some(), "seed {seed}");
        if world.hosts[alice].outcome == Some(true) {
            assert_eq!(lines(&world, bob), ["goodbye"], "seed {seed}");
        }
    }
}

#[test]
fn a_stranger_can_say_acknowledge_and_end_nothing() {
    let (mut world, alice, bob) = couple(1, Weather::FAIR);
    let [alices_id, bobs_id] = ids(&world, alice, bob);
    let bobs_endpoint = world.hosts[bob].endpoint;
    world.say(alice, "one");
    let wrong = "00000000000000aa";
    let forged = [
        format!("SAY {wrong} {bobs_id} 1 wrong to"),
        format!("SAY {alices_id} {wrong} 1 wrong from"),
        format!("BYE {wrong} {bobs_id} 1"),
        format!("BYE {alices_id} {wrong} 1"),
        format!("PONG {alices_id} {wrong} mallory"),
        format!("ACK {alices_id} {bobs_id} 99"),
        format!("ACK {alices_id} {bobs_id} 1 2-99"),
        format!("ACK {alices_id} {bobs_id} 9223372036854775807"),
        format!("SAY {alices_id} {bobs_id} 9223372036854775807 end of the range"),
        format!("SAY {alices_id} {bobs_id} 0 before the first"),
        format!("SAY {alices_id} {bobs_id} 1027 too far ahead"),
    ];
    for line in forged {
        for source in [bobs_endpoint, "203.0.113.66:6666".parse().unwrap()] {
            world.deliver(source, alice, format!("{line}\n").as_bytes());
        }
    }
    world.run_for(Duration::from_secs(30));
    assert_eq!(lines(&world, bob), ["one"]);
    assert!(lines(&world, alice).is_empty(), "{:?}", lines(&world, alice));
    assert!(world.hosts[alice].outcome.is_none() && world.hosts[bob].outcome.is_none());
    world.say(bob, "two");
    world.run_for(Duration::from_secs(1));
    assert_eq!(lines(&world, alice), ["two"]);
}

#[test]
fn parts_without_end_close_the_link() {
    let (mut world, alice, bob) = couple(1, Weather::FAIR);
    let [alices_id, bobs_id] = ids(&world, alice, bob);
    let bobs_endpoint = world.hosts[bob].endpoint;
    for sequence in 1..100 {
        if world.hosts[alice].outcome.is_some() {
            break;
        }
        let part = format!("PART {alices_id} {bobs_id} {sequence} {}\n", "x".repeat(1000));
        world.deliver(bobs_endpoint, alice, part.as_bytes());
    }
    assert_eq!(world.hosts[alice].outcome, Some(false));
    assert!(world.hosts[alice].lines.is_empty());
}

#[test]
fn a_peer_that_talks_nonsense_with_the_right_ids_makes_nobody_panic() {
    for seed in 0..300 {
        let (mut world, alice, bob) = couple(seed, Weather::FAIR.losing(10));
        let [us, them] = ids(&world, alice, bob);
        for _ in 0..200 {
            let number = |world: &mut World| match world.dice.roll() % 4 {
                0 => world.dice.roll() % 4,
                1 => world.dice.roll() % 2000,
                2 => (1 << 63) - 1 - world.dice.roll() % 3,
                _ => world.dice.roll() >> 1,
            };
            let (first, second, third) = (number(&mut world), number(&mut world), number(&mut world));
            let line = match world.dice.roll() % 9 {
                0 => format!("SAY {us} {them} {first} text"),
                1 => format!("PART {us} {them} {first} {}", "p".repeat(second as usize % 1100)),
                2 => format!("ACK {us} {them} {first} {second}-{third}"),
                3 => format!("ACK {us} {them} {first}"),
                4 => format!("PING {us} {them} bob"),
                5 => format!("PONG {us} {them} bob"),
                6 => format!("END {us} {them} {first}"),
                7 => {
                    format!("PEER {first}/{second} {them} bob 203.0.113.9:{} 10.0.0.1:1", 1 + third % 65_535)
                }
                _ => format!("WAIT {first}/{second} 203.0.113.9:50001"),
            };
            let sources =
                [world.hosts[bob].endpoint, world.hosts[0].endpoint, "203.0.113.66:6".parse().unwrap()];
            let source = sources[world.dice.roll() as usize % sources.len()];
            if world.hosts[alice].outcome.is_some() {
                break;
            }
            let datagram = format!("{line}\n");
            world.act(alice, |peer, now| {
                peer.say("meanwhile", now);
                peer.handle_datagram(source, datagram.as_bytes(), now);
            });
            world.run_for(Duration::from_millis(10));
        }
        world.run_for(MINUTE);
    }
}
