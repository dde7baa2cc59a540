//! Terminals as a person has them, by tmux: what is typed there, and what can be seen.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::check::{self, Expected};
use crate::stage::{SOURCE, STAGE};

/// So long a screen may differ from what it should be. Only who fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(15);

pub struct Terminal {
    name: String,
    /// All that should have appeared, from its beginning.
    expected: Vec<Expected>,
}

/// The keys that a chapter can name.
pub fn key(text: &str) -> Option<&'static str> {
    match text {
        "^C" => Some("C-c"),
        "^D" => Some("C-d"),
        "^Z" => Some("C-z"),
        _ => None,
    }
}

impl Terminal {
    pub fn open(name: &str) -> Self {
        // A shell whose prompt is `$ `, that knows none of the settings of whoever runs the test.
        let shell = "ulimit -c 0; exec env PS1='$ ' bash --norc --noprofile --noediting";
        let settings = ["set-option", "-g", "history-limit", "20000", ";"];
        let session = ["new-session", "-d", "-s", name, "-x", "200", "-y", "50", "-c", SOURCE, shell];
        if fs::exists(format!("{STAGE}/tmux")).is_ok_and(|is_there| is_there) {
            tmux(&session);
        } else {
            tmux(&[&["start-server", ";"], &settings[..], &session[..]].concat());
        }
        Self { name: name.to_owned(), expected: Vec::new() }
    }

    /// This line is to appear next, or is what has been typed.
    pub fn expect(&mut self, line: usize, text: &str) {
        if !check::is_silent(text) {
            self.expected.push(Expected { line, text: text.to_owned() });
        }
    }

    pub fn press(&self, key: &str) {
        tmux(&["send-keys", "-t", &self.target(), key]);
    }

    /// Types a line, and Enter.
    pub fn enter(&self, text: &str) {
        // A semicolon at the end would end tmux's command.
        let text = text.strip_suffix(';').map_or(text.to_owned(), |text| format!("{text}\\;"));
        tmux(&["send-keys", "-t", &self.target(), "-l", "--", &text]);
        self.press("Enter");
    }

    /// Waits until the screen is as it should be; with a prompt, until that is its last line.
    pub fn settle(&self, chapter: &str, prompt: Option<&str>) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = tmux(&["capture-pane", "-p", "-J", "-S", "-", "-t", &self.target()]);
            let seen = check::visible(&screen);
            let last = screen.trim_end().lines().last().unwrap_or_default();
            let is_asked = prompt.is_none_or(|prompt| last == prompt || (prompt == "$" && last == "> $"));
            if is_asked && check::difference(&self.expected, &seen).is_none() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(check::describe(
                    chapter,
                    &self.name,
                    &self.expected,
                    &seen,
                    prompt.unwrap_or_default(),
                ));
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn target(&self) -> String {
        format!("={}:", self.name)
    }
}

fn tmux(arguments: &[&str]) -> String {
    let socket = format!("{STAGE}/tmux");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("tmux");
    command.env("PATH", format!("{STAGE}/bin:{path}")).env("HISTFILE", "");
    command.env_remove("RUST_BACKTRACE").env_remove("CARGO_TARGET_DIR").env_remove("CARGO_TERM_COLOR");
    let output = command.args(["-u", "-S", &socket, "-f", "/dev/null"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
