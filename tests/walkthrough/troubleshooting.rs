//! `docs/troubleshooting.md` has every sentence that the programs can say, and no other.
//!
//! ```text
//! src/bin, src/io, src/protocol     string literals     "nobody here is called {who}: /peers lists who is"
//! docs/troubleshooting.md           quotes              `nobody here is called NAME: /peers lists who is`
//! ```
//!
//! A literal is a sentence when it has two words or more, one of them in small letters; what is filled in counts
//! as a word. So the verbs on the wire are none, and neither are the names of fields and options. A single word
//! counts where it is a reason of the trace. Four kinds of literals are left out:
//!
//! - what `expect` says: a panic is a mistake in the program, and the page has one entry for all of them;
//! - the names of the fields of a message: the page writes FIELD for them all;
//! - what stands in an attribute: it belongs to `--help`, which says it itself;
//! - tests and comments.
//!
//! A quote is a line of the page in backticks, at the start of an item, or the first cell of a row of a table. What
//! differs from case to case stands in capitals there. clap's sentences and the system's are asked for, not copied.

use std::fs;
use std::path::Path;

use clap::Parser;
use p2p_chat::io::arguments::{PeerArguments, TrackerArguments};

use crate::book::{none, read};
use crate::stage::SOURCE;

const PAGE: &str = "docs/troubleshooting.md";
/// All that the peer and the tracker are made of.
const SPEAKING: [&str; 4] = ["src/bin/peer.rs", "src/bin/tracker.rs", "src/io", "src/protocol"];
const LONGEST_ENTRY: usize = 5;
/// What follows these counts as a sentence, though it may be a single word.
const REASONS: [&str; 3] = ["Reason::", "mark(", "f.write_str("];
/// What follows these is said to nobody, or is the name of a FIELD.
const SILENT: [&str; 4] = ["expect(", "f.get(", "f.endpoint(", "b"];
/// In place of what is filled in.
const ANYTHING: char = '\u{1}';

/// What is typed wrongly most often, at the peer and at the tracker. A tab spoils a name, and is not shown.
const WRONG: [&str; 12] = [
    "peer --nmae",
    "peer alice",
    "peer --name",
    "peer --loss 101",
    "peer --loss many",
    "peer --trace=loud",
    "peer --lan --tracker 192.0.2.10:55555",
    "peer --name alice --name bob",
    "peer --name TEXT\t",
    "peer --tracker TEXT",
    "peer --bind TEXT",
    "tracker --listen TEXT",
];

/// What Linux says of a socket or a file.
const OF_THE_SYSTEM: [i32; 9] = [98, 99, 13, 1, 101, 113, 97, 22, 28];

/// One line that a program can say, with [`ANYTHING`] for what is filled in, and where it stands.
#[derive(Debug, Clone)]
struct Sentence {
    place: String,
    text: String,
}

impl Sentence {
    /// The parts of a quote that are these words, if all of them stand there, in order.
    fn parts_of(&self, quote: &str) -> Option<Vec<(usize, usize)>> {
        let mut parts = Vec::new();
        let mut from = 0;
        for words in self.text.split(ANYTHING).filter(|words| !words.trim().is_empty()) {
            let start = from + quote[from..].find(words)?;
            from = start + words.len();
            parts.push((start, from));
        }
        Some(parts)
    }
}

/// The Rust files at or below a path.
fn sources(path: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new(SOURCE).join(path)) else { return vec![path.to_owned()] };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names.flat_map(|name| sources(&format!("{path}/{name}"))).collect();
    found.retain(|path| path.ends_with(".rs"));
    found.sort();
    found
}

/// The next string literal of Rust source: what stands before it, what is in it, and what follows.
fn next_literal(source: &str) -> Option<(&str, &str, &str)> {
    let mut rest = source.char_indices();
    while let Some((start, character)) = rest.next() {
        match character {
            '/' if source[start..].starts_with("//") => _ = rest.find(|(_, next)| *next == '\n'),
            '\'' if source[start..].starts_with("'\"'") => _ = rest.nth(1),
            '"' => {
                let mut is_escaped = false;
                let (end, _) = rest.find(|(_, next)| {
                    let ends = *next == '"' && !is_escaped;
                    is_escaped = *next == '\\' && !is_escaped;
                    ends
                })?;
                return Some((&source[..start], &source[start + 1..end], &source[end + 1..]));
            }
            _ => {}
        }
    }
    None
}

