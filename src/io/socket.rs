//! The one doorway for datagrams: a UDP socket that can be watched, harmed and replaced.
//!
//! ```text
//!   0.000 -> 127.0.0.1:55555  REGISTER - 5f0c7a1be2d94863 lobby peer 192.168.1.5:50001
//!   0.001 <- 127.0.0.1:55555  COOKIE 9b1e0c44d2f7a358
//!   1.204 -x 127.0.0.1:50002  SAY c2d0... 5f0c... 1 this one was lost on purpose
//!   1.377 <? 127.0.0.1:40000  what is this?  (unknown verb)
//! ```

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::terminal::printable;
use crate::protocol::datagram::{MAX_DATAGRAM, Transmit, read_datagram};
use crate::protocol::field::canonical;

/// A datagram that is reordered leaves after the next one, but after so long at the latest.
const REORDER_DELAY: Duration = Duration::from_millis(100);

/// Where the lines of the trace go.
pub type Trace = Box<dyn Fn(&str) + Send + Sync>;

/// How a socket harms what it sends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Harm {
    /// Percent of datagrams that are lost.
    pub loss: u8,
    /// Percent of datagrams that are sent twice.
    pub duplicate: u8,
    /// Percent of datagrams that are sent after the next one.
    pub reorder: u8,
    /// The same seed makes the same choices.
    pub seed: u64,
}

/// A UDP socket. All its methods take `&self`: any thread may send.
pub struct Socket {
    current: RwLock<Arc<UdpSocket>>,
    is_ipv6: bool,
    started: Instant,
    trace: Option<Trace>,
    harm: Option<Mutex<Harmer>>,
}

struct Harmer {
    harm: Harm,
    dice: Dice,
    held_back: Option<(Instant, Transmit)>,
}

/// What a socket received.
#[derive(Debug)]
pub enum Arrival {
    /// So many bytes from this address are in the buffer.
    Datagram(SocketAddr, usize),
    /// The time is over, or another thread has called [`Socket::wake`].
    Nothing,
}

/// Room for the longest datagram, and a byte more: a longer one shows by filling it.
pub type Buffer = [u8; MAX_DATAGRAM + 1];

impl Socket {
    /// Binds to the first of `addresses` that is free.
    ///
    /// # Errors
    /// The system's, about the last of them.
    pub fn bind(addresses: &[SocketAddr], trace: Option<Trace>, harm: Harm) -> io::Result<Self> {
        let socket = UdpSocket::bind(addresses)?;
        let harmer = Harmer { harm, dice: Dice(harm.seed), held_back: None };
        let is_harmed = harm.loss > 0 || harm.duplicate > 0 || harm.reorder > 0;
        Ok(Self {
            is_ipv6: socket.local_addr()?.is_ipv6(),
            current: RwLock::new(Arc::new(socket)),
            started: Instant::now(),
            trace,
            harm: is_harmed.then(|| Mutex::new(harmer)),
        })
    }

    /// Allows calls to everyone on the network, where the system lets us.
    pub fn allow_broadcast(&self) {
        _ = self.current().set_broadcast(true); // if not, sending fails: a lost datagram
    }

