//! The tracker: waits for peers, and tells each of the others.
//!
//! ```text
//! main thread      socket  ->  handle  ->  socket
//! printer thread                  \--->  screen         it may stand still; nobody waits for it
//! ```
//!
//! Only `--trace` is written by the main thread itself, at once: where its screen stands still, so does the
//! tracker.

use std::hash::RandomState;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use p2p_chat::io::arguments::{TrackerArguments, report};
use p2p_chat::io::socket::Buffer;
use p2p_chat::io::terminal::Terminal;
use p2p_chat::protocol::meet::tracker::Tracker;
use p2p_chat::protocol::{Event, MAX_DATAGRAM};

/// Lines that wait for a screen that stands still; what comes after them is not told.
const MAX_WAITING: usize = 10_000;

fn main() -> std::process::ExitCode {
    report(run(&TrackerArguments::parse()))
}

fn run(arguments: &TrackerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let socket = arguments.open_socket(&std::sync::Arc::new(Terminal::open()))?;
    let (tell, told) = sync_channel(MAX_WAITING);
    let printer = thread::spawn(move || print(&Terminal::open(), &told));
    tell.send(format!("Tracker listening on {}", socket.local_addr()?))?;

    let mut tracker = Tracker::new(arguments.peers, arguments.forever, RandomState::new(), Instant::now());
    let mut buffer: Buffer = [0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer, tracker.out.wake)? {
            Some((source, length)) => {
                tracker.handle_datagram(source, &buffer[..length], Instant::now());
                socket.show_arrival(source, &buffer[..length], &tracker.out.remarks);
            }
            None => tracker.handle_timeout(Instant::now()),
        }
        tracker.out.transmits.drain(..).for_each(|transmit| socket.send(transmit));
        for event in tracker.out.events.drain(..) {
            if event == Event::Finished {
                drop(tell);
                return printer.join().map_err(|_| "the printer has panicked".into());
            }
            _ = tell.try_send(event.to_string());
        }
    }
}

/// Prints what is told, as many lines at once as have come. Nobody is told where stdout is closed.
fn print(terminal: &Terminal, told: &Receiver<String>) {
    while let Ok(first) = told.recv() {
        thread::sleep(Duration::from_millis(1)); // to be woken for each would cost more than to serve it
        let lines: Vec<String> = [first].into_iter().chain(told.try_iter()).collect();
        _ = terminal.chat(&lines.join("\n"));
    }
}
