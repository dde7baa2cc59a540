//! The rules of the house, kept true.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("it can be listed").path()).filter(|path| path.is_file()).collect()
}

/// The code of a file without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("it can be read");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
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
    let protocol = files("src/protocol");
    assert!(protocol.len() > 5);
    for path in protocol {
        for word in world {
            assert!(
                !code(&path).contains(word),
                "{} has {word}: time and datagrams come in as values",
                path.display()
            );
        }
    }
}

#[test]
fn only_the_socket_opens_sockets() {
    for folder in ["src/io", "src/bin"] {
        for path in files(folder).iter().filter(|path| !path.ends_with("io/socket.rs")) {
            assert!(!code(path).contains("UdpSocket"), "{} has a doorway of its own", path.display());
        }
    }
}

#[test]
fn clap_is_the_only_dependency() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("it is there");
    let sections: Vec<&str> =
        manifest.split("\n[").filter(|section| section.contains("dependencies]")).collect();
    assert_eq!(sections.len(), 1, "no dev-dependencies, no build-dependencies");
    let names = sections[0].lines().skip(1).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), ["clap"]);
}
