//! Anything may arrive from anyone at any time, and disturbs nothing.

use std::net::{SocketAddr, UdpSocket};

use crate::harness::{Program, couple, peer, peer_command, stranger, tracker};

const VERBS: [&str; 14] = [
    "REGISTER", "COOKIE", "WAIT", "PEER", "FULL", "MET", "LEAVE", "PING", "PONG", "SAY", "PART", "END",
    "BYE", "ACK",
];

fn throw_junk(from: &UdpSocket, to: SocketAddr) {
    let fields = "5f0c7a1be2d94863 5f0c7a1be2d94863 1 x x x";
    let mut junk: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![b'x'; 1201],
        vec![b'x'; 65_507],
        vec![b'\n'; 1200],
        vec![0xff, 0xfe, 0x0a],
        b"no newline".to_vec(),
        "SAY 1 2 3 \u{202e}\x1b[2J\n".into(),
    ];
    for verb in VERBS {
        junk.push(format!("{verb}\n").into());
        junk.push(format!("{verb} \n").into());
        for count in 1..6 {
            let some: Vec<&str> = fields.split(' ').take(count).collect();
            junk.push(format!("{verb} {}\n", some.join(" ")).into());
        }
    }
    for datagram in junk {
        from.send_to(&datagram, to).unwrap();
    }
}

/// Where a peer receives: its tracker sees it there.
fn endpoint(tracker_line: &str) -> SocketAddr {
    tracker_line.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn junk_before_during_and_after_disturbs_nobody() {
    let stranger = stranger();
    let (tracker, address) = tracker(&["--forever"]);
    throw_junk(&stranger, address);
    let mut alice = peer(address, &["--name", "alice"]);
    let alice_at = endpoint(&tracker.wait_for_output("(alice)"));
    throw_junk(&stranger, address);
    throw_junk(&stranger, alice_at);
    let mut bob = peer(address, &["--name", "bob"]);
    let bob_at = endpoint(&tracker.wait_for_output("(bob)"));
    alice.wait_for_news("ready to exchange messages");
    bob.wait_for_news("ready to exchange messages");
    for number in 0..20 {
        throw_junk(&stranger, alice_at);
        throw_junk(&stranger, bob_at);
        alice.say(&format!("line {number}"));
    }
    bob.wait_for_output("alice: line 19");
    bob.say("still here");
    alice.wait_for_output("bob: still here");
    throw_junk(&stranger, address);
    alice.say("/quit");
    assert!(alice.wait().success() && bob.wait().success());
    let said: Vec<String> = (0..20).map(|number| format!("alice: line {number}")).collect();
    assert_eq!(bob.output(), said);
}

#[test]
fn junk_is_traced_and_nothing_hostile_reaches_the_screen() {
    let stranger = stranger();
    let (tracker, address) = tracker(&[]);
    let alice = peer(address, &["--trace=wire"]);
    let at = endpoint(&tracker.wait_for_output("(peer)"));
    for datagram in ["", "HELLO\n", "SAY \x1b[2J\u{202e}\n", "PING a\nPONG\n"] {
        stranger.send_to(datagram.as_bytes(), at).unwrap();
    }
    let from = stranger.local_addr().unwrap();
    alice.wait_for_news(&format!("<? {from}  "));
    alice.wait_for_news("(empty datagram)");
    alice.wait_for_news("HELLO  (unknown verb)");
    alice.wait_for_news("SAY \u{fffd}[2J\u{fffd}");
    alice.wait_for_news("PONG  (missing to)");
    assert!(!alice.news_so_far().iter().any(|line| line.contains(['\x1b', '\u{202e}'])));
}

#[test]
fn hostile_text_is_shown_harmless() {
    let (mut alice, bob) = couple(&[]);
    alice.say("clear \x1b[2J and turn \u{202e}, keep\ttabs");
    bob.wait_for_output("alice: clear \u{fffd}[2J and turn \u{fffd}, keep\ttabs");
}

#[test]
fn a_stranger_writes_no_line_of_its_own_into_a_trace() {
    let arguments = ["--direct", "--bind", "127.0.0.1:0", "--trace=wire"];
    let alice = Program::start(peer_command().args(arguments));
    let line = alice.wait_for_news("Waiting to be called at ");
    let at: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
    let forged = format!(
        "x\n  0.004 -> 127.0.0.1:55555  REGISTER forged\nbob: I never said this\n{}",
        "y".repeat(1200)
    );
    stranger().send_to(forged.as_bytes(), at).unwrap();
    let shown = alice.wait_for_news("(too long a datagram)");
    assert!(shown.contains("<? ") && shown.contains("x\u{fffd}  0.004 -> "), "{shown}");
    assert!(!alice.news_so_far().iter().any(|line| line.starts_with("bob: ")));
}
