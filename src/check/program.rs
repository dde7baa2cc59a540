//! The program under test, and the four sockets by which it is talked to: threads wait for each of its outputs.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::io::terminal::{lock, printable};

/// So often a thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// So many lines of its standard error are kept: where a crash was stands some lines before the last.
const COMPLAINTS: usize = 16;

/// Ports are taken one after the other, from anywhere among these, below those that systems give out.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What comes out of a program.
pub enum What {
    Datagram { role: usize, source: SocketAddr, bytes: Vec<u8> },
    // A line of its standard output.
    Shown(String),
}

type Outputs = SyncSender<What>;

/// So much may wait to be looked at; then the program has to wait.
const MAX_WAITING: usize = 2_000;

/// The longest line that comes in one piece: one of 64 KiB, and who says it.
const MAX_LINE: u64 = 80 * 1024;

pub struct Program {
    command: Command,
    child: Child,
    input: Option<Sender<Vec<u8>>>,
    doors: [Door; 4],
    outputs: Receiver<What>,
    sender: Outputs,
    pub started: Instant,
    /// Where a tracker listens.
    pub listens_at: SocketAddr,
    /// The last lines of its standard error.
    complaints: Arc<Mutex<VecDeque<String>>>,
    ended: Option<(Instant, ExitStatus)>,
}

impl Program {
    /// Starts a command; its last arguments come from `arguments`, which is told the address of the first socket
    /// and a free one.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn start(
        command: &[String],
        arguments: impl FnOnce(SocketAddr, SocketAddr) -> Vec<String>,
    ) -> io::Result<Self> {
        let (sender, outputs) = sync_channel(MAX_WAITING);
        let doors = [0, 1, 2, 3].map(|role| Door::open(free_socket(), role, sender.clone()));
        let listens_at = free_socket().local_addr()?;
        let arguments = arguments(doors[0].endpoint, listens_at);
        let [program, own @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut command = Command::new(program);
        // With that set, a program in Python need not flush; elsewhere it must.
        with_pipes(&mut command).args(own).args(arguments).env_remove("PYTHONUNBUFFERED");
        let complaints = Arc::default();
        let (child, input) = spawn(&mut command, &sender, &complaints)?;
        let (input, started, ended) = (Some(input), Instant::now(), None);
        Ok(Self { command, child, input, doors, outputs, sender, started, listens_at, complaints, ended })
    }

    /// Kills it, and starts it anew in the same way.
    ///
    /// # Errors
    /// The command cannot be started any more.
    pub fn restart(&mut self) -> io::Result<()> {
        end(&mut self.child);
        let (child, input) = spawn(&mut self.command, &self.sender, &self.complaints)?;
        (self.child, self.input, self.ended) = (child, Some(input), None);
        Ok(())
    }

    /// What comes next, if anything does by then.
    pub fn next(&mut self, wait: Duration) -> Option<What> {
        self.outputs.recv_timeout(wait).ok()
    }

    pub fn endpoint(&self, role: usize) -> SocketAddr {
        self.doors[role].endpoint
    }

    pub fn send(&self, role: usize, to: SocketAddr, datagram: &[u8]) {
        if let Some(socket) = &self.doors[role].socket {
            _ = socket.send_to(datagram, to); // that nobody listens there yet is for the script to find out
        }
    }

    /// From now on nobody listens there.
    pub fn close(&mut self, role: usize) {
        self.doors[role].close();
    }

    /// Listens there again.
    ///
    /// # Errors
    /// Another program has taken the port in the meantime.
    pub fn open(&mut self, role: usize) -> io::Result<()> {
        let socket = UdpSocket::bind(self.doors[role].endpoint)?;
        self.doors[role] = Door::open(socket, role, self.sender.clone());
        Ok(())
    }

    pub fn types(&self, bytes: &[u8]) {
        self.input.iter().for_each(|input| drop(input.send(bytes.to_owned())));
    }

    pub fn ends_input(&mut self) {
        self.input = None;
    }

    /// Its exit status, once it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten().map(|status| (Instant::now(), status));
        }
        self.ended.map(|(_, status)| status)
    }

    /// Whether it has ended so long ago.
    pub fn ended_before(&mut self, time: Duration) -> bool {
        _ = self.has_ended();
        self.ended.is_some_and(|(when, _)| when.elapsed() >= time)
    }

    /// How it ended.
    pub fn last_words(&self) -> String {
        let Some((when, status)) = self.ended else { return "it is running".to_owned() };
        format!("it ended by itself after {:.1} s, {status}", (when - self.started).as_secs_f64())
    }

    /// The last that it has written to its standard error.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).iter().cloned().collect()
    }
}

