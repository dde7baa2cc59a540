//! The window: a peer's chat, and its datagrams as they leave and arrive, in a browser.
//!
//! ```text
//! browser  --- a line ---->  window  --- stdin ----------->  peer
//!          <-- events -----          <-- stdout, stderr ---
//! ```
//!
//! It is to the peer what a person at a terminal is: reads what it prints, types what is to be said.

use std::io::{Write, stderr, stdout};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use p2p_chat::check::program::{read_lines, with_pipes};
use p2p_chat::io::arguments::PeerArguments;
use p2p_chat::io::harm::Harm;
use p2p_chat::window::feed::{Feed, Kind};
use p2p_chat::window::server::Server;

/// Lines that wait for a peer that takes none.
const MAX_WAITING: usize = 100;

/// So often the page is told who is here.
const LOOK: Duration = Duration::from_secs(1);

/// A peer that is told to leave has done so by then.
const LEAVING: Duration = Duration::from_secs(5);

/// A browser has so long to hear of the end.
const LAST_NEWS: Duration = Duration::from_millis(500);

/// A peer with a window in the browser
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The port to serve the page on [default: the first free one from 8000 on]
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    #[command(flatten)]
    peer: PeerArguments,
}

fn main() -> ExitCode {
    let Arguments { port, peer } = Arguments::parse(); // the peer gets its options as they were written
    match run(port, &peer.harm) {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            _ = writeln!(stderr(), "error: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(port: Option<u16>, harm: &Harm) -> Result<u8, String> {
    let (feed, (keyboard, typed)) = (Arc::new(Feed::default()), sync_channel(MAX_WAITING));
    let (leave, leaving) = sync_channel(1);
    let over = leave.clone();
    if harm.is_any() {
        _ = keyboard.try_send(format!("/harm {}", harm.percentages())); // its answer sets the page's sliders
    }
    let server = Server::open(port, feed.clone(), keyboard, leave).map(Arc::new).map_err(|error| {
        let port = port.map_or("no port from 8000 on".to_owned(), |port| format!("port {port}"));
        format!("cannot serve the page on {port}: {error} (without --port, a free one is found)")
    })?;
    let mut peer = start_peer()?;
    _ = writeln!(stdout(), "Open {}\nCtrl-C ends it, and so does /quit in the page.", server.address());
    let pipes = (peer.stdin.take(), peer.stdout.take(), peer.stderr.take());
    let (Some(input), Some(output), Some(complaints)) = pipes else {
        return Err("the peer has no pipes".to_owned());
    };
    let (serving, telling, (closing, closed)) = (server.clone(), feed.clone(), channel::<()>());
    thread::spawn(move || serving.serve());
    thread::spawn(move || type_lines(input, &typed, || server.watching.load(Relaxed) > 0));
    thread::spawn(move || {
        tell_all(output, complaints, &telling);
        drop(closing);
        _ = over.try_send(()); // it leaves by itself
    });
    _ = leaving.recv();
    if closed.recv_timeout(LEAVING) == Err(RecvTimeoutError::Timeout) {
        _ = peer.kill(); // it waits with a line for somebody, and has not read that it is to leave
        _ = closed.recv();
    }
    let status = peer.wait().ok().and_then(|status| status.code()).unwrap_or(1);
    feed.tell(Kind::End, status.to_string());
    thread::sleep(LAST_NEWS);
    Ok(u8::try_from(status).unwrap_or(1))
}

/// Tells what the peer prints, until it has closed both its outputs: it ends.
fn tell_all(output: ChildStdout, complaints: ChildStderr, feed: &Feed) {
    thread::scope(|scope| {
        scope.spawn(|| read_lines(output, |line| feed.tell(Kind::Heard, line)));
        read_lines(complaints, |line| {
            let kind = Kind::of_stderr(&line);
            if kind == Kind::News {
                _ = writeln!(stderr(), "{line}");
            }
            feed.tell(kind, line);
        });
    });
}

/// The peer lies beside this program, and gets its options but those that are for the window.
fn start_peer() -> Result<Child, String> {
    let mut options: Vec<String> = std::env::args().skip(1).collect();
    options.retain(|option| {
        option != "--trace" && !option.starts_with("--trace=") && !option.starts_with("--port=")
    });
    if let Some(at) = options.iter().position(|option| option == "--port") {
        options.drain(at..at + 2);
    }
    let path = std::env::current_exe().map_err(|error| format!("cannot find the peer: {error}"))?;
    let path = path.with_file_name(format!("peer{}", std::env::consts::EXE_SUFFIX));
    let mut peer = Command::new(&path);
    with_pipes(&mut peer).args(options).arg("--trace=both");
    peer.spawn().map_err(|error| format!("cannot start {}: {error} (build it: cargo build)", path.display()))
}

/// Types what is to be said; and, while somebody looks, asks who is here.
fn type_lines(mut stdin: ChildStdin, lines: &Receiver<String>, is_looked_at: impl Fn() -> bool) {
    let mut is_typed = |line: &str| stdin.write_all(format!("{line}\n").as_bytes()).is_ok();
    let mut last_look = Instant::now();
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) if !is_typed(&line) => break,
            Err(RecvTimeoutError::Disconnected) => break,
            _ if last_look.elapsed() >= LOOK && is_looked_at() => {
                last_look = Instant::now();
                is_typed("/peers");
            }
            _ => {}
        }
    }
}
