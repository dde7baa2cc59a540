//! Makes the experiments, several at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::experiment::{ALICE, Side, Verdict};
use super::page::{Rule, rules};
use super::program::Program;
use super::report::{Outcome, Report};
use super::scene::{Check, Scene};
use super::{peer, tracker};

/// Most of their time, experiments wait.
const AT_A_TIME: usize = 16;

/// A tracker may need so long to start.
const START: Duration = Duration::from_secs(10);

/// A port that was free may be taken when a tracker comes to listen there: so often another one is tried.
const OTHER_PORTS: usize = 3;

/// All experiments with one kind of program.
pub fn checks(side: Side) -> Vec<&'static Check> {
    match side {
        Side::Peer => peer::checks().collect(),
        Side::Tracker => tracker::CHECKS.iter().collect(),
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
    let checks: BTreeMap<_, _> = checks(side).into_iter().map(|check| (check.name, check)).collect();
    let of_rule = |rule: Rule| checks.get(rule.name).map(|check| (rule, *check));
    let is_wanted = |(rule, _): &(Rule, _)| {
        selection.levels.as_ref().is_none_or(|levels| levels.contains(rule.level))
            && selection.only.as_ref().is_none_or(|name| rule.name == name)
    };
    rules().into_iter().filter_map(of_rule).filter(is_wanted).collect()
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
    scene.passes(Duration::from_millis(300));
    scene.forget();
    scene.log.clear();
    Ok(())
}

/// Makes these experiments, and prints what comes of each. True where all that is demanded holds.
///
/// # Errors
/// The command cannot be started.
pub fn run(command: &[String], side: Side, selected: &[(Rule, &Check)], shows_all: bool) -> io::Result<bool> {
    let (next, (send, outcomes)) = (AtomicUsize::new(0), channel());
    let mut report = Report::new(shows_all, selected.len() == 1);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (next, send) = (&next, send.clone());
            scope.spawn(move || make_some(command, side, selected, next, &send));
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

/// One of several threads: makes the next experiment, as long as there is one.
fn make_some(
    command: &[String],
    side: Side,
    selected: &[(Rule, &Check)],
    next: &AtomicUsize,
    outcomes: &Sender<(usize, io::Result<Outcome>)>,
) {
    loop {
        let index = next.fetch_add(1, Relaxed);
        let Some((_, check)) = selected.get(index) else { return };
        let outcome = make(command, side, check, index as u64 + 1);
        if outcome.is_err() {
            next.store(usize::MAX / 2, Relaxed); // it cannot be started: no other will be
        }
        _ = outcomes.send((index, outcome));
    }
}
