//! The experiments with a peer, named after the rules of the page. The program is alice; the rest is played.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::experiment::{BOB, CAROL, Failure, Heard, MALFORMED, MALLORY, TRACKER, Verdict, expect};
use super::others::Weather;
use super::page::bad_lines;
use super::scene::{Check, Scene};
use crate::protocol::Body;

/// A program may need so long to start.
const START: Duration = Duration::from_secs(10);

/// Where a rule says 20 s, it is no less than the first of these, and no more than the second.
const LONG: [Duration; 2] = [secs(15), secs(40)];

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

/// Alice has links to bob and carol, in a room of three.
fn three(s: &mut Scene) -> Verdict {
    s.size = 3;
    reached(s)?;
    s.introduce(CAROL);
    s.hears(TRACKER, "MET $cookie $alice $carol").map(drop)
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

/// The numbers of the lines that came to bob in this time, without any acknowledgement.
fn numbers(s: &mut Scene, time: Duration) -> BTreeSet<u64> {
    let said = s.collects(time, BOB, "SAY $bob $alice ...");
    said.iter().filter_map(|heard| heard.text.split(' ').nth(3)?.parse().ok()).collect()
}

/// Lines go both ways in bad weather, and then it is over.
fn bad_weather(s: &mut Scene, weather: Weather) -> Verdict {
    reached(s)?;
    s.weather = weather;
    s.chats(BOB, (1..=LINES).map(|number| say(format!("to alice {number}"))).chain([Body::End]));
    (1..=LINES).for_each(|number| s.types(&format!("to bob {number}")));
    s.ends_input();
    for number in 1..=LINES {
        let body = s.receives(secs(30), BOB, number)?;
        expect(body == say(format!("to bob {number}")), || format!("number {number} is {}", name(&body)))?;
    }
    for number in 1..=LINES {
        s.shows_within(secs(30), &format!("bob: to alice {number}"))?;
    }
    s.ends(secs(30), 0)
}

const LINES: u64 = 12;

pub const CHECKS: &[Check] = &[
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
        s.ends_input();
        s.chats(BOB, [say("hello alice"), Body::End]);
        s.ends(secs(10), 0)?;
        s.shows("bob: hello alice")?;
        s.shows_nothing(Duration::ZERO)
    }),
    Check::new("wire-1", "says only messages of the page when it meets somebody", |s| {
        reached(s)?;
        s.says(BOB, "PING $alice $bob bob");
        s.collects(secs(1), BOB, "PONG ...");
        let malformed = s.log.iter().find(|entry| entry.what.starts_with(MALFORMED));
        malformed.map_or(Ok(()), |_| Err(Failure("expected that each message is one of the page".to_owned())))
    }),
    Check::new("wire-2", "takes all messages of a datagram", |s| {
        reached(s)?;
        s.says_together(BOB, &["SAY $alice $bob 1 one", "SAY $alice $bob 2 two"]);
        s.shows("bob: one")?;
        s.shows("bob: two")
    }),
    Check::new("wire-3", "drops what it does not understand, and only that", |s| {
        reached(s)?;
        let mut next = 1;
        for bad in bad_lines("$alice", "$bob") {
            let bad = bad.replace(" 7", &format!(" {next}")).replace(" 07", &format!(" 0{next}"));
            s.says_raw(BOB, &format!("{bad}\nSAY $alice $bob {next} good\n"));
            s.shows("bob: good")?;
            next += 1;
        }
        s.says_raw(BOB, &format!("SAY $alice $bob {next} no line feed"));
        s.says_raw(BOB, &format!("SAY $alice $bob {next} {}\n", "too long".repeat(150)));
        s.says_raw(BOB, "");
        s.says_bytes(BOB, b"\xff\xfe\n");
        s.shows_nothing(millis(500))?;
        s.says(BOB, &format!("SAY $alice $bob {next} good"));
        s.shows("bob: good")
    }),
    Check::new("meet-1", "says REGISTER, with cookie -, id, room, name and private endpoint", |s| {
        let first = s.hears_within(START, TRACKER, "REGISTER - * $room alice *")?;
        let port = format!(":{}", first.source.port());
        expect(first.text.ends_with(&port), || format!("its socket has the port {port}: {}", first.text))
    }),
    Check::new("meet-2", "says it again with the cookie that it is given", |s| {
        s.hears_within(START, TRACKER, "REGISTER - * $room alice *")?;
        s.hears(TRACKER, "REGISTER $cookie $alice $room alice *").map(drop)
    }),
    Check::new("meet-3", "says it again when nothing comes back", |s| {
        s.registers = false;
        s.hears_within(START, TRACKER, "REGISTER - * $room alice *")?;
        s.hears(TRACKER, "REGISTER - $alice $room alice *")?;
        s.hears(TRACKER, "REGISTER - $alice $room alice *").map(drop)
    }),
    Check::new("meet-4", "says it again every second while it waits", |s| {
        register(s)?;
        s.collects(secs(1), TRACKER, "REGISTER ...");
        let count = s.collects(secs(4), TRACKER, "REGISTER $cookie $alice $room alice *").len();
        expect(count >= 2, || format!("expected REGISTER every second, and {count} came in 4 s"))
    }),
    Check::new("meet-5", "answers no more than two COOKIEs a second", |s| {
        register(s)?;
        s.registers = false;
        let mut answers = 0;
        for number in 0..40 {
            s.says(TRACKER, &format!("COOKIE {number}"));
            answers += s.collects(millis(25), TRACKER, "REGISTER ...").len();
        }
        answers += s.collects(secs(1), TRACKER, "REGISTER ...").len();
        expect(answers <= 12, || format!("{answers} REGISTERs came for 40 COOKIEs"))
    }),
    Check::new("meet-6", "goes on trying after FULL", |s| {
        s.registers = false;
        s.hears_within(START, TRACKER, "REGISTER - * $room alice *")?;
        for _ in 0..3 {
            s.says(TRACKER, "FULL no place");
            s.hears(TRACKER, "REGISTER ...")?;
        }
        Ok(())
    }),
    Check::new("meet-7", "believes nobody but its tracker", |s| {
        register(s)?;
        s.says(MALLORY, "COOKIE f00d");
        s.says(MALLORY, "PEER 2/2 $mallory mallory @mallory @mallory");
        s.never(secs(2), TRACKER, "REGISTER f00d ...")?;
        s.never(millis(500), MALLORY, "PING ...")
    }),
    Check::new("meet-8", "says MET about whom it has reached, and again when it is introduced again", |s| {
        reached(s)?;
        for _ in 0..2 {
            s.forget();
            s.introduce(BOB);
            s.hears(TRACKER, "MET $cookie $alice $bob")?;
        }
        Ok(())
    }),
    Check::new("meet-9", "has another id when it is started again", |s| {
        let first = register(s)?;
        s.restarts()?;
        s.collects(millis(100), TRACKER, "REGISTER ...");
        let id = first.text.split(' ').nth(2).unwrap_or_default();
        let second = s.hears_within(START, TRACKER, "REGISTER $cookie * $room alice *")?;
        expect(second.text.split(' ').nth(2) != Some(id), || format!("the id was {id} both times"))
    }),
    Check::new("meet-10", "goes on with another cookie", |s| {
        register(s)?;
        s.cookie = "an0ther".to_owned();
        s.hears(TRACKER, "REGISTER $cookie $alice $room alice *")?;
        s.hears(TRACKER, "REGISTER $cookie $alice $room alice *").map(drop)
    }),
    Check::new("meet-11", "waits for a tracker that comes late", |s| {
        s.program.close(TRACKER);
        s.lives(secs(3))?;
        s.opens(TRACKER)?;
        register(s).map(drop)
    }),
    Check::new("reach-1", "pings both addresses of whoever is introduced", |s| {
        register(s)?;
        s.says(TRACKER, "PEER 2/2 $bob bob @bob @carol");
        s.hears(BOB, "PING $bob $alice alice")?;
        s.hears(CAROL, "PING $bob $alice alice").map(drop)
    }),
    Check::new("reach-2", "pings again and again until it is answered", |s| {
        introduced(s)?;
        let count = s.collects(secs(2), BOB, "PING $bob $alice alice").len();
        expect(count >= 5, || format!("expected PING every 100 ms, and {count} came in 2 s"))
    }),
    Check::new("reach-3", "answers a PING, wherever it comes from", |s| {
        introduced(s)?;
        s.says(CAROL, "PING $alice $bob bob");
        s.hears(CAROL, "PONG $bob $alice alice")?;
        s.says(BOB, "PONG $alice $bob bob");
        s.hears(TRACKER, "MET ...")?;
        s.says(BOB, "PING $alice $bob bob");
        s.hears(BOB, "PONG $bob $alice alice").map(drop)
    }),
    Check::new("reach-4", "asks back, and takes no PING for a link", |s| {
        introduced(s)?;
        s.says(CAROL, "PING $alice $bob bob");
        s.hears(CAROL, "PING $bob $alice alice")?;
        s.never(secs(1), TRACKER, "MET ...")
    }),
    Check::new("reach-5", "takes a PONG for a link, wherever it comes from", |s| {
        introduced(s)?;
        s.hears(BOB, "PING $bob $alice alice")?;
        s.says(CAROL, "PONG $alice $bob bob");
        s.hears(TRACKER, "MET $cookie $alice $bob").map(drop)
    }),
    Check::new("reach-6", "ignores what is for others, and from strangers", |s| {
        introduced(s)?;
        s.hears(BOB, "PING ...")?;
        s.says(BOB, "PONG $carol $bob bob");
        s.says(MALLORY, "PING $alice $mallory mallory");
        s.says(MALLORY, "PONG $alice $mallory mallory");
        s.says(CAROL, "PING $carol $bob bob");
        s.says(CAROL, "PONG $alice $alice alice");
        s.never(secs(1), TRACKER, "MET ...")?;
        s.never(millis(100), MALLORY, "PONG ...")?;
        s.never(millis(100), CAROL, "PONG ...")
    }),
    Check::new("reach-7", "tries again from a fresh socket", |s| {
        introduced(s)?;
        let before = s.endpoint;
        let fresh = |s: &mut Scene| Ok(s.hears_within(secs(6), TRACKER, "REGISTER ...")?.source);
        let end = Instant::now() + secs(6);
        while fresh(s)? == before {
            expect(Instant::now() < end, || "expected a REGISTER from another port, within 6 s".to_owned())?;
        }
        s.hears(BOB, "PING $bob $alice alice").map(drop)
    }),
    Check::new("reach-8", "gives up after three attempts", |s| {
        introduced(s)?;
        s.ends(secs(15), 1)
    }),
    Check::new("reach-9", "hears the right ids from another address, too", |s| {
        reached(s)?;
        s.says(CAROL, "SAY $alice $bob 1 hello");
        s.shows("bob: hello")?;
        s.hears(CAROL, "ACK $bob $alice 2").map(drop)
    }),
    Check::new("reach-10", "follows a partner who has moved", |s| {
        reached(s)?;
        s.manners[BOB].pongs = false;
        s.says(CAROL, "SAY $alice $bob 1 I have moved");
        s.hears(CAROL, "PING $bob $alice alice")?;
        for _ in 0..20 {
            s.says(CAROL, "PONG $alice $bob bob");
            s.collects(millis(100), CAROL, "PING ...");
        }
        s.types("found you");
        s.hears(CAROL, "SAY $bob $alice 1 found you").map(drop)
    }),
    Check::new("talk-1", "says a line, to where the PONG came from", |s| {
        introduced(s)?;
        s.hears(BOB, "PING $bob $alice alice")?;
        s.says(CAROL, "PONG $alice $bob bob");
        s.hears(TRACKER, "MET ...")?;
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
        introduced(s)?;
        s.hears(BOB, "PING $bob $alice alice")?;
        s.says(BOB, "PONG $alice $bob robert");
        s.hears(TRACKER, "MET ...")?;
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
        introduced(s)?;
        s.says(BOB, "PONG $alice $bob bob");
        s.hears(TRACKER, "MET ...")?;
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
        (0..6).for_each(|_| s.types(&"x".repeat(1000)));
        if !numbers(s, secs(1)).contains(&6) {
            return Ok(()); // one at a time
        }
        s.says(BOB, "ACK $alice $bob 1 2-6");
        s.collects(secs(1), BOB, "SAY ...");
        let again = numbers(s, secs(3));
        expect(again.iter().all(|number| *number == 1), || format!("2 to 6 were named, and {again:?} came"))
    }),
    Check::new("talk-19", "has no more than 64 datagrams and 1,024 numbers under way", |s| {
        reached(s)?;
        (0..20_000).for_each(|_| s.types("x"));
        s.receives(secs(10), BOB, 4000).or_else(|_| s.receives(secs(1), BOB, 2))?;
        let first = s.manners[BOB].next_to_hear();
        s.manners[BOB].acks = false;
        s.forget();
        let heard = s.collects(secs(2), BOB, "SAY $bob $alice ...");
        let (mut seen, mut datagrams) = (BTreeSet::new(), BTreeSet::new());
        for heard in heard {
            let number: u64 =
                heard.text.split(' ').nth(3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
            if number >= first && seen.insert(number) {
                datagrams.insert(heard.datagram);
            }
        }
        let last = seen.last().copied().unwrap_or(0);
        expect(last < first + 1024, || format!("{first} is not acknowledged, and {last} came"))?;
        expect(datagrams.len() <= 64, || format!("{} datagrams came without an ACK", datagrams.len()))
    }),
    Check::new("talk-20", "begins with no more than ten datagrams", |s| {
        reached_without_acks(s)?;
        (0..100).for_each(|_| s.types(&"x".repeat(1000)));
        let said = numbers(s, secs(3)).len();
        expect((1..=12).contains(&said), || format!("{said} lines of 1,000 bytes came without an ACK"))
    }),
    Check::new("talk-21", "has several messages under way", |s| {
        reached_without_acks(s)?;
        (0..20).for_each(|_| s.types(&"x".repeat(1000)));
        let said = numbers(s, secs(1)).len();
        expect(said > 1, || "only number 1 came without an ACK".to_owned())
    }),
    Check::new("talk-22", "puts messages together into a datagram", |s| {
        reached(s)?;
        s.types(&["hello"; 100].join("\n"));
        let said = s.collects(secs(2), BOB, "SAY ...");
        let is_shared = said.windows(2).any(|pair| pair[0].datagram == pair[1].datagram);
        expect(is_shared, || "each came in a datagram of its own".to_owned())
    }),
    Check::new("talk-23", "sees a loss by what has arrived after it", |s| {
        introduced(s)?;
        s.collects(secs(1), BOB, "PING ...");
        s.says(BOB, "PONG $alice $bob bob"); // a slow path: no timeout will come soon
        s.hears(TRACKER, "MET ...")?;
        s.manners[BOB].acks = false;
        (0..6).for_each(|_| s.types(&"x".repeat(1000)));
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
    Check::new("world-1", "gets every line through 30 % loss", |s| {
        bad_weather(s, Weather { loss: 30, ..Weather::default() })
    }),
    Check::new("world-2", "is not confused by copies", |s| {
        bad_weather(s, Weather { copies: true, ..Weather::default() })
    }),
    Check::new("world-3", "is not confused by datagrams that overtake", |s| {
        bad_weather(s, Weather { late: millis(150), ..Weather::default() })
    }),
    Check::new("world-4", "is ended by nothing that arrives", |s| {
        reached(s)?;
        for (number, role) in (0..300).zip([TRACKER, BOB, CAROL, MALLORY].into_iter().cycle()) {
            let junk = s.junk(number * 7);
            s.says_bytes(role, &junk);
            s.collects(Duration::ZERO, role, "-");
        }
        for (bad, role) in bad_lines("$alice", "$bob").iter().zip([TRACKER, BOB, MALLORY].into_iter().cycle())
        {
            s.says_raw(role, &format!("{bad}\n"));
        }
        s.shows_nothing(secs(1))?;
        s.says(BOB, "SAY $alice $bob 1 hello");
        s.shows("bob: hello")
    }),
    Check::new("world-5", "believes no stranger", |s| {
        reached_without_acks(s)?;
        s.types("hello");
        s.hears(BOB, "SAY $bob $alice 1 hello")?;
        for role in [BOB, MALLORY] {
            for ids in ["$alice $carol", "$carol $bob", "$bob $alice"] {
                for rest in ["SAY {} 1 boo", "BYE {} 1", "END {} 1", "ACK {} 2", "PONG {} mallory"] {
                    s.says(role, &rest.replace("{}", ids));
                }
            }
        }
        s.shows_nothing(secs(1))?;
        s.forget();
        s.hears(BOB, "SAY $bob $alice 1 hello")?;
        s.says(BOB, "SAY $alice $bob 1 it is me");
        s.shows("bob: it is me")
    }),
    Check::new("world-6", "takes a partner that was started again for another one", |s| {
        s.size = 3;
        reached(s)?;
        s.says(BOB, "SAY $alice $bob 1 old");
        s.shows("bob: old")?;
        s.manners[BOB].pongs = false;
        s.says(TRACKER, "PEER 3/3 $carol bob @bob @bob");
        s.hears(BOB, "PING $carol $alice alice")?;
        s.says(BOB, "PONG $alice $carol bob");
        s.hears(TRACKER, "MET $cookie $alice $carol")?;
        s.says(BOB, "SAY $alice $carol 1 new");
        s.shows("bob: new")?;
        s.hears(BOB, "ACK $carol $alice 2")?;
        s.types("welcome back");
        s.hears(BOB, "SAY $carol $alice 1 welcome back").map(drop)
    }),
    Check::new("world-7", "waits for a partner whose port is closed for a while", |s| {
        reached(s)?;
        s.program.close(BOB);
        s.types("are you there?");
        s.lives(secs(3))?;
        s.opens(BOB)?;
        hears_line(s, BOB, 1, "are you there?")
    }),
    Check::new("world-8", "understands the longest fields", |s| {
        s.cookie = "~".repeat(64);
        register(s)?;
        let name = "ä".repeat(16);
        s.manners[BOB].pongs = false;
        s.says(TRACKER, &format!("PEER 2/2 $bob {name} @bob @bob"));
        s.hears(BOB, "PING $bob $alice alice")?;
        s.says(BOB, &format!("PONG $alice $bob {name}"));
        s.hears(TRACKER, "MET $cookie $alice $bob")?;
        s.says(BOB, "SAY $alice $bob 1 hello");
        s.shows(&format!("{name}: hello"))
    }),
    Check::new("room-1", "says a line to everyone", |s| {
        three(s)?;
        s.types("hello all");
        hears_line(s, BOB, 1, "hello all")?;
        hears_line(s, CAROL, 1, "hello all")
    }),
    Check::new("room-2", "says a line to one only", |s| {
        three(s)?;
        s.types("@bob psst");
        hears_line(s, BOB, 1, "@bob psst")?;
        s.types("@00000000000000c3 psst");
        hears_line(s, CAROL, 1, "@00000000000000c3 psst")?;
        s.types("hello all");
        hears_line(s, BOB, 2, "hello all")?;
        hears_line(s, CAROL, 2, "hello all")
    }),
    Check::new("room-3", "goes on when one leaves", |s| {
        three(s)?;
        s.says(BOB, "BYE $alice $bob 1");
        s.hears(BOB, "ACK $bob $alice 2")?;
        s.lives(secs(3))?;
        s.types("still here");
        hears_line(s, CAROL, 1, "still here")
    }),
    Check::new("room-4", "does not let others wait for one who is silent", |s| {
        three(s)?;
        (s.manners[BOB].acks, s.manners[BOB].pongs) = (false, false);
        (1..=50).for_each(|number| s.types(&number.to_string()));
        (1..=50).try_for_each(|number| hears_line(s, CAROL, number, &number.to_string()))
    }),
    Check::new("room-5", "talks to whoever comes later, from then on", |s| {
        s.size = 3;
        reached(s)?;
        s.types("early");
        hears_line(s, BOB, 1, "early")?;
        s.introduce(CAROL);
        s.hears(TRACKER, "MET $cookie $alice $carol")?;
        s.types("late");
        hears_line(s, CAROL, 1, "late")
    }),
    Check::new("room-6", "says END to each, and stays until every link is done", |s| {
        three(s)?;
        s.ends_input();
        s.hears(BOB, "END $bob $alice 1")?;
        s.hears(CAROL, "END $carol $alice 1")?;
        s.chats(BOB, [Body::End]);
        s.lives(secs(3))?;
        s.chats(CAROL, [Body::End]);
        s.ends(secs(10), 0)
    }),
];
