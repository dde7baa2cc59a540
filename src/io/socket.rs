//! The one doorway for datagrams: a UDP socket that can be watched, harmed and replaced.
//!
//! ```text
//!   0.000 -> 127.0.0.1:55555  REGISTER - 5f0c7a1be2d94863 lobby peer 192.168.1.5:50001
//!   0.001 <- 127.0.0.1:55555  COOKIE 9b1e0c44d2f7a358
//!   1.204 -x 127.0.0.1:50002  SAY c2d0... 5f0c... 1 this one was lost on purpose
//!   1.310 -! 192.0.2.7:50001  PING c2d0... 5f0c... alice  (Network is unreachable)
//!   1.377 <? 127.0.0.1:40000  what is this?  (unknown verb)
//! ```

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use super::harm::{Harm, LATE};
use super::terminal::Terminal;
use crate::protocol::wire::field::canonical;
use crate::protocol::{MAX_DATAGRAM, Transmit, read_datagram};

/// No receive sleeps longer than so: std cannot wake it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// A UDP socket. All its methods take `&self`: any thread may send, one receives.
pub struct Socket {
    current: RwLock<Arc<UdpSocket>>,
    is_ipv6: bool,
    read_timeout: Mutex<Duration>,
    longest_sleep: Duration,
    /// Where datagrams are harmed or shown: locked while they leave, so that their answers are shown after
    /// them.
    harm: Option<Mutex<Harm>>,
    terminal: Arc<Terminal>,
    /// Since when there is one.
    trace: Option<Instant>,
    /// What has gone wrong in sending: the person was told.
    failures: Mutex<std::collections::HashSet<ErrorKind>>,
}

/// Where a datagram came from, and how many bytes of the buffer it takes.
pub type Arrival = (SocketAddr, usize);

/// Room for the longest datagram, and a byte more: a longer one shows by filling it.
pub type Buffer = [u8; MAX_DATAGRAM + 1];

impl Socket {
    /// Binds to the first of these addresses that is free.
    pub fn bind(to: &[SocketAddr], terminal: Arc<Terminal>, is_traced: bool, harm: Harm) -> io::Result<Self> {
        let socket = open(to)?;
        Ok(Self {
            is_ipv6: socket.local_addr()?.is_ipv6(),
            current: RwLock::new(Arc::new(socket)),
            read_timeout: Mutex::default(),
            longest_sleep: if harm.reorder > 0 { LATE } else { LONGEST_SLEEP },
            harm: (is_traced || harm.loss | harm.duplicate | harm.reorder > 0).then(|| Mutex::new(harm)),
            terminal,
            trace: is_traced.then(Instant::now),
            failures: Mutex::default(),
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
        let fresh = open(&[(self.local_addr()?.ip(), 0).into()])?;
        *self.current.write().expect("a panic ends the program") = Arc::new(fresh);
        *lock(&self.read_timeout) = Duration::ZERO;
        self.harm.iter().for_each(|harm| lock(harm).held_back = None);
        Ok(())
    }

    /// Sends a datagram, or harms it. A failed send is a lost datagram.
    pub fn send(&self, transmit: Transmit) {
        let Some(harm) = &self.harm else { return self.send_now(&transmit) };
        let mut harm = lock(harm);
        match harm.pass(transmit) {
            Ok(leaving) => leaving.iter().for_each(|transmit| self.send_now(transmit)),
            Err(Transmit { destination, datagram }) => self.show("-x", destination, &datagram, ""),
        }
    }

    /// Waits for a datagram, until `deadline` at the latest.
    pub fn receive(&self, buffer: &mut Buffer, deadline: Option<Instant>) -> io::Result<Option<Arrival>> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.unwrap_or(LONGEST_SLEEP).min(self.longest_sleep);
        if timeout.is_zero() {
            return Ok(None);
        }
        let socket = self.current();
        self.set_read_timeout(&socket, timeout)?;
        let received = socket.recv_from(buffer);
        let mut harm = self.harm.as_ref().map(lock);
        let is_late = |(since, _): &mut (Instant, Transmit)| since.elapsed() >= LATE;
        let late = harm.as_mut().and_then(|harm| harm.held_back.take_if(is_late));
        late.iter().for_each(|(_, late)| self.send_now(late));
        let (length, source) = match received {
            Err(error) if is_passing(&error) => return Ok(None),
            received => received?,
        };
        self.show("<-", canonical(source), &buffer[..length], "");
        Ok(Some((canonical(source), length)))
    }

    /// Rounded down to eight milliseconds, which is as exact as many kernels are, so that it seldom has to be
    /// set; to wake early is harmless.
    fn set_read_timeout(&self, socket: &UdpSocket, timeout: Duration) -> io::Result<()> {
        let rounded = Duration::from_millis((timeout.as_millis() as u64 & !7).max(1));
        let mut current = lock(&self.read_timeout);
        if *current != rounded {
            socket.set_read_timeout(Some(rounded))?;
            *current = rounded;
        }
        Ok(())
    }

    fn current(&self) -> Arc<UdpSocket> {
        self.current.read().expect("a panic ends the program").clone()
    }

    fn send_now(&self, Transmit { destination, datagram }: &Transmit) {
        let address = match *destination {
            SocketAddr::V4(v4) if self.is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            address => address,
        };
        match self.current().send_to(datagram, address) {
            Ok(_) => self.show("->", *destination, datagram, ""),
            Err(error) => {
                self.show("-!", *destination, datagram, &format!("  ({error})"));
                if lock(&self.failures).insert(error.kind()) {
                    self.terminal.news(&format!(
                        "cannot send to {destination}: {error} (is this machine on a network, and may this program use it?)"
                    ));
                }
            }
        }
    }

    fn show(&self, arrow: &str, address: SocketAddr, datagram: &[u8], why: &str) {
        if let Some(started) = self.trace {
            self.terminal.news(&trace_lines(started.elapsed(), arrow, address, datagram, why));
        }
    }
}

fn open(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addresses)?;
    _ = socket.set_broadcast(true); // if not, calls to a LAN fail to be sent
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a panic ends the program")
}

