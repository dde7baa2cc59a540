//! Talk: does every line arrive, once and in order, from the keyboard to the screen?

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{
    answered, hears_line, introduced, millis, name, reached, reached_without_acks, register, say, secs,
};
use crate::check::experiment::{BOB, CAROL, Failure, TRACKER, expect};
use crate::check::scene::{Check, Scene};
use crate::protocol::Body;

/// A line so long that no other one has room in its datagram.
fn full_line() -> String {
    "x".repeat(1000)
}

/// The numbers of the lines that came to bob in this time, without any acknowledgement.
fn numbers(s: &mut Scene, time: Duration) -> BTreeSet<u64> {
    let said = s.collects(time, BOB, "SAY $bob $alice ...");
    said.iter().filter_map(|heard| heard.text.split(' ').nth(3)?.parse().ok()).collect()
}

/// This line is typed so often, and acknowledged now and then, so that the window grows: the most numbers that come
/// without an acknowledgement.
fn most_under_way(s: &mut Scene, line: &str, count: u64) -> u64 {
    (0..count).for_each(|_| s.types(line));
    let (mut next, mut most) = (s.manners[BOB].next_to_hear(), 0);
    let (all, patience) = (next + count, Instant::now() + secs(5));
    while next < all && Instant::now() < patience {
        s.collects(millis(50), BOB, "SAY ...");
        let last = s.manners[BOB].received.keys().last().copied().unwrap_or(0);
        most = most.max((last + 1).saturating_sub(next));
        next = s.manners[BOB].next_to_hear();
        s.says(BOB, &format!("ACK $alice $bob {next}"));
    }
    most
}

