//! `check`, checked: our own programs hold all rules, each broken one is found, and the page and it are one.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod errors;
mod mutants;
mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};
use std::thread;

use mutants::{Mutant, PEERS, TRACKERS};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
const PEER: &str = env!("CARGO_BIN_EXE_peer");
const TRACKER: &str = env!("CARGO_BIN_EXE_tracker");

/// Most of its time, `check` waits.
const AT_A_TIME: usize = 16;

pub fn check(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_check"));
    command.args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn our_peer_holds_every_rule() {
    let output = check(&["peer", PEER]).output().unwrap();
    let said = said(&output);
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(output.status.success() && !said.contains("  -- "), "{said}");
}

#[test]
fn our_tracker_holds_every_rule() {
    let output = check(&["tracker", TRACKER]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// It says one message at a time, and repeats it every second.
#[test]
fn a_small_peer_holds_all_that_is_demanded_in_four_levels() {
    if Command::new("python3").arg("--version").output().is_err() {
        return println!("skipped: the small peer needs python3");
    }
    for level in ["1", "2", "3", "5"] {
        let small_peer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check/small_peer.py");
        let output = check(&["peer", "--level", level, "python3", small_peer]).output().unwrap();
        assert!(output.status.success(), "level {level}:\n{}", said(&output));
    }
}

#[test]
fn each_broken_peer_is_found() {
    assert!(PEERS.len() >= 40);
    find_each("peer", PEERS);
}

#[test]
fn each_broken_tracker_is_found() {
    find_each("tracker", TRACKERS);
}

fn find_each(side: &str, mutants: &[Mutant]) {
    let program = broken_programs().join(side);
    let (waiting, failed) = (Mutex::new(mutants.iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(mutant) = next() {
                    let (name, what) = (mutant.0, what_is_broken(mutant));
                    let mut check = check(&[side, "--only", name, program.to_str().unwrap()]);
                    let said = said(&check.env("BROKEN", &what).output().unwrap());
                    let marks = [format!("  FAIL  {name} "), format!("  --    {name} ")];
                    if !marks.iter().any(|mark| said.contains(mark)) {
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{what} is broken, and nobody has found it:\n{said}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{} of {} broken {side}s were found", mutants.len(), mutants.len());
}

fn what_is_broken((name, file, ..): &Mutant) -> String {
    format!("{name} in {file}")
}

/// Where the programs are that were built, once, from a copy of the source with all mutants in it.
fn broken_programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    for name in ["src", "docs/protocol.md", "tests/figures/bench.rs", "Cargo.toml", "Cargo.lock"] {
        copy_all(&Path::new(SOURCE).join(name), &copy.join(name));
    }
    let mut all = BTreeSet::new();
    for mutant @ (name, file, old, new) in PEERS.iter().chain(TRACKERS) {
        let what = what_is_broken(mutant);
        let question = format!("crate::is_broken({what:?})");
        assert!(all.insert(what), "each can be broken alone");
        change(&copy.join("src").join(file), old, &new.replace("BROKEN", &question), name);
    }
    let library = copy.join("src/lib.rs");
    let question = "pub fn is_broken(name: &str) -> bool {\n    std::env::var(\"BROKEN\").is_ok_and(|broken| broken == name)\n}\n";
    fs::write(&library, fs::read_to_string(&library).unwrap() + question).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let built = cargo
        .args(["build", "--quiet", "--offline", "--bins"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", copy.join("target"));
    let output = built.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    copy.join("target/debug")
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy_all(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

fn change(path: &Path, old: &str, new: &str, name: &str) {
    let text = fs::read_to_string(path).unwrap();
    let (code, tests) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
    assert_eq!(code.matches(old).count(), 1, "{name}: {} has this once: {old}", path.display());
    let tests = if tests.is_empty() { String::new() } else { format!("#[cfg(test)]{tests}") };
    fs::write(path, code.replace(old, new) + &tests).unwrap();
}