/// A literal without its escapes, with [`ANYTHING`] for what is filled in.
fn unescaped(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('\\', Some('\n')) => while rest.next_if(|next| next.is_whitespace()).is_some() {},
            ('\\', _) => match rest.next() {
                Some(next @ ('n' | '"')) => text.push(if next == 'n' { '\n' } else { next }),
                _ => text.push(ANYTHING),
            },
            ('{', _) => {
                _ = rest.find(|next| *next == '}');
                text.push(ANYTHING);
            }
            _ => text.push(character),
        }
    }
    text
}

/// The lines of a literal as they are said, with one space where there are several. A space at an end joins the
/// line to something else; several are a margin.
fn spoken(literal: &str) -> Vec<String> {
    let line = |line: &str| {
        let single = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let before = if line.starts_with(' ') && !line.starts_with("  ") { "\u{1} " } else { "" };
        let behind = if line.ends_with(' ') { " \u{1}" } else { "" };
        format!("{before}{single}{behind}")
    };
    unescaped(literal).split('\n').map(line).collect()
}

/// Two words or more, one of them in small letters.
fn is_sentence(text: &str) -> bool {
    let is_small = |word: &str| {
        let letters = word.trim_matches(|c: char| !c.is_alphanumeric());
        letters.len() > 1 && letters.chars().all(|c| c.is_ascii_lowercase() || "'-".contains(c))
    };
    let is_verb = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let words = || text.split([' ', ANYTHING]).filter(|word| !word.is_empty());
    let count = text.replace(ANYTHING, " \u{1} ").split_whitespace().count();
    count > 1 && words().any(is_small) && !words().next().is_some_and(is_verb)
}

/// All that one file can say.
fn sentences_of(path: &str, source: &str) -> Vec<Sentence> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let (mut sentences, mut rest) = (Vec::new(), source);
    while let Some((before, literal, after)) = next_literal(rest) {
        let head = &source[..source.len() - rest.len() + before.len()];
        let place = format!("{path}:{}", head.lines().count());
        let said = said_here(head, literal, after);
        sentences.extend(said.into_iter().map(|text| Sentence { place: place.clone(), text }));
        rest = after;
    }
    sentences
}

/// What a literal says, by what stands before and after it.
fn said_here(head: &str, literal: &str, after: &str) -> Vec<String> {
    let line = head.lines().next_back().unwrap_or_default();
    let is_in_attribute = head.rfind("#[").is_some_and(|start| !head[start..].contains("]\n"));
    if is_in_attribute || SILENT.iter().any(|call| line.ends_with(call)) {
        return Vec::new();
    }
    let mut text = literal.to_owned();
    if line.ends_with("Malformed(") {
        let second = next_literal(after).filter(|(between, ..)| *between == ", ");
        text = format!("{literal} {}", second.map_or("{}", |(_, second, _)| second));
    }
    let is_reason = REASONS.iter().any(|reason| line.contains(reason));
    spoken(&text).into_iter().filter(|said| is_sentence(said) || is_reason && !said.is_empty()).collect()
}

fn of_the_programs() -> Vec<Sentence> {
    let files = SPEAKING.iter().flat_map(|path| sources(path));
    files.flat_map(|path| sentences_of(&path, &read(&path).unwrap())).collect()
}

/// What clap says of a wrong command line, without its usage.
fn of_clap() -> Vec<Sentence> {
    let said = |typed: &&str| {
        let words = typed.split(' ');
        let error = match typed.starts_with("peer") {
            true => PeerArguments::try_parse_from(words).err(),
            false => TrackerArguments::try_parse_from(words).err(),
        };
        let text = error.unwrap().to_string().replace('\t', "");
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| is_sentence(line) && !line.starts_with("Usage:"));
        let said = lines.map(|line| Sentence { place: format!("`{typed}`"), text: line.to_owned() });
        said.collect::<Vec<_>>()
    };
    WRONG.iter().flat_map(said).collect()
}

fn of_the_system() -> Vec<Sentence> {
    let codes = OF_THE_SYSTEM.into_iter().filter(|_| cfg!(target_os = "linux"));
    let said = codes.map(|code| (code, std::io::Error::from_raw_os_error(code).to_string()));
    said.map(|(code, text)| Sentence { place: format!("the system's error {code}"), text }).collect()
}

