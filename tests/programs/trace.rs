//! `--trace`: what the programs show of what they send and receive.

use crate::harness::{couple, once_ready, peer, tracker};
use crate::told::read;

const LINES: usize = 20;

/// Where a peer is: it says so in its first registration.
fn endpoint(news: &[String]) -> &str {
    let first = news.iter().find(|line| line.contains("REGISTER - ")).unwrap();
    first.rsplit(' ').next().unwrap()
}

#[test]
fn three_traces_tell_one_story() {
    let (mut tracker, address) = tracker(&["--forever", "--trace"]);
    let start = |name, harm: &[&str]| peer(address, &[&["--name", name, "--trace"], harm].concat());
    let peers = [start("alice", &["--loss", "30", "--seed", "7"]), start("bob", &[])];
    let [mut alice, mut bob] = once_ready(peers);
    for number in 1..=LINES {
        alice.say(&format!("line {number}"));
        bob.say(&format!("line {number}"));
    }
    alice.wait_for_output(&format!("bob: line {LINES}"));
    bob.wait_for_output(&format!("alice: line {LINES}"));
    alice.say("/quit");
    assert!(alice.wait().success() && bob.wait().success());
    tracker.kill();

    let news = [tracker, alice, bob].map(|program| program.news());
    let address = address.to_string();
    let hosts = [(&*address, "tracker"), (endpoint(&news[1]), "alice"), (endpoint(&news[2]), "bob")];
    let is_trace = |line: &&String| line.as_bytes().get(2) == Some(&b':');
    let story: Vec<_> = news.iter().flatten().filter(is_trace).map(|line| read(line, &hosts)).collect();
    let between = |who, arrow, whom| -> Vec<&str> {
        let told = story.iter().filter(|told| (told.who, told.arrow, told.whom) == (who, arrow, whom));
        told.map(|told| told.fields).collect()
    };
    for (sender, receiver) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let (sender, receiver) = (hosts[sender].1, hosts[receiver].1);
        let (sent, received) = (between(sender, "->", receiver), between(receiver, "<-", sender));
        // What came after its end nobody has received.
        assert!(sent.starts_with(&received) && !received.is_empty(), "{sent:#?} {received:#?}");
        let texts = received.iter().filter(|fields| fields.starts_with("SAY ")).count();
        assert!(texts >= LINES || sender == "tracker" || receiver == "tracker", "{received:#?}");
    }
    assert!(story.iter().any(|told| told.arrow == "-x" && told.who == "alice"));
    assert!(story.iter().all(|told| told.arrow != "-x" || told.who == "alice"));
}

#[test]
fn the_wire_is_shown_on_demand() {
    let (mut alice, bob) = couple(&["--trace=wire"]);
    alice.say("hello");
    for (arrow, line) in [("->", alice.wait_for_news(" 1 hello")), ("<-", bob.wait_for_news(" 1 hello"))] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[1], words[3], words[4].len(), words[5].len()), (arrow, "SAY", 16, 16), "{line}");
    }
}
