//! The bad world, and more than two: does all of it hold there, too?

use super::{hears_line, millis, name, reached, reached_without_acks, register, say, secs};
use crate::check::experiment::{BOB, CAROL, MALLORY, TRACKER, Verdict, expect};
use crate::check::others::Weather;
use crate::check::page::bad_lines;
use crate::check::scene::{Check, Scene};
use crate::protocol::Body;

/// Alice has links to bob and carol, in a room of three.
fn three(s: &mut Scene) -> Verdict {
    s.size = 3;
    reached(s)?;
    s.introduce(CAROL);
    s.hears(TRACKER, "MET $cookie $alice $carol").map(drop)
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

/// As another script writes a number, which a careless reader takes for one.
fn in_arabic_digits(number: u32) -> String {
    number.to_string().bytes().filter_map(|digit| char::from_u32(0x660 + u32::from(digit - b'0'))).collect()
}

pub(super) const CHECKS: &[Check] = &[
    Check::new("wire-3", "drops what it does not understand, and only that", |s| {
        reached(s)?;
        let mut next = 1;
        for bad in bad_lines("$alice", "$bob") {
            let bad = bad.replace(" 7", &format!(" {next}")).replace(" 07", &format!(" 0{next}"));
            let bad = bad.replace('\u{667}', &in_arabic_digits(next));
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
