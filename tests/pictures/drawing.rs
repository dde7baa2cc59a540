//! Puts a sequence diagram on paper: bands, lifelines, arrows, and then the words, where they cover nothing.

use std::collections::BTreeMap;

use crate::arrows::{Arrow, Door, End, Step};
use crate::canvas::{Canvas, MESSAGE, SMALL, WIDTH, wide, wrap};
use crate::sequence::{Cut, EDGES, Remark, Sequence, TOP};

type Point = [i64; 2];
/// Left, top, width, height.
type Area = [i64; 4];

pub struct Drawing<'a> {
    sequence: &'a Sequence,
    heights: Vec<(i64, i64)>,
    lifelines: Vec<i64>,
    bottom: i64,
    canvas: Canvas,
    /// What no label may cover.
    taken: Vec<Area>,
    /// How far down there are remarks, at each side of each lifeline.
    remarked: BTreeMap<(i64, bool), i64>,
}

impl<'a> Drawing<'a> {
    pub fn new(sequence: &'a Sequence) -> Self {
        let heights = sequence.heights();
        let bottom = heights.last().expect("something happens").1 + 26;
        let ([left, right], gaps) = (sequence.outer_lifelines(), sequence.names.len() as i64 - 1);
        let lifelines = (0..=gaps).map(|place| left + (right - left) * place / gaps).collect();
        let (canvas, taken, remarked) = (Canvas::default(), Vec::new(), BTreeMap::new());
        Self { sequence, heights, lifelines, bottom, canvas, taken, remarked }
    }

    pub fn draw(mut self) -> String {
        let sequence = self.sequence;
        self.draw_bands();
        sequence.names.iter().for_each(|name| self.draw_lifeline(name));
        sequence.cuts().iter().for_each(|cut| self.write_cut(cut));
        sequence.arrows.iter().for_each(|arrow| self.draw_arrow(arrow));
        sequence.doors.iter().for_each(|door| self.draw_door(door));
        sequence.arrows.iter().for_each(|arrow| self.write_label(arrow));
        sequence.remarks().iter().for_each(|remark| self.write_remark(remark));
        let height = self.draw_legend();
        self.canvas.finish(height, &sequence.title, &sequence.describe())
    }

    fn x(&self, name: &str) -> i64 {
        self.lifelines[self.sequence.place(name)]
    }

    fn y(&self, time: i64) -> i64 {
        self.heights.iter().find(|(when, _)| *when == time).expect("every moment has a height").1
    }

    fn draw_bands(&mut self) {
        let steps = self.sequence.steps();
        let top = |index: usize| if index == 0 { TOP } else { self.y(steps[index].1) - 9 };
        let edges: Vec<i64> = (0..steps.len()).map(top).chain([self.bottom]).collect();
        for ((step, begins), edges) in steps.iter().zip(edges.windows(2)) {
            let [top, bottom] = [edges[0], edges[1]];
            self.canvas.rectangle(&format!("{step:?}Band"), [6, top, WIDTH - 12, bottom - top - 1]);
            self.canvas.text(&format!("word start {step:?}Head"), [13, top + 19], &format!("{step:?}"));
            self.canvas.text("start", [13, top + 34], &format!("{begins} ms"));
        }
    }

    fn draw_lifeline(&mut self, name: &str) {
        let x = self.x(name);
        let starts = self.sequence.starts.as_ref().filter(|(who, _)| who == name);
        let mut top = starts.map_or(TOP, |(_, time)| self.y(*time));
        self.canvas.text("name middle", [x, TOP - 14], name);
        self.canvas.line("cut", [x, TOP], [x, top]);
        for cut in self.sequence.cuts() {
            let (from, to) = (self.y(cut.from), self.y(cut.to));
            if from >= top {
                self.canvas.line("life", [x, top], [x, from + 6]);
                self.canvas.line("cut", [x, from + 6], [x, to - 4]);
                top = to - 4;
            }
        }
        self.canvas.line("life", [x, top], [x, self.bottom]);
    }

