//! The arrows of a picture, out of the story of a simulated network: who says what to whom, when, and what
//! becomes of it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::network::World;
use crate::told::{Told, read};

/// A datagram on its way; times in milliseconds.
#[derive(Debug, Clone)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    pub sent: i64,
    pub arrives: i64,
    pub end: End,
    pub step: Step,
    pub label: String,
    /// Why it was sent again, and what became of it where it came.
    pub again: String,
    pub remark: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Received,
    Lost,
    // By a router, or by the lack of anybody there.
    Dropped(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Meet,
    Reach,
    Talk,
    Part,
}

/// What a router notes: a door that opens, with the port outside.
#[derive(Debug, Clone)]
pub struct Door {
    pub router: String,
    pub time: i64,
    pub port: u16,
}

/// What a world has to tell.
pub struct Tale {
    pub arrows: Vec<Arrow>,
    pub doors: Vec<Door>,
}

impl Tale {
    /// Of those who take part, and from then on, in milliseconds, which becomes 0.
    pub fn new(world: &World, parts: &[&str], from: i64) -> Self {
        let story = world.story.as_ref().expect("it is told");
        let names = names(world, story);
        let names: Vec<(&str, &str)> = names.iter().map(|(end, name)| (&**end, &**name)).collect();
        let mut tale = Self { arrows: Vec::new(), doors: Vec::new() };
        let delay = world.weather.delay.as_millis() as i64;
        story.iter().for_each(|line| tale.take_in(line, &names, delay));
        let is_part = |name: &String| parts.contains(&&**name);
        tale.arrows.retain(|arrow| is_part(&arrow.from) && is_part(&arrow.to) && arrow.sent >= from);
        tale.doors.retain(|door| is_part(&door.router) && door.time >= from);
        tale.arrows
            .iter_mut()
            .for_each(|arrow| (arrow.sent, arrow.arrives) = (arrow.sent - from, arrow.arrives - from));
        tale.doors.iter_mut().for_each(|door| door.time -= from);
        tale
    }

    /// Says of each line that is new where it comes that it is shown there.
    pub fn showing(mut self) -> Self {
        let is_shown = |arrow: &&mut Arrow| {
            arrow.label.starts_with("SAY") && arrow.end == End::Received && arrow.remark.is_empty()
        };
        self.arrows.iter_mut().filter(is_shown).for_each(|arrow| arrow.remark = "shows it".to_owned());
        self
    }

