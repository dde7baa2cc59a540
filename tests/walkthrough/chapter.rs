//! A chapter, read: its fences, and the prose between them.
//!
//! ````text
//! ```console NAME               typed into the terminal of that name, and what appears there
//! ```console NAME laboratory    the same, where the laboratory can be built
//! ```rust PATH                  a quote of at most 20 lines of that file, verbatim; so in any language
//! ```diff PATH                  a change, made in a copy of the source for the rest of the chapter
//! ```text illustration          a drawing
//! ````
//!
//! There is no other kind: so nothing stands in a chapter that nobody has tried.
//!
//! In a transcript, `$ ` begins what is typed at the shell, and `> ` what is typed into a peer, each as soon as
//! that prompt is there. `^C`, `^D` and `^Z`, alone or behind `> `, are keys. A `$` as the last line waits for the
//! shell. The rest is what appears: see `check.rs`. The fences of one terminal are one long transcript.

const LONGEST_QUOTE: usize = 20;

#[derive(Debug)]
pub struct Chapter {
    /// As `docs/walkthrough/02-a-hundred-lines.md`.
    pub path: String,
    pub fences: Vec<Fence>,
    /// What stands outside of the fences, with the number of its line.
    pub prose: Vec<(usize, String)>,
}

#[derive(Debug)]
pub struct Fence {
    /// The number of the line that opens it.
    pub line: usize,
    pub kind: Kind,
    pub body: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    Console { terminal: String, is_laboratory: bool },
    Quote { path: String },
    Diff { path: String },
    Illustration,
}

impl Chapter {
    pub fn read(path: &str, text: &str) -> Result<Self, String> {
        let mut chapter = Self { path: path.to_owned(), fences: Vec::new(), prose: Vec::new() };
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((line, text)) = lines.next() {
            let Some(info) = text.strip_prefix("```") else {
                if text.trim_start().starts_with("```") || text.trim_start().starts_with("~~~") {
                    return Err(format!("{path}:{line}: a fence begins with ``` at the left edge"));
                }
                chapter.prose.push((line, text.to_owned()));
                continue;
            };
            let kind = Kind::read(info).map_err(|why| format!("{path}:{line}: {why}"))?;
            let mut body = Vec::new();
            loop {
                match lines.next() {
                    Some((_, "```")) => break,
                    Some((_, text)) => body.push(text.to_owned()),
                    None => return Err(format!("{path}:{line}: this fence is never closed")),
                }
            }
            chapter.fences.push(Fence { line, kind, body });
        }
        Ok(chapter)
    }

    /// The words of its prose.
    pub fn words(&self) -> usize {
        let has_letters = |word: &&str| word.contains(char::is_alphanumeric);
        self.prose.iter().map(|(_, text)| text.split_whitespace().filter(has_letters).count()).sum()
    }

    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

impl Kind {
    fn read(info: &str) -> Result<Self, String> {
        let words: Vec<&str> = info.split(' ').collect();
        let terminal = |name: &str| name.to_owned();
        match words[..] {
            ["console", name] => Ok(Self::Console { terminal: terminal(name), is_laboratory: false }),
            ["console", name, "laboratory"] => {
                Ok(Self::Console { terminal: terminal(name), is_laboratory: true })
            }
            ["console", ..] => {
                Err("a transcript is ```console NAME or ```console NAME laboratory".to_owned())
            }
            ["diff", path] => Ok(Self::Diff { path: path.to_owned() }),
            ["text", "illustration"] => Ok(Self::Illustration),
            [language, path] if !language.is_empty() && path.contains(['/', '.']) => {
                Ok(Self::Quote { path: path.to_owned() })
            }
            _ => Err(format!(
                "```{info} is none of ```console NAME, ```rust PATH, ```diff PATH, ```text illustration"
            )),
        }
    }
}

impl Fence {
    /// Is this what stands in the source?
    pub fn check_quote(&self, source: &str) -> Result<(), String> {
        if self.body.len() > LONGEST_QUOTE {
            return Err(format!("{} lines are too many to quote: {LONGEST_QUOTE}", self.body.len()));
        }
        let source: Vec<&str> = source.lines().collect();
        if self.body.is_empty() || !source.windows(self.body.len()).any(|window| window == self.body) {
            let misquoted = self.body.iter().find(|line| !source.contains(&line.as_str()));
            let misquoted = misquoted.map_or("all its lines, but not one after the other", String::as_str);
            return Err(format!("this is not what stands there: {misquoted}"));
        }
        Ok(())
    }

