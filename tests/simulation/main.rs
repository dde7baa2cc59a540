//! The protocol in a simulated network, in virtual time: thousands of conversations in seconds.
//!
//! A failing test names its seed; the same seed makes the same run.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod meeting;
mod nats;
mod network;
mod rooms;
mod story;
mod talking;
mod told;
