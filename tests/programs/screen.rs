//! The screen of a real terminal: tmux shows what a person would see.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Program, peer, peer_command, stranger, tracker};

/// A terminal of so many columns and rows, in which a peer runs.
struct Screen {
    socket: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

impl Screen {
    /// `None`, and why, where there is no tmux.
    fn new(name: &str, columns: u32, rows: u32, command: &str) -> Option<Self> {
        if !Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        {
            println!("skipped: tmux is not installed, and without a terminal there is no screen to look at");
            return None;
        }
        let screen = Self { socket: format!("p2p-chat-{}-{name}", std::process::id()) };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let command = format!("{command}; echo \"status $?\"; cat > /dev/null");
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &command]);
        Some(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn rows(&self) -> Vec<String> {
        let text = self.tmux(&["capture-pane", "-p"]);
        let rows: Vec<String> = text.lines().map(|row| row.trim_end().to_owned()).collect();
        let last = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
        rows[..last].to_vec()
    }

    /// Waits until the screen is as it should be.
    fn wait_until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows();
            if is_so(&rows) {
                return rows;
            }
            assert!(Instant::now() < end, "{what}; the screen is:\n{}", rows.join("\n"));
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ends_with(&self, expected: &[&str]) {
        self.wait_until(&format!("should end with {expected:#?}"), |rows| {
            rows.len() >= expected.len() && rows[rows.len() - expected.len()..] == *expected
        });
    }
}

/// A peer called alice at a terminal, and bob, who is a pipe.
fn alice_and_bob(name: &str, columns: u32, rows: u32, environment: &str) -> Option<(Screen, Program)> {
    let (_tracker, address) = tracker(&[]);
    let alice = format!(
        "{environment} '{}' --tracker {address} --bind 127.0.0.1:0 --name alice",
        peer_command().get_program().to_str().unwrap()
    );
    let screen = Screen::new(name, columns, rows, &alice)?;
    let bob = peer(address, &["--name", "bob"]);
    bob.wait_for_news("ready to exchange messages");
    screen.ends_with(&["ready to exchange messages", ">"]);
    Some((screen, bob))
}

#[test]
fn a_message_leaves_the_half_typed_line_whole() {
    let Some((screen, mut bob)) = alice_and_bob("half", 40, 14, "") else {
        return;
    };
    screen.keys(&["-l", "half a li"]);
    screen.ends_with(&["> half a li"]);
    bob.say("one");
    screen.ends_with(&["ready to exchange messages", "bob: one", "> half a li"]);
    // Down to the bottom of the screen, and on.
    for number in 0..30 {
        bob.say(&format!("message {number}"));
    }
    screen.ends_with(&["bob: message 28", "bob: message 29", "> half a li"]);
    screen.keys(&["-l", "ne"]);
    screen.keys(&["Enter"]);
    bob.wait_for_output("alice: half a line");
    screen.ends_with(&["bob: message 29", "> half a line", ">"]);
    // Wider than the screen, and wide characters: split where the screen ends.
    screen.keys(&["-l", "typing"]);
    bob.say(&"0123456789".repeat(6));
    bob.say(&"漢字".repeat(12));
    screen.ends_with(&[
        "> half a line",
        "bob: 01234567890123456789012345678901234",
        "5678901234567890123456789",
        "bob: 漢字漢字漢字漢字漢字漢字漢字漢字漢",
        "字漢字漢字漢字",
        "> typing",
    ]);
    bob.say("\x1b[2J\x1b[Hhostile \u{202e}txet");
    screen.ends_with(&["bob: \u{fffd}[2J\u{fffd}[Hhostile \u{fffd}txet", "> typing"]);
    screen.tmux(&["resize-window", "-x", "30", "-y", "14"]);
    screen.ends_with(&["> typing"]);
    bob.say("after the resize");
    screen.ends_with(&["bob: after the resize", "> typing"]);
}

#[test]
fn a_dumb_terminal_gets_the_prompt_anew() {
    let Some((screen, mut bob)) = alice_and_bob("dumb", 40, 14, "TERM=dumb") else {
        return;
    };
    bob.say("one");
    bob.say("two");
    screen.ends_with(&["bob: one", "bob: two", ">"]);
}

#[test]
fn ctrl_d_says_goodbye() {
    let Some((screen, mut bob)) = alice_and_bob("ctrl-d", 60, 14, "") else {
        return;
    };
    screen.keys(&["C-d"]);
    bob.wait_for_news("alice has left");
    assert!(bob.wait().success());
    screen.wait_until("status 0", |rows| rows.last().is_some_and(|row| row.ends_with("status 0")));
}

#[test]
fn commands_and_their_errors_at_a_keyboard() {
    let Some((screen, mut bob)) = alice_and_bob("commands", 100, 30, "") else {
        return;
    };
    screen.keys(&["-l", "/nonsense"]);
    screen.keys(&["Enter"]);
    screen.wait_until("no such command", |rows| rows.iter().any(|row| row.contains("no such command")));
    screen.keys(&["-l", "@carol hello"]);
    screen.keys(&["Enter"]);
    screen.wait_until("nobody is carol", |rows| {
        rows.iter().any(|row| row.contains("nobody here is called carol"))
    });
    screen.keys(&["-l", "@bob hello"]);
    screen.keys(&["Enter"]);
    bob.wait_for_output("alice: @bob hello");
    screen.wait_until("marked", |rows| rows.iter().any(|row| row.contains("(to bob only)")));
    screen.keys(&["-l", "/peers"]);
    screen.keys(&["Enter"]);
    screen.wait_until("peers", |rows| {
        rows.iter().any(|row| row.starts_with("bob  ") && row.contains("round trip"))
    });
    screen.keys(&["-l", "//quit"]);
    screen.keys(&["Enter"]);
    bob.wait_for_output("alice: /quit");
    screen.keys(&["-l", "/quit"]);
    screen.keys(&["Enter"]);
    screen.wait_until("status 0", |rows| rows.last().is_some_and(|row| row == "status 0"));
    assert!(bob.wait().success());
}

#[test]
fn ctrl_c_ends_at_once_and_the_other_is_told_in_the_end() {
    let Some((screen, mut bob)) = alice_and_bob("ctrl-c", 60, 14, "") else {
        return;
    };
    screen.keys(&["C-c"]);
    bob.wait_for_news("alice is gone");
    assert_eq!(bob.wait().code(), Some(1));
}

#[test]
fn a_line_before_anybody_is_there_is_refused() {
    let (_tracker, address) = tracker(&[]);
    let command = format!(
        "'{}' --tracker {address} --bind 127.0.0.1:0",
        peer_command().get_program().to_str().unwrap()
    );
    let Some(screen) = Screen::new("alone", 60, 14, &command) else {
        return;
    };
    screen.ends_with(&["Checked in with tracker server, waiting for peer..."]);
    screen.keys(&["-l", "anybody there?"]);
    screen.keys(&["Enter"]);
    screen.wait_until("refused", |rows| rows.iter().any(|row| row.contains("nobody is here yet")));
    screen.keys(&["-l", "/quit"]);
    screen.keys(&["Enter"]);
    screen.wait_until("status 0", |rows| rows.last().is_some_and(|row| row == "status 0"));
}

/// Both threads write to the screen. Where they took its locks in different order, this was stuck within
/// seconds.
#[test]
fn whoever_presses_enter_while_another_floods_is_never_stuck() {
    for terminal in ["TERM=xterm", "TERM=dumb"] {
        let (_tracker, address) = tracker(&["--peers", "3"]);
        let program = peer_command().get_program().to_str().unwrap().to_owned();
        let alice = format!("{terminal} '{program}' --tracker {address} --bind 127.0.0.1:0 --name alice");
        let Some(screen) = Screen::new(terminal, 80, 24, &alice) else {
            return;
        };
        let bob = peer(address, &["--name", "bob"]);
        let mut carol = peer(address, &["--name", "carol"]);
        bob.wait_for_news("got alice");
        carol.wait_for_news("got alice");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let bursts = (0..10_000).take_while(|_| !is_over.load(Ordering::Relaxed));
                bursts.for_each(|_| carol.write(&b"flood\n".repeat(100)));
            });
            screen.wait_until("flooded", |rows| rows.iter().any(|row| row.ends_with("carol: flood")));
            (0..20).for_each(|_| screen.keys(&["-N", "500", "Enter"]));
            screen.keys(&["-l", "through"]);
            screen.keys(&["Enter"]);
            bob.wait_for_output("alice: through");
            is_over.store(true, Ordering::Relaxed);
        });
        let heard = bob.output_so_far().iter().filter(|line| *line == "alice: ").count();
        assert_eq!(heard, 10_000, "{terminal}: every Enter is an empty line");
    }
}

#[test]
fn ctrl_s_at_the_screen_of_a_tracker_stops_no_introduction() {
    let free = stranger().local_addr().unwrap();
    let command = format!("'{}' --listen {free}", env!("CARGO_BIN_EXE_tracker"));
    let Some(screen) = Screen::new("ctrl-s", 60, 14, &command) else {
        return;
    };
    screen.ends_with(&[&format!("Tracker listening on {free}")]);
    screen.keys(&["C-s"]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| peer(free, &["--name", name]));
    alice.wait_for_news("ready to exchange messages");
    alice.say("/quit");
    assert!(alice.wait().success() && bob.wait().success());
    screen.keys(&["C-q"]);
    screen.ends_with(&["Got 2 peers, sending details to each one.", "status 0"]);
}
