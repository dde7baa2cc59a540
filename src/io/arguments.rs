//! What can be said on the command line of a peer, and what it comes to.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use clap::Parser;

use super::harm::{Dice, Harm};
use super::socket::{Socket, resolve};
use super::terminal::Terminal;
use crate::protocol::meet::calls::PORTS;
use crate::protocol::peer::Meeting;
use crate::protocol::wire::field::Name;

/// Meets another peer through a tracker, then talks straight to it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  peer                                    meet through the tracker on this machine
  peer --tracker 192.0.2.10:55555         meet through a tracker elsewhere
  peer --lan --name alice                 meet everyone on this network, without a tracker
  peer --direct                           wait to be called
  peer --direct 192.168.1.7:50001         call a peer that waits"
)]
pub struct Arguments {
    /// The tracker to meet at
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:55555", value_parser = host_and_port)]
    pub tracker: String,

    /// Meet everyone on this network and this machine, without a tracker
    #[arg(long, conflicts_with_all = ["tracker", "direct"])]
    pub lan: bool,

    /// Meet without a tracker: wait to be called, and call these endpoints
    #[arg(long, value_name = "ENDPOINT", num_args = 0.., conflicts_with = "tracker", value_parser = host_and_port)]
    pub direct: Option<Vec<String>>,

    /// The address to send from [default: the first free port of 50001 to 50010, on every address]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<SocketAddr>,

    /// What the others call you: 1 to 32 bytes, no spaces
    #[arg(long, default_value = "peer")]
    pub name: Name,

    /// Only peers of one room meet
    #[arg(long, default_value = "lobby")]
    pub room: Name,

    /// Show every message on stderr: -> sent, <- received, -x lost on purpose, <? not understood
    #[arg(long)]
    pub trace: bool,

    /// Lose so many percent of the datagrams that are sent, to see what happens
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub loss: u8,

    /// Send so many percent of them twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub duplicate: u8,

    /// Let so many percent of them leave after the next one
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub reorder: u8,

    /// Make the same choices of what to lose, send twice or reorder [default: others each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Arguments {
    /// How to meet, with all names resolved.
    ///
    /// # Errors
    /// A sentence for the person: a name that has no address, or none of use.
    pub fn meeting(&self) -> Result<Meeting, String> {
        let is_ipv6 = self.bind.is_some_and(|bind| bind.is_ipv6());
        let find = |address: &String| match resolve(address, is_ipv6)? {
            SocketAddr::V6(_) if self.bind.is_some() && !is_ipv6 => {
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
        let everywhere: IpAddr =
            if is_towards_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        // std cannot share a port: peers on one machine take one each of the range, or any other.
        let free = PORTS.chain([0]).map(|port| (everywhere, port).into());
        let addresses = self.bind.map_or_else(|| free.collect(), |bind| vec![bind]);
        let Self { loss, duplicate, reorder, .. } = *self;
        let dice = Dice(self.seed.unwrap_or_else(|| RandomState::new().hash_one("dice")));
        let harm = Harm { loss, duplicate, reorder, dice, held_back: None };
        Socket::bind(&addresses, self.trace.then(|| terminal.clone()), harm).map_err(|error| {
            format!("cannot bind to {}: {error} (without --bind, a free port is found)", addresses[0])
        })
    }
}

/// Checks that an address is of the form `HOST:PORT`.
///
/// # Errors
/// The form, for the person.
pub fn host_and_port(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, for example 192.0.2.10:55555".to_owned()),
    }
}
