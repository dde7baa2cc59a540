//! The peer: meets others, and talks straight to them.
//!
//! ```text
//! main thread      keyboard  ->  say     ->  socket
//! receiver thread  socket    ->  handle  ->  screen         it ends the process, too
//! ```

use std::error::Error;
use std::io::stdin;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::thread;

use clap::Parser;
use p2p_chat::io::arguments::Arguments;
use p2p_chat::io::chat::Chat;
use p2p_chat::io::keyboard::{HELP, Input, Typed, read_line, understand};
use p2p_chat::io::socket::Buffer;
use p2p_chat::protocol::talk::receiver::MAX_LINE;
use p2p_chat::protocol::wire::message::MAX_DATAGRAM;

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
        let turn = chat.handle(arrival.map(|(source, length)| (source, &buffer[..length])));
        chat.print(&turn.events);
        if let Some(ended_well) = turn.outcome {
            return Ok(ended_well);
        }
        arrival = chat.socket.receive(&mut buffer, Some(turn.deadline))?;
    }
}

/// The main thread: until the input ends, or a person has typed `/quit`.
fn read_keyboard_and_send(chat: &Chat) {
    let mut input = stdin().lock();
    while let Some(typed) = read_line(&mut input) {
        chat.terminal.line_was_typed();
        match &typed {
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
        chat.terminal.prompt_again();
    }
    chat.end();
}