/// Starts it, and the threads that wait for its outputs, and with what is to be typed.
fn spawn(
    command: &mut Command,
    outputs: &Outputs,
    complaints: &Arc<Mutex<VecDeque<String>>>,
) -> io::Result<(Child, Sender<Vec<u8>>)> {
    let mut child = command.spawn()?;
    let (input, to_be_typed) = channel();
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    if let (Some(stdin), Some(stdout), Some(stderr)) = pipes {
        let (outputs, complaints) = (outputs.clone(), complaints.clone());
        thread::spawn(move || write_all(stdin, &to_be_typed));
        thread::spawn(move || {
            read_lines(stdout, |line| drop(outputs.send(What::Shown(line))));
        });
        thread::spawn(move || {
            read_lines(stderr, |line| {
                let complaints = &mut *lock(&complaints);
                complaints.push_back(printable(&line));
                complaints.drain(..complaints.len().saturating_sub(COMPLAINTS));
            });
        });
    }
    Ok((child, input))
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None;
        end(&mut self.child);
    }
}

/// Ends a program, and what it has started: a script, perhaps, that runs the real one.
fn end(child: &mut Child) {
    if cfg!(unix) && child.try_wait().is_ok_and(|status| status.is_none()) {
        let mut kill = Command::new("kill");
        _ = kill.arg("-KILL").args(descendants(child.id())).stderr(Stdio::null()).status();
    }
    _ = child.kill(); // it may have ended
    _ = child.wait();
}

/// A process and all that came from it, as `ps` knows them.
fn descendants(first: u32) -> Vec<String> {
    let listed =
        Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid="]).output().map(|output| output.stdout);
    let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
    let mut found = vec![first.to_string()];
    let pairs = listed.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let parents: Vec<(&str, &str)> = pairs.map(|(child, parent)| (child, parent.trim())).collect();
    let mut looked_at = 0;
    while let Some(parent) = found.get(looked_at).cloned() {
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| (*child).to_owned()));
        looked_at += 1;
    }
    found
}

/// A socket, and the thread that waits for what arrives there.
struct Door {
    endpoint: SocketAddr,
    socket: Option<UdpSocket>,
    is_closed: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Door {
    fn open(socket: UdpSocket, role: usize, outputs: Outputs) -> Self {
        let endpoint = socket.local_addr().expect("a bound socket has an address");
        let is_closed = Arc::new(AtomicBool::new(false));
        let (closed, listener) = (is_closed.clone(), socket.try_clone());
        let thread =
            thread::spawn(move || listener.into_iter().for_each(|s| listen(&s, role, &closed, &outputs)));
        Self { endpoint, socket: Some(socket), is_closed, thread: Some(thread) }
    }

    fn close(&mut self) {
        self.is_closed.store(true, Relaxed);
        self.socket = None;
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

fn listen(socket: &UdpSocket, role: usize, is_closed: &AtomicBool, outputs: &Outputs) {
    let mut buffer = [0; 65_536];
    _ = socket.set_read_timeout(Some(LOOK));
    while !is_closed.load(Relaxed) {
        if let Ok((length, source)) = socket.recv_from(&mut buffer) {
            let bytes = buffer[..length].to_vec();
            _ = outputs.send(What::Datagram { role, source, bytes });
        }
    }
}

/// A socket on this machine, at a port that no experiment beside this one uses.
fn free_socket() -> UdpSocket {
    let anywhere = RandomState::new().hash_one("port") % PORTS.len() as u64;
    _ = NEXT_PORT.compare_exchange(0, PORTS.start + anywhere as u16, Relaxed, Relaxed);
    loop {
        let port = NEXT_PORT.fetch_add(1, Relaxed);
        if port >= PORTS.end {
            NEXT_PORT.store(PORTS.start, Relaxed);
        } else if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            return socket;
        }
    }
}

fn write_all(mut stdin: impl Write, lines: &Receiver<Vec<u8>>) {
    while let Ok(bytes) = lines.recv() {
        if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
            return; // it has ended
        }
    }
}

/// Gives a command a pipe at each end.
pub fn with_pipes(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// Takes line after line, without its end, until there are no more. Bytes that are not UTF-8 become U+FFFD.
pub fn read_lines(output: impl Read, mut take: impl FnMut(String)) {
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    while output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        take(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned());
        line.clear();
    }
}
