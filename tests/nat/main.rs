//! The laboratory: the real programs behind real routers, made of network namespaces.
//!
//! Needs Linux, root, iproute2, nft, conntrack and python3; elsewhere it says so and is skipped. It runs in
//! process, mount and network namespaces of its own, all of which end with its first process: nothing is left
//! behind, even when it is killed.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../programs/harness.rs"]
mod harness;
mod outputs;

use std::io::Read;
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Program, once_ready};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nat/lab");
const TRACKER: &str = "203.0.113.1:55555";
const INSIDE: &str = "P2P_CHAT_LAB";
const LINES: usize = 100;

#[test]
fn laboratory() {
    in_the_laboratory("laboratory", || {
        matrix();
        special_cases();
    });
}

#[test]
fn laboratory_explains_itself() {
    in_the_laboratory("laboratory_explains_itself", outputs::all);
}

/// The figures: `cargo test --test nat -- --ignored --nocapture`.
#[test]
#[ignore = "20 runs of each take a minute and a half"]
fn twenty_runs() {
    in_the_laboratory("twenty_runs", || {
        for loss in [0, 20] {
            let times: Vec<u128> = (0..20)
                .map(|_| {
                    routers(&["home1", "home2"], "plain", "drop");
                    ["alice1", "bob1"].iter().for_each(|host| lab(&["loss", host, &loss.to_string()]));
                    let meeting = converse(["alice1", "bob1"]).expect("plain routers let each other in");
                    meeting.ready.as_millis()
                })
                .collect();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            println!("loss {loss} %: median {} ms, worst {} ms of {times:?}", sorted[10], sorted[19]);
        }
    });
}

/// Runs this very test again in namespaces of its own, and what it is about in there.
fn in_the_laboratory(name: &str, experiment: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        // Whoever started us holds the other end of stdin: when it dies, so do we, and all with us.
        thread::spawn(|| {
            _ = std::io::stdin().read(&mut [0]);
            exit(1);
        });
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        lab(&["up"]);
        return experiment();
    }
    if let Some(reason) = what_is_missing() {
        return println!("skipped: the laboratory needs {reason}");
    }
    let mut inside = Command::new("unshare")
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = inside.stdin.take(); // kept open until it has ended
    let status = inside.wait().unwrap();
    drop(stdin);
    assert!(status.success(), "the laboratory has failed");
}

fn what_is_missing() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let needs = [
        ("Linux, root and namespaces", works("unshare", &["--mount", "--pid", "--net", "--fork", "true"])),
        ("iproute2", works("ip", &["-V"])),
        ("nft", works("nft", &["--version"])),
        ("conntrack", works("conntrack", &["--version"])),
        ("python3", works("python3", &["--version"])),
        ("/dev/net/tun", std::path::Path::new("/dev/net/tun").exists()),
    ];
    needs.iter().find(|(_, works)| !works).map(|(what, _)| *what)
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn lab(arguments: &[&str]) {
    said(arguments);
}

