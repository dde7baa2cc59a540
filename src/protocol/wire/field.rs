//! The fields that messages are made of, and the reader that takes a line apart into them.
//!
//! ```text
//! id            5f0c7a1be2d94863                 16 lower-case hex digits
//! name, room    alice                            1 to 32 bytes, no white space, nothing unprintable
//! endpoint      203.0.113.7:50001                port not 0; [2001:db8::7]:50001
//! number        42                               decimal, no sign, no leading zero, below 2^63
//! cookie        9b1e0c44d2f7a358                 1 to 64 printable ASCII characters; - for none
//! text          anything but a newline           may be empty; always the last field
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::{FromStr, from_utf8};

/// Why something is not understood: what is wrong, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str, pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

impl std::error::Error for Malformed {}

/// A peer's identity, drawn anew at each start. Whoever knows it may talk to that peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Id {
    type Err = Malformed;

    fn from_str(digits: &str) -> Result<Self, Malformed> {
        let is_plain = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let value = u64::from_str_radix(digits, 16).ok().filter(|_| is_plain);
        value.map(Self).ok_or(Malformed("bad", "id"))
    }
}

/// The name of a person or of a room.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name([u8; 32]); // in place, filled up with zeros: a tracker keeps a million of them

impl Name {
    pub fn as_str(&self) -> &str {
        from_utf8(&self.0).expect("a name is made from a str").trim_end_matches('\0')
    }
}

impl FromStr for Name {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut bytes = [0; 32];
        if text.is_empty() || text.len() > 32 || text.chars().any(|c| c.is_whitespace() || is_unprintable(c))
        {
            return Err(Malformed("bad", "name: 1 to 32 bytes, no spaces, nothing unprintable"));
        }
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl From<Id> for Name {
    fn from(id: Id) -> Self {
        id.to_string().parse().expect("16 hex digits are a name")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The cookie of those who have none yet.
pub const NO_COOKIE: &str = "-";

/// What is still unread of a line: fields divided by single spaces, free text last.
pub(super) struct Fields<'a>(pub(super) Option<&'a str>);

impl<'a> Fields<'a> {
    /// The next field as it stands there.
    pub(super) fn word(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let rest = self.0.ok_or(Malformed("missing", what))?;
        let (word, rest) = rest.split_once(' ').map_or((rest, None), |(word, rest)| (word, Some(rest)));
        self.0 = rest;
        Ok(word)
    }

    /// The next field, where it can be understood.
    fn read<T>(&mut self, what: &'static str, how: impl Fn(&'a str) -> Option<T>) -> Result<T, Malformed> {
        how(self.word(what)?).ok_or(Malformed("bad", what))
    }

    pub(super) fn get<T: FromStr>(&mut self, what: &'static str) -> Result<T, Malformed> {
        self.read(what, |word| word.parse().ok())
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.read(what, number)
    }

    /// Two numbers with something between them: `1/2`, `3-5`.
    pub(super) fn pair(&mut self, what: &'static str, between: char) -> Result<(u64, u64), Malformed> {
        let pair = |(one, two)| Some((number(one)?, number(two)?));
        self.read(what, |word| word.split_once(between).and_then(pair))
    }

    pub(super) fn endpoint(&mut self, what: &'static str) -> Result<SocketAddr, Malformed> {
        let endpoint = |word: &str| word.parse().ok().map(canonical);
        self.read(what, |word| endpoint(word).filter(|endpoint| endpoint.port() != 0))
    }

    /// A tracker's token, which proves that its holder receives at the address it sends from.
    pub(super) fn cookie(&mut self) -> Result<String, Malformed> {
        let is_valid =
            |word: &&str| (1..=64).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic());
        self.read("cookie", |word| Some(word).filter(is_valid).map(str::to_owned))
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        self.0.take().map(str::to_owned).ok_or(Malformed("missing", "text"))
    }
}

fn number(digits: &str) -> Option<u64> {
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|number| is_plain && *number < 1 << 63)
}

/// The one form in which endpoints are written and compared: an IPv4-mapped address as IPv4.
pub fn canonical(endpoint: SocketAddr) -> SocketAddr {
    SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port())
}

/// Whether an address is one that only a home, a laboratory or this machine knows: RFC 1918, RFC 4193,
/// link-local and loopback. Anything else that somebody calls private is not worth a datagram.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

/// Whether a character would disturb the screen: a control character, or one that turns the writing
/// direction.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_32_bytes_and_nothing_that_disturbs() {
        for name in ["a", "漢字", "peer-1", &"x".repeat(32)] {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let too_long = "ä".repeat(17);
        for name in ["", "two words", "tab\t", "line\n", "\u{a0}", "\u{7f}", "\u{202e}txet", &too_long] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_id_is_16_lower_case_hex_digits_and_a_name() {
        let id = Id(0x5f0c_7a1b_e2d9_4863);
        assert_eq!("5f0c7a1be2d94863".parse(), Ok(id));
        assert_eq!(Name::from(id).as_str(), "5f0c7a1be2d94863");
        for wrong in ["5f0c7a1be2d9486", "5f0c7a1be2d948630", "5F0C7A1BE2D94863", "+f0c7a1be2d94863"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_has_no_sign_and_no_leading_zero_and_fits_into_63_bits() {
        for (digits, value) in
            [("0", Some(0)), ("42", Some(42)), ("9223372036854775807", Some(u64::MAX >> 1))]
        {
            assert_eq!(number(digits), value);
        }
        for wrong in ["", "+1", "-1", "01", "1 ", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(number(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_what_a_home_or_this_machine_knows_is_local() {
        for local in
            ["10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "fd00::1", "fe80::1", "::1"]
        {
            assert!(is_local(local.parse().expect("an address")), "{local}");
        }
        for public in ["203.0.113.1", "100.64.0.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::"] {
            assert!(!is_local(public.parse().expect("an address")), "{public}");
        }
    }
}
