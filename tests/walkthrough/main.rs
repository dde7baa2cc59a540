//! The course does not lie: each chapter of `docs/walkthrough/` is typed into the real programs, in real
//! terminals, and what appears there is compared with the page, line by line.
//!
//! `CHAPTER=03 cargo test --test walkthrough -- --nocapture` plays that one only, and `LAN=1` plays them as on a
//! reader's computer, see `stage.rs`. A chapter needs Linux, tmux and namespaces (root's, or a user's where the
//! system allows them); elsewhere the test says so and is skipped. The fences, quotes, links and words are
//! checked everywhere.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod book;
mod chapter;
mod check;
mod stage;
mod terminal;
mod troubleshooting;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::exit;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use chapter::{Chapter, Kind};
use stage::{INSIDE, SOURCE, Stage};
use terminal::Terminal;

const AT_A_TIME: usize = 2;
/// What the outer test shows of what the inner one prints.
const REPORT: &str = "walkthrough: ";

#[test]
fn every_chapter_is_true() {
    if let Some(path) = std::env::var_os(INSIDE) {
        return play_here(path.to_str().unwrap());
    }
    let stage = match Stage::find() {
        Ok(stage) => stage,
        Err(why) => return println!("skipped: no chapter is typed into the programs, for {why}"),
    };
    stage::build().unwrap();
    let wanted = std::env::var("CHAPTER").unwrap_or_default();
    let mut paths = book::chapters();
    paths.retain(|path| path.contains(&format!("walkthrough/{wanted}")));
    assert!(!paths.is_empty(), "there is no chapter {wanted}");
    paths.reverse(); // the long ones are among the last
    let (waiting, failed) = (Mutex::new(paths.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(path) = next() {
                    if !play(&stage, &path) {
                        failed.lock().unwrap().push(path);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "not true: {}", failed.join(", "));
}

/// Plays one chapter on a stage of its own. Is it true?
fn play(stage: &Stage, path: &str) -> bool {
    let output = stage.play("every_chapter_is_true", path);
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter_map(|line| line.split_once(REPORT)).for_each(|(_, text)| println!("{text}"));
    if !output.status.success() {
        println!("{path} is not true:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// On the stage: types one chapter, and reports.
fn play_here(path: &str) {
    stage::set_up();
    let without = stage::missing_for_the_laboratory();
    let started = Instant::now();
    let read = book::read_chapter(path);
    let typed = read.and_then(|chapter| type_chapter(&chapter, without.is_none()).map(|()| chapter));
    let chapter = typed.unwrap_or_else(|why| {
        eprintln!("{why}");
        exit(1);
    });
    let (seconds, words) = (started.elapsed().as_secs_f64(), chapter.words());
    println!("{REPORT}{path}: {words} words, {seconds:.1} s");
    let is_laboratory = |kind: &Kind| matches!(kind, Kind::Console { is_laboratory: true, .. });
    if let Some(what) = without.filter(|_| chapter.fences.iter().any(|fence| is_laboratory(&fence.kind))) {
        println!("{REPORT}{path}: skipped: its laboratory, which needs {what}");
    }
}

fn type_chapter(chapter: &Chapter, has_laboratory: bool) -> Result<(), String> {
    let mut terminals = BTreeMap::new();
    for fence in &chapter.fences {
        match &fence.kind {
            Kind::Console { is_laboratory: true, .. } if !has_laboratory => {}
            Kind::Console { terminal, .. } => {
                let terminal = terminals.entry(terminal.clone()).or_insert_with(|| Terminal::open(terminal));
                type_fence(chapter, fence, terminal)?;
            }
            Kind::Diff { path } => {
                let place = |why: String| format!("{}: {why}", chapter.place(fence.line));
                let file = Path::new(SOURCE).join(path);
                let changed = fence.change(&fs::read_to_string(&file).unwrap()).map_err(place)?;
                fs::write(&file, changed).unwrap();
                stage::build().map_err(place)?;
            }
            Kind::Quote { .. } | Kind::Illustration => {}
        }
    }
    // A chapter leaves nothing running: in the end each terminal waits for a command, and nothing more has come.
    terminals.values().try_for_each(|terminal| terminal.settle(&chapter.path, Some("$")))
}

fn type_fence(chapter: &Chapter, fence: &chapter::Fence, terminal: &mut Terminal) -> Result<(), String> {
    for (index, text) in fence.body.iter().enumerate() {
        let typed = |prompt| text.strip_prefix(prompt).filter(|typed| !typed.is_empty());
        let (prompt, typed) = match (typed("$ "), typed("> ")) {
            (Some(typed), _) => (Some("$"), typed),
            (_, Some(typed)) => (Some(">"), typed),
            _ => (None, text.as_str()),
        };
        let key = terminal::key(typed);
        if key.is_some() || prompt.is_some() {
            terminal.settle(&chapter.path, prompt)?;
        }
        match key {
            Some(key) => terminal.press(key),
            None if prompt.is_some() => terminal.enter(typed),
            None => {}
        }
        terminal.expect(fence.line + 1 + index, text);
    }
    let waits = fence.body.last().is_some_and(|last| last.trim_end() == "$");
    terminal.settle(&chapter.path, waits.then_some("$"))
}