    fn write_cut(&mut self, cut: &Cut) {
        let right = self.lifelines.len() / 2;
        let x = (self.lifelines[right - 1] + self.lifelines[right]) / 2;
        let y = (self.y(cut.from) + self.y(cut.to)) / 2;
        self.write(SMALL, "middle", [x, y], &cut.text);
    }

    /// Where an arrow begins, and where it would end.
    fn way(&self, arrow: &Arrow) -> [Point; 2] {
        [[self.x(&arrow.from), self.y(arrow.sent)], [self.x(&arrow.to), self.y(arrow.arrives)]]
    }

    /// Where it does end.
    fn last(&self, arrow: &Arrow) -> Point {
        let [from, to] = self.way(arrow);
        match &arrow.end {
            End::Received => to,
            End::Lost => along(from, to, 540),
            End::Dropped(who) if self.sequence.names.contains(who) => at(from, to, self.x(who)),
            End::Dropped(_) => at(from, to, to[0] + 8 * (from[0] - to[0]).signum()),
        }
    }

    fn draw_arrow(&mut self, arrow: &Arrow) {
        let ([from, _], last, step) = (self.way(arrow), self.last(arrow), arrow.step);
        let again = if arrow.again.is_empty() { "" } else { " again" };
        self.canvas.line(&format!("arrow {step:?}{again}"), from, last);
        if arrow.end == End::Received {
            self.draw_head(step, from, last);
        } else {
            self.canvas.cross(last);
            self.taken.push([last[0] - 8, last[1] - 8, 16, 16]);
        }
    }

