//! Checks a peer or a tracker against `docs/protocol.md`: plays all the others, and a bad network, for it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use p2p_chat::check::experiment::Side;
use p2p_chat::check::runner::{Selection, run, select};

/// Checks a program of yours against docs/protocol.md, rule by rule
#[derive(Parser)]
#[command(version, after_help = "check peer --help lists the options; check peer --list lists the rules.")]
struct Arguments {
    #[command(subcommand)]
    side: Which,
}

#[derive(Subcommand)]
enum Which {
    /// COMMAND is a peer: started with --tracker, --name and --room after it
    Peer(What),
    /// COMMAND is a tracker: started with --listen after it, and --forever or --peers
    Tracker(What),
}

#[derive(Args)]
struct What {
    /// Check the rules of these levels only: 1, or 123; 1 to 6 for a peer, T for a tracker
    #[arg(long, value_name = "LEVELS")]
    level: Option<String>,

    /// Check this rule only
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Show all that was said and heard
    #[arg(long)]
    trace: bool,

    /// List the rules, with their levels
    #[arg(long)]
    list: bool,

    /// What starts the program, with its own arguments
    #[arg(required_unless_present = "list", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let (side, what) = match Arguments::parse().side {
        Which::Peer(what) => (Side::Peer, what),
        Which::Tracker(what) => (Side::Tracker, what),
    };
    let selected = select(side, &Selection { levels: what.level, only: what.only });
    if selected.is_empty() {
        return fail("no rule has this name and this level: --list shows all");
    }
    if what.list {
        for (rule, check) in selected {
            let offered = if rule.is_offered { " (offered)" } else { "" };
            _ = writeln!(io::stdout(), "{}  {:<10}  {}{offered}", rule.level, rule.name, check.what);
        }
        return ExitCode::SUCCESS;
    }
    match run(&what.command, side, &selected, what.trace) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&format!("cannot start {}: {error}", what.command[0])),
    }
}

fn fail(why: &str) -> ExitCode {
    _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(2)
}
