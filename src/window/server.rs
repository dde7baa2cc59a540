//! One page for one person: who else asks, from another page, another computer or without the word, gets nothing.
//!
//! ```text
//! GET  /WORD/         the page
//! GET  /WORD/events   what happens after event ?after=N, as server-sent events (HTML standard, section 9.2)
//! POST /WORD/say      a line for the peer
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::feed::{Event, Feed, Kind};
use super::http::{Request, answer, read_request, write_head};

const PAGE: &str = include_str!("page.html");

/// Where a page is served if no port is asked for: the first free one.
const PORTS: std::ops::Range<u16> = 8000..8100;

/// Connections at a time; a browser needs two for a page, and others may come to waste them.
const MAX_CONNECTIONS: usize = 256;

/// A browser that takes nothing for so long is gone.
const SLOW: Duration = Duration::from_secs(5);

/// A sign of life, so that a browser that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub struct Server {
    listener: TcpListener,
    /// `127.0.0.1:8000`
    host: String,
    /// Nobody can guess it.
    word: String,
    feed: Arc<Feed>,
    keyboard: SyncSender<String>,
    /// Told when the peer is to leave, whatever it waits for.
    leave: SyncSender<()>,
    connections: AtomicUsize,
    /// Of them, those that look on.
    pub watching: AtomicUsize,
}

impl Server {
    /// Listens on this machine only.
    ///
    /// # Errors
    /// The port is taken, or all of those that were tried.
    pub fn open(
        port: Option<u16>,
        feed: Arc<Feed>,
        keyboard: SyncSender<String>,
        leave: SyncSender<()>,
    ) -> io::Result<Self> {
        let at = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let first_free = || PORTS.map(at).find(Result::is_ok).unwrap_or_else(|| at(0));
        let listener = port.map_or_else(first_free, at)?;
        let random = RandomState::new();
        Ok(Self {
            host: listener.local_addr()?.to_string(),
            listener,
            word: format!("{:016x}{:016x}", random.hash_one("window"), random.hash_one("word")),
            feed,
            keyboard,
            leave,
            connections: AtomicUsize::new(0),
            watching: AtomicUsize::new(0),
        })
    }

    /// The address to open.
    pub fn address(&self) -> String {
        format!("http://{}/{}/", self.host, self.word)
    }

    /// Serves whoever comes, for ever.
    pub fn serve(self: &Arc<Self>) {
        for stream in self.listener.incoming().flatten() {
            let server = self.clone();
            if server.connections.fetch_add(1, Relaxed) >= MAX_CONNECTIONS {
                _ = answer(&mut &stream, "503 Service Unavailable");
                server.connections.fetch_sub(1, Relaxed);
                continue;
            }
            thread::spawn(move || {
                _ = server.serve_one(stream); // a browser that hangs up misses nothing
                server.connections.fetch_sub(1, Relaxed);
            });
        }
    }

    fn serve_one(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(SLOW))?;
        stream.set_write_timeout(Some(SLOW))?;
        stream.set_nodelay(true)?;
        let request = match read_request(&mut stream) {
            Ok(request) => request,
            Err(status) => return status.map_or(Ok(()), |status| answer(&mut stream, status)),
        };
        // Another host's name for this address, or another page's script.
        if request.host != self.host
            || request.origin.as_ref().is_some_and(|o| *o != format!("http://{}", self.host))
        {
            return answer(&mut stream, "403 Forbidden");
        }
        let path = request.path.strip_prefix(&format!("/{}", self.word)).unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match (request.method.as_str(), path) {
            ("GET", "/") => self.show_page(&mut stream),
            ("GET", "/events") => {
                let seen = query.strip_prefix("after=").and_then(|number| number.parse().ok());
                self.tell_events(&mut stream, seen.unwrap_or(0))
            }
            ("POST", "/say") => answer(&mut stream, self.say(&request)),
            (_, "/" | "/events" | "/say") => answer(&mut stream, "405 Method Not Allowed"),
            _ => answer(&mut stream, "404 Not Found"),
        }
    }

    /// Nothing in the page runs but what stands in it.
    fn show_page(&self, stream: &mut TcpStream) -> io::Result<()> {
        let nonce = format!("{:016x}", RandomState::new().hash_one("nonce"));
        let page = PAGE.replace("NONCE", &nonce);
        let policy = format!(
            "Content-Security-Policy: default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let length = format!("Content-Length: {}", page.len());
        write_head(stream, "200 OK", &["Content-Type: text/html; charset=utf-8", &length, &policy])?;
        stream.write_all(page.as_bytes())
    }

    fn say(&self, request: &Request) -> &'static str {
        let line = request.body.strip_suffix('\n').unwrap_or(&request.body);
        if line.contains(['\n', '\r']) {
            return "400 Bad Request";
        }
        if line.trim_end() == "/quit" {
            _ = self.leave.try_send(()); // once is enough
        }
        let is_typed = || self.keyboard.try_send(line.to_owned()).is_ok();
        match self.feed.tell_if(Kind::Said, line.to_owned(), is_typed) {
            true => "200 OK",
            false => "503 Service Unavailable", // the peer takes no more for now
        }
    }

    fn tell_events(&self, stream: &mut TcpStream, mut seen: u64) -> io::Result<()> {
        write_head(stream, "200 OK", &["Content-Type: text/event-stream; charset=utf-8"])?;
        self.watching.fetch_add(1, Relaxed);
        let told = loop {
            let events = self.feed.after(seen, HEARTBEAT);
            let is_over = events.iter().any(|event| event.kind == Kind::End);
            seen = events.last().map_or(seen, |event| event.number);
            let told = stream.write_all(write_events(&events).as_bytes());
            if is_over || told.is_err() {
                break told;
            }
        };
        self.watching.fetch_sub(1, Relaxed);
        told
    }
}

/// Each is one line, its time and its text: a line feed in it would end it.
fn write_events(events: &[Event]) -> String {
    let write = |event: &Event| {
        let (number, name, line) = (event.number, event.kind.name(), event.line.replace(['\n', '\r'], " "));
        let time = event.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        format!("id: {number}\nevent: {name}\ndata: {time} {line}\n\n")
    };
    if events.is_empty() { ":\n\n".to_owned() } else { events.iter().map(write).collect() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Others may take a port between the two tries, but not each time.
    #[test]
    fn the_port_that_is_asked_for_is_not_taken_by_ourselves() {
        let open = |port| Server::open(port, Arc::default(), sync_channel(1).0, sync_channel(1).0);
        let first_free = || open(None)?.listener.local_addr().map(|address| address.port());
        assert!((0..10).any(|_| open(Some(first_free().expect("a port is free"))).is_ok()));
    }

    #[test]
    fn an_event_is_one_line_whatever_stands_in_it() {
        let line = "bob: a\nevent: end\r\ndata: <b>".to_owned();
        let events =
            [Event { number: 7, time: UNIX_EPOCH + Duration::from_secs(2), kind: Kind::Heard, line }];
        let written = "id: 7\nevent: heard\ndata: 2000 bob: a event: end  data: <b>\n\n";
        assert_eq!(write_events(&events), written);
        assert_eq!(write_events(&[]), ":\n\n");
    }
}
