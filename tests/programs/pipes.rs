//! Files through pipes: what goes in at one end comes out at the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Program, couple, of, peer, peer_command, tracker};

/// A folder of this test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("p2p-chat-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Two peers, each with a file or nothing for stdin; both must end well. What each wrote is handed out.
fn exchange(folder: &Folder, files: [Option<&Path>; 2], flags: &[&str]) -> [Vec<u8>; 2] {
    let (_tracker, address) = tracker(&[]);
    let start = |index: usize, name: &str| {
        let stdin = files[index].map_or(Stdio::null(), |path| File::open(path).unwrap().into());
        let stdout = File::create(folder.file(&format!("out-{name}"))).unwrap();
        let mut command = peer_command();
        Program::start_between(of(address, &mut command).args(["--name", name]).args(flags), stdin, stdout)
    };
    for mut peer in [start(0, "alice"), start(1, "bob")] {
        assert!(peer.wait().success(), "{:?}", peer.news());
    }
    ["alice", "bob"].map(|name| fs::read(folder.file(&format!("out-{name}"))).unwrap())
}

/// The same, if each line of `file` was said by `name`.
fn said_by(name: &str, file: &[u8]) -> Vec<u8> {
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| [format!("{name}: ").as_bytes(), line].concat()).collect()
}

/// Compares what may be megabytes without printing it.
fn assert_same(heard: &[u8], said: &[u8]) {
    let difference = heard.iter().zip(said).position(|(heard, said)| heard != said);
    assert!(heard == said, "{} bytes, not {}; first difference: {difference:?}", heard.len(), said.len());
}

fn lines_each_way(name: &str, count: usize, flags: &[&str]) {
    let folder = Folder::new(name);
    let write = |who: &str| {
        let lines: String =
            (0..count).map(|number| format!("line {number} of {who}'s very long story\n")).collect();
        fs::write(folder.file(who), &lines).unwrap();
        lines.into_bytes()
    };
    let (alice, bob) = (write("alice"), write("bob"));
    let (alices_file, bobs_file) = (folder.file("alice"), folder.file("bob"));
    let heard = exchange(&folder, [Some(&alices_file), Some(&bobs_file)], flags);
    assert_same(&heard[0], &said_by("bob", &bob));
    assert_same(&heard[1], &said_by("alice", &alice));
}

#[test]
fn a_hundred_thousand_lines_each_way_arrive() {
    lines_each_way("plain", 100_000, &[]);
}

#[test]
fn a_hundred_thousand_lines_each_way_arrive_through_bad_weather() {
    lines_each_way(
        "harmed",
        100_000,
        &["--loss", "20", "--duplicate", "10", "--reorder", "10", "--seed", "7"],
    );
}

#[test]
fn a_file_of_20_megabytes_arrives() {
    let folder = Folder::new("large");
    let file: Vec<u8> = (0..20_000).flat_map(|number| format!("{number:>999}\n").into_bytes()).collect();
    fs::write(folder.file("large"), &file).unwrap();
    let path = folder.file("large");
    let heard = exchange(&folder, [Some(&path), None], &[]);
    assert_same(&heard[1], &said_by("alice", &file));
    assert!(heard[0].is_empty());
    let heard = exchange(&folder, [None, Some(&path)], &[]); // and whichever side starts first
    assert_same(&heard[0], &said_by("bob", &file));
}

