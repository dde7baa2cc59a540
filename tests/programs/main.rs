//! The real programs, as child processes on free ports of loopback.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod classic;
mod errors;
mod harness;
mod junk;
mod mishaps;
mod pipes;
mod screen;
#[path = "../simulation/told.rs"]
mod told;
mod trace;
mod wire;
