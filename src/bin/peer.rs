//! The peer: meets others, and talks straight to them.
//!
//! ```text
//! main thread      keyboard  ->  say     ->  socket
//! receiver thread  socket    ->  handle  ->  screen         it ends the process, too
//! ```

use std::error::Error;
use std::io::stdin;
use std::mem::take;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::thread;

use clap::Parser;
use p2p_chat::io::arguments::{PeerArguments, report};
use p2p_chat::io::chat::Chat;
use p2p_chat::io::keyboard::{HELP, Input, Typed, read_line, understand};
use p2p_chat::io::socket::Buffer;
use p2p_chat::protocol::MAX_DATAGRAM;
use p2p_chat::protocol::talk::receiver::MAX_LINE;

fn main() -> ExitCode {
    report(run(&PeerArguments::parse()))
}

fn run(arguments: &PeerArguments) -> Result<(), Box<dyn Error>> {
    let chat = Arc::new(Chat::open(arguments)?);
    let receivers = chat.clone();
    thread::Builder::new().spawn(move || {
        let outcome = receive_and_print(&receivers);
        receivers.terminal.leave();
        exit(match outcome {
            Ok(ended_well) => i32::from(!ended_well),
            Err(error) => {
                eprintln!("error: cannot receive any more: {error}");
                1
            }
        });
    })?;
    read_keyboard_and_send(&chat);
    loop {
        thread::park(); // what was said may still have to be sent again: the receiver ends the process
    }
}

/// The receiver thread: until the conversation is over. Tells whether it ended well.
fn receive_and_print(chat: &Chat) -> std::io::Result<bool> {
    let mut buffer: Buffer = [0; MAX_DATAGRAM + 1];
    let mut arrival = None;
    loop {
        let (events, deadline, outcome) =
            chat.handle(arrival.map(|(source, length)| (source, &buffer[..length])));
        chat.print(&events);
        if let Some(ended_well) = outcome {
            return Ok(ended_well);
        }
        arrival = chat.socket.receive(&mut buffer, Some(deadline))?;
    }
}

/// The main thread: until the input ends, or a person has typed `/quit`.
fn read_keyboard_and_send(chat: &Chat) {
    let (mut input, mut is_first) = (stdin().lock(), true);
    while let Some(typed) = read_line(&mut input, take(&mut is_first)) {
        chat.terminal.line_was_typed();
        match &typed {
            Typed::Utf16 => {
                chat.fail("the input is UTF-16, nothing of it was said: save it as UTF-8");
                break;
            }
            Typed::TooLong(length) => {
                chat.fail(&format!("a line of {length} bytes was not said: {MAX_LINE} are the most"));
            }
            Typed::Line(line) => match understand(line) {
                Input::Say(text) => chat.say(text),
                Input::To { who, line } => chat.say_to(who, line),
                Input::Peers => chat.show_peers(),
                Input::Connect(endpoint) => chat.connect(endpoint),
                Input::Help => chat.terminal.news(HELP),
                Input::Unknown(line) => chat.say_unknown(line),
                Input::Quit => return chat.leave(),
            },
        }
        chat.terminal.prompt(false);
    }
    chat.end();
}