    /// The address that this socket is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.current().local_addr()
    }

    /// The address by which others on the same network can reach this socket.
    pub fn private_endpoint(&self) -> SocketAddr {
        let bound = self.local_addr().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        match bound.ip() {
            ip if ip.is_unspecified() => SocketAddr::new(own_address(ip), bound.port()),
            _ => canonical(bound),
        }
    }

    /// Replaces the socket by a fresh one of the same local address, on any free port. What was
    /// held back is lost with the old one.
    ///
    /// # Errors
    /// The system's; the old socket stays.
    pub fn replace(&self) -> io::Result<()> {
        let fresh = UdpSocket::bind((self.local_addr()?.ip(), 0))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        if let Some(harm) = &self.harm {
            lock(harm).held_back = None;
        }
        Ok(())
    }

    /// Sends a datagram, or harms it. A failed send is a lost datagram.
    pub fn send(&self, transmit: Transmit) {
        let Some(harm) = &self.harm else {
            return self.send_now(&transmit);
        };
        let mut harmer = lock(harm);
        let Harm { loss, duplicate, reorder, .. } = harmer.harm;
        let [is_lost, is_doubled, is_late] =
            [loss, duplicate, reorder].map(|percent| harmer.dice.percent(percent));
        if is_lost {
            return self.show("-x", transmit.destination, &transmit.datagram);
        }
        let earlier = harmer.held_back.take();
        if is_late {
            harmer.held_back = Some((Instant::now() + REORDER_DELAY, transmit));
        } else {
            self.send_now(&transmit);
            if is_doubled {
                self.send_now(&transmit);
            }
        }
        if let Some((_, earlier)) = earlier {
            self.send_now(&earlier);
        }
    }

    /// When [`Self::send_late`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        lock(self.harm.as_ref()?).held_back.as_ref().map(|(when, _)| *when)
    }

    /// Sends what was held back for long enough.
    pub fn send_late(&self, now: Instant) {
        let Some(harm) = &self.harm else { return };
        if let Some((_, transmit)) = lock(harm).held_back.take_if(|(when, _)| *when <= now) {
            self.send_now(&transmit);
        }
    }

    /// Waits for a datagram, until `deadline` at the latest where there is one.
    ///
    /// # Errors
    /// The system's, where the socket is of no use any more.
    pub fn receive(&self, buffer: &mut Buffer, deadline: Option<Instant>) -> io::Result<Arrival> {
        let socket = self.current();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Ok(Arrival::Nothing);
        }
        socket.set_read_timeout(timeout)?;
        match socket.recv_from(buffer) {
            Ok((0, source)) if is_own(&socket, source) => Ok(Arrival::Nothing),
            Ok((length, source)) => {
                let source = canonical(source);
                self.show("<-", source, &buffer[..length]);
                Ok(Arrival::Datagram(source, length))
            }
            Err(error) if is_passing(&error) => Ok(Arrival::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Ends another thread's [`Self::receive`]: std has no other way than a datagram to ourselves,
    /// an empty one, which nobody else is told of.
    pub fn wake(&self) {
        let socket = self.current();
        if let Ok(own) = socket.local_addr() {
            let ip = match own.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            _ = socket.send_to(&[], (ip, own.port()));
        }
    }

    fn current(&self) -> Arc<UdpSocket> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send_now(&self, transmit: &Transmit) {
        self.show("->", transmit.destination, &transmit.datagram);
        let socket = self.current();
        let destination = match transmit.destination {
            SocketAddr::V4(v4) if self.is_ipv6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            destination => destination,
        };
        _ = socket.send_to(&transmit.datagram, destination);
    }

    fn show(&self, arrow: &str, address: SocketAddr, datagram: &[u8]) {
        if let Some(trace) = &self.trace {
            trace(&trace_lines(self.started.elapsed(), arrow, address, datagram));
        }
    }
}

/// Whether a failed receive says nothing about the next one: the time was over, or Windows reports
/// that an earlier datagram found a closed port, or that one was longer than the buffer.
fn is_passing(error: &io::Error) -> bool {
    const WSAEMSGSIZE: i32 = 10040;
    let passing =
        [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted, ErrorKind::ConnectionReset];
    passing.contains(&error.kind()) || (cfg!(windows) && error.raw_os_error() == Some(WSAEMSGSIZE))
}

/// A line for each message; the first with time and address, the others indented under it.
fn trace_lines(time: Duration, arrow: &str, address: SocketAddr, datagram: &[u8]) -> String {
    let mut lines = String::new();
    let address = address.to_string();
    for (index, (line, message)) in read_datagram(datagram).enumerate() {
        let arrow = if message.is_err() { "<?" } else { arrow };
        match index {
            0 => write!(lines, "{:7.3} {arrow} {address}  ", time.as_secs_f64()),
            _ if message.is_err() => write!(lines, "\n{:7} {arrow} {:2$}  ", "", "", address.len()),
            _ => write!(lines, "\n{:7}    {:2$}  ", "", "", address.len()),
        }
        .expect("a String takes everything");
        let text = String::from_utf8_lossy(line);
        lines.push_str(&printable(text.strip_suffix('\n').unwrap_or(&text)));
        if let Err(error) = message {
            write!(lines, "  ({error})").expect("a String takes everything");
        }
    }
    lines
}

/// Resolves `HOST:PORT` to the first address of the wanted family, or simply the first.
///
/// # Errors
/// A sentence for the person.
pub fn resolve(address: &str, wants_ipv6: Option<bool>) -> Result<SocketAddr, String> {
    let found: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|error| {
            format!("cannot resolve {address}: {error} (write HOST:PORT, for example 127.0.0.1:55555)")
        })?
        .map(canonical)
        .collect();
    let fits = |endpoint: &&SocketAddr| wants_ipv6.is_none_or(|ipv6| endpoint.is_ipv6() == ipv6);
    match found.iter().find(fits).or(found.first()) {
        Some(endpoint) if endpoint.port() == 0 => {
            Err(format!("{address}: port 0 cannot be reached; name the port"))
        }
        Some(endpoint) if endpoint.ip().is_unspecified() => Err(format!(
            "{address} is an address to listen on, not to send to; on this machine, use 127.0.0.1"
        )),
        Some(endpoint) => Ok(*endpoint),
        None => Err(format!("cannot resolve {address}: it has no address")),
    }
}

/// This machine's address on its network: the system is asked which one it would send from. Nothing
/// is sent; the destination is one of those reserved for documentation (RFC 5737, RFC 3849).
fn own_address(unspecified: IpAddr) -> IpAddr {
    let towards = |local: IpAddr, remote: IpAddr| {
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect((remote, 9)).ok()?;
        socket.local_addr().ok().map(|own| own.ip())
    };
    let v4 = || towards(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    match unspecified {
        IpAddr::V4(_) => v4().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => {
            towards(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
                .or_else(v4)
                .unwrap_or(Ipv6Addr::LOCALHOST.into())
        }
    }
}

/// Whether a datagram comes from this very socket: then it is [`Socket::wake`].
fn is_own(socket: &UdpSocket, source: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|own| {
        own.port() == source.port()
            && (own.ip() == source.ip() || own.ip().is_unspecified() && source.ip().is_loopback())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A small random number generator that repeats itself for the same seed: `SplitMix64` (Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, percent: u8) -> bool {
        self.roll() % 100 < u64::from(percent)
    }
}