    fn take_in(&mut self, line: &str, names: &[(&str, &str)], delay: i64) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[1..] {
            [router, "new", .., outside] => {
                let port = outside.rsplit(':').next().expect("a port").parse().expect("a port");
                self.doors.push(Door { router: router.to_owned(), time: time(line), port });
            }
            [who, what @ ("drops" | "unasked"), from, ..] => {
                let dropped = self.drop(who, from, names, time(line));
                if let Some(arrow) = dropped.filter(|arrow| what == "unasked" && arrow.again.is_empty()) {
                    arrow.remark = "notes it: the port is taken".to_owned();
                }
            }
            [_, "answered" | "lets", ..] => {}
            _ => self.pass(&read(line, names), delay),
        }
    }

    /// A router has dropped what its sender has sent last.
    fn drop(&mut self, router: &str, from: &str, names: &[(&str, &str)], now: i64) -> Option<&mut Arrow> {
        let from = names.iter().find(|(end, _)| *end == from).map_or(from, |(_, name)| name);
        let is_it = |arrow: &&mut Arrow| {
            arrow.from == from && [arrow.sent, arrow.arrives].contains(&now) && arrow.end == End::Received
        };
        let arrow = self.arrows.iter_mut().find(is_it)?;
        arrow.end = End::Dropped(router.to_owned());
        Some(arrow)
    }

    fn pass(&mut self, told: &Told<'_>, delay: i64) {
        let now = told.time.as_millis() as i64;
        if told.arrow != "<-" {
            return self.send(told, now, delay);
        }
        let is_it =
            |arrow: &&mut Arrow| arrow.from == told.whom && arrow.to == told.who && arrow.arrives == now;
        match self.arrows.iter_mut().find(is_it) {
            Some(arrow) if arrow.remark.is_empty() => arrow.remark = told.reason.to_owned(),
            Some(_) => {}
            // Somebody has sent it who tells no story.
            None => {
                let Told { who, whom, .. } = *told;
                self.send(
                    &Told { who: whom, whom: who, arrow: "->", reason: "", ..*told },
                    now - delay,
                    delay,
                );
                self.arrows.last_mut().expect("it was sent").remark = told.reason.to_owned();
            }
        }
    }

    /// Messages in one datagram are one arrow.
    fn send(&mut self, told: &Told<'_>, sent: i64, delay: i64) {
        let label = label(told.fields);
        let is_same =
            |arrow: &&mut Arrow| arrow.from == told.who && arrow.to == told.whom && arrow.sent == sent;
        if let Some(arrow) = self.arrows.iter_mut().find(is_same) {
            return arrow.label += &format!(", {label}");
        }
        let is_new = told.reason == "again: with the cookie";
        self.arrows.push(Arrow {
            from: told.who.to_owned(),
            to: told.whom.to_owned(),
            sent,
            arrives: sent + delay,
            end: if told.arrow == "-x" { End::Lost } else { End::Received },
            step: step(told.fields),
            label,
            again: if is_new { String::new() } else { told.reason.to_owned() },
            remark: String::new(),
        });
    }
}

/// Who is where: every endpoint in the story, and the names of those who live behind that address.
fn names(world: &World, story: &[String]) -> Vec<(String, String)> {
    let home = |host: &crate::network::Host| match host.realm {
        0 => host.endpoint.ip(),
        realm => world.routers[realm - 1].public,
    };
    let words = story.iter().flat_map(|line| line.split([' ', ',']));
    let ends = words.filter_map(|word| Some((word, word.trim_end_matches(':').parse::<SocketAddr>().ok()?)));
    let named = ends.filter_map(|(word, end)| {
        let host = world.hosts.iter().find(|host| home(host) == end.ip())?;
        Some((word.trim_end_matches(':').to_owned(), host.name.clone()))
    });
    let hosts = world.hosts.iter().map(|host| (host.name.clone(), host.name.clone()));
    named.chain(hosts).collect()
}

pub fn time(line: &str) -> i64 {
    let [_, minutes, seconds] = line[..12].split(':').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let milliseconds: i64 = seconds.replace('.', "").parse().expect("a number");
    minutes.parse::<i64>().expect("a number") * 60_000 + milliseconds
}

/// A message without its cookie and its addresses, which are another matter.
fn label(fields: &str) -> String {
    let words: Vec<&str> = fields.split(' ').collect();
    match words[..] {
        ["REGISTER", "-", ..] => "REGISTER".to_owned(),
        ["REGISTER", ..] => "REGISTER, cookie".to_owned(),
        ["WAIT", count, _] => format!("WAIT {count}"),
        ["PEER", _, name, ..] => format!("PEER {name}"),
        ["MET", _, name] => format!("MET {name}"),
        ["COOKIE" | "LEAVE", ..] => words[0].to_owned(),
        _ => fields.to_owned(),
    }
}

fn step(fields: &str) -> Step {
    match fields.split(' ').next() {
        Some("PING" | "PONG") => Step::Reach,
        Some("SAY" | "PART" | "ACK") => Step::Talk,
        Some("END" | "BYE") => Step::Part,
        _ => Step::Meet,
    }
}

/// Whatever leaves then is lost: in so many milliseconds.
pub fn lose(world: &mut World, milliseconds: u64) {
    let then = world.elapsed() + Duration::from_millis(milliseconds);
    world.partitions.push((then, then + Duration::from_millis(1)));
}