    /// The tip is the end of the line, and the corners are 10 pixels before it; in tenths of pixels.
    fn draw_head(&mut self, step: Step, [x1, y1]: Point, [x2, y2]: Point) {
        let (dx, dy) = (x2 - x1, y2 - y1);
        let length = (dx * dx + dy * dy).isqrt().max(1);
        let corner = |side: i64| {
            let x = x2 * 10 - dx * 100 / length - side * dy * 45 / length;
            let y = y2 * 10 - dy * 100 / length + side * dx * 45 / length;
            format!("{}.{} {}.{}", x / 10, x % 10, y / 10, y % 10)
        };
        let (left, right) = (corner(1), corner(-1));
        self.canvas.add(&format!(r#"<path class="{step:?}Head" d="M{x2} {y2}L{left}L{right}z"/>"#));
    }

    /// A door in a router is a ring where the datagram passes that opens it, with the port outside.
    fn draw_door(&mut self, door: &Door) {
        let is_beside =
            |name: &str| self.sequence.place(name).abs_diff(self.sequence.place(&door.router)) == 1;
        let opens = |arrow: &&Arrow| arrow.sent == door.time && is_beside(&arrow.from);
        let Some(arrow) = self.sequence.arrows.iter().find(opens) else { return };
        let ([from, to], text) = (self.way(arrow), format!("port {}", door.port));
        let [x, y] = at(from, to, self.x(&door.router));
        self.canvas.ring([x, y]);
        let side = if self.sequence.is_rightwards(arrow) { -1 } else { 1 };
        self.write(SMALL, "middle", [x + side * (14 + wide(&text, SMALL) / 2), y + 12], &text);
    }

    /// Where it is least in the way, near its sender.
    fn write_label(&mut self, arrow: &Arrow) {
        let [from, to] = self.way(arrow);
        let area = |place: &i64| around(along(from, to, *place), &arrow.label, MESSAGE);
        let cost = |place: &i64| self.cost(arrow, area(place)) + (place - 300).abs() / 10;
        let best = (140..=860).step_by(20).min_by_key(cost).expect("there are places");
        self.write(MESSAGE, "message middle", along(from, to, best), &arrow.label);
    }

    /// How much it would cost to write there: words most of all, lifelines, other arrows.
    fn cost(&self, arrow: &Arrow, area: Area) -> i64 {
        let words = self.taken.iter().filter(|taken| overlap(area, **taken)).count();
        let lifelines = self.lifelines.iter().filter(|x| overlap(area, [**x - 6, area[1], 12, 1])).count();
        let others = self.sequence.arrows.iter().filter(|other| self.way(other) != self.way(arrow));
        let arrows = others.filter(|other| crosses(area, self.way(other)[0], self.last(other))).count();
        words as i64 * 1000 + lifelines as i64 * 90 + arrows as i64 * 14
    }

    /// A text around that point, on paper of its own.
    fn write(&mut self, letters: i64, class: &str, [x, y]: Point, text: &str) {
        let area = around([x, y], text, letters);
        self.canvas.rectangle("paper", area);
        self.canvas.text(class, [x, y + 4], text);
        self.taken.push(area);
    }

    fn write_remark(&mut self, remark: &Remark) {
        let (x, is_right) = (self.x(&remark.who), remark.is_right);
        let is_there = |other: &&i64| **other != x && (**other > x) == is_right;
        let others = self.lifelines.iter().filter(is_there).chain([&EDGES[usize::from(is_right)]]);
        let room = others.map(|other| other.abs_diff(x) as i64).min().expect("the edge at least") - 12;
        let (class, left) = if is_right { ("start", x + 9) } else { ("end", x - 9) };
        for line in wrap(&remark.text, room) {
            let above = self.remarked.get(&(x, is_right)).copied().unwrap_or(0);
            let y = (self.y(remark.time) + 4).max(above + 13);
            self.canvas.text(class, [left, y], &line);
            self.remarked.insert((x, is_right), y);
        }
    }

    /// What those signs mean that are in this picture. Tells how high it has become.
    fn draw_legend(&mut self) -> i64 {
        let (arrows, has_doors) = (&self.sequence.arrows, !self.sequence.doors.is_empty());
        let dropped = if has_doors { "dropped: nobody inside has asked for it" } else { "nobody is there" };
        let signs = [
            ("said again", arrows.iter().any(|arrow| !arrow.again.is_empty())),
            ("lost", arrows.iter().any(|arrow| arrow.end == End::Lost)),
            (dropped, arrows.iter().any(|arrow| matches!(arrow.end, End::Dropped(_)))),
            ("opens: answers to this port may come in", has_doors),
        ];
        let (mut x, y) = (14, self.bottom + 16);
        for (index, (meaning, _)) in signs.iter().enumerate().filter(|(_, (_, is_there))| *is_there) {
            let sign = if index == 0 { 34 } else { 12 };
            match index {
                0 => self.canvas.line("life again", [x, y], [x + sign, y]),
                3 => self.canvas.ring([x + 6, y]),
                _ => self.canvas.cross([x + 6, y]),
            }
            self.canvas.text("start", [x + sign + 8, y + 4], meaning);
            x += sign + 8 + wide(meaning, SMALL) + 24;
        }
        if x == 14 { self.bottom + 10 } else { self.bottom + 34 }
    }
}

/// So many thousandths of the way.
fn along([x1, y1]: Point, [x2, y2]: Point, place: i64) -> Point {
    [x1 + (x2 - x1) * place / 1000, y1 + (y2 - y1) * place / 1000]
}

/// Where the way has come to this x.
fn at([x1, y1]: Point, [x2, y2]: Point, x: i64) -> Point {
    [x, y1 + (y2 - y1) * (x - x1) / (x2 - x1)]
}

/// What a text takes, with a rim, around its middle.
fn around([x, y]: Point, text: &str, letters: i64) -> Area {
    let wide = wide(text, letters) + 8;
    [x - wide / 2, y - 8, wide, 16]
}

fn overlap(a: Area, b: Area) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

fn crosses(area: Area, from: Point, to: Point) -> bool {
    (0..=1000).step_by(20).map(|place| along(from, to, place)).any(|[x, y]| overlap(area, [x, y, 1, 1]))
}
