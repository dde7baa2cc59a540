//! The experiments with a tracker, named after the rules of the page. Alice, bob, carol and mallory are played.

use std::time::Duration;

use super::experiment::{ALICE, BOB, CAROL, MALLORY, Role, Verdict, expect};
use super::page::bad_lines;
use super::scene::{Check, Scene};

const FOREVER: &[&str] = &["--forever"];

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Somebody shows that it receives where it is.
fn cookie(s: &mut Scene, role: Role) -> Verdict<String> {
    let name = s.name(role);
    s.says(role, &format!("LEAVE - ${name}"));
    let cookie = s.hears(role, "COOKIE *")?;
    Ok(cookie.text["COOKIE ".len()..].to_owned())
}

fn say_register(s: &mut Scene, role: Role, cookie: &str) {
    let name = s.name(role);
    s.says(role, &format!("REGISTER {cookie} ${name} $room {name} 192.168.1.5:50001"));
}

/// Somebody comes in, and is told how many are here.
fn enter(s: &mut Scene, role: Role, count: &str) -> Verdict<String> {
    let (cookie, name) = (cookie(s, role)?, s.name(role));
    say_register(s, role, &cookie);
    s.hears(role, &format!("WAIT {count} @{name}"))?;
    Ok(cookie)
}

fn hears_of(s: &mut Scene, role: Role, other: Role) -> Verdict {
    let other = s.name(other);
    s.hears(role, &format!("PEER * ${other} {other} @{other} 192.168.1.5:50001")).map(drop)
}

/// Alice and bob have come in, and have been introduced.
fn pair(s: &mut Scene) -> Verdict<[String; 2]> {
    let cookies = [enter(s, ALICE, "1/2")?, enter(s, BOB, "2/2")?];
    hears_of(s, ALICE, BOB)?;
    hears_of(s, BOB, ALICE)?;
    Ok(cookies)
}

/// Both have reached each other.
fn meet(s: &mut Scene) -> Verdict<[String; 2]> {
    let [alices, bobs] = pair(s)?;
    s.says(ALICE, &format!("MET {alices} $alice $bob"));
    s.says(BOB, &format!("MET {bobs} $bob $alice"));
    Ok([alices, bobs])
}

