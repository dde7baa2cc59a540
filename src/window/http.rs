//! As much of HTTP/1.1 (RFC 9112) as one page needs: one request to a connection, everything bounded.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// The longest head of a request, and the longest body: a line of 64 KiB.
const MAX_HEAD: usize = 8 * 1024;
const MAX_BODY: usize = 64 * 1024;

/// A request must be whole by then.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub host: String,
    pub origin: Option<String>,
    pub body: String,
}

/// A status, with its reason.
pub type Status = &'static str;

/// Reads one request.
///
/// # Errors
/// What to answer instead; `None` where nobody waits for an answer.
pub fn read_request(stream: &mut impl Read) -> Result<Request, Option<Status>> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break head;
        }
        if bytes.len() > MAX_HEAD {
            return Err(Some("431 Request Header Fields Too Large"));
        }
        read_more(stream, &mut bytes, end)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let (mut request, length) = read_head(&text).ok_or(Some("400 Bad Request"))?;
    if length > MAX_BODY {
        return Err(Some("413 Content Too Large"));
    }
    let body = head + 4;
    while bytes.len() < body + length {
        read_more(stream, &mut bytes, end)?;
    }
    request.body = String::from_utf8_lossy(&bytes[body..body + length]).into_owned();
    Ok(request)
}

fn read_more(stream: &mut impl Read, bytes: &mut Vec<u8>, end: Instant) -> Result<(), Option<Status>> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        _ if Instant::now() > end => Err(Some("408 Request Timeout")),
        Ok(0) => Err(None),
        Ok(length) => {
            bytes.extend_from_slice(&buffer[..length]);
            Ok(())
        }
        Err(_) => Err(Some("408 Request Timeout")),
    }
}

/// The request without its body, and how long that is. A body of unknown length is not understood.
fn read_head(head: &str) -> Option<(Request, usize)> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut request, mut length) = (Request { method, path, ..Request::default() }, 0);
    if !words.next()?.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("host", host) if request.host.is_empty() => request.host = host.to_owned(),
            ("origin", origin) => request.origin = Some(origin.to_owned()),
            ("content-length", digits) => length = digits.parse().ok()?,
            ("host" | "transfer-encoding", _) => return None,
            _ => {}
        }
    }
    Some((request, length))
}

/// What goes before every answer; the connection ends with it.
pub fn write_head(stream: &mut impl Write, status: Status, headers: &[&str]) -> std::io::Result<()> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())
}

/// An answer that is a word.
pub fn answer(stream: &mut impl Write, status: Status) -> std::io::Result<()> {
    let length = format!("Content-Length: {}", status.len() + 1);
    write_head(stream, status, &["Content-Type: text/plain; charset=utf-8", &length])?;
    stream.write_all(format!("{status}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes in pieces, as a network does.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some(piece) = self.0.first_mut() else { return Ok(0) };
            let length = piece.len().min(buffer.len());
            buffer[..length].copy_from_slice(&piece[..length]);
            piece.drain(..length);
            self.0.retain(|piece| !piece.is_empty());
            Ok(length)
        }
    }

    fn read(pieces: &[&str]) -> Result<Request, Option<Status>> {
        read_request(&mut Pieces(pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect()))
    }

    #[test]
    fn a_request_may_come_in_any_pieces() {
        let request = "POST /t/say HTTP/1.1\r\nHost: h:1\r\nOrigin: o\r\nContent-Length: 2\r\n\r\nhi";
        let whole = read(&[request]).expect("it is whole");
        let (host, origin, body) = ("h:1".to_owned(), Some("o".to_owned()), "hi".to_owned());
        let (method, path) = ("POST".to_owned(), "/t/say".to_owned());
        assert_eq!(whole, Request { method, path, host, origin, body });
        let letters: Vec<String> = request.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(read(&letters).as_ref(), Ok(&whole));
        assert_eq!(read(&[request, "GET / HTTP/1.1\r\n"]).as_ref(), Ok(&whole), "the next one is not read");
    }

    #[test]
    fn what_is_too_long_unknown_or_cut_off_is_refused() {
        let (long, body) = ("x".repeat(9000), "POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n");
        for (request, status) in [
            (long.as_str(), Some("431 Request Header Fields Too Large")),
            (body, Some("413 Content Too Large")),
            ("GET /\r\n\r\n", Some("400 Bad Request")),
            ("GET / HTTP/2\r\n\r\n", Some("400 Bad Request")),
            ("GET / a HTTP/1.1\r\n\r\n", Some("400 Bad Request")),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Some("400 Bad Request")),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Some("400 Bad Request")),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Some("400 Bad Request")),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", Some("400 Bad Request")),
            ("GET / HTTP/1.1\r\n", None),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhi", None),
        ] {
            assert_eq!(read(&[request]), Err(status), "{request:?}");
        }
    }
}
