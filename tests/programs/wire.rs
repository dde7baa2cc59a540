//! The wire, word for word: a peer made of a bare socket, as docs/protocol.md describes it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::harness::{Program, couple, peer, peer_command, stranger, tracker};

const BOB: &str = "00000000000000b0";

/// A peer by hand: what it receives is taken apart into lines.
struct Hand {
    socket: UdpSocket,
    lines: Vec<(SocketAddr, String)>,
}

impl Hand {
    fn new() -> Self {
        Self { socket: stranger(), lines: Vec::new() }
    }

    fn endpoint(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn send(&self, to: SocketAddr, line: &str) {
        self.socket.send_to(format!("{line}\n").as_bytes(), to).unwrap();
    }

    /// The next line that begins with this, and where it came from; others are skipped.
    fn receive(&mut self, verb: &str) -> (SocketAddr, String) {
        loop {
            if let Some(index) = self.lines.iter().position(|(_, line)| line.starts_with(verb)) {
                return self.lines.drain(..=index).next_back().unwrap();
            }
            let mut buffer = [0; 2048];
            let (length, source) =
                self.socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("no {verb}: {e}"));
            assert!((1..=1200).contains(&length));
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(text.ends_with('\n'));
            self.lines.extend(text.lines().map(|line| (source, line.to_owned())));
        }
    }

    /// Registers, with the cookie that the tracker gives for it.
    fn register(&mut self, tracker: SocketAddr) -> String {
        let me = self.endpoint();
        let request = format!("REGISTER - {BOB} lobby bob {me}");
        self.send(tracker, &request);
        let (_, answer) = self.receive("COOKIE ");
        assert!(answer.len() < request.len(), "an unproven address gets less than it sent");
        let cookie = answer.strip_prefix("COOKIE ").unwrap().to_owned();
        self.send(tracker, &format!("REGISTER {cookie} {BOB} lobby bob {me}"));
        cookie
    }

    /// Calls a peer that waits; hands out its address and its id.
    fn call(&mut self, alice: &Program) -> (SocketAddr, String) {
        let line = alice.wait_for_news("Waiting to be called at ");
        let at: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
        self.send(at, &format!("PING lobby {BOB} bob"));
        let (_, pong) = self.receive(&format!("PONG {BOB} "));
        let id = pong.split(' ').nth(2).unwrap().to_owned();
        assert_eq!(self.receive("PING ").1, format!("PING {BOB} {id} alice"));
        self.send(at, &format!("PONG {id} {BOB} bob"));
        alice.wait_for_news("ready to exchange messages");
        (at, id)
    }
}

/// A peer that waits to be called.
fn waiting_alice(flags: &[&str]) -> Program {
    let arguments = ["--direct", "--name", "alice", "--bind", "127.0.0.1:0", "--trace=wire"];
    Program::start(peer_command().args(arguments).args(flags))
}

