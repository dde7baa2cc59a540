//! The classic pair, as a student sees it.

use crate::harness::{couple, peer, tracker, tracker_at};

#[test]
fn the_classic_conversation_looks_like_it_always_did() {
    let (mut tracker, address) = tracker(&[]);
    let mut alice = peer(address, &[]);
    alice.wait_for_news("Checked in with tracker server, waiting for peer...");
    let mut bob = peer(address, &[]);
    alice.wait_for_news("ready to exchange messages");
    bob.wait_for_news("ready to exchange messages");
    alice.say("Hello from peer 1!");
    bob.wait_for_output("peer: Hello from peer 1!");
    bob.say("Hello back from peer 2!");
    alice.wait_for_output("peer: Hello back from peer 2!");
    assert!(tracker.wait().success(), "the tracker leaves");
    bob.say("The tracker is gone.");
    alice.wait_for_output("peer: The tracker is gone.");
    alice.say("/quit");
    assert!(alice.wait().success());
    assert!(bob.wait().success());

    let tracker_lines = tracker.output();
    assert_eq!(tracker_lines[0], format!("Tracker listening on {address}"));
    assert!(tracker_lines[1].starts_with("Connection from: 127.0.0.1:"), "{tracker_lines:?}");
    assert!(tracker_lines[2].ends_with(" (peer)"), "{tracker_lines:?}");
    assert_eq!(tracker_lines[3..], ["Got 2 peers, sending details to each one."]);
    let port = tracker_lines[2]
        .strip_prefix("Connection from: 127.0.0.1:")
        .unwrap()
        .strip_suffix(" (peer)")
        .unwrap();
    let news = alice.news();
    let expected = [
        "Checked in with tracker server, waiting for peer...",
        "got peer",
        "  ip:          127.0.0.1",
        &format!("  source port: {port}"),
        &format!("  connecting 127.0.0.1 {port}"),
        "",
        "ready to exchange messages",
    ];
    assert_eq!(news[..7], expected);
    assert_eq!(alice.output(), ["peer: Hello back from peer 2!", "peer: The tracker is gone."]);
}

#[test]
fn a_peer_waits_for_a_tracker_that_comes_late() {
    let (mut early, address) = tracker(&[]);
    early.kill(); // its port is free now
    let alice = peer(address, &["--name", "alice"]);
    let bob = peer(address, &["--name", "bob"]);
    let hint = alice.wait_for_news(&address.to_string());
    assert!(hint.contains("no answer from the tracker"), "{hint}");
    alice.wait_for_news("cargo run --bin tracker");
    let (_late, _) = tracker_at(&address.to_string(), &[]);
    alice.wait_for_news("got bob");
    bob.wait_for_news("got alice");
}

#[test]
fn a_third_and_a_fourth_peer_make_the_next_pair() {
    let (tracker, address) = tracker(&["--forever"]);
    let mut peers: Vec<_> =
        ["a", "b", "c", "d"].iter().map(|name| peer(address, &["--name", name])).collect();
    for peer in &peers {
        peer.wait_for_news("ready to exchange messages");
    }
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.say(&format!("I am number {index}"));
    }
    for peer in &peers {
        peer.wait_for_output("I am number");
        assert_eq!(peer.news_so_far().iter().filter(|line| line.starts_with("got ")).count(), 1);
    }
    tracker.wait_for_output("Got 2 peers");
}

#[test]
fn both_type_at_the_same_time() {
    let (mut alice, mut bob) = couple(&[]);
    for number in 0..200 {
        alice.say(&format!("a{number}"));
        bob.say(&format!("b{number}"));
    }
    alice.wait_for_output("bob: b199");
    bob.wait_for_output("alice: a199");
    let expected = |from: &str, letter: &str| -> Vec<String> {
        (0..200).map(|number| format!("{from}: {letter}{number}")).collect()
    };
    assert_eq!(alice.output_so_far(), expected("bob", "b"));
    assert_eq!(bob.output_so_far(), expected("alice", "a"));
}
