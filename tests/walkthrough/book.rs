//! The pages around the chapters: every link resolves, the glossary and the table of contents are complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::chapter::{Chapter, Kind};
use crate::stage::SOURCE;

const CHAPTERS: &str = "docs/walkthrough";
const PICTURES: &str = "docs/pictures";
const LONGEST_PARAGRAPH: usize = 5;

/// The text of a file of the project.
pub fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(Path::new(SOURCE).join(path)).map_err(|error| format!("{path}: {error}"))
}

/// All chapters, in order: `docs/walkthrough/01-three-terminals.md`, ...
pub fn chapters() -> Vec<String> {
    pages(CHAPTERS)
}

pub fn read_chapter(path: &str) -> Result<Chapter, String> {
    Chapter::read(path, &read(path)?)
}

/// The pages below a folder.
fn pages(folder: &str) -> Vec<String> {
    let mut pages = files(folder);
    pages.retain(|path| path.ends_with(".md"));
    pages
}

/// The files below a folder.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(SOURCE).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names
        .flat_map(|name| {
            let path = format!("{folder}/{name}");
            match Path::new(SOURCE).join(&path).is_dir() {
                true => files(&path),
                false => vec![path],
            }
        })
        .collect();
    found.sort();
    found
}

/// What stands outside of fences and of `code`, with the number of its line.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_fence = false;
    let mut prose = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let is_edge = line.trim_start().starts_with("```");
        if is_edge {
            is_fence = !is_fence;
        } else if !is_fence {
            prose.push((index + 1, line.split('`').step_by(2).collect::<Vec<_>>().join("`")));
        }
    }
    prose
}

/// The targets of all links, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let links = prose(text).into_iter().flat_map(|(line, text)| {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| (line, target.to_owned())).collect::<Vec<_>>()
    });
    links.collect()
}

/// The pictures in a line: what they are said to show, and where they are.
fn pictures(line: &str) -> Vec<(&str, &str)> {
    let starts = line.split("![").skip(1);
    starts.filter_map(|rest| rest.split_once(')')?.0.split_once("](")).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    let mut is_fence = false;
    let mut seen = BTreeMap::new();
    let mut anchors = Vec::new();
    for line in text.lines() {
        is_fence ^= line.trim_start().starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_fence) else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).or_insert(0);
        anchors.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The file that a link of a page leads to, from the project's folder: `docs/glossary.md`.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    if target.is_empty() {
        return page.to_owned();
    }
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Why a link leads nowhere.
fn broken(page: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = resolve(page, file);
    if !Path::new(SOURCE).join(&file).exists() {
        return Some(format!("there is no {file}"));
    }
    let anchor = anchor?;
    let found = read(&file).is_ok_and(|text| anchors(&text).iter().any(|found| found == anchor));
    (!found).then(|| format!("{file} has no heading #{anchor}"))
}

/// Every complaint at once, or none.
pub fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut complaints = Vec::new();
    for page in pages("docs").into_iter().chain(["README.md".to_owned()]) {
        for (line, target) in links(&read(&page).unwrap()) {
            complaints.extend(broken(&page, &target).map(|why| format!("{page}:{line}: {target}: {why}")));
        }
    }
    none(&complaints);
}

#[test]
fn every_picture_is_used_and_says_what_is_to_be_seen() {
    let (mut complaints, mut used) = (Vec::new(), Vec::new());
    for page in pages("docs").into_iter().chain(["README.md".to_owned()]) {
        for (line, text) in prose(&read(&page).unwrap()) {
            for (alt, target) in pictures(&text) {
                used.push(resolve(&page, target));
                if !alt.ends_with('.') {
                    complaints.push(format!("{page}:{line}: {target}: its alt text is a sentence"));
                }
            }
        }
    }
    let unused = files(PICTURES).into_iter().filter(|picture| !used.contains(picture));
    complaints.extend(unused.map(|picture| format!("{picture}: no page shows it")));
    none(&complaints);
}

#[test]
fn every_fence_is_well_formed_and_every_quote_verbatim() {
    let mut complaints = Vec::new();
    for path in chapters() {
        let chapter = match read_chapter(&path) {
            Ok(chapter) => chapter,
            Err(why) => {
                complaints.push(why);
                continue;
            }
        };
        let mut changed = BTreeMap::new();
        for fence in &chapter.fences {
            let checked = match &fence.kind {
                Kind::Quote { path } => read(path).and_then(|source| fence.check_quote(&source)),
                Kind::Diff { path } => {
                    changed.remove(path).map_or_else(|| read(path), Ok).and_then(|source| {
                        changed.insert(path, fence.change(&source)?);
                        Ok(())
                    })
                }
                Kind::Console { .. } | Kind::Illustration => Ok(()),
            };
            complaints.extend(checked.err().map(|why| format!("{}: {why}", chapter.place(fence.line))));
        }
    }
    none(&complaints);
}

