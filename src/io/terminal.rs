//! The screen: chat on stdout, news on stderr, and the half-typed line left whole.
//!
//! The kernel keeps what has been typed; only its picture on the screen must be mended. So a message goes
//! above the line with the cursor:
//!
//! ```text
//! ESC D  ESC M      index and reverse index: at the bottom, this scrolls the screen up by one
//! ESC 7  CR ESC [ L     save the cursor, insert an empty line above
//! bob: hello            the row, no wider than the screen
//! ESC 8  ESC [ B        back to the cursor, which has moved down by one
//! ```
//!
//! How much has been typed only the kernel knows: of a line that is longer than the screen is wide, the last
//! row is kept apart. `rlwrap` knows (see the README), and does without the sequence: TERM=dumb.

use std::env::var_os;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::protocol::wire::field::is_unprintable;

/// The width of a screen that does not tell.
const UNKNOWN_WIDTH: usize = 79;

/// For so long a measured width is believed: measuring takes 2 ms.
const WIDTH_LIFETIME: Duration = Duration::from_millis(500);

const PROMPT: &str = "> ";

/// Lines that follow each other so closely were pasted: there is one prompt after the last.
const PASTED: Duration = Duration::from_millis(20);

/// How to write while a line may be half typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    // Not a terminal: line after line.
    Plain,
    // A terminal that understands the sequence above.
    Insert,
    // A terminal that may not: over the line, with what clears it, and the prompt anew.
    Overwrite { clear: &'static str },
}

impl Style {
    fn of_this_terminal() -> Self {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Self::Plain;
        }
        match var_os("TERM").is_some_and(|term| term == "dumb") {
            false if cfg!(unix) => Self::Insert,
            false if var_os("WT_SESSION").is_some() => Self::Overwrite { clear: "\r\x1b[K" }, // Windows Terminal
            _ => Self::Overwrite { clear: "\r" },
        }
    }
}

/// The screen, or the files and pipes that stand for it. Any thread may write, one at a time: each takes the
/// lock of the state first, and holds it while it writes.
pub struct Terminal {
    style: Style,
    has_colours: bool,
    /// Whoever read the news has closed the pipe.
    is_unread: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    prompt: Prompt,
    width: Option<(Instant, usize)>,
}

#[derive(Default, PartialEq, Eq)]
enum Prompt {
    // Nobody is there yet, or we have left.
    #[default]
    None,
    Shown,
    Due(Instant),
}

impl Terminal {
    pub fn open() -> Self {
        let is_wanted = var_os("NO_COLOR").is_none_or(|value| value.is_empty()); // see no-color.org
        let is_able = var_os("TERM").is_some_and(|term| term != "dumb") || var_os("WT_SESSION").is_some();
        let has_colours = io::stderr().is_terminal() && is_wanted && is_able;
        let (is_unread, state) = (AtomicBool::new(false), Mutex::default());
        Self { style: Style::of_this_terminal(), has_colours, is_unread, state }
    }

    /// Somebody is there: shows the prompt for the first time, where a person sits at both ends.
    pub fn prompt_first(&self) {
        self.prompt_if(|prompt| *prompt == Prompt::None);
    }

    /// A line was typed: a new prompt is due, unless another line follows at once.
    pub fn line_was_typed(&self) {
        let screen = self.screen().filter(|state| state.prompt != Prompt::None);
        screen.into_iter().for_each(|mut state| state.prompt = Prompt::Due(Instant::now() + PASTED));
    }

    /// Shows the prompt if it is due; tells when it will be.
    pub fn prompt(&self) -> Option<Instant> {
        let now = Instant::now();
        self.prompt_if(|prompt| matches!(prompt, Prompt::Due(when) if *when <= now));
        self.screen().and_then(|state| if let Prompt::Due(when) = state.prompt { Some(when) } else { None })
    }

    /// The program was stopped, and is in the foreground again: the shell has written over the prompt.
    pub fn prompt_again(&self) {
        self.prompt_if(|prompt| *prompt == Prompt::Shown);
    }

    fn prompt_if(&self, is_wanted: impl Fn(&Prompt) -> bool) {
        if let Some(mut state) = self.screen().filter(|state| is_wanted(&state.prompt)) {
            state.prompt = Prompt::Shown;
            // Before what is half typed already. The next chat line will find out if stdout is closed.
            let is_able = self.style == Style::Insert;
            _ = write_whole(io::stdout(), if is_able { "\x1b7\r\x1b[2@> \x1b8\x1b[2C" } else { PROMPT });
        }
    }

    /// Leaves the line of the prompt, so that what comes after the program has one of its own.
    pub fn leave(&self) {
        if self.screen().is_some_and(|mut state| std::mem::take(&mut state.prompt) == Prompt::Shown) {
            _ = write_whole(io::stdout(), "\n");
        }
    }