    /// The source with this change made.
    pub fn change(&self, source: &str) -> Result<String, String> {
        let side = |mark: char| {
            let lines = self.body.iter().filter_map(|line| match line.chars().next() {
                None => Some(""),
                Some(first) if first == ' ' || first == mark => Some(&line[1..]),
                Some(_) => None,
            });
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        if let Some(line) =
            self.body.iter().find(|line| !line.is_empty() && !line.starts_with([' ', '-', '+']))
        {
            return Err(format!("a line of a diff begins with a space, - or +: {line}"));
        }
        let (old, new) = (side('-'), side('+'));
        if old == new {
            return Err("this changes nothing".to_owned());
        }
        // Whole lines only: what is looked for begins behind the end of a line.
        let (old, new, source) = (format!("\n{old}"), format!("\n{new}"), format!("\n{source}"));
        match source.matches(&old).count() {
            1 => Ok(source.replacen(&old, &new, 1)[1..].to_owned()),
            count => Err(format!("what it changes is found {count} times, and must be found once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Chapter, String> {
        Chapter::read("docs/walkthrough/a.md", text)
    }

    fn fence(body: &str) -> Fence {
        let chapter = read(&format!("```rust a.rs\n{body}\n```\n")).unwrap();
        chapter.fences.into_iter().next().unwrap()
    }

    #[test]
    fn fences_are_read_with_the_line_that_they_begin_in() {
        let chapter = read(
            "# One\n\nTwo words.\n\n```console alice\n$ true\n```\n```console bob laboratory\n```\n\
            ```rust src/lib.rs\nmod a;\n\nmod b;\n```\n```diff src/lib.rs\n```\n```text illustration\n-\n```\n",
        );
        let chapter = chapter.unwrap();
        let kinds: Vec<(usize, &Kind)> =
            chapter.fences.iter().map(|fence| (fence.line, &fence.kind)).collect();
        let console = |name: &str, is_laboratory| Kind::Console { terminal: name.to_owned(), is_laboratory };
        let path = || "src/lib.rs".to_owned();
        let expected = [
            (5, &console("alice", false)),
            (8, &console("bob", true)),
            (10, &Kind::Quote { path: path() }),
            (15, &Kind::Diff { path: path() }),
            (17, &Kind::Illustration),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(chapter.fences[2].body, ["mod a;", "", "mod b;"]);
        assert_eq!(chapter.words(), 3, "# is no word");
    }

    #[test]
    fn a_malformed_fence_is_named_with_its_line() {
        for (text, why) in [
            ("Hello\n```console\n$ true\n```\n", "a.md:2: a transcript is"),
            ("```console a b\n```\n", "a.md:1: a transcript is"),
            ("```\nplain\n```\n", "a.md:1: ``` is none of"),
            ("```text\ndrawing\n```\n", "a.md:1: ```text is none of"),
            ("```rust ignore\n```\n", "a.md:1: ```rust ignore is none of"),
            ("```console a\n$ true\n", "a.md:1: this fence is never closed"),
            ("- item\n  ```console a\n", "a.md:2: a fence begins with"),
            ("~~~\n", "a.md:1: a fence begins with"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_quote_is_verbatim_and_short() {
        let source = "fn a() {\n    b();\n}\n\nfn c() {}\n";
        assert_eq!(fence("    b();\n}\n\nfn c() {}").check_quote(source), Ok(()));
        assert!(fence("b();").check_quote(source).unwrap_err().ends_with(": b();"));
        assert!(fence("fn a() {\n}").check_quote(source).unwrap_err().contains("not one after the other"));
        let long = "x\n".repeat(21);
        assert!(fence(long.trim_end()).check_quote(&long).unwrap_err().contains("21 lines"));
    }

    #[test]
    fn a_change_is_found_exactly_once() {
        let source = "a\nb\nc\nbb\na\n";
        assert_eq!(fence(" a\n-b\n+B\n+B\n c").change(source).unwrap(), "a\nB\nB\nc\nbb\na\n");
        assert_eq!(fence("-b").change(source).unwrap(), "a\nc\nbb\na\n", "the line b, not a part of bb");
        assert!(fence("-a\n+A").change(source).unwrap_err().contains("found 2 times"));
        assert!(fence("-d").change(source).unwrap_err().contains("found 0 times"));
        assert!(fence(" a").change(source).unwrap_err().contains("changes nothing"));
        assert!(fence("@@ 1").change(source).unwrap_err().contains("begins with"));
    }
}
