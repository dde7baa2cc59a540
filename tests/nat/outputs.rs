//! What the laboratory says of itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{PATIENCE, Program, once_ready};
use super::{LAB, couple, guest, lab, routers, said, tracker};

/// A project's folder with nothing but its programs, as `cargo build` makes them.
const PROJECT: &str = "/run/project";

pub fn all() {
    fs::create_dir_all(format!("{PROJECT}/target")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_peer")).parent().unwrap();
    symlink(programs, format!("{PROJECT}/target/debug")).unwrap();

    what_is_not_up();
    the_map_and_its_commands();
    the_state();
    what_is_mistyped();
    a_command_somewhere();
    a_port_for_every_destination();
    a_port_clash();
    a_mapping_comes_and_goes();
    a_part_of_the_matrix();
    the_matrix_is_interrupted();
}

fn ask(arguments: &[&str]) -> Output {
    Command::new(LAB).args(arguments).current_dir(PROJECT).output().unwrap()
}

fn start(arguments: &[&str]) -> Program {
    Program::start(Command::new(LAB).args(arguments).current_dir(PROJECT))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
}

/// The mappings from this inside end: for each, to whom, and the outside end.
fn mappings(router: &str, inside: &str) -> Vec<(String, String)> {
    let table = said(&["table", router]);
    let rows = table.lines().filter(|line| line.starts_with(inside));
    let words = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    words.map(|words| (format!("{} {}", words[2], words[3]), words[4].to_owned())).collect()
}

fn processes(place: &str) -> String {
    let pids = Command::new("ip").args(["netns", "pids", &format!("lab-{place}")]).output().unwrap();
    text(&pids.stdout).to_owned()
}

/// Presses Ctrl-C.
fn interrupt(program: &mut Program) {
    let process = program.process().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    assert_eq!(program.wait().code(), Some(130));
}

fn what_is_not_up() {
    lab(&["down"]);
    assert_has(
        &said(&[]),
        &["home1    203.0.113.21", &format!("not built: sudo {LAB} up"), "matrix [INPUT]"],
    );
    for arguments in [&["table", "home1"][..], &["in", "alice1", "true"], &["router", "home1", "plain"]] {
        let answer = ask(arguments);
        assert_eq!(answer.status.code(), Some(1));
        assert_eq!(text(&answer.stderr), format!("lab: the laboratory is not up: sudo {LAB} up\n"));
    }
}

/// The three commands that it names are typed as they are, and two peers talk; the tables show both ends.
fn the_map_and_its_commands() {
    let answer = said(&["up"]);
    let places = [
        "tracker  203.0.113.1",
        "pub1     203.0.113.11",
        "pub2     203.0.113.12",
        "home1    203.0.113.21",
        "home2    203.0.113.22",
        "carrier  203.0.113.31",
        "home3   100.64.0.3",
        "home4   100.64.0.4",
        "alice1  192.168.1.11",
        "alice2  192.168.1.12",
        "bob1    192.168.1.11",
        "bob2    192.168.1.12",
        "carol  192.168.1.11",
        "dave   192.168.1.11",
    ];
    assert_has(&answer, &places);
    let prompt = format!("  sudo {LAB} ");
    let commands: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix(&prompt)).collect();
    let [tracker, alice, bob] = commands[..] else { panic!("not three commands: {answer}") };
    let typed = |command: &str| start(&command.split(' ').collect::<Vec<_>>());
    let tracker = typed(tracker);
    tracker.wait_for_output("Tracker listening on");
    let [mut alice, bob] = once_ready([alice, bob].map(typed));
    alice.say("hello");
    bob.wait_for_output("alice: hello");

    let to_tracker = |outside: &str| ("203.0.113.1:55555 (tracker)".to_owned(), outside.to_owned());
    let to = |home: &str, outside: &str| (home.to_owned(), outside.to_owned());
    assert_eq!(
        mappings("home1", "192.168.1.11:50001 (alice1)"),
        [to_tracker("203.0.113.21:50001"), to("203.0.113.22:50001 (home2)", "203.0.113.21:50001")]
    );
    assert_eq!(
        mappings("home2", "192.168.1.11:50001 (bob1)"),
        [to_tracker("203.0.113.22:50001"), to("203.0.113.21:50001 (home1)", "203.0.113.22:50001")]
    );
    assert_has(&said(&["table", "home3"]), &["(no mappings: nothing has gone out lately)"]);
    let refused = ask(&["matrix"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_has(text(&refused.stderr), &["lab: a tracker runs at tracker: end it first"]);
}

fn the_state() {
    let fresh = ["home1    plain      open    30 s, 120 s once in use", "carrier  plain      open "];
    assert_has(&said(&[]), &fresh);
    let changes = [
        "router home1 cone drop",
        "router home2 symmetric reject",
        "mapping home2 8",
        "hold home1 203.0.113.22 220",
        "hairpin carrier 50003:100.64.0.3",
        "loss alice1 100",
        "loss bob1 20",
        "move pub1 203.0.113.77",
    ];
    for change in changes {
        lab(&change.split(' ').collect::<Vec<_>>());
    }
    let state = [
        "home1    cone       drop    30 s, 120 s once in use",
        "         drops the first 220 bytes to 203.0.113.22",
        "home2    symmetric  reject  8 s",
        "         sends 203.0.113.31:50003 back inside, to 100.64.0.3",
        "alice1 loses 100 % of the datagrams that come in",
        "bob1 loses 20 % of the datagrams that come in",
        "pub1 has moved to 203.0.113.77",
    ];
    assert_has(&said(&[]), &state);
    lab(&["up"]);
    assert_has(&said(&[]), &fresh);
    assert!(!said(&[]).contains("loses") && !said(&[]).contains("has moved"));
}

/// Who mistypes a command is told how it goes, in three lines that no other program has written.
fn what_is_mistyped() {
    let mistyped = [
        ("router", "ROUTER is missing"),
        ("router home1", "KIND is missing"),
        ("router home9 plain", "there is no router home9: take one of home1 home2 home3 home4 carrier"),
        ("router home1 foo", "there is no kind foo: take one of plain cone symmetric"),
        ("router home1 plain foo", "there is no INPUT foo: take one of open drop reject"),
        ("router home1 plain drop foo", "foo is too much"),
        ("router carrier cone", "no host 192.168.1.11 is behind carrier: plain or symmetric"),
        ("loss alice1 abc", "PERCENT is a whole number from 0 to 100, not abc"),
        ("loss alice1 101", "PERCENT is a whole number from 0 to 100, not 101"),
        ("in", "PLACE is missing"),
        ("in nobody ls", "there is no place nobody: take one of tracker"),
        ("in alice1", "COMMAND is missing"),
        ("mapping home1 x", "SECONDS is a whole number from 1 to 86400, not x"),
        ("move pub1 nonsense", "nonsense is no address such as 203.0.113.22"),
        ("move pub1 192.168.1.2", "pub1 lives in 203.0.113.0/24, and 192.168.1.2 is not there"),
        ("move pub1 203.0.113.21", "203.0.113.21 is the address of home1"),
        ("hold home1", "ADDRESS is missing"),
        ("hairpin home1 foo", "foo is no PORT:ADDRESS such as 50001:192.168.1.11"),
        ("table", "ROUTER is missing"),
        ("table alice1", "there is no router alice1"),
        ("watch alice1", "there is no router alice1"),
        ("matrix foo", "there is no kind foo: take one of plain cone symmetric public"),
        ("matrix drop plain foo", "there is no kind foo: take one of plain cone symmetric public"),
        ("up there", "there is too much"),
    ];
    for (typed, complaint) in mistyped {
        let words: Vec<_> = typed.split(' ').collect();
        let answer = ask(&words);
        let lines: Vec<_> = text(&answer.stderr).lines().collect();
        assert_eq!((answer.status.code(), text(&answer.stdout), lines.len()), (Some(2), "", 3), "{lines:?}");
        assert!(lines[0].starts_with(&format!("lab: {complaint}")), "{typed}: {lines:?}");
        assert!(lines[1].starts_with(&format!("usage:   lab {}", words[0])), "{typed}: {lines:?}");
        assert!(lines[2].starts_with(&format!("example: sudo {LAB} {}", words[0])), "{typed}: {lines:?}");
    }
    let unknown = ask(&["frobnicate"]);
    assert_eq!(unknown.status.code(), Some(2));
    let told = format!("lab: there is no command frobnicate: {LAB} alone lists them\n");
    assert_eq!(text(&unknown.stderr), told);
}

fn a_command_somewhere() {
    assert_eq!(ask(&["in", "alice1", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_has(&said(&["in", "home1", "ip", "address"]), &["203.0.113.21/24"]);
    let unknown = ask(&["in", "alice1", "target/debug/nothing"]);
    assert_eq!(unknown.status.code(), Some(127));
    assert_has(text(&unknown.stderr), &["lab: there is no program target/debug/nothing here"]);
}

fn a_port_for_every_destination() {
    routers(&["home1"], "symmetric", "drop");
    let _tracker = tracker(&[]);
    let _couple = couple(["alice1", "pub1"]);
    let found = mappings("home1", "192.168.1.11:50001 (alice1)");
    let [(to_tracker, first), (to_peer, second)] = &found[..] else { panic!("not two: {found:?}") };
    assert_eq!((&to_tracker[..], &to_peer[..]), ("203.0.113.1:55555 (tracker)", "203.0.113.11:50001 (pub1)"));
    assert_ne!(first, second, "a symmetric router has given two destinations one port");
}

/// Bob's ping comes before alice's has left, and takes the port that hers would have had.
fn a_port_clash() {
    routers(&["home1", "home2"], "plain", "open");
    lab(&["hold", "home1", "203.0.113.22", "220"]);
    let _tracker = tracker(&[]);
    let _couple = couple(["alice1", "bob1"]);
    let clash = "unasked, from 203.0.113.22:50001 (home2) to 203.0.113.21:50001: nobody inside";
    assert_has(&said(&["table", "home1"]), &[clash]);
    let found = mappings("home1", "192.168.1.11:50001 (alice1)");
    let moved = |(to, outside): &(String, String)| to.contains("(home2)") && outside != "203.0.113.21:50001";
    assert!(found.iter().any(moved), "{found:?}");
}

fn a_mapping_comes_and_goes() {
    routers(&["home1"], "plain", "open");
    lab(&["mapping", "home1", "2"]);
    let mut watch = start(&["watch", "home1"]);
    watch.wait_for_output("The mappings of home1 from now on");
    let _tracker = tracker(&[]);
    let alice = guest("alice1");
    let mapping = "192.168.1.11:50001 (alice1) to 203.0.113.1:55555 (tracker), outside 203.0.113.21:50001";
    for what in ["new     ", "answered"] {
        let line = watch.wait_for_output(&format!(" {what} {mapping}"));
        assert_eq!(line.find(' '), Some("12:00:00.000".len()), "{line}");
    }
    drop(alice);
    watch.wait_for_output(&format!(" gone     {mapping}"));
    interrupt(&mut watch);
    assert_eq!(processes("home1"), "");
}

fn a_part_of_the_matrix() {
    routers(&["home1", "home2"], "plain", "reject");
    let answer = ask(&["matrix", "open", "cone", "symmetric"]);
    assert!(answer.status.success(), "{answer:?}");
    let lines: Vec<_> = text(&answer.stdout).lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[2].starts_with("cone       symmetric  meet     ready after "), "{lines:#?}");
    assert_has(&said(&[]), &["home1    plain      reject", "home2    plain      reject"]);
}

fn the_matrix_is_interrupted() {
    let mut matrix = start(&["matrix", "symmetric", "symmetric"]);
    let end = Instant::now() + PATIENCE;
    while processes("bob1").is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    interrupt(&mut matrix);
    for place in ["tracker", "alice1", "bob1", "home1", "home2"] {
        assert_eq!(processes(place), "", "left behind at {place}");
    }
    assert_has(&said(&[]), &["home1    plain      reject", "home2    plain      reject"]);
}
