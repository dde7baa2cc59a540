//! Draws the window and the bytes under way over time, with what was lost and which timeouts expired.

use crate::canvas::{Canvas, SMALL, WIDTH, wide};

const LEFT: i64 = 62;
const RIGHT: i64 = WIDTH - 20;
const TOP: i64 = 104;
const BOTTOM: i64 = 404;
/// The rows of marks above the plot.
const LOST: i64 = 58;
const TIMEOUT: i64 = 80;

pub struct Plot {
    /// How long it is, in milliseconds, and how high, in bytes.
    pub time: i64,
    pub most: i64,
    /// From when on something is lost, and when nothing passes at all.
    pub fair_until: i64,
    pub outage: [i64; 2],
    /// Of each moment, the window and the bytes under way.
    pub samples: Vec<(i64, i64, i64)>,
    pub losses: Vec<i64>,
    pub timeouts: Vec<i64>,
}

impl Plot {
    pub fn draw(&self, title: &str, description: &str) -> String {
        let mut canvas = Canvas::default();
        self.draw_axes(&mut canvas);
        let [from, to] = self.outage.map(|time| self.x(time));
        canvas.rectangle("outage", [from, TOP, to - from, BOTTOM - TOP]);
        let under_way = self.steps(|(_, _, under_way)| *under_way);
        canvas.add(&format!(r#"<path class="area" d="M{LEFT} {BOTTOM}{under_way}V{BOTTOM}z"/>"#));
        let window = self.steps(|(_, window, _)| *window);
        canvas.add(&format!(r#"<path class="window" d="M{LEFT} {}{window}"/>"#, self.y(self.samples[0].1)));
        self.draw_marks(&mut canvas);
        let bad = self.x(self.fair_until);
        canvas.line("edge", [bad, TOP], [bad, BOTTOM]);
        label(&mut canvas, [bad + 62, TOP + 20], "10 % are lost");
        label(&mut canvas, [(from + to) / 2, TOP + 20], "nothing passes");
        canvas.rectangle("area", [LEFT, 18, 26, 12]);
        canvas.text("start", [LEFT + 34, 28], "bytes under way");
        canvas.line("window", [LEFT + 170, 24], [LEFT + 196, 24]);
        canvas.text("start", [LEFT + 204, 28], "congestion window: so many may be under way");
        canvas.finish(BOTTOM + 48, title, description)
    }

    fn x(&self, time: i64) -> i64 {
        LEFT + (RIGHT - LEFT) * time / self.time
    }

    fn y(&self, bytes: i64) -> i64 {
        BOTTOM - (BOTTOM - TOP) * bytes / self.most
    }

    fn draw_axes(&self, canvas: &mut Canvas) {
        canvas.rectangle("TalkBand", [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP]);
        for bytes in (0..=self.most).step_by(10_000) {
            let y = self.y(bytes);
            canvas.line("grid", [LEFT, y], [RIGHT, y]);
            canvas.text("end", [LEFT - 8, y + 4], &format!("{} kB", bytes / 1000));
        }
        for time in (0..=self.time).step_by(1000) {
            let x = self.x(time);
            canvas.line("edge", [x, BOTTOM], [x, BOTTOM + 5]);
            canvas.text("middle", [x, BOTTOM + 19], &(time / 1000).to_string());
        }
        canvas.text("middle", [(LEFT + RIGHT) / 2, BOTTOM + 36], "seconds since the first line");
    }

    /// A line that is level from each sample to the next one: only where it changes is something to be said.
    fn steps(&self, value: fn(&(i64, i64, i64)) -> i64) -> String {
        let (mut path, mut before) = (String::new(), None);
        for sample in &self.samples {
            let y = self.y(value(sample));
            if before != Some(y) {
                path += &format!("H{}V{y}", self.x(sample.0));
            }
            before = Some(y);
        }
        path + &format!("H{RIGHT}")
    }

    fn draw_marks(&self, canvas: &mut Canvas) {
        canvas.text("end", [LEFT - 8, LOST + 4], "lost");
        canvas.text("end", [LEFT - 8, TIMEOUT + 4], "timeout");
        for time in &self.losses {
            let x = self.x(*time);
            canvas.line("loss", [x, LOST - 6], [x, LOST + 6]);
        }
        for time in &self.timeouts {
            let x = self.x(*time);
            let (left, right, top, tip) = (x - 6, x + 6, TIMEOUT - 6, TIMEOUT + 5);
            canvas.add(&format!(r#"<path class="timeout" d="M{left} {top}H{right}L{x} {tip}z"/>"#));
            canvas.line("until", [x, tip], [x, BOTTOM]);
        }
    }
}

fn label(canvas: &mut Canvas, [x, y]: [i64; 2], text: &str) {
    let room = wide(text, SMALL) + 8;
    canvas.rectangle("paper", [x - room / 2, y - 12, room, 16]);
    canvas.text("middle", [x, y], text);
}
