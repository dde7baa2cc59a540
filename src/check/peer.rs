//! The experiments with a peer, named after the rules of the page. The program is alice; the rest is played.
//!
//! Here is how most of them begin; the experiments themselves stand in a file for each step.

mod meet;
mod part;
mod talk;
mod world;

use std::time::Duration;

use super::experiment::{BOB, Heard, TRACKER, Verdict, expect};
use super::scene::{Check, Scene};
use crate::protocol::Body;

/// A program may need so long to start.
const START: Duration = Duration::from_secs(10);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn say(text: impl ToString) -> Body {
    Body::Say(text.to_string())
}

fn register(s: &mut Scene) -> Verdict<Heard> {
    s.hears_within(START, TRACKER, "REGISTER $cookie * $room alice *")
}

/// Alice has been introduced to bob, who answers nothing.
fn introduced(s: &mut Scene) -> Verdict {
    register(s)?;
    s.manners[BOB].pongs = false;
    s.introduce(BOB);
    Ok(())
}

/// Alice has been introduced to bob, who answers from where this one is, and by this name.
fn answered(s: &mut Scene, role: usize, name: &str) -> Verdict {
    introduced(s)?;
    s.hears(BOB, "PING $bob $alice alice")?;
    s.says(role, &format!("PONG $alice $bob {name}"));
    s.hears(TRACKER, "MET $cookie $alice $bob").map(drop)
}

/// Alice has a link to bob.
fn reached(s: &mut Scene) -> Verdict {
    register(s)?;
    s.introduce(BOB);
    s.hears(TRACKER, "MET $cookie $alice $bob").map(drop)
}

/// Alice has a link to bob, who acknowledges only what the script says.
fn reached_without_acks(s: &mut Scene) -> Verdict {
    reached(s)?;
    s.manners[BOB].acks = false;
    Ok(())
}

fn hears_line(s: &mut Scene, role: usize, sequence: u64, text: &str) -> Verdict {
    let body = s.receives(secs(5), role, sequence)?;
    expect(body == say(text), || {
        format!("expected number {sequence} to be SAY {text}, and it is {}", name(&body))
    })
}

/// A numbered message, without its number.
fn name(body: &Body) -> String {
    match body {
        Body::Say(text) => format!("SAY {text}"),
        Body::Part(text) => format!("PART {text}"),
        Body::End => "END".to_owned(),
        Body::Bye => "BYE".to_owned(),
    }
}

/// All experiments, step by step.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    [meet::CHECKS, talk::CHECKS, part::CHECKS, world::CHECKS].into_iter().flatten()
}