/// Whether a failed receive says nothing about the next one: the time was over, or, on Windows, a datagram
/// that was sent earlier found nobody, or one was longer than the buffer.
fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    const WSAEMSGSIZE: i32 = 10040;
    const WSAENETRESET: i32 = 10052;
    match error.kind() {
        Interrupted | TimedOut | WouldBlock => true,
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable => true,
        _ => matches!(error.raw_os_error(), Some(WSAEMSGSIZE | WSAENETRESET)),
    }
}

/// A line for each message; the first with time and address, the others indented under it.
fn trace_lines(time: Duration, mut arrow: &str, address: SocketAddr, datagram: &[u8], why: &str) -> String {
    let (mut head, mut address) = (format!("{:7.3}", time.as_secs_f64()), address.to_string());
    let mut lines = Vec::new();
    for (line, message) in read_datagram(datagram) {
        let text =
            String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).replace('\n', "\u{fffd}");
        lines.push(match message {
            Ok(_) => format!("{head} {arrow} {address}  {text}{why}"),
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
    match fitting.or(found.first()) {
        Some(endpoint) if !endpoint.ip().is_unspecified() => Ok(*endpoint),
        Some(_) => {
            Err(format!("{address} is an address to listen on; to send to this machine, use 127.0.0.1"))
        }
        None => Err(format!("cannot resolve {address}: it has no address")),
    }
}

/// This machine's address on its network: the system is asked which one it would send from. Nothing is sent;
/// the destinations are reserved for documentation (RFC 5737, RFC 3849).
fn own_address(unspecified: IpAddr) -> IpAddr {
    let towards = |local: IpAddr, remote: IpAddr| {
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect((remote, 9)).ok()?;
        socket.local_addr().ok().map(|own| own.ip())
    };
    let v4 = || towards(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 = || towards(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    let found = if unspecified.is_ipv6() { v6().or_else(v4) } else { v4() };
    found.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_windows_reports_of_earlier_datagrams_does_not_end_a_receive() {
        for kind in [ErrorKind::WouldBlock, ErrorKind::ConnectionReset, ErrorKind::HostUnreachable] {
            assert!(is_passing(&kind.into()), "{kind:?}");
        }
        assert!(
            is_passing(&io::Error::from_raw_os_error(10052))
                && is_passing(&io::Error::from_raw_os_error(10040))
        );
        assert!(!is_passing(&ErrorKind::PermissionDenied.into()));
    }

    #[test]
    fn further_messages_of_a_datagram_are_indented_under_the_first() {
        let at = SocketAddr::from(([192, 0, 2, 1], 50001));
        let lines =
            trace_lines(Duration::from_millis(1204), "->", at, b"COOKIE one\nnonsense\nCOOKIE two\n", "");
        let expected = [
            "  1.204 -> 192.0.2.1:50001  COOKIE one",
            "        <?                  nonsense  (unknown verb)",
            "                            COOKIE two",
        ];
        assert_eq!(lines.lines().map(str::trim_end).collect::<Vec<_>>(), expected);
    }
}
