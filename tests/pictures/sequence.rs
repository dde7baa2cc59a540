//! A sequence diagram: what it shows, and where everything lies.
//!
//! ```text
//!  Meet  alice          tracker       a lifeline for everybody, time downwards
//!          |--REGISTER---->|          the slant of an arrow is its delay
//!          |- - - - - - x  |          dashed: said again; a cross: lost, or dropped
//!          :               :          dotted: cut, for nothing happens
//! ```

use crate::arrows::{Arrow, Door, End, Step, Tale};
use crate::canvas::{SMALL, WIDTH, wide, wrap};
use crate::drawing::Drawing;

/// The lifelines begin here.
pub const TOP: i64 = 40;

/// The words of the steps stand left of this, and nothing stands right of that.
pub const EDGES: [i64; 2] = [58, WIDTH - 10];

/// A longer silence is cut, in milliseconds, and is so high then.
const SILENCE: i64 = 45;
const CUT: i64 = 34;

pub struct Sequence {
    pub title: String,
    pub names: Vec<String>,
    pub arrows: Vec<Arrow>,
    pub doors: Vec<Door>,
    notes: Vec<(String, i64, String)>,
    /// Who is there only from then on.
    pub starts: Option<(String, i64)>,
    skips: Vec<(i64, i64, String)>,
    /// Pixels for each 10 ms.
    scale: i64,
}

/// What stands beside a lifeline.
pub struct Remark {
    pub who: String,
    pub time: i64,
    pub is_right: bool,
    pub text: String,
}

/// A stretch of time that is not drawn, and what is written there.
pub struct Cut {
    pub from: i64,
    pub to: i64,
    pub text: String,
}

impl Sequence {
    pub fn new(title: &str, names: &[&str], tale: Tale) -> Self {
        let Tale { arrows, doors } = tale;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let (notes, starts, skips) = (Vec::new(), None, Vec::new());
        Self { title: title.to_owned(), names, arrows, doors, notes, starts, skips, scale: 13 }
    }

    pub fn scale(self, scale: i64) -> Self {
        Self { scale, ..self }
    }

    /// Something that somebody does, and sends nothing.
    pub fn note(mut self, who: &str, time: i64, what: &str) -> Self {
        self.notes.push((who.to_owned(), time, what.to_owned()));
        self
    }

    /// Somebody is there only from then on.
    pub fn start(self, who: &str, time: i64) -> Self {
        Self { starts: Some((who.to_owned(), time)), ..self.note(who, time, "starts") }
    }

    /// Leaves out what is sent in this time, and says in words what it was.
    pub fn skip(mut self, from: i64, to: i64, what: &str) -> Self {
        self.arrows.retain(|arrow| !(from..to).contains(&arrow.sent));
        self.doors.retain(|door| !(from..to).contains(&door.time));
        self.skips.push((from, to, what.to_owned()));
        self
    }

    pub fn draw(&self) -> String {
        Drawing::new(self).draw()
    }

    pub fn place(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).expect("everybody has a lifeline")
    }

    pub fn is_rightwards(&self, arrow: &Arrow) -> bool {
        self.place(&arrow.to) > self.place(&arrow.from)
    }

    /// All moments at which something happens.
    fn times(&self) -> Vec<i64> {
        let arrows = self.arrows.iter().flat_map(|arrow| [arrow.sent, arrow.arrives]);
        let skips = self.skips.iter().flat_map(|(from, to, _)| [*from, *to]);
        let notes = self.notes.iter().map(|(_, time, _)| *time);
        let mut times: Vec<i64> = arrows.chain(skips).chain(notes).collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// Where nothing is under way for long, or what is shall not be drawn.
    pub fn cuts(&self) -> Vec<Cut> {
        let times = self.times();
        let cuts = times.windows(2).filter_map(|pair| {
            let (from, to) = (pair[0], pair[1]);
            let skip = self.skips.iter().find(|(begin, end, _)| *begin <= from && to <= *end);
            let is_silent = self.arrows.iter().all(|arrow| arrow.arrives <= from || arrow.sent >= to);
            let text = skip.map_or_else(|| format!("{} ms later", to - from), |(_, _, what)| what.clone());
            (skip.is_some() || is_silent && to - from > SILENCE).then_some(Cut { from, to, text })
        });
        cuts.collect()
    }

    /// For each moment, how far down it is.
    pub fn heights(&self) -> Vec<(i64, i64)> {
        let (times, cuts) = (self.times(), self.cuts());
        let mut y = TOP + 24;
        let mut heights = vec![(times[0], y)];
        for pair in times.windows(2) {
            let is_cut = cuts.iter().any(|cut| cut.from == pair[0]);
            y += if is_cut { CUT } else { (pair[1] - pair[0]) * self.scale / 10 };
            heights.push((pair[1], y));
        }
        heights
    }

    /// Each step and when it begins: with its first message, and no step comes back.
    pub fn steps(&self) -> Vec<(Step, i64)> {
        let mut steps: Vec<(Step, i64)> = Vec::new();
        for arrow in &self.arrows {
            if steps.last().is_none_or(|(step, _)| *step < arrow.step) {
                steps.push((arrow.step, arrow.sent));
            }
        }
        steps
    }

    /// Why something was sent again, what became of it, and what somebody does; in order of time.
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for arrow in &self.arrows {
            let is_right = self.is_rightwards(arrow);
            let (who, time) = match &arrow.end {
                End::Dropped(who) => (who, arrow.sent), // there is more room above the cross
                _ => (&arrow.to, arrow.arrives),
            };
            let again = (arrow.from.clone(), arrow.sent, !is_right, arrow.again.clone());
            remarks.extend([again, (who.clone(), time, is_right, arrow.remark.clone())]);
        }
        let is_last = |who: &String| self.names.last() == Some(who);
        remarks.extend(
            self.notes.iter().map(|(who, time, what)| (who.clone(), *time, is_last(who), what.clone())),
        );
        remarks.retain(|(.., text)| !text.is_empty());
        remarks.sort_by_key(|(_, time, ..)| *time);
        let remark = |(who, time, is_right, text)| Remark { who, time, is_right, text };
        remarks.into_iter().map(remark).collect()
    }

    /// The first and the last lifeline leave room for the remarks beside them.
    pub fn outer_lifelines(&self) -> [i64; 2] {
        let most = if self.names.len() == 2 { 172 } else { 96 };
        let remarks = self.remarks();
        let room = |name: &String, side| {
            let here = remarks.iter().filter(|remark| remark.is_right == side && remark.who == *name);
            let lines = here.flat_map(|remark| wrap(&remark.text, most));
            lines.map(|line| wide(&line, SMALL)).max().unwrap_or(0).max(40) + 14
        };
        let [left, right] = [0, self.names.len() - 1].map(|place| room(&self.names[place], place > 0));
        [EDGES[0] + left, EDGES[1] - right]
    }

    /// For those who listen.
    pub fn describe(&self) -> String {
        let told = self.arrows.iter().map(|arrow| {
            let fate = match &arrow.end {
                End::Received => String::new(),
                End::Lost => ", which is lost".to_owned(),
                End::Dropped(who) if self.names.contains(who) => format!(", which {who} drops"),
                End::Dropped(_) => ", and nobody is there".to_owned(),
            };
            let why = if arrow.again.is_empty() { String::new() } else { format!(" ({})", arrow.again) };
            format!("{} ms: {} to {}: {}{why}{fate}.", arrow.sent, arrow.from, arrow.to, arrow.label)
        });
        told.collect::<Vec<_>>().join("\n")
    }
}
