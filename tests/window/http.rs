//! What a stranger may send to the window's port.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::harness::tracker;
use crate::page::window;

/// Sends these bytes, and reads the answer until the end of the connection.
fn ask(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "more was sent than was read");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Of the address that the window prints.
fn host_and_word(address: &str) -> (&str, &str) {
    address.strip_prefix("http://").unwrap().trim_end_matches('/').split_once('/').unwrap()
}

fn post(host: &str, word: &str, body: &str, headers: &str) -> String {
    let length = body.len();
    let head =
        format!("POST /{word}/say HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n");
    ask(host, &(head + body))
}

#[test]
fn nobody_gets_in_without_the_word_the_host_and_the_page() {
    let (_tracker, address) = tracker(&["--forever"]);
    let (mut alice, to_alice) = window(address, "alice", &[]);
    let (host, word) = host_and_word(&to_alice);
    assert!(host.starts_with("127.0.0.1:") && word.len() == 32);
    let get = |path: &str, headers: &str| {
        ask(host, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"))
    };

    let page = get(&format!("/{word}/"), "");
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\n")
            && page.contains("Content-Security-Policy: default-src 'none';")
    );
    assert!(page.ends_with("</html>\n") && !page.contains("NONCE"), "each page has a nonce of its own");
    let post = |body: &str, headers: &str| post(host, word, body, headers);
    assert!(post("/peers", "").starts_with("HTTP/1.1 200"));
    assert!(post("/peers", &format!("Origin: http://{host}\r\n")).starts_with("HTTP/1.1 200"));
    alice.wait_for_news("Checked in with tracker server");

    for (answer, status) in [
        (get("/", ""), "404"),
        (get("/favicon.ico", ""), "404"),
        (get(&format!("/{}/", "0".repeat(32)), ""), "404"),
        (get(&format!("/{word}"), ""), "404"),
        (get(&format!("/{word}/say"), ""), "405"),
        (get(&format!("/{word}/"), "Origin: http://evil.example\r\n"), "403"),
        (get(&format!("/{word}/"), "Host: evil.example\r\n"), "400"),
        (ask(host, &format!("GET /{word}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")), "403"),
        (ask(host, &format!("GET /{word}/ HTTP/1.1\r\n\r\n")), "403"),
        (ask(host, "nonsense\r\n\r\n"), "400"),
        (ask(host, &"x".repeat(20_000)), "431"),
        (post("two\nlines", ""), "400"),
        (post(&"x".repeat(65_537), ""), "413"),
    ] {
        let is_lost = answer.is_empty() && ["413", "431"].contains(&status); // what nobody read resets the connection
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) || is_lost, "{status}: {answer}");
    }

    // Those that hang up in mid-request, or say nothing, hold nobody up.
    let _silent: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(host).unwrap()).collect();
    drop(TcpStream::connect(host).unwrap().write_all(b"GET / HT"));
    assert!(get(&format!("/{word}/"), "").starts_with("HTTP/1.1 200"));

    assert!(post("/quit", "").starts_with("HTTP/1.1 200"));
    alice.wait();
}

#[test]
fn a_line_typed_twice_as_fast_as_the_peer_takes_it_is_refused_and_nothing_stands_still() {
    let (_tracker, address) = tracker(&["--forever"]);
    let (mut alice, to_alice) = window(address, "alice", &[]);
    let (host, word) = host_and_word(&to_alice);
    let line = "x".repeat(60_000);
    // Nobody is there: the peer waits with the first line, and the pipe and the queue fill up.
    let answers: Vec<String> = (0..110).map(|_| post(host, word, &line, "")).collect();
    assert!(answers[0].starts_with("HTTP/1.1 200"));
    assert!(answers.last().unwrap().starts_with("HTTP/1.1 503"), "{:?}", answers.last());
    alice.kill();
}

#[test]
fn what_is_wrong_is_said_in_a_sentence_with_status_2() {
    let (_tracker, address) = tracker(&["--forever"]);
    let (_alice, to_alice) = window(address, "alice", &[]);
    let (_, port) = host_and_word(&to_alice).0.split_once(':').unwrap();
    let taken = format!("cannot serve the page on port {port}: ");
    for (arguments, sentence) in [
        (&["--port", port][..], taken.as_str()),
        (&["--nmae", "alice"], "unexpected argument '--nmae'"),
        (&["--loss", "200"], "invalid value '200' for '--loss <PERCENT>'"),
        (&["--port", "70000"], "invalid value '70000' for '--port <N>'"),
    ] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_window")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains(sentence), "{said}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

/// Kills the window itself, and looks for the peer that it has left behind.
#[test]
#[cfg(target_os = "linux")]
fn a_peer_does_not_outlive_its_window() {
    let (_tracker, address) = tracker(&["--forever"]);
    let (mut alice, _) = window(address, "alice", &[]);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", alice.process())).unwrap();
    let peer = children.split_whitespace().next().expect("the window has started a peer").to_owned();
    alice.wait_for_news("Checked in with tracker server");
    alice.kill();
    let is_there =
        || std::fs::read_to_string(format!("/proc/{peer}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let end = std::time::Instant::now() + crate::harness::PATIENCE;
    while is_there() {
        assert!(std::time::Instant::now() < end, "the peer has outlived its window");
        std::thread::sleep(std::time::Duration::from_millis(50)); // nothing tells when it ends
    }
}
