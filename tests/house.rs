//! The rules of the house, kept true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let entries = entries.map(|entry| entry.expect("it can be listed").path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Every file below `src/`, as `protocol/reach.rs`, with its code: neither tests, comments nor empty lines.
fn house() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = files(&source).into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("it can be read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let name = path.strip_prefix(&source).expect("it is below").to_string_lossy().replace('\\', "/");
        (name, code.lines().filter(is_code).collect::<Vec<_>>().join("\n"))
    });
    rooms.collect()
}

#[test]
fn the_protocol_never_touches_the_world() {
    let world = [
        "UdpSocket",
        "Instant::now",
        "SystemTime",
        "thread",
        "print!",
        "println!",
        "std::io",
        "std::fs",
        "std::env",
        "std::process",
        "Mutex",
        "crate::io",
        "RandomState::new",
    ];
    let house = house();
    let protocol: Vec<_> = house.iter().filter(|(name, _)| name.starts_with("protocol/")).collect();
    assert!(protocol.len() > 10);
    for (name, code) in protocol {
        for word in world {
            assert!(!code.contains(word), "{name} has {word}: time and datagrams come in as values");
        }
    }
}

/// `check` plays others, and so has sockets of its own.
#[test]
fn only_the_socket_opens_sockets() {
    let doors = ["io/socket.rs", "check/program.rs"];
    for (name, code) in house().iter().filter(|(name, _)| !doors.contains(&name.as_str())) {
        assert!(!code.contains("UdpSocket"), "{name} has a doorway of its own");
    }
}

/// The table in `lib.rs` names every file once, and each needs only those above it: so there is no circle.
#[test]
fn each_file_needs_only_those_before_it() {
    let library = read("src/lib.rs");
    let table = library.lines().filter_map(|line| line.strip_prefix("//! | ")?.rsplit(" | ").next());
    let mut order = Vec::new();
    for cell in table {
        let mut folder = "";
        for word in cell.split('`').skip(1).step_by(2) {
            match word.strip_suffix(".rs") {
                Some(file) => order.push(format!("{folder}{file}")),
                None => folder = word,
            }
        }
    }
    let mut named: Vec<String> = order.iter().map(|name| format!("{name}.rs")).collect();
    named.sort();
    let house = house();
    let there: Vec<&String> = house.keys().filter(|name| *name != "lib.rs").collect();
    assert_eq!(named.iter().collect::<Vec<_>>(), there);
    for (index, name) in order.iter().enumerate() {
        let (folder, file) = name.rsplit_once('/').expect("every file is in a folder");
        for line in house[&format!("{name}.rs")].lines().filter_map(|line| line.strip_prefix("use ")) {
            let path = line.replace("super::", &format!("{folder}::")).replace("::", "/");
            let needed = order.iter().position(|other| path.contains(&format!("{other}/")));
            assert!(needed.is_none_or(|needed| needed < index), "{file}.rs says: use {line}");
        }
    }
}

#[test]
fn the_house_reads_in_an_hour() {
    let house = house();
    let lines = |code: &String| code.lines().count();
    let is_in =
        |name: &str, part: &str| name.starts_with(&format!("{part}/")) || name == format!("bin/{part}.rs");
    let total = |is_wanted: &dyn Fn(&str) -> bool| -> usize {
        house.iter().filter(|(name, _)| is_wanted(name)).map(|(_, code)| lines(code)).sum()
    };
    let (check, window) = (total(&|name| is_in(name, "check")), total(&|name| is_in(name, "window")));
    let pair = total(&|_| true) - check - window;
    assert!(pair <= 3210 && check <= 1960 && window <= 430, "{pair}, {check} and {window} lines of code");
    for (name, most) in [("bin/peer.rs", 90), ("bin/tracker.rs", 65)] {
        assert!(lines(&house[name]) <= most, "{name} has {} lines", lines(&house[name]));
    }
    for (name, code) in &house {
        assert!(lines(code) <= 300, "{name} has {} lines", lines(code));
    }
}

#[test]
fn clap_is_the_only_dependency() {
    let manifest = read("Cargo.toml");
    let sections: Vec<&str> =
        manifest.split("\n[").filter(|section| section.contains("dependencies]")).collect();
    assert_eq!(sections.len(), 1, "no dev-dependencies, no build-dependencies");
    let names = sections[0].lines().skip(1).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), ["clap"]);
}

/// A thread that panics must not leave the other one waiting.
#[test]
fn a_panic_ends_the_program() {
    for profile in ["[profile.dev]", "[profile.release]"] {
        let manifest = read("Cargo.toml");
        let section = manifest.split("\n\n").find(|section| section.contains(profile));
        assert!(section.is_some_and(|section| section.contains("panic = \"abort\"")), "{profile}");
    }
}
