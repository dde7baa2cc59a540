//! What a line at the keyboard means: a command, or something to say.

use std::io::{BufRead, Read};

use crate::protocol::talk::receiver::MAX_LINE;

/// What can be typed, for `/help`.
pub const HELP: &str = "\
/peers             who is here: name, id, address, round trip, unacknowledged, silent since
/connect ENDPOINT  call 192.168.1.7:50001 (with --direct or --lan)
@name text         say it to one peer only; where two have one name, @ and four digits of the id
/harm 30 10 0      from now on lose 30 % of what is sent, send 10 % twice, and reorder 0 %
/help              this
/quit              say goodbye and leave; so does Ctrl-D on an empty line (Windows: Ctrl-Z, Enter)
//word             says /word; what begins with no slash is said as it is";

/// The longest line that a Linux terminal hands over, with its end.
const TERMINAL_LINE: usize = 4096;

const CUT: &str = "not said: a terminal hands over 4095 bytes of a line and drops the rest; a pipe does not: \
                   peer < file";

const NO_EDITOR: &str = "not said: there is an arrow key or the like in this line, and this program has no line \
                         editor; rlwrap adds one: rlwrap env TERM=dumb target/debug/peer";

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    Say(&'a str),
    // `@name text`: the whole line to this one, so that both ends see for whom it was.
    To { who: &'a str, line: &'a str },
    Peers,
    Help,
    Quit,
    Connect(&'a str),
    // Percent to lose, to send twice, to reorder.
    Harm(&'a str),
    // Begins with a slash, but is no command.
    Unknown(&'a str),
}

/// Understands a line. Only these exact words are commands; one more slash before one makes it text, and so
/// does a slash further on, as in a path.
pub fn understand(line: &str) -> Input<'_> {
    if let Some(rest) = line.strip_prefix('@') {
        return Input::To { who: rest.split(' ').next().unwrap_or(rest), line };
    }
    let Some(rest) = line.strip_prefix('/') else { return Input::Say(line) };
    let is_escaped = command(rest.trim_start_matches('/').trim_end()).is_some();
    let is_path = !rest.starts_with('/') && rest.split(' ').next().is_some_and(|word| word.contains('/'));
    command(rest.trim_end()).unwrap_or(match line {
        _ if is_escaped => Input::Say(rest),
        _ if is_path => Input::Say(line),
        _ => Input::Unknown(line),
    })
}

fn command(words: &str) -> Option<Input<'_>> {
    match words {
        "peers" => Some(Input::Peers),
        "help" => Some(Input::Help),
        "quit" => Some(Input::Quit),
        _ => {
            let connect = words.strip_prefix("connect ").map(|endpoint| Input::Connect(endpoint.trim()));
            connect.or_else(|| words.strip_prefix("harm ").map(Input::Harm))
        }
    }
}

/// A line as it was typed, without its end, LF or CRLF. Bytes that are not UTF-8 become U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    // At most [`MAX_LINE`] bytes.
    Line(String),
    // It cannot be said, for this reason.
    Refused(String),
}

/// Reads the next line, in bounded memory; `None` at the end of the input, or when it fails. What a terminal
/// has cut, or keys that are no text have got into, was not meant so.
pub fn read_line(input: &mut impl BufRead, is_first: bool, is_at_terminal: bool) -> Option<Typed> {
    let mut line = Vec::new();
    let most = MAX_LINE as u64 + 2;
    input.by_ref().take(most).read_until(b'\n', &mut line).ok()?;
    if is_first && (line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff")) {
        _ = std::io::copy(input, &mut std::io::sink());
        return Some(Typed::Refused(
            "the input is UTF-16, nothing of it was said: save it as UTF-8".to_owned(),
        ));
    }
    if line.len() as u64 == most && !line.ends_with(b"\n") {
        let rest = input.skip_until(b'\n').unwrap_or(0);
        return Some(too_long(line.len() + rest.saturating_sub(1))); // its line feed does not count
    }
    let mark = "\u{feff}".as_bytes(); // some editors put it at the start of a file
    let line = line.strip_prefix(mark).filter(|_| is_first).unwrap_or(&line);
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned();
    Some(match line.len() {
        0 => return None,
        TERMINAL_LINE if is_at_terminal => Typed::Refused(CUT.to_owned()),
        _ if is_at_terminal && text.contains('\x1b') => Typed::Refused(NO_EDITOR.to_owned()),
        _ if text.len() > MAX_LINE => too_long(text.len()),
        _ => Typed::Line(text),
    })
}