pub(super) const CHECKS: &[Check] = &[
    Check::new("wire-2", "takes all messages of a datagram", |s| {
        reached(s)?;
        s.says_raw(BOB, "SAY $alice $bob 1 one\nSAY $alice $bob 2 two\n");
        s.shows("bob: one")?;
        s.shows("bob: two")
    }),
    Check::new("run-1", "reads lines that end in any way, and whatever bytes", |s| {
        reached(s)?;
        s.types_bytes(b"ends in CR LF\r\nno UTF-8: \xff\nno end");
        s.ends_input();
        for (text, sequence) in ["ends in CR LF", "no UTF-8: \u{fffd}", "no end"].iter().zip(1..) {
            hears_line(s, BOB, sequence, text)?;
        }
        Ok(())
    }),
    Check::new("run-2", "prints what it hears, and nothing else", |s| {
        reached(s)?;
        s.types("hello");
        hears_line(s, BOB, 1, "hello")?;
        s.says(BOB, "SAY $alice $bob 1 hello alice");
        s.shows("bob: hello alice")?;
        s.shows_nothing(secs(1))
    }),
    Check::new("talk-1", "says a line, to where the PONG came from", |s| {
        answered(s, CAROL, "bob")?;
        s.types("hello");
        s.hears(CAROL, "SAY $bob $alice 1 hello")?;
        s.says(CAROL, "ACK $alice $bob 2");
        s.types("hello again");
        s.hears(CAROL, "SAY $bob $alice 2 hello again").map(drop)
    }),
    Check::new("talk-2", "says every text as it is", |s| {
        reached(s)?;
        let texts =
            ["two  spaces", " one before, one behind ", "", "same", "same", "ä 漢 🙂", "@nobody hello", "~"];
        for (text, sequence) in texts.iter().zip(1..) {
            s.types(text);
            hears_line(s, BOB, sequence, text)?;
        }
        Ok(())
    }),
    Check::new("talk-3", "says a line again until it is acknowledged", |s| {
        reached_without_acks(s)?;
        s.types("hello");
        for _ in 0..3 {
            s.hears(BOB, "SAY $bob $alice 1 hello")?;
        }
        Ok(())
    }),
    Check::new("talk-4", "does not say again what is acknowledged", |s| {
        reached(s)?;
        s.types("hello");
        hears_line(s, BOB, 1, "hello")?;
        s.collects(secs(1), BOB, "SAY ...");
        s.never(secs(3), BOB, "SAY ...")
    }),
    Check::new("talk-5", "shows a line", |s| {
        answered(s, BOB, "robert")?;
        s.says(BOB, "SAY $alice $bob 1 hello  alice ");
        s.shows("bob: hello  alice ")
    }),
    Check::new("talk-6", "acknowledges a line", |s| {
        reached(s)?;
        s.says(BOB, "SAY $alice $bob 1 one");
        s.hears(BOB, "ACK $bob $alice 2")?;
        s.says(BOB, "SAY $alice $bob 2 two");
        s.hears(BOB, "ACK $bob $alice 3").map(drop)
    }),
    Check::new("talk-7", "acknowledges a copy, and does not show it", |s| {
        reached(s)?;
        for _ in 0..3 {
            s.says(BOB, "SAY $alice $bob 1 hello");
            s.hears(BOB, "ACK $bob $alice 2")?;
        }
        s.shows("bob: hello")?;
        s.shows_nothing(secs(1))
    }),
    Check::new("talk-8", "shows lines in their order", |s| {
        reached(s)?;
        s.says(BOB, "SAY $alice $bob 2 two");
        s.hears(BOB, "ACK $bob $alice 1 ...")?;
        s.shows_nothing(millis(500))?;
        s.says(BOB, "SAY $alice $bob 1 one");
        s.shows("bob: one")?;
        s.says(BOB, "SAY $alice $bob 2 two");
        s.shows("bob: two")?;
        s.hears(BOB, "ACK $bob $alice 3").map(drop)
    }),
    Check::new("talk-9", "ignores an ACK of what it never said", |s| {
        reached_without_acks(s)?;
        s.types("hello");
        s.hears(BOB, "SAY $bob $alice 1 hello")?;
        s.says(BOB, "ACK $alice $bob 3");
        s.says(BOB, "ACK $alice $bob 2 5-9");
        s.collects(secs(1), BOB, "SAY ...");
        s.hears(BOB, "SAY $bob $alice 1 hello").map(drop)
    }),
    Check::new("talk-10", "keeps what is typed before anybody is there", |s| {
        register(s)?;
        s.types("early");
        s.lives(secs(1))?;
        s.introduce(BOB);
        hears_line(s, BOB, 1, "early")
    }),
    Check::new("talk-11", "shows no control characters", |s| {
        reached(s)?;
        s.says(BOB, "SAY $alice $bob 1 \u{1b}[2J\tbell \u{7} \u{202e}drawkcab \u{85}");
        s.shows("bob: \u{fffd}[2J\tbell \u{fffd} \u{fffd}drawkcab \u{fffd}")
    }),
    Check::new("talk-12", "does not flood whoever is silent", |s| {
        answered(s, BOB, "bob")?;
        s.manners[BOB].acks = false;
        s.types("hello");
        let count = s.collects(secs(8), BOB, "SAY ...").len();
        expect((2..=60).contains(&count), || format!("it was said {count} times in 8 s"))
    }),
    Check::new("talk-13", "puts a line together", |s| {
        reached(s)?;
        s.says(BOB, "PART $alice $bob 1 one, ");
        s.says(BOB, "PART $alice $bob 2 two, ");
        s.says(BOB, "SAY $alice $bob 3 three");
        s.shows("bob: one, two, three")
    }),
    Check::new("talk-14", "says a long line in pieces", |s| {
        reached(s)?;
        let line = "ä".repeat(20_000) + "!";
        s.types(&line);
        let mut said = String::new();
        for sequence in 1.. {
            match s.receives(secs(5), BOB, sequence)? {
                Body::Part(text) => said += &text,
                Body::Say(text) => {
                    return expect(said + &text == line, || "the pieces make another line".to_owned());
                }
                other => {
                    return Err(Failure(format!("expected pieces of a line, and {} came", name(&other))));
                }
            }
        }
        Ok(())
    }),
    Check::new("talk-15", "keeps what is ahead", |s| {
        reached(s)?;
        for number in [3, 2, 5, 4, 1] {
            s.says(BOB, &format!("SAY $alice $bob {number} line {number}"));
        }
        (1..=5).try_for_each(|number| s.shows(&format!("bob: line {number}")))
    }),
    Check::new("talk-16", "names what is ahead in ranges", |s| {
        reached(s)?;
        for (number, ranges) in [(5, "5-5"), (3, "3-3 5-5"), (4, "3-5"), (8, "3-5 8-8")] {
            s.says(BOB, &format!("SAY $alice $bob {number} hello"));
            s.hears(BOB, &format!("ACK $bob $alice 1 {ranges}"))?;
        }
        Ok(())
    }),
    Check::new("talk-17", "drops what is too far ahead", |s| {
        reached(s)?;
        s.says(BOB, "SAY $alice $bob 1026 too far");
        s.hears(BOB, "ACK $bob $alice 1")?;
        s.says(BOB, "SAY $alice $bob 1025 the last");
        s.hears(BOB, "ACK $bob $alice 1 1025-1025").map(drop)
    }),
    Check::new("talk-18", "does not say again what a range has named", |s| {
        reached_without_acks(s)?;
        (0..6).for_each(|_| s.types(&full_line()));
        if !numbers(s, secs(1)).contains(&6) {
            return Ok(()); // one at a time
        }
        s.says(BOB, "ACK $alice $bob 1 2-6");
        s.collects(secs(1), BOB, "SAY ...");
        let again = numbers(s, secs(3));
        expect(again.iter().all(|number| *number == 1), || format!("2 to 6 were named, and {again:?} came"))
    }),
    Check::new("talk-19", "has no more than 64 datagrams and 1,024 numbers under way", |s| {
        reached_without_acks(s)?;
        let most = most_under_way(s, &full_line(), 1000);
        expect(most <= 64, || format!("{most} full datagrams came without an ACK"))?;
        let most = most_under_way(s, "x", 20_000);
        expect(most <= 1024, || format!("{most} numbers came without an ACK"))
    }),
    Check::new("talk-20", "begins with no more than ten datagrams", |s| {
        reached_without_acks(s)?;
        (0..100).for_each(|_| s.types(&full_line()));
        let said = numbers(s, secs(3)).len();
        expect((1..=12).contains(&said), || format!("{said} lines of 1,000 bytes came without an ACK"))
    }),
    Check::new("talk-21", "has several messages under way", |s| {
        reached_without_acks(s)?;
        (0..20).for_each(|_| s.types(&full_line()));
        let said = numbers(s, secs(1)).len();
        expect(said > 1, || "only number 1 came without an ACK".to_owned())
    }),
    Check::new("talk-22", "puts messages together into a datagram", |s| {
        reached_without_acks(s)?;
        s.types(&["hello"; 100].join("\n"));
        let mut said = s.collects(secs(1), BOB, "SAY ...");
        s.manners[BOB].acks = true; // and all that has waited for it may leave at the same time
        said.extend(s.collects(secs(2), BOB, "SAY ..."));
        let is_shared = said.windows(2).any(|pair| pair[0].datagram == pair[1].datagram);
        expect(is_shared, || "each came in a datagram of its own".to_owned())
    }),
    Check::new("talk-23", "sees a loss by what has arrived after it", |s| {
        introduced(s)?;
        s.collects(secs(1), BOB, "PING ...");
        s.says(BOB, "PONG $alice $bob bob"); // a slow path: no timeout will come soon
        s.hears(TRACKER, "MET ...")?;
        s.manners[BOB].acks = false;
        (0..6).for_each(|_| s.types(&full_line()));
        s.hears(BOB, "SAY $bob $alice 6 ...")?;
        s.collects(secs(1), BOB, "SAY ...");
        s.says(BOB, "ACK $alice $bob 1 2-6");
        s.hears_within(millis(700), BOB, "SAY $bob $alice 1 ...").map(drop)
    }),
    Check::new("talk-24", "ends the link over a line of more than 64 KiB", |s| {
        reached(s)?;
        s.chats(BOB, (0..66).map(|_| Body::Part("x".repeat(1000))).chain([say("!")]));
        s.ends(secs(30), 1)?;
        s.shows_nothing(Duration::ZERO)
    }),
    Check::new("talk-25", "leaves out a line of more than 64 KiB", |s| {
        reached(s)?;
        s.types(&"x".repeat(64 * 1024 + 1));
        s.types("short");
        s.ends_input();
        s.chats(BOB, [Body::End]);
        hears_line(s, BOB, 1, "short")?;
        s.ends(secs(10), 1)
    }),
];
