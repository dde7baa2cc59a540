//! The window: its HTTP by bytes, and its page in a real browser.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
#[path = "../programs/harness.rs"]
mod harness;
mod http;
mod page;
