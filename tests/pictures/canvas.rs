//! A picture as text: SVG, in whole pixels, so that it is the same on every machine.

use std::fmt::Write;

/// All pictures are as wide as this.
pub const WIDTH: i64 = 700;

/// Text is this high at least, and so many pixels wide for each ten letters.
pub const SMALL: i64 = 59;
pub const MESSAGE: i64 = 72;

/// Colours that differ in grey, too, on a ground of their own, which does for pages of any ground.
const STYLE: &str = "
  .ground { fill: #fdfcf9; stroke: #c9c4b8 }
  text { font: 11px Verdana, 'DejaVu Sans', Geneva, sans-serif; fill: #3c3c3c }
  text.message { font: 12px 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #141414 }
  text.name { font-size: 14px; font-weight: bold; fill: #141414 }
  text.word { font-size: 13px; font-weight: bold }
  .start { text-anchor: start } .middle { text-anchor: middle } .end { text-anchor: end }
  .paper { fill: #fdfcf9 }
  .life { stroke: #6a6a6a; stroke-width: 1.5 }
  .cut { stroke: #6a6a6a; stroke-width: 1.5; stroke-dasharray: 2 4 }
  .arrow { stroke-width: 1.8; fill: none }
  .again { stroke-dasharray: 7 4 }
  .cross { stroke: #a31515; stroke-width: 2.6; fill: none }
  .door { fill: #fdfcf9; stroke: #141414; stroke-width: 1.8 }
  .area { fill: #9ccbae; stroke: none } .window { fill: none; stroke: #0b3d20; stroke-width: 2.2 }
  .outage { fill: #dcdcd6; stroke: #77776f; stroke-dasharray: 4 3 }
  .grid { stroke: #c3d6c9 } .loss { stroke: #a31515; stroke-width: 2 }
  .timeout { fill: #141414 } .until { stroke: #141414; stroke-width: 1.2; stroke-dasharray: 3 3 }
  .edge { stroke: #8d877a; stroke-width: 1 }
  .Meet { stroke: #0b5394 } .Reach { stroke: #6d2a86 } .Talk { stroke: #14683a } .Part { stroke: #8f4a00 }
  .MeetHead { fill: #0b5394 } .ReachHead { fill: #6d2a86 } .TalkHead { fill: #14683a } .PartHead { fill: #8f4a00 }
  .MeetBand { fill: #e6eff8 } .ReachBand { fill: #f4e9f7 } .TalkBand { fill: #e6f4ea } .PartBand { fill: #fbeedb }
";

#[derive(Default)]
pub struct Canvas {
    body: String,
}

impl Canvas {
    /// A line of the file.
    pub fn add(&mut self, element: &str) {
        writeln!(self.body, "{element}").expect("a string takes it all");
    }

    pub fn line(&mut self, class: &str, [x1, y1]: [i64; 2], [x2, y2]: [i64; 2]) {
        self.add(&format!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    pub fn rectangle(&mut self, class: &str, [x, y, width, height]: [i64; 4]) {
        self.add(&format!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>"#
        ));
    }

    pub fn text(&mut self, class: &str, [x, y]: [i64; 2], text: &str) {
        self.add(&format!(r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escape(text)));
    }

    pub fn cross(&mut self, [x, y]: [i64; 2]) {
        let (left, right, top, bottom) = (x - 6, x + 6, y - 6, y + 6);
        self.add(&format!(
            r#"<path class="cross" d="M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}"/>"#
        ));
    }

    pub fn ring(&mut self, [x, y]: [i64; 2]) {
        self.add(&format!(r#"<circle class="door" cx="{x}" cy="{y}" r="5"/>"#));
    }

    /// The file: `title` and `description` are for those who listen.
    pub fn finish(self, height: i64, title: &str, description: &str) -> String {
        let (title, description, body) = (escape(title), escape(description), self.body);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<title id="title">{title}</title>
<desc id="desc">{description}</desc>
<style>{STYLE}</style>
<rect class="ground" x="0.5" y="0.5" width="{}" height="{}" rx="6"/>
{body}</svg>
"#,
            WIDTH - 1,
            height - 1
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// How wide a text is, nearly: so many pixels for ten letters.
pub fn wide(text: &str, letters: i64) -> i64 {
    (text.chars().count() as i64 * letters + 9) / 10
}

/// A text in small letters, in lines of at most so many pixels.
pub fn wrap(text: &str, room: i64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("one at least");
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if wide(&longer, SMALL) <= room {
            *line = longer;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
