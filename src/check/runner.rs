//! Makes the experiments, several at a time, and tells what came of each.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::experiment::{ALICE, Entry, Failure, MALFORMED, Side, Verdict};
use super::page::{Rule, rules};
use super::program::Program;
use super::scene::{Check, Scene};
use super::{peer, tracker};

/// Most of their time, experiments wait.
const AT_A_TIME: usize = 16;

/// A tracker may need so long to start.
const START: Duration = Duration::from_secs(10);

/// A port that was free may be taken when a tracker comes to listen there: so often another one is tried.
const OTHER_PORTS: usize = 3;

/// So many different entries of what passed last are shown where an experiment fails; and so many failures are
/// explained at once.
const LAST_ENTRIES: usize = 6;
const EXPLAINED: usize = 5;

const INDENT: &str = "                     ";
const WIDTH: usize = 95;

/// Prints a line, for whoever still reads.
macro_rules! tell {
    ($($what:tt)*) => { _ = writeln!(io::stdout(), $($what)*) };
}

/// All experiments with one kind of program.
pub fn checks(side: Side) -> &'static [Check] {
    match side {
        Side::Peer => peer::CHECKS,
        Side::Tracker => tracker::CHECKS,
    }
}

/// Which experiments are wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rules of these levels only.
    pub levels: Option<String>,
    /// Rules of this name only.
    pub only: Option<String>,
}

/// The rules that are asked for, each with its experiment.
pub fn select(side: Side, selection: &Selection) -> Vec<(Rule, &'static Check)> {
    let checks: BTreeMap<_, _> = checks(side).iter().map(|check| (check.name, check)).collect();
    let of_rule = |rule: Rule| checks.get(rule.name).map(|check| (rule, *check));
    let is_wanted = |(rule, _): &(Rule, _)| {
        selection.levels.as_ref().is_none_or(|levels| levels.contains(rule.level))
            && selection.only.as_ref().is_none_or(|name| rule.name == name)
    };
    rules().into_iter().filter_map(of_rule).filter(is_wanted).collect()
}

/// What came of one experiment.
struct Outcome {
    verdict: Verdict,
    log: Vec<Entry>,
    complaints: Vec<String>,
}

fn make(command: &[String], side: Side, check: &Check, seed: u64) -> io::Result<Outcome> {
    let mut scene = set(command, side, check, seed)?;
    let mut is_there = wait_for(&mut scene);
    for _ in 0..OTHER_PORTS {
        if side == Side::Tracker && scene.program.has_ended().is_some() {
            scene = set(command, side, check, seed)?;
            is_there = wait_for(&mut scene);
        }
    }
    let verdict = is_there.and_then(|()| (check.script)(&mut scene));
    // What it complains of matters where it has ended, or has said nothing that can be understood.
    let is_lost = verdict.is_err() && (scene.program.has_ended().is_some() || scene.id.is_none());
    let complaints = if is_lost { scene.program.complaints() } else { Vec::new() };
    Ok(Outcome { verdict, log: scene.log, complaints })
}

/// Starts the program.
fn set(command: &[String], side: Side, check: &Check, seed: u64) -> io::Result<Scene> {
    let own = check.arguments.iter().map(ToString::to_string);
    let program = Program::start(command, |tracker, free| match side {
        Side::Peer => {
            let room = format!("room-{seed}");
            ["--tracker", &tracker.to_string(), "--name", "alice", "--room", &room].map(str::to_owned).into()
        }
        Side::Tracker => ["--listen".to_owned(), free.to_string()].into_iter().chain(own).collect(),
    })?;
    Ok(Scene::new(program, side, seed))
}

/// A tracker listens when it answers, and goes on doing so: another program's may have taken its port.
fn wait_for(scene: &mut Scene) -> Verdict {
    if scene.side == Side::Peer {
        return Ok(()); // it speaks first
    }
    let end = Instant::now() + START;
    loop {
        scene.says(ALICE, "LEAVE - $alice");
        match scene.hears_within(Duration::from_millis(200), ALICE, "COOKIE *") {
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => {}
            Ok(_) => break,
        }
    }
    scene.collects(Duration::from_millis(300), ALICE, "-");
    scene.log.clear();
    Ok(())
}

