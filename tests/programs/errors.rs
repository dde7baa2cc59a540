//! Every error says what happened and what to do next.

use std::process::Command;

use crate::harness::{Program, peer_command, stranger, tracker};

fn fails(command: &mut Command, status: i32, parts: &[&str]) {
    let mut program = Program::start(command);
    assert_eq!(program.wait().code(), Some(status));
    let news = program.news().join("\n");
    for part in parts {
        assert!(news.contains(part), "no {part:?} in:\n{news}");
    }
    assert!(!news.contains("panicked"), "{news}");
}

#[test]
fn a_port_in_use_is_named() {
    let (_tracker, address) = tracker(&[]);
    let listen = address.to_string();
    let mut second = Command::new(env!("CARGO_BIN_EXE_tracker"));
    fails(
        second.args(["--listen", &listen]),
        1,
        &["cannot listen on", &listen, "is another tracker running?"],
    );
    let taken = stranger();
    let bind = taken.local_addr().unwrap().to_string();
    fails(peer_command().args(["--bind", &bind]), 1, &["cannot bind to", &bind, "without --bind"]);
}

#[test]
fn wrong_usage_has_status_2() {
    fails(peer_command().args(["--name", "two words"]), 2, &["two words", "1 to 32 bytes"]);
    fails(peer_command().args(["--tracker", "nonsense"]), 2, &["HOST:PORT"]);
    fails(peer_command().args(["--direct", "nonsense"]), 2, &["HOST:PORT, for example 192.168.1.7:50001"]);
    fails(peer_command().args(["--lan", "--direct"]), 2, &["cannot be used with"]);
    fails(peer_command().args(["--lan", "--tracker", "127.0.0.1:55555"]), 2, &["cannot be used with"]);
    fails(peer_command().args(["--loss", "101"]), 2, &["101"]);
    fails(peer_command().args(["--bind", "nowhere"]), 2, &["ADDRESS"]);
    let listen = ["--listen", "nonsense"];
    fails(Command::new(env!("CARGO_BIN_EXE_tracker")).args(listen), 2, &["for example 0.0.0.0:55555"]);
    fails(peer_command().args(["--trace=nonsense"]), 2, &["nonsense", "possible values: story, wire"]);
    fails(Command::new(env!("CARGO_BIN_EXE_tracker")).args(["--peers", "1"]), 2, &["2..=64"]);
    fails(Command::new(env!("CARGO_BIN_EXE_tracker")).args(["--peers", "65"]), 2, &["2..=64"]);
}

/// Linux: a file that is always full.
#[test]
fn an_error_that_nobody_can_be_told_is_an_error() {
    let Ok(full) = std::fs::File::create("/dev/full") else {
        return println!("skipped: there is no /dev/full here");
    };
    let mut tracker = Command::new(env!("CARGO_BIN_EXE_tracker"));
    let status = tracker.args(["--listen", "192.0.2.1:1"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn an_address_that_cannot_be_resolved_or_used_is_named() {
    fails(
        peer_command().args(["--tracker", "no-such-host.invalid:55555"]),
        1,
        &["cannot resolve", "no-such-host"],
    );
    fails(peer_command().args(["--tracker", "0.0.0.0:55555"]), 1, &["use 127.0.0.1"]);
}

#[test]
fn help_and_version_are_there() {
    for program in [env!("CARGO_BIN_EXE_peer"), env!("CARGO_BIN_EXE_tracker")] {
        let help = Command::new(program).arg("--help").output().unwrap();
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success() && text.contains("Example") && text.contains("55555"), "{text}");
        assert!(Command::new(program).arg("--version").output().unwrap().status.success());
    }
}
