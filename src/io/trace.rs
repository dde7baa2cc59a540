//! The trace: a line for every message, to see what happens, and why.
//!
//! ```text
//! 12:04:40.772 Talk   alice -x bob      SAY 4 line 4
//! 12:04:40.787 Talk   alice -> bob      SAY 4 line 4    (again: no answer for 15 ms)
//! 12:04:40.788 Talk   alice <- bob      ACK 5
//! ```
//!
//! or, with `--trace=wire`, what was on the wire:
//!
//! ```text
//!   9.331 -x 127.0.0.1:50002  SAY cb0d348e934f7ddf b5207d4236097959 4 line 4
//!   9.346 -> 127.0.0.1:50002  SAY cb0d348e934f7ddf b5207d4236097959 4 line 4
//!   9.347 <- 127.0.0.1:50002  ACK b5207d4236097959 cb0d348e934f7ddf 5
//! ```
//!
//! or, with `--trace=both`, the story with a tab and the wire's words behind it, for programs that read it.
//!
//! The arrows: `->` sent, `<-` received, `-x` lost on purpose, `-!` not sent, `<?` not understood.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::{Id, Reason, Transmit, read_datagram};

/// How to show a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    // Who says what to whom, and why.
    Story,
    // What can be typed into `nc`.
    Wire,
    // The story, a tab, and what can be typed into `nc`.
    Both,
}

/// So many others are known by name.
const MAX_KNOWN: usize = 256;

