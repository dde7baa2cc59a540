//! Meet and Reach: does the program find others through a tracker, and get through to them?

use std::time::Instant;

use super::{START, answered, introduced, millis, reached, register, secs};
use crate::check::experiment::{BOB, CAROL, Failure, MALFORMED, MALLORY, TRACKER, expect};
use crate::check::scene::{Check, Scene};

pub(super) const CHECKS: &[Check] = &[
    Check::new("wire-1", "says only messages of the page when it meets somebody", |s| {
        reached(s)?;
        s.says(BOB, "PING $alice $bob bob");
        s.collects(secs(1), BOB, "PONG ...");
        let malformed = s.log.iter().find(|entry| entry.what.starts_with(MALFORMED));
        malformed.map_or(Ok(()), |_| Err(Failure("expected that each message is one of the page".to_owned())))
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
        let (start, mut answers) = (Instant::now(), 0);
        for number in 0..40 {
            s.says(TRACKER, &format!("COOKIE {number}"));
            answers += s.collects(millis(50), TRACKER, "REGISTER ...").len();
        }
        let most = 8 + 4 * start.elapsed().as_secs() as usize; // some were due without a COOKIE
        expect(answers <= most, || format!("{answers} REGISTERs came for 40 COOKIEs"))
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
    Check::new("reach-5", "takes a PONG for a link, wherever it comes from", |s| answered(s, CAROL, "bob")),
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
];