/// What the laboratory says to a command, all went well.
fn said(arguments: &[&str]) -> String {
    let output = Command::new(LAB).args(arguments).output().unwrap();
    assert!(output.status.success(), "lab {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes these routers what they are to be; all mappings are forgotten.
fn routers(names: &[&str], kind: &str, input: &str) {
    names.iter().for_each(|name| lab(&["router", name, kind, input]));
}

fn start(host: &str, program: &str, arguments: &[&str]) -> Program {
    Program::start(
        Command::new("ip").args(["netns", "exec", &format!("lab-{host}"), program]).args(arguments),
    )
}

fn tracker(flags: &[&str]) -> Program {
    let tracker = start("tracker", env!("CARGO_BIN_EXE_tracker"), flags);
    tracker.wait_for_output("Tracker listening on");
    tracker
}

/// A peer that meets others in this way.
fn peer(host: &str, name: &str, meeting: &[&str]) -> Program {
    start(host, env!("CARGO_BIN_EXE_peer"), &[&["--name", name], meeting].concat())
}

/// A peer of the tracker.
fn guest(host: &str) -> Program {
    peer(host, host, &["--tracker", TRACKER])
}

/// Peers of the tracker that have met.
fn couple(hosts: [&str; 2]) -> [Program; 2] {
    once_ready(hosts.map(guest))
}

/// How two peers have met.
struct Meeting {
    /// From the second registration until both are ready.
    ready: Duration,
    attempts: usize,
    /// The address that the first one uses.
    path: String,
}

/// Two peers meet, say a hundred lines each, and part; `None` where they cannot meet and are told so.
fn converse(hosts: [&str; 2]) -> Option<Meeting> {
    let mut tracker = tracker(&[]);
    let mut first = guest(hosts[0]);
    tracker.wait_for_output(&format!("({})", hosts[0]));
    let mut second = guest(hosts[1]);
    tracker.wait_for_output(&format!("({})", hosts[1]));
    let registered = Instant::now();
    if first.wait_for_news_of(&["ready to exchange messages", "likely:"]).contains("likely:") {
        second.wait_for_news("likely:");
        assert_eq!((first.wait().code(), second.wait().code()), (Some(1), Some(1)));
        return None;
    }
    second.wait_for_news("ready to exchange messages");
    let ready = registered.elapsed();
    let path = talk(&mut first, &mut second, hosts);
    assert!(tracker.wait().success());
    let attempts = first.news().iter().filter(|line| line.contains("trying again")).count() + 1;
    Some(Meeting { ready, attempts, path })
}

/// A hundred lines each way, then BYE; the path that the first one uses.
fn talk(first: &mut Program, second: &mut Program, names: [&str; 2]) -> String {
    first.say("/peers");
    let path = first.wait_for_news("unacknowledged").split("  ").nth(2).unwrap().to_owned();
    for number in 0..LINES {
        first.say(&format!("line {number}"));
        second.say(&format!("line {number}"));
    }
    let last = format!("line {}", LINES - 1);
    first.wait_for_output(&last);
    second.wait_for_output(&last);
    first.say("/quit");
    second.wait_for_news(&format!("{} has left", names[0]));
    second.end_input(); // without a tracker, others could still call
    assert!(first.wait().success() && second.wait().success(), "{names:?}: {:?}", first.news());
    let expected = |from: &str| (0..LINES).map(|number| format!("{from}: line {number}")).collect::<Vec<_>>();
    assert_eq!(first.output(), expected(names[1]));
    assert_eq!(second.output(), expected(names[0]));
    path
}

fn matrix() {
    println!(
        "\n{:<18} {:<18} {:<6} {:<8} {:<7} {:>8} {:>9}  path",
        "one", "other", "INPUT", "theory", "met", "ms", "attempts"
    );
    let kinds = ["plain", "cone", "symmetric"];
    for input in ["open", "drop"] {
        for (index, one) in kinds.iter().enumerate() {
            for other in &kinds[index..] {
                let is_possible =
                    *one == "cone" || *other == "cone" || (*one == "plain" && *other == "plain");
                routers(&["home1"], one, input);
                routers(&["home2"], other, input);
                report([one, other], input, is_possible, ["alice1", "bob1"]);
            }
            routers(&["home1"], one, input);
            report([one, "public"], input, true, ["alice1", "pub1"]);
        }
        routers(&["home1"], "plain", input);
        report(["home", "the same home"], input, true, ["alice1", "alice2"]);
        routers(&["home2", "home3", "home4", "carrier"], "plain", input);
        report(["home and carrier", "home"], input, true, ["carol", "bob1"]);
    }
    routers(&["home1", "home2"], "plain", "reject");
    report(["plain", "plain"], "reject", true, ["alice1", "bob1"]);
    report(["home and carrier", "the same carrier"], "drop", false, ["carol", "dave"]);
    report(["public", "public"], "-", true, ["pub1", "pub2"]);
}

fn report(sides: [&str; 2], input: &str, is_possible: bool, hosts: [&str; 2]) -> Option<Meeting> {
    let meeting = converse(hosts);
    let [one, other] = sides;
    let theory = if is_possible { "meet" } else { "cannot" };
    let (met, ms, attempts, path) = match &meeting {
        Some(Meeting { ready, attempts, path }) => {
            ("yes", ready.as_millis().to_string(), attempts.to_string(), path.as_str())
        }
        None => ("no, told", "-".to_owned(), "3".to_owned(), "-"),
    };
    println!("{one:<18} {other:<18} {input:<6} {theory:<8} {met:<8} {ms:>7} {attempts:>9}  {path}");
    assert_eq!(meeting.is_some(), is_possible, "{sides:?}, INPUT {input}");
    meeting
}

fn special_cases() {
    routers(&["home1", "home2"], "plain", "open");
    // Alice's first pings are held back, bob's arrive unasked: her router moves her port, for good.
    lab(&["hold", "home1", "203.0.113.22", "220"]);
    let clash = report(["plain, held back", "plain"], "open", true, ["alice1", "bob1"]).unwrap();
    assert!(clash.attempts > 1, "there was no port clash to cure");

    for loss in ["20", "40"] {
        routers(&["home1", "home2"], "plain", "drop");
        ["alice1", "bob1"].iter().for_each(|host| lab(&["loss", host, loss]));
        report([&format!("plain, {loss} % loss"), "plain"], "drop", true, ["alice1", "bob1"]);
    }
    ["alice1", "bob1"].iter().for_each(|host| lab(&["loss", host, "0"]));

    tracker_beside_a_peer();
    a_mapping_is_lost();
    a_short_mapping_is_held_open();
    two_behind_one_carrier_with_hairpin();
    for mover_speaks in [true, false] {
        an_address_changes(mover_speaks);
    }
    the_tracker_is_restarted();
    one_private_address_in_two_homes();
    a_lan_without_a_tracker(["alice1", "alice2", "alice1"]); // on a network
    a_lan_without_a_tracker(["tracker"; 3]); // on one machine, with no way out of it
    eleven_on_one_machine();
    both_call_at_once();
    a_peer_whose_address_is_gone_leaves();
}

fn lan_peer(host: &str, name: &str) -> Program {
    peer(host, name, &["--lan"])
}

fn a_lan_without_a_tracker(hosts: [&str; 3]) {
    let names = ["a", "b", "c"];
    let mut peers = vec![lan_peer(hosts[0], "a"), lan_peer(hosts[1], "b")];
    let started = Instant::now();
    peers[0].wait_for_news("got b");
    peers[1].wait_for_news("got a");
    let met = started.elapsed();
    assert!(met < Duration::from_secs(4), "{met:?}");
    peers.push(lan_peer(hosts[2], "c"));
    peers[0].wait_for_news("got c");
    peers[1].wait_for_news("got c");
    for (peer, name) in peers.iter_mut().zip(names) {
        peer.wait_for_news("ready to exchange messages");
        peer.say(&format!("{name} is here"));
    }
    for (peer, own) in peers.iter().zip(names) {
        for name in names.iter().filter(|name| **name != own) {
            peer.wait_for_output(&format!("{name}: {name} is here"));
        }
    }
    if hosts[0] == "tracker" {
        let news = peers[0].news_so_far();
        let told = news.iter().filter(|line| line.contains("cannot send to 255.255.255.255:50001: "));
        assert_eq!(told.count(), 1, "the network cannot be called, which is told once: {news:#?}");
    }
    println!("--lan on {hosts:?}: the first two met in {} ms", met.as_millis());
}

/// The eleventh has a port that nobody calls, but calls the ten itself.
fn eleven_on_one_machine() {
    let mut peers: Vec<Program> = (0..11).map(|number| lan_peer("pub1", &format!("p{number}"))).collect();
    for number in 0..10 {
        peers[10].wait_for_news(&format!("got p{number}"));
        peers[number].wait_for_news("got p10");
    }
    peers[10].say("to all ten");
    for peer in &peers[..10] {
        peer.wait_for_output("p10: to all ten");
    }
    println!("--lan with eleven peers on one machine: the eleventh has met all ten");
}

/// Nothing wakes a receive on a socket whose address is gone: it has to wake by itself.
fn a_peer_whose_address_is_gone_leaves() {
    let mut alone = peer("pub1", "alone", &["--direct", "--bind", "203.0.113.11:50001"]);
    alone.wait_for_news("Waiting to be called at 203.0.113.11:50001");
    lab(&["move", "pub1", "203.0.113.77"]);
    alone.say("/quit");
    assert!(alone.wait().success());
    lab(&["move", "pub1", "203.0.113.11"]);
    println!("a peer whose address is gone: leaves on /quit");
}

fn both_call_at_once() {
    let first = peer("pub1", "pub1", &["--direct", "203.0.113.12:50001"]);
    first.wait_for_news("nobody answers at 203.0.113.12:50001 yet");
    let second = peer("pub2", "pub2", &["--direct", "203.0.113.11:50001"]);
    let [mut first, mut second] = once_ready([first, second]);
    talk(&mut first, &mut second, ["pub1", "pub2"]);
    println!("--direct, both calling each other: met and talked");
}

/// The one beside the tracker is seen at 127.0.0.1, which is of no use to the other.
fn tracker_beside_a_peer() {
    let _tracker = tracker(&[]);
    let mut beside = peer("tracker", "tracker", &["--tracker", "127.0.0.1:55555"]);
    let mut outside = guest("pub1");
    outside.wait_for_news("connecting 127.0.0.1");
    outside.wait_for_news("ready to exchange messages");
    talk(&mut beside, &mut outside, ["tracker", "pub1"]);
    println!("tracker beside a peer: met and talked");
}

fn a_mapping_is_lost() {
    let _tracker = tracker(&[]);
    let [mut alice, mut bob] = couple(["alice1", "bob1"]);
    lab(&["forget", "home1"]);
    lab(&["forget", "home2"]);
    talk(&mut alice, &mut bob, ["alice1", "bob1"]);
    println!("both mappings lost in mid-chat: punched again and talked");
}

fn two_behind_one_carrier_with_hairpin() {
    routers(&["home3", "home4", "carrier"], "plain", "drop");
    lab(&["hairpin", "carrier", "50003:100.64.0.3", "50004:100.64.0.4"]);
    let _tracker = tracker(&[]);
    let at = |(host, bind)| peer(host, host, &["--tracker", TRACKER, "--bind", bind]);
    let [mut carol, mut dave] = once_ready([("carol", "0.0.0.0:50003"), ("dave", "0.0.0.0:50004")].map(at));
    let path = talk(&mut carol, &mut dave, ["carol", "dave"]);
    assert_eq!(path, "203.0.113.31:50004");
    println!("two homes behind one carrier with hairpin: met at {path} and talked");
}

/// The routers forget what was silent for eight seconds: a keepalive every five is enough.
fn a_short_mapping_is_held_open() {
    ["home1", "home2"].iter().for_each(|router| lab(&["mapping", router, "8"]));
    let _tracker = tracker(&[]);
    let [mut alice, mut bob] = couple(["alice1", "bob1"]);
    thread::sleep(Duration::from_secs(18)); // the silence is what is tested
    talk(&mut alice, &mut bob, ["alice1", "bob1"]);
    ["home1", "home2"].iter().for_each(|router| lab(&["mapping", router, "30"]));
    println!("mappings of 8 s, 18 s of silence: held open and talked");
}

fn an_address_changes(mover_speaks: bool) {
    let _tracker = tracker(&[]);
    let [mut mover, mut other] = couple(["pub1", "pub2"]);
    lab(&["move", "pub1", "203.0.113.77"]);
    let moved = Instant::now();
    let (speaker, listener) = if mover_speaks { (&mut mover, &other) } else { (&mut other, &mover) };
    speaker.say("after the move");
    listener.wait_for_output("after the move");
    println!("address changed, mover speaks: {mover_speaks}: heard after {} ms", moved.elapsed().as_millis());
    mover.say("/quit");
    let ends = [mover.wait(), other.wait()];
    assert!(ends.iter().all(|end| end.success()), "{ends:?} {:?} {:?}", mover.news(), other.news());
    lab(&["move", "pub1", "203.0.113.11"]);
}

/// Alice and bob are both 192.168.1.11:50001 at home: neither takes itself for the other.
fn one_private_address_in_two_homes() {
    let _tracker = tracker(&[]);
    let traced = |host| peer(host, host, &["--tracker", TRACKER, "--trace"]);
    for mut peer in once_ready(["alice1", "bob1"].map(traced)) {
        peer.say("/quit");
        peer.wait();
        let news = peer.news();
        let pings: Vec<_> =
            news.iter().filter(|line| line.contains(" -> ") && line.contains("PING")).collect();
        assert!(!pings.is_empty(), "there is nothing to check: {news:#?}");
        assert!(!pings.iter().any(|ping| ping.contains("192.168.1.11:50001")), "{pings:#?}");
    }
    println!("one private address in two homes: no peer pings its own");
}

fn the_tracker_is_restarted() {
    let mut first = tracker(&["--forever", "--peers", "3"]);
    let [alice, bob] = couple(["alice1", "bob1"]);
    first.kill();
    alice.wait_for_news("nobody new can join until it is back");
    let _second = tracker(&["--forever", "--peers", "3"]);
    let carol = guest("pub1");
    for one in [&alice, &bob] {
        one.wait_for_news("pub1 has joined");
    }
    carol.wait_for_news("has joined");
    println!("tracker restarted while two of three wait: the third has met both");
}
