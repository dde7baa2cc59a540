//! Two small programs that teach how peers find and reach each other.
//!
//! `tracker` waits for two registrations and swaps the addresses; then each `peer` talks straight
//! to the other. All of it is four steps:
//!
//! | step | question | where |
//! | --- | --- | --- |
//! | Meet | who is out there, and at what address? | [`tracker`], [`room`], [`registration`], [`calls`] |
//! | Reach | does a datagram get through, both ways? | [`path`] |
//! | Talk | did you get it, once, in order? | [`delivery`], [`sender`], [`congestion`] |
//! | Part | are you still there? | [`link`] |
//!
//! Read [`protocol::message`] first: it is the whole wire on one page. Then follow the four steps,
//! and [`protocol::peer`], which joins them. `src/bin/` and [`io`] come last: they are the thin
//! shell between all that and the world.
//!
//! One rule keeps it honest: **`protocol` never touches the world.** No socket, no clock, no
//! thread, no printing. Time comes in as an argument, datagrams go in and come out as values, and
//! so the same code runs in the programs and in a simulated network with virtual time. What faces
//! the world, [`protocol::tracker::Tracker`] and [`protocol::peer::Peer`], has five handles:
//!
//! ```text
//! handle_datagram(source, datagram, now)     something arrived
//! handle_timeout(now)                        it is time; harmless when early
//! poll_transmit() -> Option<Transmit>        what to send
//! poll_event() -> Option<Event>              what the person should learn
//! poll_timeout() -> Option<Instant>          when to call handle_timeout
//! ```
//!
//! After each call of the first two, poll the transmits and the events until there are none, and
//! ask anew for the timeout.
//!
//! [`tracker`]: protocol::tracker
//! [`room`]: protocol::room
//! [`registration`]: protocol::registration
//! [`calls`]: protocol::calls
//! [`path`]: protocol::path
//! [`delivery`]: protocol::delivery
//! [`sender`]: protocol::sender
//! [`congestion`]: protocol::congestion
//! [`link`]: protocol::link

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
