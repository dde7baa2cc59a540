//! The peer as it is usually written: the tracker says where the other peer is, then the two talk straight
//! to each other.
//!
//! ```text
//! peer -> tracker    REGISTER                 I am here
//! tracker -> peer    PEER 127.0.0.1:50002     the other one is there
//! peer -> peer       SAY hello                a line of the chat
//! ```
//!
//! A comment that ends in a question mark is a weakness. Chapter 3 turns each of them into a failure.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::{env, process, str, thread};

fn main() -> Result<(), Box<dyn Error>> {
    // The address after the program's name, if there is one: cargo run --example first_peer 192.0.2.1:55555
    let tracker = env::args().nth(1).unwrap_or("127.0.0.1:55555".to_string());

    // A port belongs to one program at a time: the second peer on this computer takes 50002.
    let socket = (50001..=50010)
        .find_map(|port| UdpSocket::bind(("0.0.0.0", port)).ok())
        .ok_or("ports 50001 to 50010 are all taken")?;

    socket.send_to(b"REGISTER", tracker)?; // And if no tracker is running yet?
    println!("Checked in with tracker server, waiting for peer...");

    let mut buffer = [0; 1500];
    let (length, _) = socket.recv_from(&mut buffer)?; // waits until a datagram is here
    let text = str::from_utf8(&buffer[..length])?; // a datagram carries bytes: this makes text of them
    let friend: SocketAddr = text["PEER ".len()..].parse()?; // what stands behind the first word

    let (ip, port) = (friend.ip(), friend.port());
    println!("got peer\n  ip:          {ip}\n  source port: {port}\n  connecting {ip} {port}\n");
    println!("ready to exchange messages"); // Does any way lead from here to there?
    prompt()?;

    // Two things must be waited for, the keyboard and the network: one thread for each, one socket for both.
    let keyboard_socket = socket.try_clone()?;
    thread::spawn(move || {
        if let Err(error) = send_lines(&keyboard_socket, friend) {
            eprintln!("Error: {error}");
        }
        process::exit(0); // Who tells the friend that we are gone?
    });
    show_lines(&socket)
}

/// Sends each line from the keyboard as one datagram, until Ctrl-D.
fn send_lines(socket: &UdpSocket, friend: SocketAddr) -> io::Result<()> {
    for line in io::stdin().lines() {
        socket.send_to(format!("SAY {}", line?).as_bytes(), friend)?; // It has left. Will it arrive?
        prompt()?;
    }
    Ok(())
}

/// Shows each datagram that comes in, for ever.
fn show_lines(socket: &UdpSocket) -> Result<(), Box<dyn Error>> {
    let mut buffer = [0; 1500];
    loop {
        let (length, _from) = socket.recv_from(&mut buffer)?; // From the friend, or from whom?
        let text = str::from_utf8(&buffer[..length])?;
        println!("\rpeer: {}", &text["SAY ".len()..]); // \r goes back to the left edge, over the prompt
        prompt()?;
    }
}

fn prompt() -> io::Result<()> {
    print!("\r> ");
    io::stdout().flush() // without this, text waits inside the program until its line is complete
}
