//! What goes wrong with a program under test is said in a sentence, and never holds `check` up.

use std::process::{Command, Output};

use crate::{check, said};

fn only_meet_1(command: &[&str]) -> Output {
    check(&[&["peer", "--only", "meet-1"], command].concat()).output().unwrap()
}

#[test]
fn a_command_that_cannot_be_started_is_named() {
    let output = only_meet_1(&["./no-such-program"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("error: cannot start ./no-such-program: "), "{complaint}");
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(2), ""));
}

#[test]
#[cfg(unix)]
fn a_program_that_ends_early_or_says_nothing_has_failed() {
    for (command, what) in [
        (
            &["sh", "-c", "echo no such module >&2; exit 3"][..],
            "exit status: 3; nothing at all has come from the program stderr: no such module",
        ),
        (&["sh", "-c", "kill -9 $$"], "signal: 9"),
        (&["sh", "-c", "exec sleep 1000"], "to come to tracker, within 10 s"),
    ] {
        let output = only_meet_1(command);
        let said = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(what), "{command:?}: {said}");
        assert!(said.ends_with("0 of 1 passed: next, meet-1"), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn what_is_asked_for_must_exist() {
    for arguments in [
        &["peer", "--only", "meet-99", "x"][..],
        &["peer", "--level", "T", "x"],
        &["tracker", "--level", "1", "x"],
    ] {
        let output = check(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--list shows all"));
    }
    assert_eq!(check(&["peer"]).output().unwrap().status.code(), Some(2), "a command is needed");
}

#[test]
fn a_list_names_level_and_rule() {
    let listed = said(&check(&["peer", "--list", "--level", "3"]).output().unwrap());
    assert_eq!(listed.lines().count(), 12, "{listed}");
    assert!(listed.starts_with("3  part-1 "), "{listed}");
}

/// A script that runs the real program, and does not give its place to it.
#[test]
#[cfg(unix)]
fn what_a_script_has_started_ends_with_it() {
    let mark = format!("{}", 100_000 + std::process::id());
    let script = format!("sleep {mark} & sleep {mark}; echo never");
    only_meet_1(&["sh", "-c", &script]);
    let listed = Command::new("ps").args(["-A", "-o", "args="]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.lines().any(|line| line == format!("sleep {mark}")), "{listed}");
}
