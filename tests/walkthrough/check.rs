//! What should appear, compared with what does.
//!
//! `…` stands for anything within a line; `…` as a whole line for any lines, also none; `…(255)` for a number
//! that is not always this one, and `…(any words)` for some text of which this is a sample.
//!
//! Not compared are empty lines and bare prompts, for whether a prompt is there or has been written over
//! already is a race; and Ctrl-D, which no terminal shows.

/// A line that should appear, and the number of its line in the chapter.
#[derive(Clone, Debug)]
pub struct Expected {
    pub line: usize,
    pub text: String,
}

/// Where the screen first differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The index of the line that should have appeared, unless all have.
    pub expected: Option<usize>,
    /// The index of the line that did, unless there was no further one.
    pub seen: Option<usize>,
}

/// Does this line say anything that could be compared?
pub fn is_silent(text: &str) -> bool {
    matches!(text.trim(), "" | ">" | "$" | "^D" | "> ^D")
}

/// The lines of a screen that can be compared.
pub fn visible(rows: &str) -> Vec<String> {
    // After Ctrl-D the prompt of the shell stands in the same line as the one that was answered so.
    let rows = rows.lines().map(|row| row.trim_end());
    let rows = rows.map(|row| if row.starts_with("> $ ") { &row[2..] } else { row });
    rows.filter(|row| !is_silent(row) && *row != "> $").map(str::to_owned).collect()
}

/// `None` where the screen is as it should be.
pub fn difference(expected: &[Expected], seen: &[String]) -> Option<Difference> {
    // How many of the expected lines may have been used up: several, where some stand for any lines.
    let mut used = skip_any(expected, vec![0]);
    let mut furthest = (used[used.len() - 1], 0);
    for (index, row) in seen.iter().enumerate() {
        let mut next = Vec::new();
        for &count in used.iter().filter(|count| **count < expected.len()) {
            match expected[count].text.trim() {
                "…" => next.push(count),
                _ if fits(expected[count].text.trim_end(), row) => next.push(count + 1),
                _ => {}
            }
        }
        used = skip_any(expected, next);
        match used.last() {
            Some(&last) if last > furthest.0 => furthest = (last, index + 1),
            _ => {}
        }
    }
    if used.last() == Some(&expected.len()) {
        return None;
    }
    let (expected_next, seen_next) = furthest;
    Some(Difference {
        expected: (expected_next < expected.len()).then_some(expected_next),
        seen: (seen_next < seen.len()).then_some(seen_next),
    })
}

fn skip_any(expected: &[Expected], mut used: Vec<usize>) -> Vec<usize> {
    let mut index = 0;
    while let Some(&count) = used.get(index) {
        if expected.get(count).is_some_and(|line| line.text.trim() == "…") && !used.contains(&(count + 1)) {
            used.push(count + 1);
        }
        index += 1;
    }
    used.sort_unstable();
    used.dedup();
    used
}

/// Is the text what the pattern says?
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, behind)) = pattern.split_once('…') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(before) else {
        return false;
    };
    let sample = behind.strip_prefix('(').and_then(|sample| sample.split_once(')'));
    let (sample, rest) = sample.map_or((None, behind), |(sample, rest)| (Some(sample), rest));
    let ends = text.char_indices().map(|(index, _)| index).chain([text.len()]);
    ends.into_iter().any(|end| is_like(sample, &text[..end]) && fits(rest, &text[end..]))
}

fn is_like(sample: Option<&str>, text: &str) -> bool {
    match sample {
        None => true,
        Some(sample) if sample.parse::<f64>().is_ok() => text.parse::<f64>().is_ok(),
        Some(_) => !text.is_empty(),
    }
}

