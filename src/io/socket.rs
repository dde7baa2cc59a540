//! The one doorway for datagrams: a UDP socket that can be watched, harmed and replaced.
//!
//! ```text
//!   0.000 -> 127.0.0.1:55555  REGISTER - 5f0c7a1be2d94863 lobby peer 192.168.1.5:50001
//!   0.001 <- 127.0.0.1:55555  COOKIE 9b1e0c44d2f7a358
//!   1.204 -x 127.0.0.1:50002  SAY c2d0... 5f0c... 1 this one was lost on purpose
//!   1.377 <? 127.0.0.1:40000  what is this?  (unknown verb)
//! ```

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::harm::Harm;
use super::terminal::Terminal;
use crate::protocol::output::Transmit;
use crate::protocol::wire::field::canonical;
use crate::protocol::wire::message::{MAX_DATAGRAM, read_datagram};

/// A UDP socket. All its methods take `&self`: any thread may send.
pub struct Socket {
    current: RwLock<Arc<UdpSocket>>,
    is_ipv6: bool,
    started: Instant,
    trace: Option<Arc<Terminal>>,
    harm: Mutex<Harm>,
}

/// Room for the longest datagram, and a byte more: a longer one shows by filling it.
pub type Buffer = [u8; MAX_DATAGRAM + 1];

impl Socket {
    /// Binds to the first of `addresses` that is free.
    pub fn bind(addresses: &[SocketAddr], trace: Option<Arc<Terminal>>, harm: Harm) -> io::Result<Self> {
        let socket = UdpSocket::bind(addresses)?;
        _ = socket.set_broadcast(true); // if not, calls to a LAN fail to be sent: lost datagrams
        Ok(Self {
            is_ipv6: socket.local_addr()?.is_ipv6(),
            current: RwLock::new(Arc::new(socket)),
            started: Instant::now(),
            trace,
            harm: Mutex::new(harm),
        })
    }

    /// The address that this socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.current().local_addr()
    }

    /// The address by which others on the same network can reach this socket.
    pub fn private_endpoint(&self) -> io::Result<SocketAddr> {
        let bound = self.local_addr()?;
        let ip = if bound.ip().is_unspecified() { own_address(bound.ip()) } else { bound.ip() };
        Ok(canonical(SocketAddr::new(ip, bound.port())))
    }

    /// Replaces the socket by a fresh one of the same local address, on any free port.
    pub fn replace(&self) -> io::Result<()> {
        let fresh = UdpSocket::bind((self.local_addr()?.ip(), 0))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.harm().held_back = None;
        Ok(())
    }

    /// Sends a datagram, or harms it. A failed send is a lost datagram.
    pub fn send(&self, transmit: Transmit) {
        let leaving = self.harm().pass(transmit);
        match leaving {
            Ok(leaving) => leaving.iter().for_each(|transmit| self.send_now(transmit)),
            Err(lost) => self.show("-x", lost.destination, &lost.datagram),
        }
    }

    /// Waits for a datagram, until `deadline` at the latest where there is one: where it came from,
    /// and how many bytes of the buffer it takes.
    pub fn receive(
        &self,
        buffer: &mut Buffer,
        deadline: Option<Instant>,
    ) -> io::Result<Option<(SocketAddr, usize)>> {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Ok(None);
        }
        let socket = self.current();
        socket.set_read_timeout(timeout)?;
        match socket.recv_from(buffer) {
            Ok((length, source)) => {
                let source = canonical(source);
                self.show("<-", source, &buffer[..length]);
                Ok(Some((source, length)))
            }
            Err(error) if is_passing(&error) => {
                let late = self.harm().held_back.take();
                late.iter().for_each(|transmit| self.send_now(transmit));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn current(&self) -> Arc<UdpSocket> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn harm(&self) -> MutexGuard<'_, Harm> {
        self.harm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_now(&self, transmit: &Transmit) {
        self.show("->", transmit.destination, &transmit.datagram);
        let destination = match transmit.destination {
            SocketAddr::V4(v4) if self.is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            destination => destination,
        };
        _ = self.current().send_to(&transmit.datagram, destination);
    }

    fn show(&self, arrow: &str, address: SocketAddr, datagram: &[u8]) {
        if let Some(terminal) = &self.trace {
            terminal.news(&trace_lines(self.started.elapsed(), arrow, address, datagram));
        }
    }
}

/// Whether a failed receive says nothing about the next one: the time was over, or Windows reports
/// that an earlier datagram found a closed port, or that one was longer than the buffer.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionReset, Interrupted, TimedOut, WouldBlock};
    const WSAEMSGSIZE: i32 = 10040;
    [WouldBlock, TimedOut, Interrupted, ConnectionReset].contains(&error.kind())
        || (cfg!(windows) && error.raw_os_error() == Some(WSAEMSGSIZE))
}

/// A line for each message; the first with time and address, the others indented under it.
fn trace_lines(time: Duration, mut arrow: &str, address: SocketAddr, datagram: &[u8]) -> String {
    let (mut head, mut address) = (format!("{:7.3}", time.as_secs_f64()), address.to_string());
    let mut lines = Vec::new();
    for (line, message) in read_datagram(datagram) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        lines.push(match message {
            Ok(_) => format!("{head} {arrow} {address}  {text}"),
            Err(error) => format!("{head} <? {address}  {text}  ({error})"),
        });
        (head, arrow, address) = (" ".repeat(7), "  ", " ".repeat(address.len()));
    }
    lines.join("\n")
}

/// Resolves `HOST:PORT` to the first address of the wanted family, or simply the first.
///
/// # Errors
/// A sentence for the person.
pub fn resolve(address: &str, wants_ipv6: bool) -> Result<SocketAddr, String> {
    let found = address.to_socket_addrs().map_err(|error| {
        format!("cannot resolve {address}: {error} (write HOST:PORT, for example 127.0.0.1:55555)")
    })?;
    let found: Vec<SocketAddr> = found.map(canonical).collect();
    let fitting = found.iter().find(|endpoint| endpoint.is_ipv6() == wants_ipv6);
    let endpoint =
        *fitting.or(found.first()).ok_or(format!("cannot resolve {address}: it has no address"))?;
    if endpoint.port() == 0 {
        Err(format!("{address}: port 0 cannot be reached; name the port"))
    } else if endpoint.ip().is_unspecified() {
        Err(format!("{address} is an address to listen on, not to send to; on this machine, use 127.0.0.1"))
    } else {
        Ok(endpoint)
    }
}

/// This machine's address on its network: the system is asked which one it would send from. Nothing
/// is sent; the destinations are reserved for documentation (RFC 5737, RFC 3849).
fn own_address(unspecified: IpAddr) -> IpAddr {
    let towards = |remote: IpAddr| {
        let local: IpAddr =
            if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect((remote, 9)).ok()?;
        socket.local_addr().ok().map(|own| own.ip())
    };
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
    let found = Some(v6).filter(|_| unspecified.is_ipv6()).and_then(towards);
    found.or_else(|| towards(Ipv4Addr::new(192, 0, 2, 1).into())).unwrap_or(Ipv4Addr::LOCALHOST.into())
}
