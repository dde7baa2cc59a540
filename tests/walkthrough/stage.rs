//! Where a chapter is played: namespaces of its own, which end with their first process, so that nothing is
//! left behind, even when it is killed.
//!
//! The network there has nothing but the machine itself, so the usual ports are free, and two peers have one
//! way to each other. A reader's computer has an address on a network, too, and its peers have two ways: who
//! writes a chapter sees it so with `LAN=1`, where it is a matter of luck which way they take.
//!
//! The folder of the source is covered by a copy that takes all writes (an overlay in memory): what a chapter
//! builds, changes or leaves there is gone with it, and the real files are never touched. `/run` is a fresh one
//! too, for the terminals, and for the names that the laboratory gives to its networks.

use std::fs::OpenOptions;
use std::io::Read;
use std::process::{Command, Output, Stdio, exit};
use std::thread;

pub const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
/// A folder that only this stage sees.
pub const STAGE: &str = "/run/stage";
/// Set on the stage, to the chapter that is to be played there.
pub const INSIDE: &str = "P2P_CHAT_CHAPTER";
const NAMESPACES: [&str; 6] = ["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"];

/// Covers /run and the source ($1), and starts the network. The one who plays there is root, or as good as root: a
/// real sudo would ask for a password, or is not there at all.
const SET_UP: &str = "set -e
    mount -t tmpfs tmpfs /run
    mkdir /run/stage /run/stage/bin /run/stage/written /run/stage/work
    cd \"$1\"
    layers=lowerdir=.,upperdir=/run/stage/written,workdir=/run/stage/work
    mount -t overlay overlay -o $layers . 2>/dev/null || mount -t overlay overlay -o $layers,userxattr .
    # Rust renames folders in here, which an overlay may refuse.
    cd \"$1\"
    mkdir -p target/debug/incremental /run/stage/incremental
    # What was built before makes the next build a short one; in memory, so not where it is much.
    [ $(du -sm target/debug/incremental | cut -f 1) -gt 4000 ] || cp -a target/debug/incremental/. /run/stage/incremental
    mount --bind /run/stage/incremental target/debug/incremental
    printf '#!/bin/sh\nexec \"$@\"\n' > /run/stage/bin/sudo
    chmod +x /run/stage/bin/sudo
    ip link set lo up
    [ -n \"$LAN\" ] || exit 0
    ip link add eth0 type veth peer name network
    ip link set network up
    ip link set eth0 up
    ip address add 192.168.1.5/24 dev eth0
    ip route add default via 192.168.1.1";

/// How to get there: with the rights of root, or else as root of a user namespace.
pub struct Stage {
    options: Vec<&'static str>,
}

impl Stage {
    /// Or why there is none on this machine.
    pub fn find() -> Result<Self, String> {
        for (program, version) in [
            ("unshare", "--version"),
            ("ip", "-V"),
            ("bash", "--version"),
            ("nice", "--version"),
            ("tmux", "-V"),
        ] {
            if !succeeds(Command::new(program).arg(version)) {
                return Err(format!("there is no {program} here"));
            }
        }
        let root = NAMESPACES.to_vec();
        let user = [&["--map-root-user"], &NAMESPACES[..]].concat();
        let found = [root, user]
            .into_iter()
            .map(|options| Self { options })
            .find(|stage| succeeds(stage.command("sh").args(["-c", SET_UP, "sh", SOURCE])));
        found.ok_or("neither root nor a user namespace may make networks and overlays here".to_owned())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(&self.options).arg(program);
        command
    }

    /// Runs this very test again on the stage, and returns what it has to say.
    pub fn play(&self, test: &str, chapter: &str) -> Output {
        let this = std::env::current_exe().unwrap();
        let mut inside = self
            .command(this.to_str().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, chapter)
            .stdin(Stdio::piped()) // kept open until it has ended
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = inside.stdin.take();
        let output = inside.wait_with_output().unwrap();
        drop(stdin);
        output
    }
}

/// What is done first on the stage itself.
pub fn set_up() {
    // Whoever started us holds the other end of stdin: when it dies, so do we, and all with us.
    thread::spawn(|| {
        _ = std::io::stdin().read(&mut [0]);
        exit(1);
    });
    assert!(succeeds(Command::new("sh").args(["-c", SET_UP, "sh", SOURCE])), "the stage cannot be set up");
}

/// What the laboratory needs and this machine has not.
pub fn missing_for_the_laboratory() -> Option<&'static str> {
    let needs = [
        ("nft", succeeds(Command::new("nft").args(["list", "ruleset"]))),
        ("conntrack", succeeds(Command::new("conntrack").arg("--version"))),
        ("python3", succeeds(Command::new("python3").arg("--version"))),
        ("/dev/net/tun", OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok()),
        ("named networks", succeeds(Command::new("ip").args(["netns", "add", "try"]))),
    ];
    needs.into_iter().find(|(_, is_there)| !is_there).map(|(what, _)| what)
}

/// The programs as a chapter starts them: the same builds that `cargo run` makes, so it finds them fresh. The chapter
/// beside this one may count milliseconds, and comes first.
pub fn build() -> Result<(), String> {
    let mut cargo = Command::new("nice");
    cargo
        .args(["-n", "5", "cargo", "build", "--quiet", "--offline", "--bins", "--examples"])
        .current_dir(SOURCE);
    let output = cargo.env_remove("CARGO_TARGET_DIR").output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
