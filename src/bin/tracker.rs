//! The tracker: waits for peers, and tells each of the others.

use std::error::Error;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use p2p_chat::io::harm::Harm;
use p2p_chat::io::socket::{Buffer, Socket};
use p2p_chat::io::terminal::Terminal;
use p2p_chat::protocol::event::Event;
use p2p_chat::protocol::meet::room::MAX_ROOM;
use p2p_chat::protocol::meet::tracker::Tracker;
use p2p_chat::protocol::wire::message::MAX_DATAGRAM;

/// Waits for two peers, and tells each where the other is. Then they need it no more.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: for classes of eight who come and go all day,
  tracker --forever --peers 8"
)]
struct Arguments {
    /// Where to listen; `[::]:55555` serves IPv6 and IPv4
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:55555")]
    listen: SocketAddr,

    /// How many peers make a room complete, at most 64; the next one opens another room
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=i64::from(MAX_ROOM)))]
    peers: u8,

    /// Stay when the first room is complete, and introduce others
    #[arg(long)]
    forever: bool,

    /// Show every message on stderr: -> sent, <- received, <? not understood
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let listen = arguments.listen;
    let terminal = Arc::new(Terminal::default());
    let trace = arguments.trace.then(|| terminal.clone());
    let socket = Socket::bind(&[listen], trace, Harm::default())
        .map_err(|error| format!("cannot listen on {listen}: {error} (is another tracker running?)"))?;
    let tell = |line: &str| _ = terminal.chat(line); // nobody is told where stdout is closed
    tell(&format!("Tracker listening on {}", socket.local_addr()?));

    let mut tracker = Tracker::new(arguments.peers, arguments.forever, RandomState::new(), Instant::now());
    let mut buffer: Buffer = [0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer, tracker.out.wake)? {
            Some((source, length)) => tracker.handle_datagram(source, &buffer[..length], Instant::now()),
            None => tracker.handle_timeout(Instant::now()),
        }
        tracker.out.transmits.drain(..).for_each(|transmit| socket.send(transmit));
        for event in tracker.out.events.drain(..) {
            match event {
                Event::Finished => return Ok(()),
                event => tell(&event.to_string()),
            }
        }
    }
}
