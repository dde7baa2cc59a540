//! What goes wrong in the world: a restart, a send that fails, input that is no text.

use std::process::Command;

use crate::harness::{Program, couple, peer, peer_command, stranger, tracker};

#[test]
fn a_peer_that_is_started_again_at_once_meets_its_partner_and_not_its_ghost() {
    let (tracker, address) = tracker(&[]);
    let free = stranger().local_addr().unwrap().to_string();
    let start = || {
        let arguments = ["--tracker", &address.to_string(), "--bind", &free, "--name", "alice"];
        Program::start(peer_command().args(arguments))
    };
    let mut ghost = start();
    tracker.wait_for_output("(alice)");
    ghost.kill();
    let mut alice = start();
    alice.wait_for_news("Checked in with tracker server");
    let mut bob = peer(address, &["--name", "bob"]);
    alice.say("it is me again");
    bob.wait_for_output("alice: it is me again");
    assert!(alice.news_so_far().contains(&"got bob".to_owned()), "{:?}", alice.news_so_far());
    bob.say("/quit");
    assert!(alice.wait().success() && bob.wait().success());
}

/// From 127.0.0.1 the system lets nothing leave the machine: the send fails, and no datagram is on its way.
#[test]
fn a_send_that_fails_is_shown_each_time_and_told_once() {
    let arguments = ["--direct", "192.0.2.1:50001", "--bind", "127.0.0.1:0", "--trace=wire"];
    let peer = Program::start(peer_command().args(arguments));
    peer.wait_for_news("Calling 192.0.2.1:50001, waiting for peer...");
    let told = peer.wait_for_news("cannot send to 192.0.2.1:50001: ");
    assert!(told.contains("os error") && told.contains("is this machine on a network"), "{told}");
    peer.wait_for_news("nobody answers at 192.0.2.1:50001 yet");
    let news = peer.news_so_far();
    let shown = news.iter().filter(|line| line.contains(" -! 192.0.2.1:50001  PING lobby "));
    assert!(shown.clone().count() >= 3 && shown.clone().all(|line| line.ends_with(')')), "{news:#?}");
    assert_eq!(news.iter().filter(|line| line.contains("cannot send")).count(), 1, "{news:#?}");
    assert!(!news.iter().any(|line| line.contains(" -> ")), "{news:#?}");
}

#[test]
fn utf_16_is_refused_and_a_mark_of_utf_8_dropped() {
    let (mut alice, mut bob) = couple(&[]);
    alice.write(b"\xff\xfeh\0i\0\n\0h\0i\0\n\0");
    alice.end_input();
    alice.wait_for_news("the input is UTF-16, nothing of it was said: save it as UTF-8");
    bob.write("\u{feff}hello\n\u{feff}hello\n".as_bytes());
    bob.end_input();
    assert_eq!(alice.wait().code(), Some(1));
    assert!(bob.wait().success());
    assert!(bob.output().is_empty());
    assert_eq!(alice.output(), ["bob: hello", "bob: \u{feff}hello"]);
}

#[test]
fn another_tracker_is_suspected_only_where_the_address_is_in_use() {
    let listen = |address: &str| {
        let mut tracker =
            Program::start(Command::new(env!("CARGO_BIN_EXE_tracker")).args(["--listen", address]));
        assert_eq!(tracker.wait().code(), Some(1));
        tracker.news().join("\n")
    };
    let news = listen("192.0.2.1:55555");
    assert!(news.contains("cannot listen on 192.0.2.1:55555: ") && news.contains("0.0.0.0"), "{news}");
    assert!(!news.contains("another tracker"), "{news}");
    let taken = stranger();
    assert!(listen(&taken.local_addr().unwrap().to_string()).contains("is another tracker running?"));
}

#[test]
fn bind_takes_an_address_alone_and_finds_a_free_port() {
    let arguments = ["--direct", "--bind", "127.0.0.1"];
    let peers = [(); 2].map(|()| Program::start(peer_command().args(arguments)));
    let [one, other] = peers.each_ref().map(|peer| peer.wait_for_news("Waiting to be called at 127.0.0.1:"));
    assert_ne!(one, other);
}