/// Each term stands in the chapters that link it, once, and the first one is the one that the glossary names.
#[test]
fn every_term_of_the_glossary_is_met_where_it_says() {
    let page = "docs/glossary.md";
    let glossary = read(page).unwrap();
    let mut complaints = Vec::new();
    let mut met: BTreeMap<String, String> = BTreeMap::new();
    for path in chapters() {
        let mut here = Vec::new();
        for (line, target) in links(&read(&path).unwrap()) {
            let Some(term) = target.strip_prefix("../glossary.md#").map(str::to_owned) else { continue };
            if here.contains(&term) {
                complaints.push(format!("{path}:{line}: {term} is linked already in this chapter"));
            }
            met.entry(term.clone()).or_insert_with(|| path.clone());
            here.push(term);
        }
    }
    let terms: Vec<&str> = glossary.split("\n## ").skip(1).collect();
    let names = terms.iter().map(|term| term.lines().next().unwrap().to_lowercase()).collect::<Vec<_>>();
    if !names.is_sorted() {
        complaints.push(format!("{page}: the terms are not in the order of the alphabet"));
    }
    for term in terms {
        let anchor = anchors(&format!("## {term}")).remove(0);
        let named = links(term).into_iter().map(|(_, target)| resolve(page, &target));
        let named: Vec<String> = named.filter(|path| path.starts_with(CHAPTERS)).collect();
        if named.first() != met.get(&anchor) {
            complaints.push(format!("{page}: {anchor} names {named:?}, is met in {:?}", met.get(&anchor)));
        }
    }
    none(&complaints);
}

/// Most readers read English as a second language.
#[test]
fn the_words_are_plain_and_the_paragraphs_short() {
    let mut complaints = Vec::new();
    for path in chapters() {
        let mut lines = 0;
        for (line, text) in prose(&read(&path).unwrap()) {
            let begins_anew = text.starts_with(['|', '-', '#', '<']) || text.starts_with(char::is_numeric);
            lines = if text.is_empty() {
                0
            } else if begins_anew {
                1
            } else {
                lines + 1
            };
            if lines > LONGEST_PARAGRAPH {
                complaints.push(format!("{path}:{line}: a paragraph has {LONGEST_PARAGRAPH} lines at most"));
            }
            let words = text.to_lowercase();
            let mut words = words.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| ["simply", "just"].contains(word)) {
                complaints.push(format!("{path}:{line}: nothing is {word} so to whoever learns it"));
            }
        }
    }
    none(&complaints);
}

#[test]
fn the_table_of_contents_is_complete() {
    let page = "docs/SUMMARY.md";
    let summary = read(page).unwrap();
    let listed: Vec<String> = links(&summary).iter().map(|(_, target)| resolve(page, target)).collect();
    let listed_chapters: Vec<&String> = listed.iter().filter(|path| path.starts_with(CHAPTERS)).collect();
    assert_eq!(listed_chapters, chapters().iter().collect::<Vec<_>>(), "all chapters, in their order");
    for page in pages("docs").iter().filter(|path| *path != page) {
        assert!(listed.contains(page), "{page} is not listed");
    }
    for path in chapters() {
        let name = path.rsplit('/').next().unwrap();
        let number: usize = name[..2].parse().unwrap_or_else(|_| panic!("{path} begins with no number"));
        let text = read(&path).unwrap();
        let title = text.lines().next().unwrap_or_default().strip_prefix(&format!("# {number}. "));
        let title = title.unwrap_or_else(|| panic!("{path}:1: the title begins with # {number}."));
        assert!(summary.contains(&format!("- [{title}](")), "{page} calls it something else: {title}");
    }
}

#[test]
fn links_and_headings_are_found() {
    let picture = "See ![Two say hello.](a.svg) and ![](b.svg).";
    assert_eq!(pictures(picture), [("Two say hello.", "a.svg"), ("", "b.svg")]);
    let text = "# A: first `one`!\nSee [a](b.md#c) and [d](#e).\n`[no](link)`\n```text\n# no\n[no](link)\n```\n## A\n# a\n";
    let targets: Vec<(usize, String)> = links(text);
    assert_eq!(targets, [(2, "b.md#c".to_owned()), (2, "#e".to_owned())]);
    assert_eq!(anchors(text), ["a-first-one", "a", "a-1"]);
    assert_eq!(resolve("docs/walkthrough/a.md", "../glossary.md"), "docs/glossary.md");
    assert_eq!(resolve("docs/a.md", ""), "docs/a.md");
    assert!(broken("docs/protocol.md", "nothing.md").is_some_and(|why| why.contains("no docs/nothing.md")));
    assert!(broken("docs/protocol.md", "#nothing").is_some_and(|why| why.contains("no heading")));
    assert_eq!(broken("docs/protocol.md", "../README.md#three-minutes"), None);
}

/// As a site, too, and without a complaint.
#[test]
fn mdbook_makes_a_site_of_the_course() {
    if Command::new("mdbook").arg("--version").output().is_err() {
        return println!("skipped: no site is made of the course, for mdbook is not installed");
    }
    let site = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book");
    let mut mdbook = Command::new("mdbook");
    let output =
        mdbook.args(["build", "docs", "--dest-dir"]).arg(&site).current_dir(SOURCE).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let is_content = output.status.success() && !said.contains("WARN") && !said.contains("ERROR");
    assert!(is_content, "{said}");
    for path in chapters() {
        let page = path.replace("docs/", "").replace(".md", ".html");
        assert!(site.join(&page).exists(), "there is no {page}");
    }
}
