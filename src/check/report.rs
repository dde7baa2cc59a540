//! Tells what came of each experiment: to a student, who wants to know what to do next.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::experiment::{Entry, Failure, MALFORMED, Verdict};
use super::page::Rule;
use super::scene::Check;

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

/// What came of one experiment.
pub struct Outcome {
    pub verdict: Verdict,
    pub log: Vec<Entry>,
    /// The last lines of its standard error, where they matter.
    pub complaints: Vec<String>,
}

/// Tells one outcome after the other, in the order of the page.
#[derive(Default)]
pub struct Report {
    shows_all: bool,
    /// One rule only was asked for.
    is_alone: bool,
    /// So many were told.
    pub told: usize,
    step: &'static str,
    /// Of what is demanded, and of what is offered: how many there were, and how many hold.
    demanded: [usize; 2],
    offered: [usize; 2],
    /// The one of the lowest level that fails: with its level.
    next: Option<(char, &'static str)>,
    /// So many have failed.
    failed: usize,
}

impl Report {
    /// Of one experiment, `is_alone`, or of many; with all that was said and heard, if that is wanted.
    pub fn new(shows_all: bool, is_alone: bool) -> Self {
        Self { shows_all, is_alone, ..Self::default() }
    }

    pub fn tell(&mut self, rule: &Rule, check: &Check, outcome: &Outcome) {
        self.told += 1;
        if rule.step != self.step {
            tell!("{}", rule.step);
            self.step = rule.step;
        }
        let holds = outcome.verdict.is_ok();
        let counts = if rule.is_offered { &mut self.offered } else { &mut self.demanded };
        *counts = [counts[0] + 1, counts[1] + usize::from(holds)];
        let mark = ["FAIL", "--", "ok"][if holds { 2 } else { usize::from(rule.is_offered) }];
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
    pub fn conclude(&self) -> bool {
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
    let malformed = malformed.map(|entry| format!("this is no message: {}", &entry.what[MALFORMED.len()..]));
    malformed.iter().for_each(|line| show(line));
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
