//! What happens, and in which words a person is told of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::wire::field::{Name, is_local};
use super::wire::message::Who;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    // Meet, at the tracker.
    Registered(SocketAddr, Name),
    Complete(u8),
    // Not for the person: the classic tracker's work is done.
    Finished,
    // Meet, at the peer.
    CheckedIn { alone: bool },
    TrackerSilent { tracker: SocketAddr, alone: bool },
    Full(String),
    NobodyAnswers(SocketAddr),
    // Not for the person: the socket is to be replaced, and `Peer::handle_fresh_socket` called.
    FreshSocket,
    // Reach.
    Introduced(Who, SocketAddr),
    NextAttempt { who: Who, attempt: u32, of: u32 },
    Reached { who: Who, first: bool },
    Unreachable(Who, Failure),
    // Talk.
    Line(Who, String),
    Slow(Who),
    NoLongerSlow(Who),
    // Part. The numbers are those of the lines that were not acknowledged.
    Ended(Who),
    Left(Who),
    Unacknowledged(Who, usize),
    Gone(Who, usize),
    Broken(Who, usize),
}

/// What is known of a peer that was never reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub attempts: u32,
    /// All the addresses that were pinged.
    pub tried: Vec<SocketAddr>,
    /// Where the tracker sees it.
    pub public: SocketAddr,
    /// Our own address, as we see it and as the tracker does.
    pub ours: Option<(SocketAddr, SocketAddr)>,
    pub unacknowledged: usize,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(endpoint, name) => write!(f, "Connection from: {endpoint} ({name})"),
            Self::Complete(size) => write!(f, "Got {size} peers, sending details to each one."),
            Self::Finished | Self::FreshSocket => Ok(()),
            Self::CheckedIn { alone: true } => {
                f.write_str("Checked in with tracker server, waiting for peer...")
            }
            Self::CheckedIn { alone: false } => f.write_str("Checked in with tracker server again"),
            Self::TrackerSilent { tracker, alone: true } => write!(
                f,
                "no answer from the tracker at {tracker}, still trying: is it running?\n\
                 Start it in another terminal with: cargo run --bin tracker"
            ),
            Self::TrackerSilent { tracker, alone: false } => {
                write!(f, "no answer from the tracker at {tracker}: nobody new can join until it is back")
            }
            Self::Full(reason) => write!(f, "no place at the tracker, still trying: {reason}"),
            Self::NobodyAnswers(endpoint) => write!(
                f,
                "nobody answers at {endpoint} yet, still calling: is a peer waiting there with --direct, in \
                 the same --room?"
            ),
            Self::Introduced(who, endpoint) => {
                let (ip, port) = (endpoint.ip(), endpoint.port());
                write!(f, "got {who}\n  ip:          {ip}\n  source port: {port}\n  connecting {ip} {port}")
            }
            Self::NextAttempt { who, attempt, of } => {
                write!(f, "no answer from {who} yet, trying again ({attempt} of {of})")
            }
            Self::Reached { first: true, .. } => f.write_str("\nready to exchange messages"),
            Self::Reached { who, .. } => write!(f, "{who} has joined"),
            Self::Unreachable(who, failure) => failure.explain(who, f),
            Self::Line(who, line) => write!(f, "{who}: {line}"),
            Self::Slow(who) => write!(f, "{who} has not acknowledged a line for 2 s, still trying"),
            Self::NoLongerSlow(who) => write!(f, "{who} has acknowledged it now"),
            Self::Ended(who) => write!(f, "{who} has said all, and still listens"),
            Self::Left(who) => write!(f, "{who} has left"),
            Self::Unacknowledged(who, lines) => write!(f, "{} by {who}", never_acknowledged(*lines)),
            Self::Gone(who, lines) => write!(f, "{who} is gone: no answer for 20 s{}", lost(*lines)),
            Self::Broken(who, lines) => {
                write!(f, "{who} has sent a line over 64 KiB: link closed{}", lost(*lines))
            }
        }
    }
}

fn never_acknowledged(lines: usize) -> String {
    format!("{lines} line{} never acknowledged", if lines == 1 { " was" } else { "s were" })
}

fn lost(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("; {}", never_acknowledged(lines)) }
}

impl Failure {
    fn explain(&self, who: &Who, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried: String = self.tried.iter().map(|endpoint| format!(" {endpoint}")).collect();
        writeln!(f, "cannot reach {who} after {} attempts{}", self.attempts, lost(self.unacknowledged))?;
        writeln!(f, "  tried:{tried}\n  the tracker sees {who} at {}", self.public)?;
        if let Some((private, public)) = self.ours {
            writeln!(f, "  the tracker sees you at {public}; on your own network you are {private}")?;
        }
        writeln!(f, "  likely: {}", self.likely_reason(who))?;
        f.write_str(
            "  to do:  put both on one network (a phone's hotspot will do), or let one of you forward a UDP port\n          \
            and wait with --direct --bind 0.0.0.0:PORT, and the other call with --direct ADDRESS:PORT",
        )
    }

    fn likely_reason(&self, who: &Who) -> String {
        let Some((private, public)) = self.ours else {
            return "the tracker has not answered any more".to_owned();
        };
        let family = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let (ours, theirs) = (family(public.ip()), family(self.public.ip()));
        match (is_local(public.ip()), is_local(self.public.ip())) {
            _ if ours != theirs => {
                format!("you are on {ours} and {who} is on {theirs}: let both reach the tracker by the same one")
            }
            (true, false) => "the tracker is behind the same router as you, so nobody outside can be told your \
                              public address: run it on a public host"
                .to_owned(),
            (false, true) => format!(
                "the tracker is behind the same router as {who}, so it cannot tell you {who}'s public address: \
                 run it on a public host"
            ),
            (true, true) => "a firewall, or a Wi-Fi that keeps its clients apart".to_owned(),
            _ if public.ip() == self.public.ip() => {
                "you are behind the same router, which does not let you reach each other by its public address"
                    .to_owned()
            }
            _ if public.port() != private.port() => format!(
                "your router gives every destination another port (a symmetric NAT), and {who}'s router or \
                 firewall lets in only what it expects"
            ),
            _ => format!(
                "{who}'s router gives every destination another port (a symmetric NAT) and yours lets in only \
                 what it expects, or a firewall drops UDP"
            ),
        }
    }
}
