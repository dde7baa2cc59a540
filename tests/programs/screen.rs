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

    /// Types a line, and Enter.
    fn enter(&self, line: &str) {
        self.keys(&["-l", line]);
        self.keys(&["Enter"]);
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
    screen.enter("/nonsense");
    screen.wait_until("no such command", |rows| rows.iter().any(|row| row.contains("no such command")));
    screen.enter("@carol hello");
    screen.wait_until("nobody is carol", |rows| {
        rows.iter().any(|row| row.contains("nobody here is called carol"))
    });
    screen.enter("@bob hello");
    bob.wait_for_output("alice: @bob hello");
    screen.wait_until("marked", |rows| rows.iter().any(|row| row.contains("(to bob only)")));
    screen.enter("/peers");
    screen.wait_until("peers", |rows| {
        rows.iter().any(|row| row.starts_with("bob  ") && row.contains("round trip"))
    });
    screen.enter("//quit");
    bob.wait_for_output("alice: /quit");
    screen.enter("/quit");
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
    screen.enter("anybody there?");
    screen.wait_until("refused", |rows| rows.iter().any(|row| row.contains("nobody is here yet")));
    screen.enter("/quit");
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
            screen.enter("through");
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

#[test]
fn fifty_pasted_lines_leave_no_fifty_prompts() {
    let Some((screen, bob)) = alice_and_bob("paste", 40, 70, "") else {
        return;
    };
    let lines: Vec<String> = (1..=50).map(|number| format!("pasted {number}")).collect();
    screen.tmux(&["set-buffer", &format!("{}\n", lines.join("\n"))]);
    screen.tmux(&["paste-buffer"]);
    bob.wait_for_output("alice: pasted 50");
    let rows = screen.wait_until("a prompt", |rows| rows.last().is_some_and(|row| row.ends_with('>')));
    let prompts = rows.iter().map(|row| row.matches('>').count()).sum::<usize>();
    assert!(prompts < 10, "one is usual, a machine that stands still may bring more: {rows:#?}");
    screen.enter("typed");
    screen.wait_until("a prompt", |rows| rows.ends_with(&["> typed".to_owned(), ">".to_owned()]));
}

#[test]
fn the_prompt_comes_before_what_is_half_typed_already() {
    let (_tracker, address) = tracker(&[]);
    let program = peer_command().get_program().to_str().unwrap().to_owned();
    let alice = format!("'{program}' --tracker {address} --bind 127.0.0.1:0 --name alice");
    let Some(screen) = Screen::new("before", 60, 14, &alice) else {
        return;
    };
    screen.ends_with(&["Checked in with tracker server, waiting for peer..."]);
    screen.keys(&["-l", "half ty"]);
    screen.ends_with(&["half ty"]);
    let bob = peer(address, &["--name", "bob"]);
    screen.wait_until("the prompt", |rows| rows.last().is_some_and(|row| row == "> half ty"));
    screen.enter("ped");
    bob.wait_for_output("alice: half typed");
}

#[test]
fn after_fg_the_prompt_is_there_again() {
    let (_tracker, address) = tracker(&[]);
    let program = peer_command().get_program().to_str().unwrap().to_owned();
    let shell = "PS1='$ ' exec bash --norc --noprofile --noediting -i";
    let Some(screen) = Screen::new("fg", 100, 20, &format!("({shell})")) else {
        return;
    };
    screen.ends_with(&["$"]);
    screen.enter(&format!("'{program}' --tracker {address} --bind 127.0.0.1:0 --name alice"));
    let mut bob = peer(address, &["--name", "bob"]);
    screen.ends_with(&["ready to exchange messages", ">"]);
    screen.keys(&["C-z"]);
    screen.wait_until("stopped", |rows| rows.last().is_some_and(|row| row == "$"));
    screen.enter("sleep 1; fg"); // nobody is quicker
    screen.wait_until("a prompt", |rows| rows.last().is_some_and(|row| row == ">"));
    screen.enter("back again");
    bob.wait_for_output("alice: back again");
    bob.say("/quit");
    screen.wait_until("told that this is the end", |rows| {
        let told = rows.iter().position(|row| row == "bob has left");
        told.is_some_and(|told| rows.get(told + 1).is_some_and(|row| row.starts_with("nobody else can come")))
    });
    screen.wait_until("the shell", |rows| rows.last().is_some_and(|row| row == "$"));
}

#[test]
fn what_a_terminal_has_spoilt_is_refused_and_what_looks_like_a_command_is_said() {
    let Some((screen, bob)) = alice_and_bob("spoilt", 100, 30, "") else {
        return;
    };
    screen.keys(&["-l", "hallo"]);
    screen.keys(&["Left"]);
    screen.keys(&["Enter"]);
    screen.wait_until("refused", |rows| rows.iter().any(|row| row.contains("arrow key")));
    screen.tmux(&["set-buffer", &format!("{}\n", "x".repeat(5000))]);
    screen.tmux(&["paste-buffer"]);
    screen.wait_until("refused", |rows| rows.iter().any(|row| row.contains("4095 bytes")));
    for (typed, heard) in [("//", "/"), ("//etc", "/etc"), ("/home/me is a path", "/home/me is a path")] {
        screen.enter(typed);
        bob.wait_for_output(&format!("alice: {heard}"));
    }
    let heard = bob.output_so_far();
    assert_eq!(heard.len(), 3, "nothing of what was refused: {heard:?}");
}