/// What the page says that the programs say, with the number of the line.
fn quotes(page: &str) -> Vec<(usize, String)> {
    let quote = |(index, line): (usize, &str)| {
        let cell = line.strip_prefix("| ").and_then(|row| row.split_once(" |")).map(|(cell, _)| cell);
        let item = || ["- ", "  "].iter().find_map(|mark| line.strip_prefix(mark));
        let quote = cell.or_else(item)?.strip_prefix('`')?.strip_suffix('`')?;
        (!quote.contains('`')).then(|| (index + 1, quote.to_owned()))
    };
    page.lines().enumerate().filter_map(quote).collect()
}

/// A word of a quote that no program says there: neither a place for what differs, nor in any sentence.
fn unsaid<'a>(quote: &'a str, sentences: &[Sentence]) -> Option<&'a str> {
    let parts: Vec<(usize, usize)> =
        sentences.iter().filter_map(|said| said.parts_of(quote)).flatten().collect();
    let mut at = 0;
    quote.split(' ').find(|word| {
        let (start, end) = (at, at + word.len());
        at = end + 1;
        let is_place = |index: usize| parts.iter().any(|(from, to)| (*from..*to).contains(&index));
        (start..end).any(|index| quote.as_bytes()[index].is_ascii_lowercase() && !is_place(index))
    })
}

#[test]
fn every_sentence_that_the_programs_can_say_is_in_troubleshooting() {
    let quotes = quotes(&read(PAGE).unwrap());
    let all = [of_the_programs(), of_clap(), of_the_system()].concat();
    let is_missing = |said: &&Sentence| !quotes.iter().any(|(_, quote)| said.parts_of(quote).is_some());
    let missing = all.iter().filter(is_missing);
    let told = missing.map(|said| {
        format!("{}: {PAGE} has nothing about: {}", said.place, said.text.replace(ANYTHING, "{}"))
    });
    none(&told.collect::<Vec<_>>());
}

#[test]
fn every_sentence_in_troubleshooting_can_be_said() {
    let all = [of_the_programs(), of_clap(), of_the_system()].concat();
    let is_ours = |quote: &str| cfg!(target_os = "linux") || !quote.contains("(os error ");
    let quotes = quotes(&read(PAGE).unwrap()).into_iter().filter(|(_, quote)| is_ours(quote));
    let told = quotes.filter_map(|(line, quote)| {
        let word = unsaid(&quote, &all)?;
        Some(format!("{PAGE}:{line}: nobody says \"{word}\" in: {quote}"))
    });
    none(&told.collect::<Vec<_>>());
}

#[test]
fn an_entry_of_troubleshooting_is_short() {
    let mut complaints = Vec::new();
    let mut length = 0;
    for (index, line) in read(PAGE).unwrap().lines().enumerate() {
        length = match line.starts_with("- ") {
            true => 1,
            false => length + usize::from(line.starts_with("  ")),
        };
        if length == LONGEST_ENTRY + 1 {
            complaints.push(format!("{PAGE}:{}: an entry has {LONGEST_ENTRY} lines at most", index + 1));
        }
    }
    none(&complaints);
}

#[test]
fn sentences_and_quotes_are_found() {
    let source = "//! \"no comment\"\n#[arg(long, help = \"no help\")]\nfn f() {\n    g(\"a {b} is\\n  gone \\\n     by now\");\n\
        x.expect(\"it is there\");\n    g('\"', \"PING {to}\");\n    Err(Malformed(\"bad\", what));\n    Reason::Made(\"late\");\n\
        h(\"single\");\n}\n#[cfg(test)]\n\"not this one\"";
    let found = sentences_of("a.rs", source);
    let found: Vec<(&str, &str)> =
        found.iter().map(|said| (said.place.as_str(), said.text.as_str())).collect();
    let expected =
        [("a.rs:4", "a \u{1} is"), ("a.rs:4", "gone by now"), ("a.rs:8", "bad \u{1}"), ("a.rs:9", "late")];
    assert_eq!(found, expected);
    let page =
        "- `a NAME is`\n  `gone by now`\n  Because. `no`\n| `(late on purpose)` | `no` |\nSee `this`.\n";
    let said: Vec<String> = quotes(page).into_iter().map(|(_, quote)| quote).collect();
    assert_eq!(said, ["a NAME is", "gone by now", "(late on purpose)"]);
    let sentences = sentences_of("a.rs", source);
    assert!(sentences[0].parts_of("a NAME is").is_some() && sentences[0].parts_of("a NAME was").is_none());
    assert_eq!(unsaid("a NAME is", &sentences), None);
    assert_eq!(unsaid("(late on purpose)", &sentences), Some("on"));
}
