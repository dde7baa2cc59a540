//! The figures: how fast, how small. `cargo bench` prints them; `cargo bench -- idle` some of them.
//!
//! What counts is the ratio to a bare program of the same shape, measured in the same run: stdin to UDP, UDP
//! to stdout, two threads, nothing else, or, for the tracker, a loop that receives and sends. The bare
//! program is this one, started with `--bare`.

#![allow(unreachable_pub, reason = "a benchmark is no library")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

#[path = "../programs/harness.rs"]
mod harness;

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Program, couple_of, of, once_ready, peer, tracker};

const LINE: &str = "forty bytes of text, which is one line.";
const PEER: &str = env!("CARGO_BIN_EXE_peer");
const TRACKER: &str = env!("CARGO_BIN_EXE_tracker");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(mode) = arguments.first().filter(|mode| mode.starts_with("--bare")) {
        return bare(mode, &arguments[1..]);
    }
    let figures: [(&str, fn()); 7] = [
        ("round-trip", round_trip),
        ("lines", lines),
        ("loss", loss),
        ("memory", memory),
        ("idle", idle),
        ("tracker", registrations),
        ("rooms", rooms),
    ];
    let works_everywhere = ["lines", "loss", "rooms"];
    for (name, figure) in figures {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        if cfg!(target_os = "linux") || works_everywhere.contains(&name) {
            figure();
        } else {
            println!("{name}: skipped, it needs Linux for /proc and taskset");
        }
    }
}

/// The bare programs: `--bare-tracker OWN`, `--bare-peer OWN OTHER`, `--bare-answering-peer OWN OTHER`.
fn bare(mode: &str, addresses: &[String]) {
    let socket = UdpSocket::bind(&addresses[0]).unwrap();
    println!("bound");
    let mut buffer = [0; 1201];
    if mode == "--bare-tracker" {
        loop {
            let (_, source) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(b"WAIT 1/2 127.0.0.1:50001\n", source).unwrap();
        }
    }
    let other: SocketAddr = addresses[1].parse().unwrap();
    let receiver = socket.try_clone().unwrap();
    let answers = mode == "--bare-answering-peer";
    thread::spawn(move || {
        let mut stdout = std::io::stdout();
        loop {
            let (length, source) = receiver.recv_from(&mut buffer).unwrap();
            if buffer[0] == b'=' {
                continue; // an answer
            }
            if answers {
                receiver.send_to(&[b'='; 41], source).unwrap(); // as long as an ACK
            }
            stdout.write_all(&buffer[..length]).unwrap();
        }
    });
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).unwrap() > 0 {
        _ = socket.send_to(&line, other);
        line.clear();
    }
    println!("sent"); // all lines have left; how many arrived is another matter
    thread::sleep(Duration::from_secs(3600));
}

fn start(command: &mut Command) -> Program {
    Program::start_between(command, Stdio::piped(), Stdio::piped())
}

/// A program with nobody between us and its stdout.
struct Piped {
    program: Program,
    output: BufReader<ChildStdout>,
}

impl Piped {
    fn start(command: &mut Command) -> Self {
        Self::new(start(command))
    }

    fn new(mut program: Program) -> Self {
        let output = BufReader::with_capacity(1 << 16, program.take_stdout());
        Self { program, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Writes so many lines, in a thread of its own, and ends its input.
    fn say_many(&mut self, count: usize) -> thread::JoinHandle<()> {
        let mut stdin = BufWriter::with_capacity(1 << 16, self.program.take_stdin());
        thread::spawn(move || (0..count).for_each(|_| writeln!(stdin, "{LINE}").unwrap()))
    }

    fn read_many(&mut self, count: usize) {
        let mut line = Vec::new();
        for _ in 0..count {
            line.clear();
            assert!(self.output.read_until(b'\n', &mut line).unwrap() > 0, "lines are missing");
        }
    }
}

fn pinned(core: Option<u32>, program: &str) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), program]);
            command
        }
        None => Command::new(program),
    }
}

/// Two peers that have met.
fn couple(core: Option<u32>, flags: &[&str]) -> [Piped; 2] {
    let (a, b) = couple_of(|tracker, name| {
        start(of(tracker, &mut pinned(core, PEER)).args(["--name", name]).args(flags))
    });
    [a, b].map(Piped::new)
}

fn bare_couple(core: Option<u32>, mode: &str) -> [Piped; 2] {
    let [a, b] = [free_address(), free_address()];
    [[&a, &b], [&b, &a]].map(|[own, other]| {
        let mut peer = Piped::start(bare_command(core).args([mode, own, other]));
        assert_eq!(peer.line(), "bound\n");
        peer
    })
}

