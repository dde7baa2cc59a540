//! The one doorway for datagrams: a UDP socket that can be harmed, watched and replaced.
//!
//! ```text
//! send     --> Harm --> UdpSocket          what leaves, and what has arrived, is shown to the Trace
//! receive  <----------- UdpSocket
//! ```

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant, SystemTime};

use super::harm::{Harm, LATE};
use super::terminal::{Terminal, lock};
use super::trace::Trace;
use crate::protocol::wire::field::canonical;
use crate::protocol::{MAX_DATAGRAM, Reasons, Transmit};

/// No receive sleeps longer than so: std cannot wake it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// A receive that takes so much longer than it was to was stopped, by Ctrl-Z.
const STOPPED: Duration = Duration::from_millis(500);

/// A UDP socket. All its methods take `&self`: any thread may send, one receives.
pub struct Socket {
    current: RwLock<Arc<UdpSocket>>,
    is_ipv6: bool,
    read_timeout: Mutex<Duration>,
    /// Whether datagrams are harmed or shown.
    is_watched: AtomicBool,
    /// Locked while they leave, so that their answers are shown after them.
    watch: Mutex<Watch>,
    terminal: Arc<Terminal>,
    /// What has gone wrong in sending: the person was told.
    failures: Mutex<std::collections::HashSet<ErrorKind>>,
}

/// What becomes of datagrams on purpose, and who looks at them.
pub struct Watch {
    pub harm: Harm,
    pub trace: Option<Trace>,
}

/// Where a datagram came from, and how many bytes of the buffer it takes.
pub type Arrival = (SocketAddr, usize);

/// Room for the longest datagram, and a byte more: a longer one shows by filling it.
pub type Buffer = [u8; MAX_DATAGRAM + 1];

impl Socket {
    /// Binds to the first of these addresses that is free.
    pub fn bind(to: &[SocketAddr], terminal: Arc<Terminal>, watch: Watch) -> io::Result<Self> {
        let Watch { harm, trace } = &watch;
        let socket = open(to)?;
        Ok(Self {
            is_ipv6: socket.local_addr()?.is_ipv6(),
            current: RwLock::new(Arc::new(socket)),
            read_timeout: Mutex::default(),
            is_watched: (trace.is_some() || harm.is_any()).into(),
            watch: Mutex::new(watch),
            terminal,
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
        lock(&self.watch).harm.held_back = None;
        Ok(())
    }

    /// From now on so many percent are lost, sent twice, and reordered.
    pub fn set_harm(&self, loss: u8, duplicate: u8, reorder: u8) {
        let harm = &mut lock(&self.watch).harm;
        (harm.loss, harm.duplicate, harm.reorder) = (loss, duplicate, reorder);
        self.is_watched.store(true, Relaxed);
        self.wake(); // it may sleep too long for what is held back
    }

    fn watched(&self) -> Option<MutexGuard<'_, Watch>> {
        self.is_watched.load(Relaxed).then(|| lock(&self.watch))
    }

    /// Sends a datagram, or harms it. A failed send is a lost datagram.
    pub fn send(&self, transmit: Transmit) {
        let Some(mut watch) = self.watched() else { return self.send_now(&transmit, &mut None) };
        let Watch { harm, trace } = &mut *watch;
        match harm.pass(transmit) {
            Ok(leaving) => leaving.iter().for_each(|transmit| self.send_now(transmit, trace)),
            Err(lost) => self.show(trace, SystemTime::now(), "-x", &lost, ""),
        }
    }

    /// Shows what has arrived, and what became of it.
    pub fn show_arrival(&self, source: SocketAddr, datagram: &[u8], reasons: &Reasons) {
        if let Some(mut watch) = self.watched() {
            let (datagram, reasons) = (datagram.to_vec(), reasons.clone());
            let arrived = Transmit { destination: source, datagram, reasons };
            self.show(&mut watch.trace, SystemTime::now(), "<-", &arrived, "");
        }
    }

    /// Waits for a datagram, until `deadline` at the latest.
    pub fn receive(&self, buffer: &mut Buffer, deadline: Option<Instant>) -> io::Result<Option<Arrival>> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let holds_back = self.watched().is_some_and(|watch| watch.harm.holds_back());
        let timeout = left.unwrap_or(LONGEST_SLEEP).min(if holds_back { LATE } else { LONGEST_SLEEP });
        if timeout.is_zero() {
            return Ok(None);
        }
        let socket = self.current();
        self.set_read_timeout(&socket, timeout)?;
        let began = Instant::now();
        let received = socket.recv_from(buffer);
        self.release(LATE);
        let (length, source) = match received {
            Err(error) if is_passing(&error) => {
                // As a rule the system tells that we were stopped; not where the time was over just then.
                if error.kind() == ErrorKind::Interrupted || began.elapsed() > timeout + STOPPED {
                    self.terminal.prompt_again();
                }
                return Ok(None);
            }
            received => received?,
        };
        if length == 0 && Some(source) == bell(&socket) {
            return Ok(None);
        }
        Ok(Some((canonical(source), length)))
    }

    /// Lets out what has been held back for so long.
    pub fn release(&self, waited: Duration) {
        if let Some(mut watch) = self.watched() {
            let Watch { harm, trace } = &mut *watch;
            let late = harm.held_back.take_if(|(since, _)| since.elapsed() >= waited);
            late.iter().for_each(|(_, late)| self.send_now(late, trace));
        }
    }

    /// Wakes whoever waits in `receive`: std knows no other way.
    pub fn wake(&self) {
        let socket = self.current();
        _ = bell(&socket).map(|bell| socket.send_to(&[], bell));
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

    fn send_now(&self, transmit: &Transmit, trace: &mut Option<Trace>) {
        let destination = transmit.destination;
        let address = match destination {
            SocketAddr::V4(v4) if self.is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            address => address,
        };
        let time = SystemTime::now(); // before it can arrive
        match self.current().send_to(&transmit.datagram, address) {
            Ok(_) => self.show(trace, time, "->", transmit, ""),
            Err(error) => {
                self.show(trace, time, "-!", transmit, &error.to_string());
                if lock(&self.failures).insert(error.kind()) {
                    self.terminal.news(&format!(
                        "cannot send to {destination}: {error} (is this machine on a network, and may this program use it?)"
                    ));
                }
            }
        }
    }

    fn show(
        &self,
        trace: &mut Option<Trace>,
        time: SystemTime,
        arrow: &str,
        passing: &Transmit,
        error: &str,
    ) {
        let lines = trace.iter_mut().flat_map(|trace| trace.lines(time, arrow, passing, error));
        lines.for_each(|(line, colours)| self.terminal.coloured_news(&line, &colours));
    }
}

fn open(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addresses)?;
    _ = socket.set_broadcast(true); // if not, calls to a LAN fail to be sent
    Ok(socket)
}

/// The address at which a socket reaches itself.
fn bell(socket: &UdpSocket) -> Option<SocketAddr> {
    let mut own = socket.local_addr().ok()?;
    match own.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => own.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => own.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(own)
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

/// Resolves `HOST:PORT` to the first address of the wanted family, or simply the first.
///
/// # Errors
/// A sentence for the person.
pub fn resolve(address: &str, wants_ipv6: bool) -> Result<SocketAddr, String> {
    let found = address.to_socket_addrs().map_err(|error| {
        format!("cannot resolve {address}: {error} (is the name right, and this machine on a network?)")
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
}
