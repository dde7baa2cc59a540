//! Programs that are started, read, written to, and always killed in the end.

#![allow(dead_code, reason = "the programs, the laboratory and the figures share it, and each needs a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes: only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

#[derive(Default)]
struct Lines {
    text: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

pub fn peer_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_peer"))
}

/// A tracker on a free port of loopback, and its address.
pub fn tracker(flags: &[&str]) -> (Program, SocketAddr) {
    tracker_at("127.0.0.1:0", flags)
}

pub fn tracker_at(listen: &str, flags: &[&str]) -> (Program, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    command.args(["--listen", listen]).args(flags);
    let program = Program::start(&mut command);
    let line = program.wait_for_output("Tracker listening on ");
    let address = line.strip_prefix("Tracker listening on ").unwrap().parse().unwrap();
    (program, address)
}

/// A peer of this tracker, on a free port of loopback.
pub fn peer(tracker: SocketAddr, flags: &[&str]) -> Program {
    Program::start(of(tracker, &mut peer_command()).args(flags))
}

/// Makes a command that of a peer of this tracker, on a free port of loopback.
pub fn of(tracker: SocketAddr, peer: &mut Command) -> &mut Command {
    peer.args(["--tracker", &tracker.to_string(), "--bind", "127.0.0.1:0"])
}

/// Two peers that have met.
pub fn couple(flags: &[&str]) -> (Program, Program) {
    couple_of(|tracker, name| peer(tracker, &[&["--name", name], flags].concat()))
}

/// Two peers that have met, started in this way: as a peer of that tracker, by that name.
pub fn couple_of(start: impl Fn(SocketAddr, &str) -> Program) -> (Program, Program) {
    let (mut tracker, address) = tracker(&[]);
    let [alice, bob] = once_ready(["alice", "bob"].map(|name| start(address, name)));
    assert!(tracker.wait().success());
    (alice, bob)
}

/// Hands out these peers when each of them has met another one.
pub fn once_ready<const N: usize>(peers: [Program; N]) -> [Program; N] {
    for peer in &peers {
        peer.wait_for_news("ready to exchange messages");
    }
    peers
}

/// A socket of a stranger's.
pub fn stranger() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut program = Self::start_between(command, Stdio::piped(), Stdio::piped());
        program.stdout = Lines::read(program.take_stdout());
        program
    }

    /// Starts it between these two. A stdout that is a pipe is for the caller to take, and to read.
    pub fn start_between(command: &mut Command, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Self {
        let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Lines::read(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout: Arc::default(), stderr }
    }

    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    pub fn take_stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line on stdout that contains this.
    pub fn wait_for_output(&self, part: &str) -> String {
        self.stdout
            .wait_for(&[part])
            .unwrap_or_else(|| panic!("no {part:?} on stdout:\n{}", self.everything()))
    }

    /// Waits for a line on stderr that contains this.
    pub fn wait_for_news(&self, part: &str) -> String {
        self.wait_for_news_of(&[part])
    }

    /// Waits for a line on stderr that contains one of these.
    pub fn wait_for_news_of(&self, parts: &[&str]) -> String {
        self.stderr
            .wait_for(parts)
            .unwrap_or_else(|| panic!("no {parts:?} on stderr:\n{}", self.everything()))
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("still running:\n{}", self.everything());
    }

    /// All of stdout, once the program has ended.
    pub fn output(&self) -> Vec<String> {
        self.stdout.wait_for_end()
    }

    /// All of stderr, once the program has ended.
    pub fn news(&self) -> Vec<String> {
        self.stderr.wait_for_end()
    }

    pub fn news_so_far(&self) -> Vec<String> {
        self.stderr.text.lock().unwrap().0.clone()
    }

    pub fn output_so_far(&self) -> Vec<String> {
        self.stdout.text.lock().unwrap().0.clone()
    }

    pub fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its memory, as Linux counts it: `VmRSS`, resident now, or `VmHWM`, at its peak.
    pub fn kilobytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn everything(&self) -> String {
        format!("stdout: {:#?}\nstderr: {:#?}", self.output_so_far(), self.news_so_far())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    fn read(from: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let writer = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(from);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
                writer.text.lock().unwrap().0.push(text);
                writer.changed.notify_all();
                line.clear();
            }
            writer.text.lock().unwrap().1 = true;
            writer.changed.notify_all();
        });
        lines
    }

    fn wait_for(&self, parts: &[&str]) -> Option<String> {
        let found = |text: &(Vec<String>, bool)| {
            text.0.iter().find(|line| parts.iter().any(|part| line.contains(part))).cloned()
        };
        let text = self.text.lock().unwrap();
        let (text, _) =
            self.changed.wait_timeout_while(text, PATIENCE, |text| found(text).is_none() && !text.1).unwrap();
        found(&text)
    }

    fn wait_for_end(&self) -> Vec<String> {
        let text = self.text.lock().unwrap();
        let (text, _) = self.changed.wait_timeout_while(text, PATIENCE, |text| !text.1).unwrap();
        text.0.clone()
    }
}