#[test]
fn odd_files_arrive_as_documented() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("no-newline", b"one\ntwo", "alice: one\nalice: two\n"),
        ("crlf", b"one\r\ntwo\r\n", "alice: one\nalice: two\n"),
        ("empty-lines", b"\n\none\n\n", "alice: \nalice: \nalice: one\nalice: \n"),
        ("control", b"a\x07b\x1b[2J\tc\n", "alice: a\u{fffd}b\u{fffd}[2J\tc\n"),
        ("not-utf-8", b"a\xff\xfeb\n", "alice: a\u{fffd}\u{fffd}b\n"),
        (
            "same-twice",
            b"same\nsame\n //quit\n//quit\n/nobody\n@nobody hi\n",
            "alice: same\nalice: same\nalice:  //quit\nalice: /quit\nalice: /nobody\nalice: @nobody hi\n",
        ),
    ];
    for (name, file, expected) in cases {
        let folder = Folder::new(name);
        fs::write(folder.file("file"), file).unwrap();
        let path = folder.file("file");
        let heard = exchange(&folder, [Some(&path), None], &[]);
        assert_eq!(String::from_utf8(heard[1].clone()).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_line_over_64_kib_is_refused_with_its_size() {
    let (mut alice, bob) = couple(&[]);
    alice.say(&"x".repeat(64 * 1024 + 1));
    let news = alice.wait_for_news("65537 bytes");
    assert!(news.contains("not said"), "{news}");
    alice.say(&"y".repeat(64 * 1024));
    assert_eq!(bob.wait_for_output("yyyy").len(), "alice: ".len() + 64 * 1024);
}

#[test]
fn a_closed_stdout_ends_the_program_quietly() {
    if !cfg!(unix) {
        return println!("skipped: it takes sh, head and mkfifo to close a stdout");
    }
    let (_tracker, address) = tracker(&[]);
    // Its stdin is open but says nothing: only the closed stdout can end it.
    let script = format!(
        "'{}' --tracker {address} --bind 127.0.0.1:0 --name bob < \"$0\" 2> /dev/null | head -1",
        env!("CARGO_BIN_EXE_peer")
    );
    let folder = Folder::new("closed");
    let fifo = folder.file("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _open = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut head = Program::start(Command::new("sh").args(["-c", &script]).arg(&fifo));
    let mut alice = peer(address, &["--name", "alice"]);
    alice.wait_for_news("ready to exchange messages");
    alice.say("one");
    head.wait_for_output("alice: one");
    while !alice.news_so_far().contains(&"bob has left".to_owned()) {
        alice.say("two"); // it takes head a moment to be gone
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(head.wait().success() && alice.wait().success());
    assert_eq!(head.output(), ["alice: one"]);
}

#[test]
fn what_could_not_be_said_any_more_is_told() {
    let folder = Folder::new("cut-short");
    fs::write(folder.file("long"), "a long story\n".repeat(1_000_000)).unwrap();
    let (_tracker, address) = tracker(&[]);
    let mut bob = peer(address, &["--name", "bob"]);
    let file = File::open(folder.file("long")).unwrap();
    let mut command = peer_command();
    let mut alice =
        Program::start_between(of(address, &mut command).args(["--name", "alice"]), file, Stdio::null());
    bob.wait_for_output("alice: a long story");
    bob.say("/quit");
    alice.wait_for_news("bob has left");
    alice.wait_for_news("error: not all of the input was said: nobody is here any more");
    assert_eq!(alice.wait().code(), Some(1));
}

#[test]
fn a_full_disk_is_no_closed_pipe() {
    let Ok(full) = File::create("/dev/full") else {
        return println!("skipped: no /dev/full, which is a disk without room");
    };
    let (_tracker, address) = tracker(&[]);
    let mut command = peer_command();
    let mut bob =
        Program::start_between(of(address, &mut command).args(["--name", "bob"]), Stdio::null(), full);
    let mut alice = peer(address, &["--name", "alice"]);
    alice.say("this has no place");
    bob.wait_for_news("error: cannot write what is said: ");
    assert_eq!(bob.wait().code(), Some(1));
    alice.wait_for_news("bob has left");
}

#[test]
fn a_partner_that_is_killed_is_gone_and_what_was_lost_is_counted() {
    let (mut alice, mut bob) = couple(&[]);
    bob.kill();
    alice.say("one");
    alice.say("two");
    assert_eq!(alice.wait().code(), Some(1));
    let news = alice.news().join("\n");
    assert!(news.contains("bob is gone") && news.contains("2 lines were never acknowledged"), "{news}");
}

#[test]
fn commands_work_in_a_pipe() {
    let (mut alice, mut bob) = couple(&[]);
    alice.say("/peers");
    let line = alice.wait_for_news("unacknowledged");
    assert!(line.starts_with("bob  ") && line.contains("127.0.0.1:"), "{line}");
    alice.say("/help");
    alice.wait_for_news("/connect ENDPOINT");
    alice.say("@bob for you");
    bob.wait_for_output("alice: @bob for you");
    bob.say("/quit");
    alice.wait_for_news("bob has left");
    assert!(bob.wait().success() && alice.wait().success());
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let Ok(_) = fs::read_to_string("/proc/self/status") else {
        return println!("skipped: no /proc to read the memory from");
    };
    let (mut alice, mut bob) = couple(&[]);
    let line = "x".repeat(999);
    for _ in 0..10_000 {
        alice.say(&line);
    }
    alice.end_input();
    bob.wait_for_news("alice has said all");
    for program in [&alice, &bob] {
        let peak = program.kilobytes("VmHWM");
        assert!(peak < 8 * 1024, "peak resident memory: {peak} kB");
    }
    bob.end_input();
    assert!(alice.wait().success() && bob.wait().success());
}
