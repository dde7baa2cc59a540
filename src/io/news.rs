//! Every sentence that a peer says to its person about what happens.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::terminal::printable;
use crate::protocol::link::{self, Failure, Link};
use crate::protocol::path::{ATTEMPTS, is_local};
use crate::protocol::peer::{Event, Meeting, Settings};
use crate::protocol::registration;
use crate::protocol::sender::Slowness;

/// What a peer says first, where it does not meet through a tracker.
pub fn greeting(settings: &Settings) -> Option<String> {
    match settings.meeting {
        Meeting::Tracker(_) => None,
        Meeting::Lan => Some("Calling everyone on this network, waiting for peer...".to_owned()),
        Meeting::Direct(_) => Some(format!("Waiting to be called at {}", settings.private)),
    }
}

/// Puts events into words, and remembers what need not be said twice.
#[derive(Debug, Default)]
pub struct News {
    reached: usize,
}

impl News {
    /// The words for an event, without a final newline; `None` for what is not for the person.
    pub fn tell(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Registration(event) => self.tell_registration(event),
            Event::NobodyAnswers(endpoint) => format!(
                "nobody answers at {endpoint} yet, still calling: is a peer waiting there with --direct, in the same --room?"
            ),
            Event::FreshSocket => return None,
            Event::Link { name, event, .. } => self.tell_link(name.as_str(), event)?,
        })
    }

    fn tell_registration(&self, event: &registration::Event) -> String {
        match event {
            registration::Event::CheckedIn if self.reached == 0 => {
                "Checked in with tracker server, waiting for peer...".to_owned()
            }
            registration::Event::CheckedIn => "Checked in with tracker server again".to_owned(),
            registration::Event::TrackerSilent(tracker) if self.reached == 0 => format!(
                "no answer from the tracker at {tracker}, still trying: is it running?\n\
                 Start it in another terminal with: cargo run --bin tracker"
            ),
            registration::Event::TrackerSilent(tracker) => {
                format!("no answer from the tracker at {tracker}: nobody new can join until it is back")
            }
            registration::Event::Full(reason) => {
                format!("no place at the tracker, still trying: {}", printable(reason))
            }
        }
    }

    fn tell_link(&mut self, name: &str, event: &link::Event) -> Option<String> {
        Some(match event {
            link::Event::Introduced(endpoint) => {
                let (ip, port) = (endpoint.ip(), endpoint.port());
                format!("got {name}\n  ip:          {ip}\n  source port: {port}\n  connecting {ip} {port}")
            }
            link::Event::Reached(_) => {
                self.reached += 1;
                match self.reached {
                    1 => "\nready to exchange messages".to_owned(),
                    _ => format!("{name} has joined"),
                }
            }
            link::Event::NextAttempt(attempt) => {
                format!("no answer from {name} yet, trying again ({attempt} of {ATTEMPTS})")
            }
            link::Event::Unreachable(failure) => unreachable_text(name, failure),
            link::Event::Line(_) => return None,
            link::Event::Ended => format!("{name} has said all, and still listens"),
            link::Event::Left => format!("{name} has left"),
            link::Event::Unacknowledged(lines) => {
                format!("{} never acknowledged by {name}", count(*lines))
            }
            link::Event::Gone(lines) => {
                format!("{name} is gone: no answer for 20 s{}", lost(*lines))
            }
            link::Event::Broken(lines) => {
                format!("{name} has sent a line over 64 KiB: link closed{}", lost(*lines))
            }
            link::Event::Slow(Slowness::Waiting) => {
                format!("{name} has not acknowledged a line for 2 s, still trying")
            }
            link::Event::Slow(Slowness::Arrived) => format!("{name} has acknowledged it now"),
        })
    }
}

fn lost(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("; {} never acknowledged", count(lines)) }
}

fn count(lines: usize) -> String {
    if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") }
}

fn unreachable_text(name: &str, failure: &Failure) -> String {
    let mut text =
        format!("cannot reach {name} after {ATTEMPTS} attempts{}\n  tried:", lost(failure.unacknowledged));
    for endpoint in &failure.tried {
        write!(text, " {endpoint}").expect("a String takes everything");
    }
    write!(text, "\n  the tracker sees {name} at {}", failure.public).expect("a String takes everything");
    if let Some((private, public)) = failure.ours {
        write!(text, "\n  the tracker sees you at {public}; on your own network you are {private}")
            .expect("a String takes everything");
    }
    write!(text, "\n  likely: {}", likely_reason(name, failure)).expect("a String takes everything");
    text + "\n  to do:  put both on one network (a phone's hotspot will do), or let one of you forward a UDP port\n          \
            and wait with --direct --bind 0.0.0.0:PORT, and the other call with --direct ADDRESS:PORT"
}

fn likely_reason(name: &str, failure: &Failure) -> String {
    let Some((private, public)) = failure.ours else {
        return "the tracker has not answered any more".to_owned();
    };
    let is_inside = |endpoint: SocketAddr| is_local(endpoint.ip());
    let family = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    if public.is_ipv4() != failure.public.is_ipv4() {
        let (ours, theirs) = (family(public.ip()), family(failure.public.ip()));
        return format!(
            "you are on {ours} and {name} is on {theirs}: let both reach the tracker by the same one"
        );
    }
    match (is_inside(public), is_inside(failure.public)) {
        (true, false) => {
            "the tracker is behind the same router as you, so nobody outside can be told your public \
                          address: run it on a public host"
                .to_owned()
        }
        (false, true) => format!(
            "the tracker is behind the same router as {name}, so it cannot tell you {name}'s public address: run it \
             on a public host"
        ),
        (true, true) => "a firewall, or a Wi-Fi that keeps its clients apart".to_owned(),
        _ if public.ip() == failure.public.ip() => {
            "you are behind the same router, which does not let you reach each other by its public address"
                .to_owned()
        }
        _ if public.port() != private.port() => format!(
            "your router gives every destination another port (a symmetric NAT), and {name}'s router or firewall lets \
             in only what it expects"
        ),
        _ => format!(
            "{name}'s router gives every destination another port (a symmetric NAT) and yours lets in only what it \
             expects, or a firewall drops UDP"
        ),
    }
}

/// A line of `/peers`.
pub fn describe(link: &Link, now: Instant) -> String {
    let (name, id, sender) = (link.name(), link.id(), link.sender());
    let address = link.endpoint().map_or("being reached".to_owned(), |endpoint| endpoint.to_string());
    let round_trip = sender
        .round_trip
        .smoothed()
        .map_or("-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    let silent = link
        .path
        .last_heard()
        .map_or("never heard".to_owned(), |when| format!("silent for {:.1} s", (now - when).as_secs_f64()));
    let unacknowledged = sender.unacknowledged();
    format!("{name}  {id}  {address}  round trip {round_trip}  {unacknowledged} unacknowledged  {silent}")
}