/// The difference, as the reader of a failed test wants it; where there is none, this prompt was missing.
pub fn describe(
    chapter: &str,
    terminal: &str,
    expected: &[Expected],
    seen: &[String],
    prompt: &str,
) -> String {
    let difference = difference(expected, seen);
    let (wanted, at) = difference.as_ref().map_or((None, None), |found| (found.expected, found.seen));
    let wanted = wanted.map(|index| &expected[index]);
    let line = wanted.or(expected.last()).map_or(1, |line| line.line);
    let otherwise = if difference.is_none() { prompt } else { "(nothing more)" };
    let at = at.unwrap_or(seen.len());
    let mut text = format!("{chapter}:{line}: the terminal of {terminal} differs\n");
    for row in &seen[at.saturating_sub(5)..at] {
        text += &format!("            | {row}\n");
    }
    text += &format!("  expected  | {}\n", wanted.map_or(otherwise, |line| &line.text));
    text += &format!("  seen      | {}\n", seen.get(at).map_or("(nothing more)", |row| row));
    for row in seen.iter().skip(at + 1).take(10) {
        text += &format!("            | {row}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(text: &str) -> Vec<Expected> {
        let lines = text.lines().enumerate();
        let lines = lines.map(|(index, text)| Expected { line: index + 1, text: text.to_owned() });
        lines.filter(|line| !is_silent(&line.text)).collect()
    }

    fn differ(pattern: &str, screen: &str) -> Option<(Option<usize>, Option<usize>)> {
        difference(&expected(pattern), &visible(screen)).map(|found| (found.expected, found.seen))
    }

    #[test]
    fn an_ellipsis_is_anything_within_a_line() {
        for (pattern, text) in [
            ("port …", "port 50001"),
            ("port …", "port "),
            ("… -> bob", "12:00:01 alice -> bob"),
            ("a … b … c", "a 1 b 2 b 3 c"),
            ("…", "anything"),
            ("got …(255) lines", "got 17 lines"),
            ("…(0.25) s", "1.5 s"),
            ("by …(alice)", "by bob"),
            ("…(1)…(2)", "12"),
            ("plain", "plain"),
        ] {
            assert!(fits(pattern, text), "{pattern} / {text}");
        }
        for (pattern, text) in [
            ("port …", "Port 50001"),
            ("… -> bob", "alice -> bob, too"),
            ("got …(255) lines", "got no lines"),
            ("got …(255) lines", "got  lines"),
            ("by …(alice)", "by "),
            ("a … b", "a b"),
            ("(255)", "255"),
        ] {
            assert!(!fits(pattern, text), "{pattern} / {text}");
        }
    }

    #[test]
    fn an_ellipsis_of_its_own_is_any_lines() {
        assert_eq!(differ("a\n…\nb", "a\nb"), None);
        assert_eq!(differ("a\n…\nb", "a\n1\nb\n2\nb"), None);
        assert_eq!(differ("…", ""), None);
        assert_eq!(differ("…\n…\nb", "a\nb"), None);
        assert_eq!(differ("a\n…\nb\nc", "a\n1\nb\n2"), Some((Some(3), Some(3))), "what follows may yet come");
        assert_eq!(differ("a\n…\nb\nc", "a\n1\nb\nc\nd"), Some((None, Some(4))), "nothing after the end");
        assert_eq!(differ("a\n…", "b"), Some((Some(0), Some(0))));
    }

    #[test]
    fn prompts_empty_lines_and_ctrl_d_are_not_compared() {
        assert_eq!(differ("$ true\n\n> hello\n>\n> ^D\n$", "$ true\n> hello\n\n\n> $\n"), None);
        assert_eq!(differ("> bye\n> ^D\n$ true", "> bye\n> $ true\n$ \n"), None);
        assert_eq!(differ("  ip: 1", "ip: 1"), Some((Some(0), Some(0))), "what is indented stays so");
    }

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(differ("a\nb\nc", "a\nx\nc"), Some((Some(1), Some(1))));
        assert_eq!(differ("a\nb", "a"), Some((Some(1), None)));
        assert_eq!(differ("a", "a\nb"), Some((None, Some(1))));
    }

    #[test]
    fn a_difference_is_told_with_chapter_line_expected_and_seen() {
        let told = describe("docs/a.md", "alice", &expected("a\nb\nc"), &visible("a\nx\nc"), "$");
        assert_eq!(
            told,
            "docs/a.md:2: the terminal of alice differs\n\
            \x20           | a\n  expected  | b\n  seen      | x\n            | c\n"
        );
        let told = describe("docs/a.md", "bob", &expected("a"), &visible("a\nb"), "$");
        assert!(told.contains("docs/a.md:1") && told.contains("expected  | (nothing more)"), "{told}");
        let told = describe("docs/a.md", "bob", &expected("a"), &visible("a"), "$");
        assert!(told.contains("expected  | $\n  seen      | (nothing more)"), "{told}");
    }
}
