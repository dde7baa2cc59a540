//! A real browser, driven by its debugging pipe (Chrome `DevTools` Protocol).

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    count: u64,
    profile: std::path::PathBuf,
}

/// One page of it.
pub struct Page {
    session: String,
}

impl Browser {
    /// Where there is a Chromium or a Chrome.
    pub fn open() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let has =
            |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
        let name = names.into_iter().find(has)?;
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let own = format!("p2p-chat-browser-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let profile = std::env::temp_dir().join(own);
        // The pipe has the numbers 3 and 4, which std cannot give: a shell can.
        let command = "exec \"$0\" --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
                       --user-data-dir=\"$1\" --remote-debugging-pipe about:blank 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1";
        let mut shell = Command::new("sh");
        shell.args(["-c", command, name]).arg(&profile).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().ok()?;
        let (to, from) = (child.stdin.take()?, child.stdout.take()?);
        Some(Self { child, to, from, count: 0, profile })
    }

    /// Opens an address in a page of this width.
    pub fn visit(&mut self, address: &str, [width, height]: [u32; 2]) -> Page {
        let size = format!("\"width\":{width},\"height\":{height}");
        let target = self.ask("", "Target.createTarget", "\"url\":\"about:blank\",\"newWindow\":true");
        let id = text(&target, "targetId");
        let attached =
            self.ask("", "Target.attachToTarget", &format!("\"targetId\":\"{id}\",\"flatten\":true"));
        let page = Page { session: text(&attached, "sessionId") };
        let metrics = format!("{size},\"deviceScaleFactor\":1,\"mobile\":{}", width < 700);
        self.ask(&page.session, "Emulation.setDeviceMetricsOverride", &metrics);
        self.ask(&page.session, "Page.navigate", &format!("\"url\":\"{address}\""));
        page
    }

    pub fn set_scheme(&mut self, page: &Page, scheme: &str) {
        let features = format!("\"features\":[{{\"name\":\"prefers-color-scheme\",\"value\":\"{scheme}\"}}]");
        self.ask(&page.session, "Emulation.setEmulatedMedia", &features);
    }

    /// The value of an expression of JavaScript, as text.
    pub fn read(&mut self, page: &Page, expression: &str) -> String {
        let quoted = expression.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
        let asked =
            format!("\"expression\":\"String({quoted})\",\"returnByValue\":true,\"userGesture\":true");
        let answer = self.ask(&page.session, "Runtime.evaluate", &asked);
        text(&answer, "value")
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, page: &Page, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.read(page, expression) != "true" {
            assert!(Instant::now() < end, "{expression}\n{}", self.read(page, "document.body.innerText"));
            std::thread::sleep(Duration::from_millis(50)); // the browser has work of its own
        }
    }

    pub fn reload(&mut self, page: &Page) {
        self.ask(&page.session, "Page.reload", "");
    }

    /// A PNG of what is to be seen.
    pub fn picture(&mut self, page: &Page) -> Vec<u8> {
        from_base64(&text(&self.ask(&page.session, "Page.captureScreenshot", "\"format\":\"png\""), "data"))
    }

    fn ask(&mut self, session: &str, method: &str, parameters: &str) -> String {
        self.count += 1;
        let session =
            if session.is_empty() { String::new() } else { format!("\"sessionId\":\"{session}\",") };
        let request = format!(
            "{{\"id\":{},{session}\"method\":\"{method}\",\"params\":{{{parameters}}}}}\0",
            self.count
        );
        self.to.write_all(request.as_bytes()).unwrap();
        let is_answer = format!("{{\"id\":{},", self.count);
        loop {
            let message = self.next_message();
            if message.starts_with(&is_answer) {
                assert!(!message.contains("\"error\":{"), "{method}: {message}");
                return message;
            }
        }
    }

    fn next_message(&mut self) -> String {
        let (mut message, mut byte) = (Vec::new(), [0]);
        loop {
            self.from.read_exact(&mut byte).expect("the browser is there");
            if byte[0] == 0 {
                return String::from_utf8(message).unwrap();
            }
            message.push(byte[0]);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// RFC 4648 section 4.
fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |digit: &u8| DIGITS.iter().position(|one| one == digit).unwrap_or(0) as u32;
    let group = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | value(digit));
        bits.to_be_bytes()[1..4 - four.iter().filter(|digit| **digit == b'=').count()].to_vec()
    };
    text.as_bytes().chunks(4).flat_map(group).collect()
}

/// The first text in a JSON message with this name.
fn text(json: &str, name: &str) -> String {
    let Some((_, rest)) = json.split_once(&format!("\"{name}\":\"")) else { return String::new() };
    let mut text = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('u') => {
                    let code =
                        u32::from_str_radix(&characters.by_ref().take(4).collect::<String>(), 16).unwrap();
                    text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                }
                Some(other) => text.push(other),
                None => break,
            },
            other => text.push(other),
        }
    }
    text
}
