//! Part: do both sides come to know that it is over?

use std::time::{Duration, Instant};

use super::{hears_line, name, reached, reached_without_acks, secs};
use crate::check::experiment::{BOB, TRACKER, expect};
use crate::check::scene::Check;
use crate::protocol::Body;

/// Where a rule says 20 s, it is no less than the first of these, and no more than the second.
const LONG: [Duration; 2] = [secs(15), secs(40)];

pub(super) const CHECKS: &[Check] = &[
    Check::new("part-1", "says END at the end of its input, until it is acknowledged", |s| {
        reached(s)?;
        s.types("the last line");
        hears_line(s, BOB, 1, "the last line")?;
        s.manners[BOB].acks = false;
        s.ends_input();
        for _ in 0..3 {
            s.hears(BOB, "END $bob $alice 2")?;
        }
        Ok(())
    }),
    Check::new("part-2", "listens after its END", |s| {
        reached(s)?;
        s.ends_input();
        s.hears(BOB, "END $bob $alice 1")?;
        s.says(BOB, "SAY $alice $bob 1 still there?");
        s.shows("bob: still there?")?;
        s.hears(BOB, "ACK $bob $alice 2").map(drop)
    }),
    Check::new("part-3", "ends with status 0 when both have said END", |s| {
        reached(s)?;
        s.types("hello");
        s.ends_input();
        s.hears(BOB, "END $bob $alice 2")?;
        s.chats(BOB, [Body::End]);
        s.ends(secs(10), 0)
    }),
    Check::new("part-4", "says its last ACK again and again", |s| {
        reached(s)?;
        s.ends_input();
        s.hears(BOB, "END $bob $alice 1")?;
        s.says(BOB, "END $alice $bob 1");
        s.ends(secs(10), 0)?;
        let count = s.collects(Duration::ZERO, BOB, "ACK $bob $alice 2").len();
        expect(count >= 3, || format!("the ACK of an END came {count} times"))
    }),
    Check::new("part-5", "acknowledges a BYE, and ends", |s| {
        reached(s)?;
        s.types("hello");
        hears_line(s, BOB, 1, "hello")?;
        s.says(BOB, "BYE $alice $bob 1");
        s.hears(BOB, "ACK $bob $alice 2")?;
        s.ends(secs(10), 0)
    }),
    Check::new("part-6", "says nothing more after a BYE", |s| {
        reached(s)?;
        s.says(BOB, "BYE $alice $bob 1");
        s.hears(BOB, "ACK $bob $alice 2")?;
        s.types("too late");
        s.ends_input();
        s.ends_somehow(secs(10))?;
        let said = s.manners[BOB].received.values().next().cloned();
        expect(said.is_none(), || format!("{} came after the BYE", said.iter().map(name).collect::<String>()))
    }),
    Check::new("part-7", "waits for what the other may have heard before leaving", |s| {
        reached_without_acks(s)?;
        s.types("hello");
        s.hears(BOB, "SAY $bob $alice 1 hello")?;
        s.says(BOB, "BYE $alice $bob 1");
        let left = Instant::now();
        s.hears(BOB, "ACK $bob $alice 2")?;
        s.ends(secs(15), 1)?;
        expect(left.elapsed() > secs(2), || "expected that it waits for 3 s before it ends".to_owned())
    }),
    Check::new("part-8", "asks whoever is silent for 5 s", |s| {
        reached(s)?;
        s.collects(secs(1), BOB, "PING ...");
        s.manners[BOB].pongs = false;
        s.hears_within(secs(10), BOB, "PING $bob $alice alice")?;
        s.hears(BOB, "PING $bob $alice alice").map(drop)
    }),
    Check::new("part-9", "gives up whoever is silent for 20 s", |s| {
        reached(s)?;
        s.manners[BOB].pongs = false;
        s.lives(LONG[0])?;
        s.ends(LONG[1] - LONG[0], 1)
    }),
    Check::new("part-10", "gives up whoever acknowledges nothing for 20 s", |s| {
        reached_without_acks(s)?;
        s.types("hello");
        s.lives(LONG[0])?;
        s.ends(LONG[1] - LONG[0], 1)
    }),
    Check::new("part-11", "stays while its PINGs are answered", |s| {
        reached(s)?;
        s.lives(secs(25))?;
        s.types("still here");
        hears_line(s, BOB, 1, "still here")
    }),
    Check::new("part-12", "says LEAVE to the tracker", |s| {
        reached(s)?;
        s.ends_input();
        s.chats(BOB, [Body::End]);
        s.ends(secs(10), 0)?;
        s.hears(TRACKER, "LEAVE $cookie $alice").map(drop)
    }),
];