/// Makes these experiments, and prints what comes of each. True where all that is demanded holds.
///
/// # Errors
/// The command cannot be started.
pub fn run(command: &[String], side: Side, selection: &Selection, shows_all: bool) -> io::Result<bool> {
    let selected = select(side, selection);
    let (next, (send, outcomes)) = (AtomicUsize::new(0), channel());
    let mut report = Report { shows_all, is_alone: selected.len() == 1, ..Report::default() };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (next, selected, send) = (&next, &selected, send.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Relaxed);
                    let Some((_, check)) = selected.get(index) else { return };
                    let outcome = make(command, side, check, index as u64 + 1);
                    let has_failed = outcome.is_err();
                    _ = send.send((index, outcome));
                    if has_failed {
                        next.store(usize::MAX / 2, Relaxed); // it cannot be started: no other will be
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        for (index, outcome) in outcomes {
            waiting.insert(index, outcome?);
            while let Some(outcome) = waiting.remove(&report.told) {
                let (rule, check) = &selected[report.told];
                report.tell(rule, check, &outcome);
            }
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(report.conclude())
}

#[derive(Default)]
struct Report {
    shows_all: bool,
    /// One rule only was asked for.
    is_alone: bool,
    /// So many were told.
    told: usize,
    heading: &'static str,
    /// Of what is demanded, and of what is offered: how many there were, and how many hold.
    demanded: [usize; 2],
    offered: [usize; 2],
    /// The one of the lowest level that fails: with its level.
    next: Option<(char, &'static str)>,
    /// So many have failed.
    failed: usize,
}

impl Report {
    fn tell(&mut self, rule: &Rule, check: &Check, outcome: &Outcome) {
        self.told += 1;
        let heading = heading(rule.name);
        if heading != self.heading {
            tell!("{heading}");
            self.heading = heading;
        }
        let holds = outcome.verdict.is_ok();
        let counts = if rule.is_offered { &mut self.offered } else { &mut self.demanded };
        *counts = [counts[0] + 1, counts[1] + usize::from(holds)];
        let mark = if holds {
            "ok"
        } else if rule.is_offered {
            "--"
        } else {
            "FAIL"
        };
        tell!("  {mark:<5} {:<10}  {}", rule.name, check.what);
        if self.shows_all {
            outcome.log.iter().for_each(|entry| show_entry(entry, 1));
        }
        if let Err(Failure(why)) = &outcome.verdict {
            let is_next = !rule.is_offered && self.next.is_none_or(|(level, _)| rule.level < level);
            self.next = if is_next { Some((rule.level, rule.name)) } else { self.next };
            self.failed += usize::from(!rule.is_offered);
            if (self.failed <= EXPLAINED && !rule.is_offered) || self.shows_all || self.is_alone {
                explain(rule, why, outcome, if self.shows_all { 0 } else { LAST_ENTRIES });
            }
        }
    }

    /// The last line. True where all that is demanded holds.
    fn conclude(&self) -> bool {
        let [all, passed] = self.demanded;
        let next = self.next.map_or(String::new(), |(_, name)| format!(": next, {name}"));
        if self.failed > EXPLAINED && !self.shows_all {
            tell!("(the first {EXPLAINED} failures are explained; --only NAME explains another)");
        }
        let [all_offered, offered] = self.offered;
        let offered =
            if all_offered == 0 { String::new() } else { format!(", {offered} of {all_offered} offered") };
        tell!("{passed} of {all} passed{offered}{next}");
        all == passed
    }
}

/// Why a rule does not hold: what passed last, what was expected, and the rule.
fn explain(rule: &Rule, why: &str, outcome: &Outcome, entries: usize) {
    let (mut last, mut times): (Vec<&Entry>, BTreeMap<_, usize>) = (Vec::new(), BTreeMap::new());
    for entry in outcome.log.iter().rev() {
        let count = times.entry((&entry.who, &entry.what)).or_default();
        *count += 1;
        if *count == 1 && last.len() < entries {
            last.push(entry);
        }
    }
    last.iter().rev().for_each(|entry| show_entry(entry, times[&(&entry.who, &entry.what)]));
    show(why);
    let malformed = outcome.log.iter().find(|entry| entry.what.starts_with(MALFORMED));
    malformed
        .iter()
        .for_each(|entry| show(&format!("this is no message: {}", &entry.what[MALFORMED.len()..])));
    outcome.complaints.iter().for_each(|line| show(&format!("stderr: {line}")));
    show(&format!("docs/protocol.md, {}: \"{}\"", rule.name, rule.text));
}

fn show_entry(entry: &Entry, times: usize) {
    let Entry { time, who, what } = entry;
    let times = if times > 1 { format!("  ({times} times)") } else { String::new() };
    tell!("{INDENT}{time:7.3}  {who:<16} {what}{times}");
}

/// Lines below the name of an experiment.
fn show(text: &str) {
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if line.chars().count() + word.trim_end().chars().count() > WIDTH {
            tell!("{INDENT}{}", line.trim_end());
            line.clear();
        }
        line.push_str(word);
    }
    tell!("{INDENT}{line}");
}

fn heading(name: &str) -> &'static str {
    match name.split('-').next() {
        Some("run") => "The program",
        Some("wire") => "Messages",
        Some("meet") => "Meet",
        Some("reach") => "Reach",
        Some("talk") => "Talk",
        Some("part") => "Part",
        Some("world") => "The bad world",
        Some("room") => "More than two",
        _ => "Tracker",
    }
}
