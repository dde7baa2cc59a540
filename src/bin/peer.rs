//! The peer: meets others, and talks straight to them.
//!
//! ```text
//! main thread      keyboard  ->  say     ->  socket
//! receiver thread  socket    ->  handle  ->  screen         it ends the process, too
//! ```

use std::process::{ExitCode, exit};
use std::thread;
use std::time::Duration;

use clap::Parser;
use p2p_chat::io::arguments::{PeerArguments, report};
use p2p_chat::io::chat::Chat;
use p2p_chat::io::keyboard::{HELP, Input, Typed, read_line, understand};
use p2p_chat::io::socket::Buffer;
use p2p_chat::protocol::MAX_DATAGRAM;

fn main() -> ExitCode {
    report(run(&PeerArguments::parse()))
}

fn run(arguments: &PeerArguments) -> Result<(), Box<dyn std::error::Error>> {
    let chat = std::sync::Arc::new(Chat::open(arguments)?);
    let for_receiver = chat.clone();
    thread::Builder::new().spawn(move || {
        let outcome = receive_and_print(&for_receiver);
        let ended_well = outcome.unwrap_or_else(|error| {
            for_receiver.terminal.news(&format!("error: cannot receive any more: {error}"));
            false
        });
        for_receiver.socket.release(Duration::ZERO);
        for_receiver.terminal.leave();
        exit(i32::from(!ended_well));
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
        let (events, wake, outcome) = chat.handle(arrival.map(|(from, length)| (from, &buffer[..length])));
        chat.print(&events);
        if let Some(ended_well) = outcome {
            return Ok(ended_well);
        }
        arrival = chat.socket.receive(&mut buffer, Some(wake))?;
    }
}

/// The main thread: until the input ends, or a person has typed `/quit`.
fn read_keyboard_and_send(chat: &Chat) {
    let (mut input, mut is_first) = (std::io::stdin().lock(), true);
    while let Some(typed) = read_line(&mut input, std::mem::take(&mut is_first), chat.is_at_terminal) {
        chat.line_was_typed();
        match &typed {
            Typed::Refused(why) => chat.fail(why),
            Typed::Line(line) => match understand(line) {
                Input::Say(text) => chat.say(text),
                Input::To { who, line } => chat.say_to(who, line),
                Input::Peers => chat.show_peers(),
                Input::Connect(endpoint) => chat.connect(endpoint),
                Input::Harm(percentages) => chat.harm(percentages),
                Input::Help => chat.terminal.answer(HELP),
                Input::Unknown(line) => chat.say_unknown(line),
                Input::Quit => return chat.leave(),
            },
        }
    }
    chat.end();
}
