//! Two small programs that teach how peers find and reach each other.
//!
//! `tracker` waits for two registrations and swaps the addresses; then each `peer` talks straight to the
//! other. To be read from top to bottom: each file needs only those above it, tests aside. **The core hour**
//! is each file with a star behind it: what it calls in one without says by its name what it does.
//!
//! | | question | in `src/` |
//! | --- | --- | --- |
//! | Words | what is on the wire? | `protocol/wire/`: `field.rs`, `message.rs` * |
//! | | what happens, and what is wanted? | `protocol/`: `event.rs`, `reason.rs`, `output.rs` * |
//! | Meet | who is out there, and at what address? | `protocol/meet/`: `room.rs`, `tracker.rs` *, `registration.rs` *, `calls.rs` |
//! | Reach | does a datagram get through, both ways? | `protocol/reach.rs` * |
//! | Talk | did you get it, once, in order? | `protocol/talk/`: `receiver.rs` *, `congestion.rs`, `sender.rs` * |
//! | Part | are you still there? | `protocol/part.rs` * |
//! | All of it | one remote peer; one peer | `protocol/`: `link.rs` *, `peer.rs` *, `protocol/peer/`: `arrivals.rs` * |
//! | The world | datagrams, keyboard, screen | `io/`: `terminal.rs`, `harm.rs`, `trace.rs`, `socket.rs`, `keyboard.rs`, `arguments.rs`, `chat.rs` |
//! | The programs | one loop; two threads | `bin/`: `tracker.rs` *, `peer.rs` * |
//! | Yours | does a program of yours do all that? | `check/`: `page.rs`, `experiment.rs`, `others.rs`, `program.rs`, `scene.rs`, `check/scene/`: `meanwhile.rs`, `check/`: `peer.rs`, `check/peer/`: `meet.rs`, `talk.rs`, `part.rs`, `world.rs`, `check/`: `tracker.rs`, `report.rs`, `runner.rs`, `bin/`: `check.rs` |
//! | A face | how does it look? | `window/`: `feed.rs`, `http.rs`, `server.rs`, `bin/`: `window.rs` |
//!
//! One rule keeps it honest: **`protocol` never touches the world.** No socket, no clock, no thread, no
//! printing. Time comes in as an argument, datagrams go in and come out as values, and so the same code runs
//! in the programs and in a simulated network with virtual time. What faces the world,
//! [`protocol::meet::tracker::Tracker`] and [`protocol::peer::Peer`], takes things in by
//!
//! ```text
//! handle_datagram(source, datagram, now)     something arrived
//! handle_timeout(now)                        it is time; harmless when early
//! ```
//!
//! and what comes of that lies in its `out` ([`protocol::output::Output`]): datagrams to send, events to
//! tell, and when to call `handle_timeout`. Inside, every part has a `run(&mut self, out)`: it does what has
//! become due, and [`protocol::output::Output::is_due`] notes when to come again for what has not.

/// The protocol: pure machines, without sockets, clocks or threads.
pub mod protocol {
    /// What stands in a datagram.
    pub mod wire {
        pub mod field;
        pub mod message;
    }

    pub mod event;
    pub mod output;
    pub mod reason;

    // The words that everything else is told in.
    pub use event::{Event, Failure};
    pub use output::{Output, Transmit};
    pub use reason::{Reason, Reasons};
    pub use wire::field::{Id, Malformed, NO_COOKIE, Name};
    pub use wire::message::{Body, Introduction, MAX_DATAGRAM, MAX_TEXT, Message, Range, Who, read_datagram};

    /// Who is out there, and at what address?
    pub mod meet {
        pub mod calls;
        pub mod registration;
        pub mod room;
        pub mod tracker;
    }

    pub mod reach;

    /// Did you get it, once, in order?
    pub mod talk {
        pub mod congestion;
        pub mod receiver;
        pub mod sender;
    }

    pub mod part;

    pub mod link;
    pub mod peer;
}

/// Everything that touches the world.
pub mod io {
    pub mod arguments;
    pub mod chat;
    pub mod harm;
    pub mod keyboard;
    pub mod socket;
    pub mod terminal;
    pub mod trace;
}

/// Plays tracker, partner and bad network for a program under test, as `docs/protocol.md` has it.
pub mod check {
    pub mod experiment;
    pub mod others;
    pub mod page;
    pub mod peer;
    pub mod program;
    pub mod report;
    pub mod runner;
    pub mod scene;
    pub mod tracker;
}

/// A page in a browser that shows a peer's chat and its datagrams.
pub mod window {
    pub mod feed;
    pub mod http;
    pub mod server;
}
