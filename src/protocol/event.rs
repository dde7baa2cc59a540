//! What happens, and in which words a person is told of it.

use std::fmt::{self, Formatter};
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
    // At another address than the one that was told, perhaps.
    Reached { who: Who, first: bool, elsewhere: Option<SocketAddr> },
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
    // All others of a complete room are over.
    NobodyElse,
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
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(endpoint, name) => write!(f, "Connection from: {endpoint} ({name})"),
            Self::Complete(size) => write!(f, "Got {size} peers, sending details to each one."),
            Self::Finished | Self::FreshSocket => Ok(()),
            Self::CheckedIn { alone: true } => f.write_str(CHECKED_IN),
            Self::CheckedIn { alone: false } => f.write_str("Checked in with tracker server again"),
            Self::TrackerSilent { tracker, alone } => tracker_silent(*tracker, *alone, f),
            Self::Full(reason) => write!(f, "no place at the tracker, still trying: {reason}"),
            Self::NobodyAnswers(endpoint) => write!(f, "nobody answers at {endpoint} yet, {IS_THERE_A_PEER}"),
            Self::Introduced(who, endpoint) => introduced(who, *endpoint, f),
            Self::NextAttempt { who, attempt, of } => {
                write!(f, "no answer from {who} yet, trying again ({attempt} of {of})")
            }
            Self::Reached { who, first, elsewhere } => reached(who, *first, *elsewhere, f),
            Self::Unreachable(who, failure) => failure.explain(who, f),
            Self::Line(who, line) => write!(f, "{who}: {line}"),
            Self::Slow(who) => write!(f, "{who} has not acknowledged a line for 2 s, still trying"),
            Self::NoLongerSlow(who) => write!(f, "{who} has acknowledged it now"),
            Self::Ended(who) => write!(f, "{who} has said all, and still listens"),
            Self::Left(who) => write!(f, "{who} has left"),
            Self::Unacknowledged(who, lines) => write!(f, "{} by {who}", never_acknowledged(*lines)),
            Self::Gone(who, lines) => write!(f, "{who} is gone: no answer for 20 s{}", lost(*lines)),
            Self::Broken(who, lines) => write!(f, "{who} {TOO_LONG}{}", lost(*lines)),
            Self::NobodyElse => f.write_str("nobody else can come: this program ends"),
        }
    }
}

const CHECKED_IN: &str = "Checked in with tracker server, waiting for peer...";
const IS_THERE_A_PEER: &str = "still calling: is a peer waiting there with --direct, in the same --room?";
const TOO_LONG: &str = "has sent a line over 64 KiB: link closed";

fn tracker_silent(tracker: SocketAddr, alone: bool, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "no answer from the tracker at {tracker}")?;
    f.write_str(if alone {
        ", still trying: is it running?\nStart it in another terminal with: cargo run --bin tracker"
    } else {
        ": nobody new can join until it is back"
    })
}

fn introduced(who: &Who, endpoint: SocketAddr, f: &mut Formatter<'_>) -> fmt::Result {
    let (ip, port) = (endpoint.ip(), endpoint.port());
    write!(f, "got {who}\n  ip:          {ip}\n  source port: {port}\n  connecting {ip} {port}")
}

fn reached(who: &Who, first: bool, at: Option<SocketAddr>, f: &mut Formatter<'_>) -> fmt::Result {
    if let Some(endpoint) = at {
        writeln!(f, "  reached {who} at {} {}", endpoint.ip(), endpoint.port())?;
    }
    if first { f.write_str("\nready to exchange messages") } else { write!(f, "{who} has joined") }
}

fn never_acknowledged(lines: usize) -> String {
    format!("{lines} line{} never acknowledged", if lines == 1 { " was" } else { "s were" })
}

fn lost(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("; {}", never_acknowledged(lines)) }
}

