//! Two small programs that teach how peers find and reach each other.
//!
//! `tracker` waits for two registrations and swaps the addresses; then each `peer` talks straight
//! to the other. To be read in this order:
//!
//! | | question | file |
//! | --- | --- | --- |
//! | Words | what is on the wire? what happens? | `message.rs` (and `field.rs`), `event.rs`, `output.rs` |
//! | Meet | who is out there, and at what address? | `tracker.rs`, `room.rs`, `registration.rs`, `calls.rs` |
//! | Reach | does a datagram get through, both ways? | `path.rs` |
//! | Talk | did you get it, once, in order? | `delivery.rs`, `sender.rs`, `congestion.rs` |
//! | Part | are you still there? | `link.rs` |
//! | All of it | how is it joined, and run by two threads? | `peer.rs`, `io/chat.rs`, `bin/peer.rs` |
//!
//! One rule keeps it honest: **`protocol` never touches the world.** No socket, no clock, no
//! thread, no printing. Time comes in as an argument, datagrams go in and come out as values, and
//! so the same code runs in the programs and in a simulated network with virtual time. What faces
//! the world, [`protocol::tracker::Tracker`] and [`protocol::peer::Peer`], takes things in by
//!
//! ```text
//! handle_datagram(source, datagram, now)     something arrived
//! handle_timeout(now)                        it is time; harmless when early
//! ```
//!
//! and what comes of that lies in its `out` ([`protocol::Output`]): datagrams to send, events to
//! tell, and when to call `handle_timeout`. Inside, every part has a `run(&mut self, out)`: it does
//! what has become due, and [`protocol::Output::is_due`] notes when to come again for what has not.

/// The protocol: pure machines, without sockets, clocks or threads.
pub mod protocol {
    pub mod calls;
    pub mod congestion;
    pub mod delivery;
    pub mod event;
    pub mod field;
    pub mod link;
    pub mod message;
    pub mod output;
    pub mod path;
    pub mod peer;
    pub mod registration;
    pub mod room;
    pub mod sender;
    pub mod tracker;

    pub use event::{Event, Failure};
    pub use field::{Cookie, Id, Malformed, Name};
    pub use message::{Body, Introduction, MAX_DATAGRAM, Message, Who, read_datagram};
    pub use output::{Output, Transmit};
}

/// Everything that touches the world.
pub mod io {
    pub mod arguments;
    pub mod chat;
    pub mod harm;
    pub mod keyboard;
    pub mod socket;
    pub mod terminal;
}