pub const CHECKS: &[Check] = &[
    Check::with(FOREVER, "tracker-1", "keeps nothing for whoever has no cookie", |s| {
        for form in ["REGISTER - $alice $room alice 192.168.1.5:50001", "MET - $alice $bob", "LEAVE - $alice"]
        {
            s.says(ALICE, form);
            s.hears(ALICE, "COOKIE *")?;
        }
        enter(s, BOB, "1/2")?;
        s.never(secs(1), ALICE, "* ...")
    }),
    Check::with(FOREVER, "tracker-2", "gives another port another cookie", |s| {
        let alices = cookie(s, ALICE)?;
        say_register(s, BOB, &alices);
        let bobs = s.hears(BOB, "COOKIE *")?;
        expect(!bobs.text.ends_with(&alices), || "two ports have one cookie".to_owned())
    }),
    Check::with(FOREVER, "tracker-3", "says how many are here, and where it sees you", |s| {
        enter(s, ALICE, "1/2").map(drop)
    }),
    Check::with(FOREVER, "tracker-4", "introduces both to each other at once", |s| pair(s).map(drop)),
    Check::with(FOREVER, "tracker-5", "does not count the same id twice", |s| {
        let alices = enter(s, ALICE, "1/2")?;
        for _ in 0..2 {
            say_register(s, ALICE, &alices);
            s.hears(ALICE, "WAIT 1/2 @alice")?;
        }
        Ok(())
    }),
    Check::with(FOREVER, "tracker-6", "introduces again until both have said MET", |s| {
        let [alices, bobs] = pair(s)?;
        for met in ["", "MET {} $alice $bob"] {
            if !met.is_empty() {
                s.says(ALICE, &met.replace("{}", &alices));
            }
            say_register(s, BOB, &bobs);
            hears_of(s, ALICE, BOB)?;
            hears_of(s, BOB, ALICE)?;
        }
        s.says(BOB, &format!("MET {bobs} $bob $alice"));
        s.forget();
        say_register(s, ALICE, &alices);
        s.hears(ALICE, "WAIT 2/2 @alice")?;
        s.never(secs(1), ALICE, "PEER ...")?;
        s.never(Duration::ZERO, BOB, "PEER ...")
    }),
    Check::with(FOREVER, "tracker-7", "lets nobody say MET or LEAVE for another", |s| {
        let [alices, bobs] = pair(s)?;
        let carols = cookie(s, CAROL)?;
        s.says(BOB, &format!("MET {bobs} $bob $alice"));
        s.says(CAROL, &format!("MET {carols} $alice $bob"));
        s.says(CAROL, &format!("LEAVE {carols} $bob"));
        s.forget();
        say_register(s, ALICE, &alices);
        hears_of(s, ALICE, BOB)
    }),
    Check::with(FOREVER, "tracker-8", "introduces anew whoever has another address", |s| {
        let [_, bobs] = meet(s)?;
        let carols = cookie(s, CAROL)?;
        s.forget();
        s.says(CAROL, &format!("REGISTER {carols} $alice another-room alice 192.168.1.5:50001"));
        s.hears(CAROL, "WAIT 2/2 @carol")?;
        hears_of(s, CAROL, BOB)?;
        s.hears(BOB, "PEER 2/2 $alice alice @carol 192.168.1.5:50001")?;
        s.says(BOB, &format!("REGISTER {bobs} $bob $room bob 192.168.1.6:50001"));
        s.hears(CAROL, "PEER 2/2 $bob bob @bob 192.168.1.6:50001").map(drop)
    }),
    Check::with(FOREVER, "tracker-9", "introduces nobody who has said LEAVE, and does not answer", |s| {
        let alices = enter(s, ALICE, "1/2")?;
        s.says(ALICE, &format!("LEAVE {alices} $alice"));
        enter(s, BOB, "1/2")?;
        say_register(s, ALICE, &alices);
        s.never(secs(2), ALICE, "* ...")
    }),
    Check::with(FOREVER, "tracker-10", "forgets whoever is silent for 5 s", |s| {
        enter(s, ALICE, "1/2")?;
        s.lives(secs(8))?;
        enter(s, BOB, "1/2").map(drop)
    }),
    Check::with(FOREVER, "tracker-11", "has one peer at one address", |s| {
        let cookie = enter(s, ALICE, "1/2")?;
        s.says(ALICE, &format!("REGISTER {cookie} $carol $room carol 192.168.1.5:50001"));
        s.hears(ALICE, "WAIT 1/2 @alice")?;
        enter(s, BOB, "2/2")?;
        s.hears(BOB, "PEER 2/2 $carol carol @alice 192.168.1.5:50001")?;
        s.never(secs(1), BOB, "PEER * $alice ...")
    }),
    Check::with(FOREVER, "tracker-12", "keeps rooms apart", |s| {
        enter(s, ALICE, "1/2")?;
        s.room = "elsewhere".to_owned();
        enter(s, BOB, "1/2")?;
        s.never(secs(1), ALICE, "PEER ...")
    }),
    Check::with(FOREVER, "tracker-13", "opens another room when one is complete", |s| {
        pair(s)?;
        enter(s, CAROL, "1/2")?;
        enter(s, MALLORY, "2/2")?;
        hears_of(s, MALLORY, CAROL)?;
        s.never(secs(1), ALICE, "PEER * $carol ...")
    }),
    Check::with(
        &["--peers", "3", "--forever"],
        "tracker-14",
        "introduces everyone in a room of three",
        |s| {
            for (role, count) in [(ALICE, "1/3"), (BOB, "2/3"), (CAROL, "3/3")] {
                enter(s, role, count)?;
            }
            for (role, other) in
                [(ALICE, BOB), (ALICE, CAROL), (BOB, ALICE), (BOB, CAROL), (CAROL, ALICE), (CAROL, BOB)]
            {
                hears_of(s, role, other)?;
            }
            Ok(())
        },
    ),
    Check::new("tracker-15", "ends when its first pair has met", |s| {
        meet(s)?;
        s.ends(secs(5), 0)
    }),
    Check::new("tracker-16", "ends when its first pair is silent", |s| {
        pair(s)?;
        s.lives(secs(5))?;
        s.ends(secs(20), 0)
    }),
    Check::with(FOREVER, "tracker-17", "is ended by no junk, and does not answer it", |s| {
        for length in 0..200 {
            let junk = s.junk(length * 10);
            s.says_bytes(MALLORY, &junk);
        }
        bad_lines("$alice", "$bob").iter().for_each(|bad| s.says_raw(MALLORY, &format!("{bad}\n")));
        for form in
            ["PING $alice $mallory mallory", "SAY $alice $mallory 1 hello", "WAIT 1/2 @mallory", "FULL"]
        {
            s.says_raw(MALLORY, &format!("{form}\n"));
        }
        s.never(secs(1), MALLORY, "* ...")?;
        enter(s, ALICE, "1/2").map(drop)
    }),
    Check::with(FOREVER, "tracker-18", "says no more than it hears to whoever has no cookie", |s| {
        let said = "LEAVE - 00000000000000a1\n".repeat(40);
        s.says_bytes(ALICE, said.as_bytes());
        s.hears(ALICE, "COOKIE *")?;
        let more = s.collects(secs(1), ALICE, "* ...");
        let bytes: usize = more.iter().map(|heard| heard.text.len() + 1).sum::<usize>() + "COOKIE ".len();
        expect(bytes <= said.len(), || format!("{} bytes were answered with {bytes} and more", said.len()))
    }),
];
