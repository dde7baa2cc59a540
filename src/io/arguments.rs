//! What can be said on the two command lines, and what it comes to.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;

use super::harm::{Dice, Harm};
use super::socket::{Socket, Watch, resolve};
use super::terminal::Terminal;
use super::trace::{Style, Trace};
use crate::protocol::Name;
use crate::protocol::meet::calls::PORTS;
use crate::protocol::meet::room::MAX_ROOM;
use crate::protocol::peer::Meeting;

/// Waits for two peers, and tells each where the other is. Then they need it no more.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: for classes of eight who come and go all day,
  tracker --forever --peers 8"
)]
pub struct TrackerArguments {
    /// Where to listen; `[::]:55555` serves IPv6 and, but on Windows, IPv4
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:55555", value_parser = listen_address)]
    pub listen: SocketAddr,

    /// How many peers make a room complete, at most 64; the next one opens another room
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=i64::from(MAX_ROOM)))]
    pub peers: u8,

    /// Stay when the first room is complete, and introduce others
    #[arg(long)]
    pub forever: bool,

    /// Show every message on stderr, and why it is sent or ignored: -> sent, <- received, -! not sent, <? not
    /// understood
    #[arg(long, value_name = "STYLE", num_args = 0..=1, require_equals = true, default_missing_value = "story")]
    pub trace: Option<Style>,
}

impl TrackerArguments {
    /// # Errors
    /// A sentence for the person: which address cannot be listened on, and why.
    pub fn open_socket(&self, terminal: &Arc<Terminal>) -> Result<Socket, String> {
        let listen = self.listen;
        let trace = self.trace.map(|style| Trace::new(style, "tracker", SystemTime::now()));
        Socket::bind(&[listen], terminal.clone(), Watch { harm: Harm::default(), trace }).map_err(|error| {
            format!("cannot listen on {listen}: {}", explain(&error, "is another tracker running?"))
        })
    }
}

/// Meets another peer through a tracker, then talks straight to it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  peer                                    meet through the tracker on this machine
  peer --tracker 192.0.2.10:55555         meet through a tracker elsewhere
  peer --lan --name alice                 meet everyone on this network, without a tracker
  peer --direct                           wait to be called
  peer --direct 192.168.1.7:50001         call a peer that waits
  peer --trace 2> alice.log               see why, in a file, and only the chat on the screen
Leave with /quit, or with Ctrl-D (on Windows, Ctrl-Z and Enter): a goodbye. Ctrl-C and a closed
window are a crash: the others learn of it after 20 s."
)]
pub struct PeerArguments {
    /// The tracker to meet at
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:55555", value_parser = |text: &str| host_and_port(text, TRACKER))]
    pub tracker: String,

    /// Meet everyone on this network and this machine, without a tracker
    #[arg(long, conflicts_with_all = ["tracker", "direct"])]
    pub lan: bool,

    /// Meet without a tracker: wait to be called, and call these endpoints
    #[arg(long, value_name = "ENDPOINT", num_args = 0.., conflicts_with = "tracker", value_parser = |text: &str| host_and_port(text, PEER))]
    pub direct: Option<Vec<String>>,

    /// The address to send from, with a port or without [default: the first free port of 50001 to 50010, on
    /// every address]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<Bind>,

    /// What the others call you: 1 to 32 bytes, no spaces
    #[arg(long, default_value = "peer")]
    pub name: Name,

    /// Only peers of one room meet
    #[arg(long, default_value = "lobby")]
    pub room: Name,

    /// Show every message on stderr, and why it is sent or ignored: -> sent, <- received, -x lost on purpose,
    /// -! not sent, <? not understood
    #[arg(long, value_name = "STYLE", num_args = 0..=1, require_equals = true, default_missing_value = "story")]
    pub trace: Option<Style>,

    #[command(flatten)]
    pub harm: Harm,

    /// Make the same choices of what to lose, send twice or reorder [default: others each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl PeerArguments {
    /// How to meet, with all names resolved.
    ///
    /// # Errors
    /// A sentence for the person: a name that has no address, or none of use.
    pub fn meeting(&self) -> Result<Meeting, String> {
        let bound_to_ipv6 = self.bind.as_ref().map(|bind| bind.0[0].is_ipv6());
        let find = |address: &String| match resolve(address, bound_to_ipv6 == Some(true))? {
            SocketAddr::V6(_) if bound_to_ipv6 == Some(false) => {
                Err(format!("{address} has an IPv6 address only, and --bind an IPv4 one: use --bind [::]:0"))
            }
            endpoint => Ok(endpoint),
        };
        match &self.direct {
            _ if self.lan => Ok(Meeting::Lan),
            Some(endpoints) => Ok(Meeting::Direct(endpoints.iter().map(find).collect::<Result<_, _>>()?)),
            None => Ok(Meeting::Tracker(find(&self.tracker)?)),
        }
    }

    /// A socket that can send to those whom we are to meet.
    ///
    /// # Errors
    /// A sentence for the person: which address cannot be bound to, and why.
    pub fn open_socket(&self, meeting: &Meeting, terminal: &Arc<Terminal>) -> Result<Socket, String> {
        let is_towards_ipv6 = match meeting {
            Meeting::Tracker(tracker) => tracker.is_ipv6(),
            Meeting::Direct(endpoints) => endpoints.iter().any(SocketAddr::is_ipv6),
            Meeting::Lan => false,
        };
        let any = if is_towards_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let Bind(addresses) = self.bind.clone().unwrap_or_else(|| Bind::any_port(any));
        let dice = Dice(self.seed.unwrap_or_else(|| RandomState::new().hash_one("dice")));
        let harm = Harm { dice, ..self.harm.clone() };
        let trace = self.trace.map(|style| Trace::new(style, self.name.as_str(), SystemTime::now()));
        Socket::bind(&addresses, terminal.clone(), Watch { harm, trace }).map_err(|error| {
            let reason = explain(&error, "without --bind, a free port is found");
            format!("cannot bind to {}: {reason}", addresses[0])
        })
    }
}

/// Where to send from: the first free one of these.
#[derive(Debug, Clone)]
pub struct Bind(Vec<SocketAddr>);

impl Bind {
    /// std cannot share a port: peers on one machine take one each of the range, or any other.
    fn any_port(ip: IpAddr) -> Self {
        Self(PORTS.chain([0]).map(|port| (ip, port).into()).collect())
    }
}

impl FromStr for Bind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_port = text.parse().map(|endpoint| Self(vec![endpoint]));
        let bind = with_port.or_else(|_| text.parse().map(Self::any_port));
        bind.map_err(|_| "write ADDRESS:PORT or ADDRESS, for example 0.0.0.0:50009")
    }
}

/// Examples of where a tracker may be, and a peer.
const TRACKER: &str = "192.0.2.10:55555";
pub const PEER: &str = "192.168.1.7:50001";

/// Checks that an address is of the form `HOST:PORT`.
///
/// # Errors
/// The form, for the person.
pub fn host_and_port(text: &str, example: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("write HOST:PORT, for example {example}")),
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write ADDRESS:PORT, for example 0.0.0.0:55555")
}

/// Why a socket cannot be opened, and what to do.
fn explain(error: &io::Error, if_in_use: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!("{error} ({if_in_use})"),
        ErrorKind::AddrNotAvailable => format!("{error} (0.0.0.0 is every address of this machine)"),
        _ => error.to_string(),
    }
}

/// What `main` makes of what has happened: the exit status, and a word about an error.
pub fn report(result: Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}