impl Failure {
    fn explain(&self, who: &Who, f: &mut Formatter<'_>) -> fmt::Result {
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
            return "the tracker has not answered any more".into();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Id;

    fn at(endpoint: &str) -> SocketAddr {
        endpoint.parse().expect("an endpoint")
    }

    fn bob() -> Who {
        Who { id: Id(0xb0), name: "bob".parse().expect("a name") }
    }

    /// Alice, who sees herself at `private` and is seen at `public`, cannot reach bob.
    fn failure(private: &str, public: &str, bob: &str) -> Failure {
        let ours = Some((at(private), at(public)));
        Failure { attempts: 3, tried: Vec::new(), public: at(bob), ours, unacknowledged: 0 }
    }

    fn likely_reason(failure: Failure) -> String {
        let told = Event::Unreachable(bob(), failure).to_string();
        let line = told.lines().find_map(|line| line.strip_prefix("  likely: "));
        line.expect("there is always a likely reason").to_owned()
    }

    #[test]
    fn an_introduction_says_who_and_where() {
        let introduced = Event::Introduced(bob(), at("[2001:db8::7]:50002"));
        let words =
            "got bob\n  ip:          2001:db8::7\n  source port: 50002\n  connecting 2001:db8::7 50002";
        assert_eq!(introduced.to_string(), words);
    }

    #[test]
    fn who_cannot_be_reached_is_told_with_what_was_tried_why_and_what_to_do() {
        let mut failure = failure("192.168.1.5:50001", "203.0.113.5:40000", "192.0.2.7:50001");
        failure.tried = vec![at("192.0.2.7:50001"), at("192.168.1.7:50001")];
        failure.unacknowledged = 2;
        let words = "\
cannot reach bob after 3 attempts; 2 lines were never acknowledged
  tried: 192.0.2.7:50001 192.168.1.7:50001
  the tracker sees bob at 192.0.2.7:50001
  the tracker sees you at 203.0.113.5:40000; on your own network you are 192.168.1.5:50001
  likely: your router gives every destination another port (a symmetric NAT), and bob's router or firewall lets in only \
what it expects
  to do:  put both on one network (a phone's hotspot will do), or let one of you forward a UDP port
          and wait with --direct --bind 0.0.0.0:PORT, and the other call with --direct ADDRESS:PORT";
        assert_eq!(Event::Unreachable(bob(), failure).to_string(), words);
    }

    #[test]
    fn without_an_address_of_ours_the_tracker_is_to_blame() {
        let failure = Failure { ours: None, ..failure("192.0.2.5:1", "192.0.2.5:1", "192.0.2.7:50001") };
        assert_eq!(likely_reason(failure), "the tracker has not answered any more");
    }

    #[test]
    fn two_families_of_addresses_never_meet() {
        let failure = failure("192.168.1.5:50001", "203.0.113.5:50001", "[2001:db8::7]:50001");
        let words = "you are on IPv4 and bob is on IPv6: let both reach the tracker by the same one";
        assert_eq!(likely_reason(failure), words);
    }

    #[test]
    fn a_tracker_behind_our_router_or_theirs_tells_addresses_that_nobody_outside_can_use() {
        let ours = failure("192.168.1.5:50001", "192.168.1.5:50001", "203.0.113.7:50001");
        let words = "the tracker is behind the same router as you, so nobody outside can be told your public \
                     address: run it on a public host";
        assert_eq!(likely_reason(ours), words);
        let theirs = failure("192.168.1.5:50001", "203.0.113.5:50001", "192.168.1.7:50001");
        let words = "the tracker is behind the same router as bob, so it cannot tell you bob's public address: \
                     run it on a public host";
        assert_eq!(likely_reason(theirs), words);
    }

    #[test]
    fn two_on_one_network_are_kept_apart_by_a_firewall_or_the_wifi() {
        let failure = failure("192.168.1.5:50001", "192.168.1.5:50001", "192.168.1.7:50001");
        assert_eq!(likely_reason(failure), "a firewall, or a Wi-Fi that keeps its clients apart");
    }

    #[test]
    fn two_with_one_public_address_are_behind_one_router() {
        let failure = failure("192.168.1.5:50001", "203.0.113.5:50001", "203.0.113.5:50002");
        let words =
            "you are behind the same router, which does not let you reach each other by its public address";
        assert_eq!(likely_reason(failure), words);
    }

    #[test]
    fn a_changed_port_shows_that_our_router_may_be_symmetric_and_else_it_is_theirs() {
        let ours = failure("192.168.1.5:50001", "203.0.113.5:40000", "192.0.2.7:50001");
        assert!(likely_reason(ours).starts_with("your router gives every destination another port"));
        let theirs = failure("192.168.1.5:50001", "203.0.113.5:50001", "192.0.2.7:50001");
        let words = "bob's router gives every destination another port (a symmetric NAT) and yours lets in only \
                     what it expects, or a firewall drops UDP";
        assert_eq!(likely_reason(theirs), words);
    }
}
