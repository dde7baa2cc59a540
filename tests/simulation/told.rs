//! A line of a trace, read again.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told<'a> {
    pub time: Duration,
    pub who: &'a str,
    pub whom: &'a str,
    pub arrow: &'a str,
    /// From the verb on.
    pub fields: &'a str,
    pub reason: &'a str,
}

/// `12:04:40.787 Talk   alice -> bob      SAY 4 line 4    (again: no answer for 15 ms)`: hosts have names,
/// each known by its address.
///
/// # Panics
/// Where a line has another form.
pub fn read<'a>(line: &'a str, hosts: &[(&str, &'a str)]) -> Told<'a> {
    let [hours, minutes, seconds, milliseconds, rest] =
        line.splitn(5, [':', '.', ' ']).collect::<Vec<_>>()[..]
    else {
        panic!("{line}")
    };
    let number = |digits: &str, length| {
        assert!(digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit()), "{line}");
        digits.parse::<u64>().unwrap()
    };
    let minutes = number(hours, 2) * 60 + number(minutes, 2);
    let time = (minutes * 60 + number(seconds, 2)) * 1000 + number(milliseconds, 3);
    assert!(["Meet   ", "Reach  ", "Talk   ", "Part   "].iter().any(|step| rest.starts_with(step)), "{line}");

    let (parties, fields) = rest[7..].split_once("  ").unwrap();
    let [who, arrow, whom] = parties.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert!(["->", "<-", "-x"].contains(&arrow), "{line}");
    let whom = whom.rsplit(' ').next().unwrap();
    let whom = hosts.iter().find(|(address, _)| *address == whom).map_or(whom, |(_, name)| name);
    let is_host = |name| hosts.iter().any(|(_, host)| *host == name);
    assert!(is_host(who) && is_host(whom), "{line}");

    let (fields, reason) = fields.trim_start().split_once("    ").unwrap_or((fields.trim_start(), "()"));
    assert!(fields.starts_with(|c: char| c.is_ascii_uppercase()), "{line}");
    let reason = reason.strip_prefix('(').and_then(|reason| reason.strip_suffix(')')).unwrap();
    Told { time: Duration::from_millis(time), who, whom, arrow, fields, reason }
}