/// A word and its colour: one of the eight of ANSI. The four steps have one each.
pub type Coloured = (&'static str, u8);

const MEET: Coloured = ("Meet", 6);
const REACH: Coloured = ("Reach", 5);
const TALK: Coloured = ("Talk", 2);
const PART: Coloured = ("Part", 3);
const RED: u8 = 1;

/// What one program shows of its datagrams. It learns from them who is who, and who is where.
pub struct Trace {
    style: Style,
    started: SystemTime,
    us: String,
    tracker: Option<SocketAddr>,
    others: Vec<Other>,
}

struct Other {
    id: String,
    name: String,
    at: SocketAddr,
    is_linked: bool,
}

/// The step, who says it to whom, and what.
type Told = (Coloured, String, String);

/// A line, and the words in it that have a colour.
pub type Line = (String, Vec<Coloured>);

impl Trace {
    /// The trace of a peer or of the tracker, by its name.
    pub fn new(style: Style, us: &str, started: SystemTime) -> Self {
        Self { style, started, us: us.to_owned(), tracker: None, others: Vec::new() }
    }

    /// A line for each message of a datagram that has left or come, with what the system says, if it does.
    pub fn lines(&mut self, time: SystemTime, arrow: &str, datagram: &Transmit, error: &str) -> Vec<Line> {
        let (mut lines, at) = (Vec::new(), datagram.destination);
        for (index, (bytes, message)) in read_datagram(&datagram.datagram).into_iter().enumerate() {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let text = String::from_utf8_lossy(bytes).replace('\n', "\u{fffd}");
            let arrow = if message.is_ok() { arrow } else { "<?" };
            let error = message.map_or_else(|error| error.to_string(), |_| error.to_owned());
            let why = |gap, why: String| if why.is_empty() { why } else { format!("{gap}({why})") };
            lines.push(if self.style == Style::Wire {
                let line = format!("{}  {text}{}", self.wire_head(time, arrow, at, index), why("  ", error));
                (line, Vec::new())
            } else {
                let reasons = datagram.reasons.iter().filter(|(of, _)| *of == index);
                let reasons: Vec<Reason> = reasons.map(|(_, reason)| *reason).collect();
                let (step, parties, fields) = self.read(arrow, at, &text, &reasons);
                let all = reasons.iter().map(Reason::to_string).chain([error]).filter(|why| !why.is_empty());
                let all = why("    ", all.collect::<Vec<_>>().join("; "));
                let line = format!("{} {:<6} {parties:<16}  {fields}{all}", time_of_day(time), step.0);
                let is_both = self.style == Style::Both;
                let line = if is_both { line.replace('\t', " ") + "\t" + &text } else { line };
                let loss = ["-x", "-!", "<?"].into_iter().find(|loss| *loss == arrow);
                (line, [step].into_iter().chain(loss.map(|loss| (loss, RED))).collect())
            });
        }
        lines
    }

    /// Further messages of a datagram are indented under the first.
    fn wire_head(&self, time: SystemTime, arrow: &str, at: SocketAddr, index: usize) -> String {
        let since = time.duration_since(self.started).unwrap_or_default().as_secs_f64();
        let (time, at) = (format!("{since:7.3}"), at.to_string());
        match index {
            0 => format!("{time} {arrow} {at}"),
            _ => {
                let arrow = if arrow == "<?" { arrow } else { "  " };
                format!("{} {arrow} {}", " ".repeat(time.len()), " ".repeat(at.len()))
            }
        }
    }

    /// The step; who and whom; and the message, with names for ids, and without those of the two.
    fn read(&mut self, arrow: &str, at: SocketAddr, text: &str, reasons: &[Reason]) -> Told {
        let words: Vec<&str> = text.split(' ').collect();
        let is_sent = arrow != "<-";
        let (step, other, named, fields) = match words[..] {
            _ if arrow == "<?" => (("?", RED), "", None, text.to_owned()),
            ["REGISTER", cookie, id, room, name, private] => {
                self.tracker = self.tracker.or(is_sent.then_some(at));
                (MEET, id, Some((id, name, at)), format!("REGISTER {cookie} {name} {room} {private}"))
            }
            ["PEER", count, id, name, public, private] => {
                let at = public.parse().unwrap_or(at);
                (MEET, "", Some((id, name, at)), format!("PEER {count} {name} {public} {private}"))
            }
            ["MET", cookie, id, other] => (MEET, id, None, format!("MET {cookie} {}", self.name(other))),
            ["LEAVE", cookie, id] => (MEET, id, None, format!("LEAVE {cookie}")),
            [verb @ ("PING" | "PONG"), to, from, name] => {
                let room = if to.parse::<Id>().is_ok() { String::new() } else { format!(" {to}") };
                (REACH, if is_sent { to } else { from }, Some((from, name, at)), format!("{verb}{room}"))
            }
            [verb @ ("SAY" | "PART" | "ACK" | "END" | "BYE"), to, from, ..] => {
                let step = if matches!(verb, "END" | "BYE") { PART } else { TALK };
                (step, if is_sent { to } else { from }, None, format!("{verb} {}", words[3..].join(" ")))
            }
            _ => (MEET, "", None, text.to_owned()),
        };
        let is_idle =
            |why: &Reason| matches!(why, Reason::Ignored(_) | Reason::Departed(..) | Reason::Unproven);
        let learnt = named.filter(|_| !is_sent && !reasons.iter().any(is_idle));
        learnt.into_iter().for_each(|learnt| self.learn(learnt));
        let whom = self.whom(other, at);
        if reasons.iter().any(|why| matches!(why, Reason::Linked(_))) {
            self.others.retain(|known| known.id == other || known.at != at); // whoever was there before is gone
            let linked = self.others.iter_mut().filter(|known| known.id == other);
            linked.for_each(|known| (known.at, known.is_linked) = (at, true));
        }
        (step, format!("{} {arrow} {whom}", self.us), fields)
    }

    fn learn(&mut self, (id, name, at): (&str, &str, SocketAddr)) {
        let known = self.others.iter().position(|other| other.id == id);
        let linked = known.map(|index| self.others.remove(index)).filter(|other| other.is_linked);
        let new = Other { id: id.to_owned(), name: name.to_owned(), at, is_linked: false };
        self.others.push(linked.unwrap_or(new));
        if self.others.len() > MAX_KNOWN {
            let older = &self.others[..MAX_KNOWN];
            self.others.remove(older.iter().position(|other| !other.is_linked).unwrap_or(0));
        }
    }

    /// By id or by address: a name, with the address unless they are linked there.
    fn whom(&self, id: &str, at: SocketAddr) -> String {
        let is_id = id.parse::<Id>().is_ok();
        let is_meant = |other: &&Other| if is_id { other.id == id } else { other.at == at };
        match self.others.iter().rev().find(is_meant) {
            _ if self.tracker == Some(at) => "tracker".to_owned(),
            Some(other) if other.is_linked && other.at == at => self.name(&other.id),
            Some(other) => format!("{} {at}", other.name),
            None => at.to_string(),
        }
    }

    /// A name in place of an id; two of one name are told apart by their ports.
    fn name(&self, word: &str) -> String {
        match self.others.iter().find(|other| other.id == word) {
            Some(Other { name, at, is_linked, .. }) => {
                let is_rival = |other: &&Other| other.name == *name && other.is_linked == *is_linked;
                let is_special = *name == self.us || name == "tracker";
                let is_alone = !is_special && self.others.iter().filter(is_rival).count() == 1;
                if is_alone { name.clone() } else { format!("{name}:{}", at.port()) }
            }
            None => word.to_owned(),
        }
    }
}

/// In UTC: std knows no other.
pub fn time_of_day(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MAX_DATAGRAM;
    use std::time::Duration;

    const TRACKER: &str = "198.51.100.1:55555";
    const BOB: &str = "192.0.2.2:50001";
    const ELSEWHERE: &str = "192.0.2.3:50002";
    const MADE: [(usize, Reason); 1] = [(0, Reason::Linked("made"))];

    /// What one program shows, and a clock.
    struct Bench {
        trace: Trace,
        now: SystemTime,
    }

    impl Bench {
        /// It has run for 1.204 s, at four minutes past twelve.
        fn new(style: Style, us: &str) -> Self {
            let started = UNIX_EPOCH + Duration::from_millis((12 * 3600 + 4 * 60 + 39) * 1000 + 568);
            Self { trace: Trace::new(style, us, started), now: started + Duration::from_millis(1204) }
        }

        fn lines(
            &mut self,
            arrow: &str,
            at: &str,
            datagram: &[u8],
            reasons: &[(usize, Reason)],
        ) -> Vec<Line> {
            let destination = at.parse().expect("an endpoint");
            let passing = Transmit { destination, datagram: datagram.into(), reasons: reasons.into() };
            self.trace.lines(self.now, arrow, &passing, if arrow == "-!" { "no route" } else { "" })
        }

        /// `<a>`, `<b>` and `<c>` stand for ids.
        fn show(&mut self, arrow: &str, at: &str, datagram: &str, reasons: &[(usize, Reason)]) -> String {
            let ids = [("<a>", 'a'), ("<b>", 'b'), ("<c>", 'c')];
            let datagram = ids.into_iter().fold(datagram.to_owned(), |text, (short, digit)| {
                text.replace(short, &digit.to_string().repeat(16))
            });
            let lines = self.lines(arrow, at, format!("{datagram}\n").as_bytes(), reasons);
            lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>().join("\n")
        }
    }

    fn again(why: &'static str) -> [(usize, Reason); 1] {
        [(0, Reason::Again(why))]
    }

    #[test]
    fn a_peer_tells_its_story_with_names_and_reasons() {
        let mut bench = Bench::new(Style::Story, "alice");
        let passing: [(_, _, _, &[_]); _] = [
            ("->", TRACKER, "REGISTER - <a> lobby alice 192.0.2.1:50001", &[]),
            ("<-", TRACKER, "COOKIE one", &[]),
            ("->", TRACKER, "REGISTER one <a> lobby alice 192.0.2.1:50001", &again("with the cookie")),
            ("<-", TRACKER, "WAIT 2/2 192.0.2.1:50001\nPEER 2/2 <b> bob 192.0.2.2:50001 10.0.0.2:50001", &[]),
            ("-!", "10.0.0.2:50001", "PING <b> <a> alice", &[]),
            ("->", BOB, "PING <b> <a> alice", &[]),
            ("<-", BOB, "PONG <a> <b> bob\nPING <a> <b> bob", &MADE),
            ("->", TRACKER, "MET one <a> <b>", &[]),
            ("->", BOB, "PONG <b> <a> alice\nSAY <b> <a> 1 hello", &[(1, Reason::Overtaken(3))]),
            ("-x", BOB, "PART <b> <a> 2 half a line", &[(0, Reason::Probe(Duration::from_millis(80)))]),
            ("<-", BOB, "ACK <a> <b> 1 3-3", &[(0, Reason::NothingNew)]),
            ("<-", BOB, "nonsense", &[]),
            ("<-", BOB, "BYE <a> <b> 2", &[(0, Reason::Kept(1))]),
            ("<-", ELSEWHERE, "BYE <a> <b> 2", &[(0, Reason::Ignored("had it already"))]),
            ("<-", ELSEWHERE, "PONG <a> <b> bob", &[(0, Reason::Linked("moved here"))]),
            ("->", ELSEWHERE, "END <b> <a> 3", &[]),
            ("->", TRACKER, "LEAVE one <a>", &[]),
        ];
        let story: Vec<String> =
            passing.map(|(arrow, at, datagram, reasons)| bench.show(arrow, at, datagram, reasons)).into();
        let expected = "\
12:04:40.772 Meet   alice -> tracker  REGISTER - alice lobby 192.0.2.1:50001
12:04:40.772 Meet   alice <- tracker  COOKIE one
12:04:40.772 Meet   alice -> tracker  REGISTER one alice lobby 192.0.2.1:50001    (again: with the cookie)
12:04:40.772 Meet   alice <- tracker  WAIT 2/2 192.0.2.1:50001
12:04:40.772 Meet   alice <- tracker  PEER 2/2 bob 192.0.2.2:50001 10.0.0.2:50001
12:04:40.772 Reach  alice -! bob 10.0.0.2:50001  PING    (no route)
12:04:40.772 Reach  alice -> bob 192.0.2.2:50001  PING
12:04:40.772 Reach  alice <- bob 192.0.2.2:50001  PONG    (link made)
12:04:40.772 Reach  alice <- bob      PING
12:04:40.772 Meet   alice -> tracker  MET one bob
12:04:40.772 Reach  alice -> bob      PONG
12:04:40.772 Talk   alice -> bob      SAY 1 hello    (again: 3 later ones arrived)
12:04:40.772 Talk   alice -x bob      PART 2 half a line    (probe: silent for 80 ms)
12:04:40.772 Talk   alice <- bob      ACK 1 3-3    (nothing new)
12:04:40.772 ?      alice <? bob      nonsense    (unknown verb)
12:04:40.772 Part   alice <- bob      BYE 2    (kept: 1 is missing)
12:04:40.772 Part   alice <- bob 192.0.2.3:50002  BYE 2    (ignored: had it already)
12:04:40.772 Reach  alice <- bob 192.0.2.3:50002  PONG    (link moved here)
12:04:40.772 Part   alice -> bob      END 3
12:04:40.772 Meet   alice -> tracker  LEAVE one";
        assert_eq!(story.join("\n"), expected);
    }

    #[test]
    fn a_tracker_knows_who_has_proven_an_address() {
        let mut bench = Bench::new(Style::Story, "tracker");
        let no_cookie = [(0, Reason::Unproven)];
        for (arrow, datagram, reasons, shown) in [
            (
                "<-",
                "REGISTER - <b> lobby bob 10.0.0.2:50001",
                &no_cookie[..],
                "REGISTER - bob lobby 10.0.0.2:50001",
            ),
            ("->", "COOKIE one", &[], "COOKIE one"),
            ("<-", "REGISTER one <b> lobby bob 10.0.0.2:50001", &[], "REGISTER one bob lobby 10.0.0.2:50001"),
            ("->", "WAIT 1/2 192.0.2.2:50001", &again("registered again"), "WAIT 1/2 192.0.2.2:50001"),
            ("<-", "MET one <b> <c>", &[], "MET one cccccccccccccccc"),
        ] {
            let is_proven = !datagram.ends_with("one") && reasons != no_cookie;
            let whom = if is_proven { "bob 192.0.2.2:50001" } else { BOB };
            let why = reasons.first().map(|(_, reason)| format!("    ({reason})")).unwrap_or_default();
            let line = format!("12:04:40.772 Meet   tracker {arrow} {whom}  {shown}{why}");
            assert_eq!(bench.show(arrow, BOB, datagram, reasons), line);
        }
    }

    #[test]
    fn two_of_one_name_are_told_apart_by_their_ports() {
        let mut bench = Bench::new(Style::Story, "alice");
        let mut answer = |at, id, name| bench.show("<-", at, &format!("PONG <a> {id} {name}"), &MADE);
        answer(BOB, "<b>", "bob");
        answer(ELSEWHERE, "<c>", "bob");
        answer("192.0.2.4:50003", "dddddddddddddddd", "alice");
        for (at, id, whom) in [
            (BOB, "<b>", "bob:50001"),
            (ELSEWHERE, "<c>", "bob:50002"),
            ("192.0.2.4:50003", "dddddddddddddddd", "alice:50003"),
        ] {
            let line = format!("12:04:40.772 Talk   {:<16}  ACK 1", format!("alice -> {whom}"));
            assert_eq!(bench.show("->", at, &format!("ACK {id} <a> 1"), &[]), line);
        }
    }

    #[test]
    fn from_what_was_ignored_nobody_is_known() {
        let mut bench = Bench::new(Style::Story, "alice");
        let departed = Reason::Departed("bob".parse().expect("a name"), "has left");
        for reason in [Reason::Ignored("not introduced"), departed] {
            let line = format!("12:04:40.772 Reach  alice <- {BOB}  PING    ({reason})");
            assert_eq!(bench.show("<-", BOB, "PING <a> <b> bob", &[(0, reason)]), line);
        }
        assert!(bench.trace.others.is_empty());
    }

    #[test]
    fn at_most_256_others_are_known_and_first_those_who_are_heard() {
        let mut bench = Bench::new(Style::Story, "alice");
        for number in 0..1000 {
            bench.show("<-", BOB, "PONG <a> <b> bob", &MADE);
            bench.show("<-", ELSEWHERE, &format!("PING lobby {number:016x} n{number}"), &[]);
        }
        assert_eq!(bench.trace.others.len(), MAX_KNOWN);
        assert!(bench.show("->", BOB, "END <b> <a> 1", &[]).contains("alice -> bob      END"));
        assert!(bench.show("->", ELSEWHERE, "PING 00000000000003e7 <a> alice", &[]).contains("-> n999 "));
    }

    #[test]
    fn a_text_is_shown_as_it_was_said() {
        let mut bench = Bench::new(Style::Story, "alice");
        bench.show("<-", BOB, "PONG <a> <b> bob", &MADE);
        for text in ["<b> and <a>", "two  spaces ", " (ignored: by whom?)", "", "-x <?"] {
            let shown = text.replace("<a>", "aaaaaaaaaaaaaaaa").replace("<b>", "bbbbbbbbbbbbbbbb");
            let said = format!("12:04:40.772 Talk   alice <- bob      SAY 1 {shown}");
            assert_eq!(bench.show("<-", BOB, &format!("SAY <a> <b> 1 {text}"), &[]), said);
        }
    }

    #[test]
    fn the_step_has_a_colour_and_so_has_a_loss() {
        let mut bench = Bench::new(Style::Story, "alice");
        for (arrow, line, colours) in [
            ("->", "WAIT 1/2 192.0.2.2:50001", &[("Meet", 6)][..]),
            ("<-", "PING lobby bbbbbbbbbbbbbbbb bob", &[("Reach", 5)]),
            ("-x", "ACK bbbbbbbbbbbbbbbb aaaaaaaaaaaaaaaa 1", &[("Talk", 2), ("-x", 1)]),
            ("-!", "BYE bbbbbbbbbbbbbbbb aaaaaaaaaaaaaaaa 1", &[("Part", 3), ("-!", 1)]),
            ("<-", "nonsense", &[("?", 1), ("<?", 1)]),
        ] {
            assert_eq!(bench.lines(arrow, BOB, format!("{line}\n").as_bytes(), &[])[0].1, colours, "{line}");
        }
        bench.trace.style = Style::Wire;
        assert_eq!(bench.lines("-x", BOB, b"COOKIE one\n", &[])[0].1, []);
    }

    #[test]
    fn both_are_shown_with_a_tab_between_and_no_other_before_it() {
        let mut bench = Bench::new(Style::Both, "alice");
        let story = "12:04:40.772 Talk   alice -> 192.0.2.2:50001  SAY 1 a b    (again: still waiting)";
        let wire = "SAY bbbbbbbbbbbbbbbb aaaaaaaaaaaaaaaa 1 a\tb";
        let shown = bench.show("->", BOB, "SAY <b> <a> 1 a\tb", &again("still waiting"));
        assert_eq!(shown, format!("{story}\t{wire}"));
    }

    #[test]
    fn the_wire_is_shown_byte_by_byte_with_further_messages_indented() {
        let mut bench = Bench::new(Style::Wire, "alice");
        let at = "192.0.2.1:50001";
        assert_eq!(bench.show("->", at, "COOKIE one", &MADE), "  1.204 -> 192.0.2.1:50001  COOKIE one");
        bench.now += Duration::from_secs(100);
        let line = "101.204 -! 192.0.2.1:50001  COOKIE one  (no route)";
        assert_eq!(bench.show("-!", at, "COOKIE one", &[]), line);
        let expected = "\
101.204 <- 192.0.2.1:50001  PONG aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb bob
                            ACK aaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbb 1
        <?                  nonsense  (unknown verb)
                            COOKIE one";
        let datagram = "PONG <a> <b> bob\nACK <a> <b> 1\nnonsense\nCOOKIE one";
        assert_eq!(bench.show("<-", at, datagram, &[]), expected);
    }

    #[test]
    fn what_is_no_message_is_shown_with_what_is_wrong() {
        let long = "x".repeat(MAX_DATAGRAM + 1);
        for (style, time, gap) in [(Style::Story, "12:04:40.772", "    "), (Style::Wire, "  1.204", "  ")] {
            for (datagram, shown, wrong) in [
                (&b""[..], "", "empty datagram"),
                (long.as_bytes(), &*long, "too long a datagram"),
                (b"COOKIE one", "COOKIE one", "no newline at the end"),
                (b"SAY \xff\n", "SAY \u{fffd}", "not UTF-8"),
            ] {
                let lines = Bench::new(style, "alice").lines("<-", BOB, datagram, &[]);
                assert_eq!(lines.len(), 1);
                let who = if style == Style::Story { "?      alice " } else { "" };
                assert_eq!(lines[0].0, format!("{time} {who}<? {BOB}  {shown}{gap}({wrong})"));
            }
        }
    }

    /// After what has come before, what a line to bob looks like.
    fn end_to_bob(bench: &mut Bench) -> String {
        bench.show("->", BOB, "END <b> <a> 1", &[]).split_off("12:04:40.772 Part   alice -> ".len())
    }

    #[test]
    fn a_flood_of_names_and_a_namesake_that_is_not_linked_change_nothing_for_who_is() {
        let mut bench = Bench::new(Style::Story, "alice");
        bench.show("<-", BOB, "PONG <a> <b> bob", &MADE);
        for number in 0..=MAX_KNOWN {
            bench.show("<-", ELSEWHERE, &format!("PING lobby {number:016x} bob"), &[]);
        }
        assert_eq!(end_to_bob(&mut bench), "bob      END 1");
    }

    #[test]
    fn whoever_is_linked_at_an_address_has_the_place_of_who_was_there_before() {
        let mut bench = Bench::new(Style::Story, "alice");
        bench.show("<-", BOB, "PONG <a> <c> bob", &MADE);
        bench.show("<-", BOB, "PONG <a> <b> bob", &MADE);
        assert_eq!(end_to_bob(&mut bench), "bob      END 1");
    }

    #[test]
    fn a_peer_that_is_called_tracker_is_told_apart_by_its_port() {
        let mut bench = Bench::new(Style::Story, "alice");
        bench.show("<-", BOB, "PONG <a> <b> tracker", &MADE);
        assert_eq!(end_to_bob(&mut bench), "tracker:50001  END 1");
    }
}