fn bare_command(core: Option<u32>) -> Command {
    pinned(core, std::env::current_exe().unwrap().to_str().unwrap())
}

fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable_by(|one, other| one.partial_cmp(other).expect("all are numbers"));
    values[values.len() / 2]
}

fn round_trip() {
    let measure = |mut peers: [Piped; 2]| {
        median((0..5000).map(|_| {
            let start = Instant::now();
            for index in [0, 1] {
                peers[index].program.say(LINE);
                peers[1 - index].line();
            }
            start.elapsed()
        }))
    };
    for (what, ours_too, core) in [("on two cores", "0-1", None), ("on one core", "0", Some(0))] {
        if !pin_ourselves(ours_too) {
            return println!("line round trip: skipped, taskset is missing");
        }
        let ours = measure(couple(core, &[]));
        let answering = measure(bare_couple(core, "--bare-answering-peer"));
        let plain = measure(bare_couple(core, "--bare-peer"));
        let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
        println!(
            "line round trip {what}: {ours:?}; {:.2} times the answering bare program's ({answering:?}), {:.2} times the bare one's ({plain:?})",
            ratio(answering),
            ratio(plain)
        );
    }
    pin_ourselves("0-1");
}

fn pin_ourselves(cores: &str) -> bool {
    let this = std::process::id().to_string();
    let status = Command::new("taskset").args(["-pc", cores, &this]).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn one_way(count: usize, flags: &[&str]) -> f64 {
    let [mut a, mut b] = couple(None, flags);
    let start = Instant::now();
    let writer = a.say_many(count);
    b.read_many(count);
    writer.join().unwrap();
    rate(count, start.elapsed())
}

fn lines() {
    let count = 1_000_000;
    let ours = one_way(count, &[]);
    let [mut a, mut b] = bare_couple(None, "--bare-peer");
    let arrived = thread::spawn(move || b.output.read_to_end(&mut Vec::new()).unwrap());
    let start = Instant::now();
    let writer = a.say_many(count);
    assert_eq!(a.line(), "sent\n");
    let bare = rate(count, start.elapsed());
    writer.join().unwrap();
    drop((a, arrived));
    println!(
        "lines one way: {ours:.0}/s, all delivered; {:.2} times what the bare program sends ({bare:.0}/s)",
        ours / bare
    );

    let [mut a, mut b] = couple(None, &[]);
    let start = Instant::now();
    let writers = [a.say_many(count), b.say_many(count)];
    thread::scope(|scope| {
        scope.spawn(|| a.read_many(count));
        b.read_many(count);
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    println!("lines both ways: {:.0}/s each way", rate(count, start.elapsed()));
}

fn loss() {
    for (percent, count, seeds) in [("1", 100_000, 5), ("10", 50_000, 5), ("30", 10_000, 7)] {
        let rate = |seed: u32| one_way(count, &["--loss", percent, "--seed", &seed.to_string()]);
        let rates: Vec<f64> = (1..=seeds).map(rate).collect();
        let median = median(rates.iter().copied());
        println!("lines at {percent} % loss: {median:.0}/s, the median of {seeds} seeds: {rates:.0?}");
    }
}

fn memory() {
    let count = 50_000_000 / (LINE.len() + 1);
    let [mut a, mut b] = couple(None, &[]);
    let writer = a.say_many(count);
    b.read_many(count);
    writer.join().unwrap();
    println!(
        "peak resident memory while 50 MB pass: sender {} kB, receiver {} kB",
        a.program.kilobytes("VmHWM"),
        b.program.kilobytes("VmHWM")
    );
}

/// CPU time so far, in milliseconds: fields 14 and 15 of /proc/PID/stat are in hundredths of a second, so
/// from schedstat, which is in nanoseconds and of each thread.
fn cpu_time(process: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e6
}

fn idle() {
    let peers = couple(None, &[]);
    thread::sleep(Duration::from_secs(3));
    let before = peers.each_ref().map(|peer| cpu_time(peer.program.process()));
    thread::sleep(Duration::from_secs(60));
    let after = peers.each_ref().map(|peer| cpu_time(peer.program.process()));
    println!("CPU time of an idle minute: {:.1} ms and {:.1} ms", after[0] - before[0], after[1] - before[1]);
}

/// A tracker or the bare loop, on core 0, and many who register with it. Each has an address of its own,
/// since a tracker drops who was at the same address before.
struct Registrars {
    server: Program,
    address: SocketAddr,
    sockets: Vec<UdpSocket>,
    cookies: Vec<String>,
}

impl Registrars {
    fn new(is_bare: bool, count: usize) -> Self {
        let address = free_address();
        let mut command = if is_bare { bare_command(Some(0)) } else { pinned(Some(0), TRACKER) };
        match is_bare {
            true => command.args(["--bare-tracker", &address]),
            false => command.args(["--listen", &address, "--forever"]),
        };
        let server = Program::start_between(&mut command, Stdio::null(), Stdio::null());
        let (address, sockets, cookies) = (address.parse().unwrap(), Vec::new(), Vec::new());
        let mut registrars = Self { server, address, sockets, cookies };
        for number in 0..count {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            registrars.sockets.push(socket);
            registrars.cookies.push("-".to_owned());
            let answer = (0..50).find_map(|_| {
                registrars.register(number);
                registrars.answer(number) // none before it is bound
            });
            if let Some(cookie) = answer.expect("it is up").strip_prefix("COOKIE ") {
                registrars.cookies[number] = cookie.trim().to_owned();
            }
        }
        registrars
    }

    fn register(&self, number: usize) {
        let cookie = &self.cookies[number];
        let request = format!("REGISTER {cookie} {number:016x} room-{number} peer 127.0.0.1:50001\n");
        self.sockets[number].send_to(request.as_bytes(), self.address).unwrap();
    }

    fn answer(&self, number: usize) -> Option<String> {
        let mut buffer = [0; 2048];
        let length = self.sockets[number].recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// All of them register, 64 at a time: how many are answered in a second.
    fn register_all(&self) -> f64 {
        let (count, start) = (self.sockets.len(), Instant::now());
        for number in 0..count + 64 {
            if number < count {
                self.register(number);
            }
            if number >= 64 {
                self.answer(number - 64);
            }
        }
        rate(count, start.elapsed())
    }

    fn resident(&self) -> f64 {
        self.server.kilobytes("VmRSS") as f64 * 1024.0
    }
}

fn best(rates: impl Iterator<Item = f64>) -> f64 {
    rates.fold(0.0, f64::max)
}

fn registrations() {
    let count = 12_500; // fills hash tables as 100,000 would, and needs no more files than a process may open
    let bare = Registrars::new(true, count);
    let echo = best((0..10).map(|_| bare.register_all()));
    drop(bare);
    let few = Registrars::new(false, 1000);
    let refreshed = best((0..100).map(|_| few.register_all()));
    drop(few);
    let new = best((0..4).map(|_| Registrars::new(false, count).register_all()));
    let tracker = Registrars::new(false, count);
    let before = tracker.resident();
    tracker.register_all();
    let memory = (tracker.resident() - before) / count as f64;
    println!(
        "registrations refreshed: {refreshed:.0}/s, {:.2} times the bare loop's ({echo:.0}/s)",
        refreshed / echo
    );
    println!("registrations new: {new:.0}/s, {:.2} times the bare loop's", new / echo);
    println!("memory for each of {count} waiting peers: {memory:.0} bytes");

    let pair = |flood: bool| {
        let flooder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = tracker.address;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(!flood));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                _ = flooder.send_to(b"junk junk junk junk junk junk junk junk\n", address);
            }
        });
        let begin = Instant::now();
        let flags = |name| ["--name", name, "--room", "couple"];
        let peers = once_ready(["a", "b"].map(|name| peer(tracker.address, &flags(name))));
        let time = begin.elapsed();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        thread.join().unwrap();
        drop(peers);
        time
    };
    println!(
        "a couple is paired, from its start: {:?} beside {count} others, {:?} in a flood of junk",
        pair(false),
        pair(true)
    );
}

fn rooms() {
    let (_tracker, address) = tracker(&["--forever", "--peers", "8"]);
    let begin = Instant::now();
    let mut peers: Vec<Piped> = (0..8)
        .map(|number| {
            let name = format!("p{number}");
            Piped::start(of(address, &mut Command::new(PEER)).args(["--name", &name]))
        })
        .collect();
    let has_met_all = |peer: &Piped| {
        let has_met = |line: &&String| line.contains("ready to exchange") || line.ends_with("has joined");
        peer.program.news_so_far().iter().filter(has_met).count() == 7
    };
    while !peers.iter().all(has_met_all) {
        thread::sleep(Duration::from_millis(1));
    }
    println!("a room of eight, from its start until each has met all others: {:?}", begin.elapsed());
    let count = 200_000;
    let start = Instant::now();
    let writer = peers[0].say_many(count);
    thread::scope(|scope| {
        for peer in &mut peers[1..] {
            scope.spawn(|| peer.read_many(count));
        }
    });
    writer.join().unwrap();
    println!("lines from one to seven: {:.0}/s, each delivered seven times", rate(count, start.elapsed()));
}
