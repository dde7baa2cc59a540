//! The page and the experiments are one, and its tables and examples are true.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use p2p_chat::check::experiment::Side;
use p2p_chat::check::page::rules;
use p2p_chat::check::runner::checks;
use p2p_chat::protocol::talk::receiver::{Received, Receiver};
use p2p_chat::protocol::talk::sender::Sender;
use p2p_chat::protocol::{Body, Id, Output, read_datagram};

const PAGE: &str = include_str!("../../docs/protocol.md");

#[test]
fn each_rule_has_an_experiment_and_each_experiment_a_rule() {
    let mut rules: Vec<&str> = rules().iter().map(|rule| rule.name).collect();
    let sides = [Side::Peer, Side::Tracker];
    let mut checks: Vec<&str> = sides.iter().flat_map(|side| checks(*side)).map(|check| check.name).collect();
    rules.sort_unstable();
    checks.sort_unstable();
    assert_eq!(rules, checks);
}

/// What others rely on stands in a rule. Outside of rules the word only explains itself.
#[test]
fn must_stands_in_rules_only() {
    let text = rules().into_iter().map(|rule| rule.text).collect::<Vec<_>>().join(" ");
    let count =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "must").count();
    assert_eq!(count(PAGE), count(&text) + 1);
    let all = rules();
    let idle = all.iter().find(|rule| !rule.is_offered && !rule.text.contains("must"));
    assert!(idle.is_none(), "demands nothing: {idle:?}");
}

#[test]
fn the_good_lines_are_good_and_the_bad_ones_bad() {
    let rows = |mark| PAGE.lines().filter_map(move |line| line.strip_prefix(mark)?.split('`').nth(1));
    let is_read =
        |line: &str| read_datagram(format!("{line}\n").as_bytes()).iter().all(|(_, read)| read.is_ok());
    let (good, bad): (Vec<_>, Vec<_>) = (rows("| good ").collect(), rows("| bad: ").collect());
    assert!(good.len() > 4 && bad.len() > 10);
    for line in good {
        assert!(is_read(line), "{line}");
    }
    for line in bad {
        assert!(!is_read(line), "{line}");
    }
}

/// The rows of a table: its cells, without the code marks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(heading).unwrap();
    let rows =
        rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.skip(2).map(cells).collect()
}

#[test]
fn the_receiver_answers_as_in_the_example() {
    let mut receiver = Receiver::default();
    for row in table("**Acknowledgements.**") {
        let (verb, number) = row[0].split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        receiver.handle(number, if verb == "END" { Body::End } else { Body::Say(number.to_string()) });
        let received: Vec<Received> = std::iter::from_fn(|| receiver.deliver()).collect();
        let shown: Vec<&str> = received
            .iter()
            .filter_map(|one| match one {
                Received::Line(line) => Some(line.as_str()),
                _ => None,
            })
            .collect();
        let answer = receiver.acknowledgement(Id(1), Id(2)).to_string();
        assert_eq!(answer, row[1].replacen("ACK", &format!("ACK {} {}", Id(1), Id(2)), 1), "{row:?}");
        assert_eq!(shown.join(", "), row[2], "{row:?}");
    }
}

#[test]
fn the_sender_repeats_as_in_the_example() {
    let (_, rest) = PAGE.split_once("**Retransmission.**").unwrap();
    let times = rest.split("```text\n").nth(1).unwrap().lines().next().unwrap();
    let expected: Vec<u128> = times.split_whitespace().map(|time| time.parse().unwrap()).collect();
    let (start, bob): (Instant, SocketAddr) = (Instant::now(), "192.0.2.2:50001".parse().unwrap());
    let (mut sender, mut out) = (Sender::new(Id(1), Id(2)), Output::new(start));
    sender.round_trip.measure(Duration::from_millis(40));
    sender.say("hello", start);
    let mut sent = Vec::new();
    while sent.len() < expected.len() {
        sender.run(bob, &mut out);
        sent.extend(out.transmits.drain(..).map(|_| (out.now - start).as_millis()));
        let wake = out.wake.expect("something is under way");
        out.begin(wake);
    }
    assert_eq!(sent, expected);
}