    /// Chat: lines of text on stdout.
    ///
    /// # Errors
    /// Those of stdout.
    pub fn chat(&self, text: &str) -> io::Result<()> {
        self.write(io::stdout(), text, self.style, &[])
    }

    /// News: lines of text on stderr. Nobody is told where stderr is closed.
    pub fn news(&self, text: &str) {
        self.coloured_news(text, &[]);
    }

    /// An answer to what was typed: on the screen, even where the news goes into a file.
    pub fn answer(&self, text: &str) {
        if self.style == Style::Plain || io::stderr().is_terminal() {
            return self.news(text);
        }
        _ = self.chat(text);
    }

    /// News, with the first place of each of these words in one of the eight colours of ANSI.
    pub fn coloured_news(&self, text: &str, words: &[(&str, u8)]) {
        let style = if io::stderr().is_terminal() { self.style } else { Style::Plain };
        let words = if self.has_colours { words } else { &[] };
        let written = self.write(io::stderr(), text, style, words);
        let is_broken = written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        self.is_unread.fetch_or(is_broken, Relaxed);
    }

    /// Whether somebody has read the news, and does not any more.
    pub fn is_unread(&self) -> bool {
        self.is_unread.load(Relaxed)
    }

    fn write(&self, to: impl Write, text: &str, style: Style, words: &[(&str, u8)]) -> io::Result<()> {
        let text = printable(text);
        let mut state = lock(&self.state);
        let mut output = String::new();
        for line in text.split('\n') {
            match style {
                Style::Plain => output.extend([line, "\n"]),
                Style::Insert => insert(line, state.width(), &mut output),
                Style::Overwrite { clear } => output.extend([clear, line, "\n"]),
            }
        }
        if matches!(style, Style::Overwrite { .. }) && state.prompt == Prompt::Shown {
            output.push_str(PROMPT);
        }
        for (word, colour) in words {
            output = output.replacen(word, &format!("\x1b[3{colour}m{word}\x1b[m"), 1);
        }
        write_whole(to, &output)
    }

    /// Nothing, and no time lost, where there is no screen.
    fn screen(&self) -> Option<MutexGuard<'_, State>> {
        (self.style != Style::Plain).then(|| lock(&self.state))
    }
}

impl State {
    fn width(&mut self) -> usize {
        if self.width.is_none_or(|(when, _)| when.elapsed() > WIDTH_LIFETIME) {
            self.width = Some((Instant::now(), measure_width().unwrap_or(UNKNOWN_WIDTH)));
        }
        self.width.map_or(UNKNOWN_WIDTH, |(_, width)| width)
    }
}

/// Nobody finds a lock that a panic has left behind.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a panic ends the program")
}

fn write_whole(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// std cannot ask for the size of the screen, `stty` can.
fn measure_width() -> Option<usize> {
    let mut stty = Command::new("stty");
    let output = stty.arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    let columns = String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    (columns > 1).then_some(columns)
}

/// The text without anything that could disturb the screen: the characters that would are shown as U+FFFD.
/// Tabs and ends of lines stay.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c != '\t' && c != '\n' && is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

/// Writes a line above the one with the cursor.
fn insert(line: &str, width: usize, output: &mut String) {
    for row in rows(line, width) {
        output.extend(["\x1bD\x1bM\x1b7\r\x1b[L", row, "\x1b8\x1b[B"]);
    }
}

/// Splits a line into rows that fit the screen.
fn rows(line: &str, width: usize) -> Vec<&str> {
    let (mut rows, mut start, mut column) = (Vec::new(), 0, 0);
    for (index, character) in line.char_indices() {
        // From Hangul Jamo on, any may be wide: a row that ends early does no harm, one that ends late does.
        let columns = match character {
            '\t' => 8 - column % 8,
            '\u{1100}'.. => 2,
            _ => 1,
        };
        if column + columns > width && column > 0 {
            rows.push(&line[start..index]);
            (start, column) = (index, 0);
        }
        column += columns;
    }
    rows.push(&line[start..]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_the_screen() {
        assert_eq!(rows("", 4), [""]);
        assert_eq!(rows("abcd", 4), ["abcd"]);
        assert_eq!(rows("abcdefghi", 4), ["abcd", "efgh", "i"]);
        assert_eq!(rows("a\u{6f22}\u{5b57}b", 4), ["a\u{6f22}", "\u{5b57}b"]);
        assert_eq!(rows("a\tb", 9), ["a\tb"]);
        assert_eq!(rows("a\tb", 8), ["a\t", "b"]);
    }

    #[test]
    fn nothing_that_disturbs_the_screen_is_printable() {
        assert_eq!(
            printable("a\tb\u{1b}[2J\u{9b}\u{7f}\u{202e}c\r"),
            "a\tb\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}c\u{fffd}"
        );
    }
}
