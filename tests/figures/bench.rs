//! The figures: how fast, how small. `cargo bench` prints them; `cargo bench -- idle` some of them.
//!
//! What counts is the ratio to a bare program of the same shape, measured in the same run: stdin to
//! UDP, UDP to stdout, two threads, nothing else, or, for the tracker, a loop that receives and
//! sends. The bare program is this one, started with `--bare`.

#![allow(unreachable_pub, dead_code, reason = "a benchmark is no library")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

#[path = "../programs/harness.rs"]
mod harness;

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
    for (name, figure) in figures {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            figure();
        }
    }
}

/// The bare programs: `--bare-tracker PORT`, `--bare-peer OWN OTHER`, `--bare-answering-peer OWN OTHER`.
fn bare(mode: &str, addresses: &[String]) {
    let socket = UdpSocket::bind(&addresses[0]).unwrap();
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

/// A program with its pipes, killed in the end.
struct Piped {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Piped {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::with_capacity(1 << 16, child.stdout.take().unwrap());
        Self { child, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Writes so many lines, in a thread of its own, and ends its input.
    fn say_many(&mut self, count: usize) -> thread::JoinHandle<()> {
        let mut stdin = BufWriter::with_capacity(1 << 16, self.child.stdin.take().unwrap());
        thread::spawn(move || (0..count).for_each(|_| writeln!(stdin, "{LINE}").unwrap()))
    }

    fn read_many(&mut self, count: usize) {
        let mut line = Vec::new();
        for _ in 0..count {
            line.clear();
            assert!(self.output.read_until(b'\n', &mut line).unwrap() > 0, "lines are missing");
        }
    }

    fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
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
    let (_tracker, address) = harness::tracker(&[]);
    let start = |name| {
        let address = address.to_string();
        Piped::start(
            pinned(core, PEER)
                .args(["--tracker", &address, "--bind", "127.0.0.1:0", "--name", name])
                .args(flags),
        )
    };
    let mut peers = [start("a"), start("b")];
    // A pipe's first line waits until somebody is there.
    for index in [0, 1] {
        peers[index].say("ready");
        peers[1 - index].line();
    }
    peers
}

fn bare_couple(core: Option<u32>, mode: &str) -> [Piped; 2] {
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let [a, b] = [free(), free()];
    let this = std::env::current_exe().unwrap();
    let start =
        |own: &str, other: &str| Piped::start(pinned(core, this.to_str().unwrap()).args([mode, own, other]));
    let peers = [start(&a, &b), start(&b, &a)];
    thread::sleep(Duration::from_millis(300)); // until both are bound: they tell nobody
    peers
}

fn round_trip() {
    let measure = |mut peers: [Piped; 2]| {
        let mut times: Vec<Duration> = (0..5000)
            .map(|_| {
                let start = Instant::now();
                for index in [0, 1] {
                    peers[index].say(LINE);
                    peers[1 - index].line();
                }
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let this = std::process::id().to_string();
    let everything = ["0-1", "0"];
    for (index, what) in ["on two cores", "on one core"].iter().enumerate() {
        let core = (index == 1).then_some(0);
        let pinned =
            Command::new("taskset").args(["-pc", everything[index], &this]).stdout(Stdio::null()).status();
        if !pinned.is_ok_and(|status| status.success()) {
            return println!("line round trip: skipped, taskset is missing");
        }
        let [ours, answering, plain] = [
            measure(couple(core, &[])),
            measure(bare_couple(core, "--bare-answering-peer")),
            measure(bare_couple(core, "--bare-peer")),
        ];
        let ratio = |other: Duration| ours.as_secs_f64() / other.as_secs_f64();
        println!(
            "line round trip {what}: {ours:?}; {:.2} times the answering bare program's ({answering:?}), {:.2} times the bare one's ({plain:?})",
            ratio(answering),
            ratio(plain)
        );
    }
    _ = Command::new("taskset").args(["-pc", everything[0], &this]).stdout(Stdio::null()).status();
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
    let reader = thread::spawn(move || {
        a.read_many(count);
        a // it must live until the other one has read all, too
    });
    b.read_many(count);
    let _a = reader.join().unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    println!("lines both ways: {:.0}/s each way", rate(count, start.elapsed()));
}

fn loss() {
    for (percent, count) in [("1", 200_000), ("10", 100_000), ("30", 20_000)] {
        println!("lines at {percent} % loss: {:.0}/s", one_way(count, &["--loss", percent, "--seed", "1"]));
    }
}

fn memory() {
    let count = 50_000_000 / (LINE.len() + 1);
    let [mut a, mut b] = couple(None, &[]);
    let writer = a.say_many(count);
    b.read_many(count);
    writer.join().unwrap();
    println!(
        "peak resident memory while 50 MB pass: sender {}, receiver {}",
        a.status("VmHWM:"),
        b.status("VmHWM:")
    );
}

/// CPU time so far, in milliseconds: fields 14 and 15 of /proc/PID/stat are in hundredths of a second, so from
/// schedstat, which is in nanoseconds and of each thread.
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
    let before = peers.each_ref().map(|peer| cpu_time(peer.child.id()));
    thread::sleep(Duration::from_secs(60));
    let after = peers.each_ref().map(|peer| cpu_time(peer.child.id()));
    println!("CPU time of an idle minute: {:.1} ms and {:.1} ms", after[0] - before[0], after[1] - before[1]);
}

/// A tracker or the bare loop, on core 0, and somebody who registers with it.
struct Registrar {
    server: Piped,
    address: SocketAddr,
    socket: UdpSocket,
    cookie: String,
}

impl Registrar {
    fn new(is_bare: bool) -> Self {
        let this = std::env::current_exe().unwrap();
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server =
            if is_bare { pinned(Some(0), this.to_str().unwrap()) } else { pinned(Some(0), TRACKER) };
        let address = free.to_string();
        match is_bare {
            true => server.args(["--bare-tracker", &address]),
            false => server.args(["--listen", &address, "--forever"]),
        };
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map(Some).unwrap();
        thread::sleep(Duration::from_millis(300)); // until it is bound
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut registrar = Self {
            server: Piped { child: server.take().unwrap(), output: BufReader::new(empty_output()) },
            address: free,
            socket,
            cookie: "-".to_owned(),
        };
        registrar.register(0);
        if let Some(cookie) =
            registrar.answer().and_then(|answer| answer.strip_prefix("COOKIE ").map(str::to_owned))
        {
            registrar.cookie = cookie.trim().to_owned();
        }
        registrar
    }

    fn register(&self, number: usize) {
        let request = format!("REGISTER {} {number:016x} room-{number} peer 127.0.0.1:50001\n", self.cookie);
        self.socket.send_to(request.as_bytes(), self.address).unwrap();
    }

    fn answer(&self) -> Option<String> {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Registers these, 64 at a time, and tells how many are answered in a second.
    fn register_all(&self, numbers: std::ops::Range<usize>) -> f64 {
        let (count, mut under_way) = (numbers.len(), 0);
        let start = Instant::now();
        for number in numbers {
            self.register(number);
            under_way += 1;
            if under_way >= 64 && self.answer().is_some() {
                under_way -= 1;
            }
        }
        while under_way > 0 && self.answer().is_some() {
            under_way -= 1;
        }
        rate(count, start.elapsed())
    }

    fn resident(&self) -> f64 {
        self.server.status("VmRSS:").trim_end_matches(" kB").trim().parse::<f64>().unwrap() * 1024.0
    }
}

fn empty_output() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    child.wait().unwrap();
    output
}

fn registrations() {
    let count = 100_000;
    let bare = Registrar::new(true);
    let best = |registrar: &Registrar, numbers: std::ops::Range<usize>| {
        (0..3).map(|_| registrar.register_all(numbers.clone())).fold(0.0, f64::max)
    };
    let echo = best(&bare, 0..count);
    drop(bare);
    let few = Registrar::new(false);
    few.register_all(0..1000);
    let refreshed = best(&few, 0..1000).max(best(&few, 0..1000));
    drop(few);
    let tracker = Registrar::new(false);
    let before = tracker.resident();
    let new = tracker.register_all(0..count);
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
        let start = |name| {
            let address = tracker.address.to_string();
            Command::new(PEER)
                .args(["--tracker", &address, "--bind", "127.0.0.1:0", "--name", name, "--room", "couple"])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .stdin(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let begin = Instant::now();
        let mut peers = [start("a"), start("b")];
        for peer in &mut peers {
            let mut news = BufReader::new(peer.stderr.take().unwrap()).lines();
            assert!(news.any(|line| line.unwrap() == "ready to exchange messages"));
        }
        let time = begin.elapsed();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        thread.join().unwrap();
        for peer in &mut peers {
            _ = peer.kill();
            _ = peer.wait();
        }
        time
    };
    println!(
        "a couple is paired, from its start: {:?} beside {count} others, {:?} in a flood of junk",
        pair(false),
        pair(true)
    );
}

fn rooms() {
    let (_tracker, address) = harness::tracker(&["--forever", "--peers", "8"]);
    let address = address.to_string();
    let begin = Instant::now();
    let mut peers: Vec<Piped> = (0..8)
        .map(|number| {
            let name = format!("p{number}");
            Piped::start(Command::new(PEER).args([
                "--tracker",
                &address,
                "--bind",
                "127.0.0.1:0",
                "--name",
                &name,
            ]))
        })
        .collect();
    let mut last = peers.pop().unwrap();
    let hears = thread::spawn(move || {
        last.line();
        last
    });
    while !hears.is_finished() {
        peers[0].say("@p7 are you there?"); // until p7 is there, this goes to all who are
        thread::sleep(Duration::from_millis(1));
    }
    peers.push(hears.join().unwrap());
    println!("a room of eight, from its start to a line from the first to the last: {:?}", begin.elapsed());
    thread::sleep(Duration::from_secs(2)); // all others have met, too
    let count = 200_000;
    let start = Instant::now();
    let mut first = peers.remove(0);
    let writer = first.say_many(count);
    let readers: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            thread::spawn(move || {
                peer.read_many(count);
                peer
            })
        })
        .collect();
    let _readers: Vec<Piped> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    writer.join().unwrap();
    println!("lines from one to seven: {:.0}/s, each delivered seven times", rate(count, start.elapsed()));
}