fn too_long(bytes: usize) -> Typed {
    Typed::Refused(format!("a line of {bytes} bytes was not said: {MAX_LINE} are the most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_words_are_commands() {
        let table = [
            ("hello", Input::Say("hello")),
            ("", Input::Say("")),
            (" /quit", Input::Say(" /quit")),
            ("please do not /quit", Input::Say("please do not /quit")),
            ("/quit", Input::Quit),
            ("/quit ", Input::Quit),
            ("/quit now", Input::Unknown("/quit now")),
            ("/peers", Input::Peers),
            ("/help", Input::Help),
            ("/connect 192.0.2.1:50001", Input::Connect("192.0.2.1:50001")),
            ("/connect", Input::Unknown("/connect")),
            ("/harm 30 0 0", Input::Harm("30 0 0")),
            ("/harmless", Input::Unknown("/harmless")),
            ("//quit", Input::Say("/quit")),
            ("///quit", Input::Say("//quit")),
            ("//connect 192.0.2.1:50001", Input::Say("/connect 192.0.2.1:50001")),
            ("//comment", Input::Unknown("//comment")),
            ("/QUIT", Input::Unknown("/QUIT")),
            ("/etc/passwd is a path", Input::Say("/etc/passwd is a path")),
            ("/etc and/or", Input::Unknown("/etc and/or")),
            ("//etc/passwd", Input::Unknown("//etc/passwd")),
            ("@bob hello there", Input::To { who: "bob", line: "@bob hello there" }),
            ("@bob", Input::To { who: "bob", line: "@bob" }),
        ];
        for (line, expected) in table {
            assert_eq!(understand(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf_and_is_read_in_bounded_memory() {
        let long = "x".repeat(MAX_LINE);
        let input = format!("one\ntwo\r\n\n{long}\n{long}y\n{long}{long}\nlast");
        let line = |text: &str| Some(Typed::Line(text.to_owned()));
        let mut bytes = input.as_bytes();
        let mut lines = std::iter::from_fn(|| read_line(&mut bytes, false, false));
        assert_eq!(lines.next(), line("one"));
        assert_eq!(lines.next(), line("two"));
        assert_eq!(lines.next(), line(""));
        assert_eq!(lines.next(), line(&long));
        assert_eq!(lines.next(), Some(too_long(MAX_LINE + 1)));
        assert_eq!(lines.next(), Some(too_long(MAX_LINE * 2)));
        assert_eq!(lines.next(), line("last"));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_mark_at_the_start_is_dropped_and_utf_16_is_refused() {
        let read = |mut bytes: &[u8], is_first| read_line(&mut bytes, is_first, false);
        let hello = Some(Typed::Line("hello".to_owned()));
        assert_eq!(read(b"\xef\xbb\xbfhello\n", true), hello);
        for utf_16 in [&b"\xff\xfeh\0i\0\n\0h\0i\0\n\0"[..], b"\xfe\xff\0h\0i\0\n\0h\0i\0\n"] {
            let mut bytes = utf_16;
            let refused = read_line(&mut bytes, true, false);
            assert!(matches!(&refused, Some(Typed::Refused(why)) if why.contains("UTF-16")), "{refused:?}");
            assert_eq!(read_line(&mut bytes, false, false), None, "nothing of the rest is said");
        }
        let marked = Some(Typed::Line("\u{feff}hello".to_owned()));
        assert_eq!(read(b"\xef\xbb\xbfhello\n", false), marked, "later it is text");
        assert_eq!(read(b"\xef\xbb\xbf", true), None);
    }

    #[test]
    fn what_a_terminal_has_cut_or_spoilt_is_refused_and_text_in_a_pipe() {
        let longest = "x".repeat(4095);
        for (line, word) in [(longest.as_str(), "a pipe"), ("hello\x1b[D!", "rlwrap")] {
            let read = |is_at_terminal| {
                read_line(&mut format!("{line}\n").as_bytes(), false, is_at_terminal)
                    .expect("there is a line")
            };
            assert_eq!(read(false), Typed::Line(line.to_owned()));
            let refused = read(true);
            assert!(matches!(&refused, Typed::Refused(why) if why.contains(word)), "{refused:?}");
            assert_eq!(
                read_line(&mut &line.as_bytes()[1..3], false, true),
                Some(Typed::Line(line[1..3].into()))
            );
        }
    }
}