#[test]
fn a_tracker_introduces_a_peer_by_hand() {
    let (tracker, address) = tracker(&["--forever"]);
    let mut hand = Hand::new();
    let me = hand.endpoint();
    let cookie = hand.register(address);
    assert_eq!(hand.receive("WAIT").1, format!("WAIT 1/2 {me}"));
    hand.send(address, &format!("REGISTER {cookie} {BOB} lobby bob {me}")); // said twice: no pair with itself
    assert_eq!(hand.receive("WAIT").1, format!("WAIT 1/2 {me}"));

    let mut alice = peer(address, &["--name", "alice"]);
    let (_, introduction) = hand.receive("PEER 2/2 ");
    let fields: Vec<&str> = introduction.split(' ').collect();
    let (id, at) = (fields[2], fields[4].parse().unwrap());
    assert_eq!((fields[3], fields.len()), ("alice", 6));
    assert_eq!(hand.receive("PING").1, format!("PING {BOB} {id} alice"));
    hand.send(at, &format!("PONG {id} {BOB} bob"));
    hand.send(address, &format!("MET {cookie} {BOB} {id}"));
    alice.wait_for_news("ready to exchange messages");
    hand.send(at, &format!("PING {id} {BOB} bob"));
    assert_eq!(hand.receive("PONG").1, format!("PONG {BOB} {id} alice"));
    hand.send(at, &format!("SAY {id} {BOB} 1 hello from nc"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 2"));
    alice.wait_for_output("bob: hello from nc");
    hand.send(at, &format!("BYE {id} {BOB} 2"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 3"));
    assert!(alice.wait().success());
    tracker.wait_for_output("(alice)");
}

#[test]
fn a_peer_that_waits_is_called_by_hand() {
    let mut alice = waiting_alice(&[]);
    let mut hand = Hand::new();
    let (at, id) = hand.call(&alice);

    // Out of order, twice, and in pieces: once and in order on the screen.
    hand.send(at, &format!("SAY {id} {BOB} 3 third"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 1 3-3"));
    hand.send(at, &format!("PART {id} {BOB} 1 fi"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 2 3-3"));
    hand.send(at, &format!("SAY {id} {BOB} 2 rst\nSAY {id} {BOB} 2 rst\nnonsense"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 4"));
    hand.send(at, &format!("SAY {id} {BOB} 1 late copy"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 4"));
    alice.wait_for_output("bob: third");
    assert_eq!(alice.output_so_far(), ["bob: first", "bob: third"]);

    // What is not acknowledged comes again; an ACK of what was never sent counts for nothing.
    alice.say("hello bob");
    let said = format!("SAY {BOB} {id} 1 hello bob");
    assert_eq!(hand.receive("SAY").1, said);
    hand.send(at, &format!("ACK {id} {BOB} 7"));
    assert_eq!(hand.receive("SAY").1, said);
    assert_eq!(hand.receive("SAY").1, said);
    hand.send(at, &format!("ACK {id} {BOB} 2"));

    // A forged BYE, from one who does not know the ids.
    stranger().send_to(format!("BYE {id} 00000000000000ff 4\n").as_bytes(), at).unwrap();
    alice.say("/quit");
    assert_eq!(hand.receive("BYE").1, format!("BYE {BOB} {id} 2"));
    hand.send(at, &format!("ACK {id} {BOB} 3"));
    assert!(alice.wait().success());
}

#[test]
fn a_message_from_another_address_is_answered_there_and_moves_the_link() {
    let mut alice = waiting_alice(&[]);
    let mut hand = Hand::new();
    let (at, id) = hand.call(&alice);
    let mut moved = Hand::new();
    moved.send(at, &format!("SAY {id} {BOB} 1 from elsewhere"));
    assert_eq!(moved.receive("ACK").1, format!("ACK {BOB} {id} 2"));
    alice.say("to the new address");
    loop {
        let (_, line) = moved.receive("");
        if line.starts_with("PING ") {
            moved.send(at, &format!("PONG {id} {BOB} bob"));
        } else if line.starts_with("SAY ") {
            break assert_eq!(line, format!("SAY {BOB} {id} 1 to the new address"));
        }
    }
    moved.send(at, &format!("ACK {id} {BOB} 2"));
}

#[test]
fn a_tracker_tells_the_full_truth_to_nobody_unproven() {
    let (_tracker, address) = tracker(&["--forever"]);
    let mut hand = Hand::new();
    for line in [
        format!("REGISTER made-up {BOB} lobby bob 127.0.0.1:1"),
        format!("MET - {BOB} {BOB}"),
        format!("LEAVE - {BOB}"),
    ] {
        hand.send(address, &line);
        let (_, answer) = hand.receive("");
        assert!(answer.starts_with("COOKIE ") && answer.len() < line.len(), "{line}: {answer}");
    }
}

#[test]
fn a_reordered_acknowledgement_leaves_long_before_the_next_keepalive() {
    let alice = waiting_alice(&["--reorder", "100"]);
    let mut hand = Hand::new();
    let (at, id) = hand.call(&alice);
    let said = Instant::now();
    hand.send(at, &format!("SAY {id} {BOB} 1 hello"));
    assert_eq!(hand.receive("ACK").1, format!("ACK {BOB} {id} 2"));
    // It waits 100 ms for a next one; a sleep until the keepalive would take 5 s.
    assert!(said.elapsed() < Duration::from_secs(3), "{:?}", said.elapsed());
}

#[test]
fn what_is_harmed_can_be_changed_at_any_time() {
    let (mut alice, bob) = couple(&["--trace"]);
    alice.say("/harm 100 0 0");
    alice.wait_for_news("from now on 100 % are lost, 0 % sent twice, 0 % reordered");
    alice.say("lost");
    alice.wait_for_news("-x bob");
    alice.say("/harm 0 100 0");
    bob.wait_for_output("alice: lost");
    alice.wait_for_news("copied on purpose");
    for wrong in ["/harm 1 2", "/harm 1 2 3 4", "/harm 101 0 0", "/harm much 0 0"] {
        alice.say(wrong);
        alice.wait_for_news("/harm: write three percentages");
    }
    assert_eq!(bob.output_so_far().len(), 1, "none of this was said");
}
