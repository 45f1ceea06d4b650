//! SOCKS5 messages: RFC 1928, and user/password of RFC 1929.
//!
//! Every parser looks at the start of what has arrived and gives the message with its length,
//! `None` while bytes are missing, or [`Malformed`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use super::Reader;

/// Protocol version, first byte of greeting, request and reply (RFC 1928 §3).
pub const VERSION: u8 = 5;
/// Version of the user/password sub-negotiation (RFC 1929 §2).
const LOGIN_VERSION: u8 = 1;

/// "No authentication required" (RFC 1928 §3).
pub const NO_AUTHENTICATION: u8 = 0;
/// "Username/password".
pub const USER_PASSWORD: u8 = 2;
/// "No acceptable methods".
pub const NO_ACCEPTABLE: u8 = 0xff;

/// The longest name that can be asked for: what DNS can carry in text form (RFC 1035 §2.3.4).
pub const NAME_MAX: usize = 253;
/// The longest reply: an IPv6 address.
pub const REPLY_MAX: usize = 22;

/// A message and how many bytes it took; `None`: more bytes are needed.
pub type Parsed<T> = Result<Option<(T, usize)>, Malformed>;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The version byte is another one.
    Version,
    /// Unknown address type.
    AddressType,
    /// A name that cannot be one: empty, over 253 bytes, or with bytes no name has.
    Name,
}

/// The client's greeting (RFC 1928 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The methods offered.
    pub methods: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Parses a greeting; 257 bytes at most.
    pub fn parse(bytes: &'a [u8]) -> Parsed<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            None => return Ok(None),
            Some(VERSION) => {}
            Some(_) => return Err(Malformed::Version),
        }
        let methods = reader.u8().and_then(|count| reader.take(count.into()));
        Ok(methods.map(|methods| (Self { methods }, reader.consumed())))
    }

    /// Whether the client offers `method`.
    pub fn offers(&self, method: u8) -> bool {
        self.methods.contains(&method)
    }
}

/// User and password (RFC 1929 §2). Not printable: it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// UNAME, as sent.
    pub name: &'a [u8],
    /// PASSWD, as sent.
    pub password: &'a [u8],
}

impl<'a> Login<'a> {
    /// Parses the sub-negotiation; 513 bytes at most.
    pub fn parse(bytes: &'a [u8]) -> Parsed<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            None => return Ok(None),
            Some(LOGIN_VERSION) => {}
            Some(_) => return Err(Malformed::Version),
        }
        let Some(name) = reader.u8().and_then(|len| reader.take(len.into())) else {
            return Ok(None);
        };
        let password = reader.u8().and_then(|len| reader.take(len.into()));
        Ok(password.map(|password| (Self { name, password }, reader.consumed())))
    }

    /// The two bytes that answer it (RFC 1929 §2): version 1, not 5.
    pub fn reply(granted: bool) -> [u8; 2] {
        [LOGIN_VERSION, u8::from(!granted)]
    }
}

/// What a request asks for (RFC 1928 §4). An unknown code keeps its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// 01: a TCP connection to the address.
    Connect,
    /// 02: a listener for a connection from the address.
    Bind,
    /// 03: a UDP relay.
    UdpAssociate,
    /// Any other.
    Unknown(u8),
}

impl From<u8> for Command {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Connect,
            2 => Self::Bind,
            3 => Self::UdpAssociate,
            other => Self::Unknown(other),
        }
    }
}

/// A destination as a client names it.
// Lives on the stack for the length of a call; a box would cost an allocation instead.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// ATYP 01 or 04, or a name that is a literal.
    Ip(IpAddr),
    /// ATYP 03.
    Name(Name),
}

/// A name that could be resolved: 1 to 253 bytes, none of them NUL, space or control.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

impl Name {
    /// Checks a name. Bytes above 0x7f pass: what they mean is the name server's affair.
    pub fn new(text: &[u8]) -> Result<Self, Malformed> {
        let no_name_byte = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
        if text.is_empty() || text.iter().any(no_name_byte) {
            return Err(Malformed::Name);
        }
        let mut bytes = [0; NAME_MAX];
        let head = bytes.get_mut(..text.len()).ok_or(Malformed::Name)?;
        head.copy_from_slice(text);
        let len = u8::try_from(text.len()).map_err(|_| Malformed::Name)?;
        Ok(Self { len, bytes })
    }

    /// The name as asked.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// The address, where the name is one written out (`1.2.3.4`, `::1`, `[::1]`).
    /// Clients like Chromium send every address as a name.
    fn literal(&self) -> Option<IpAddr> {
        let text = str::from_utf8(self.as_bytes()).ok()?;
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match inner {
            Some(inner) => inner
                .parse::<Ipv6Addr>()
                .ok()
                .map(|addr| addr.to_canonical()),
            None => text.parse::<IpAddr>().ok().map(|addr| addr.to_canonical()),
        }
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&super::Shown(self.as_bytes()), f)
    }
}

/// A request (RFC 1928 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// CMD.
    pub command: Command,
    /// DST.ADDR.
    pub address: Address,
    /// DST.PORT.
    pub port: u16,
}

impl Request {
    /// Parses a request; 262 bytes at most. RSV may be anything. A literal sent as a name
    /// comes out as an address, a v4-mapped address as the IPv4 address that it is.
    pub fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            None => return Ok(None),
            Some(VERSION) => {}
            Some(_) => return Err(Malformed::Version),
        }
        let (Some(command), Some(_reserved), Some(address_type)) =
            (reader.u8(), reader.u8(), reader.u8())
        else {
            return Ok(None);
        };
        let address = match address_type {
            1 => reader
                .array()
                .map(|octets| Ok(Address::Ip(Ipv4Addr::from(octets).into()))),
            4 => reader
                .array()
                .map(|octets: [u8; 16]| Ok(Address::Ip(Ipv6Addr::from(octets).to_canonical()))),
            3 => reader
                .u8()
                .and_then(|len| reader.take(len.into()))
                .map(named),
            _ => return Err(Malformed::AddressType),
        };
        // The whole message is read before any of it is judged, so that the reply does not
        // depend on how the bytes were split.
        let (Some(address), Some(port)) = (address, reader.u16()) else {
            return Ok(None);
        };
        let request = Self {
            command: command.into(),
            address: address?,
            port,
        };
        Ok(Some((request, reader.consumed())))
    }
}

/// The address that `text` names: a literal becomes the address that it writes out.
pub(super) fn named(text: &[u8]) -> Result<Address, Malformed> {
    let name = Name::new(text)?;
    Ok(name.literal().map_or(Address::Name(name), Address::Ip))
}

/// REP, how a request ended (RFC 1928 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ReplyCode {
    /// 00
    Succeeded = 0,
    /// 01: general SOCKS server failure.
    GeneralFailure = 1,
    /// 02: connection not allowed by ruleset.
    NotAllowed = 2,
    /// 03
    NetworkUnreachable = 3,
    /// 04
    HostUnreachable = 4,
    /// 05
    ConnectionRefused = 5,
    /// 06: in practice any timeout.
    TtlExpired = 6,
    /// 07
    CommandNotSupported = 7,
    /// 08
    AddressTypeNotSupported = 8,
}

/// Writes a reply (RFC 1928 §6) to the start of `out`; how long it is, 10 or 22 bytes.
/// A v4-mapped address is written as the IPv4 address that it is.
pub fn write_reply(code: ReplyCode, bound: SocketAddr, out: &mut [u8; REPLY_MAX]) -> u8 {
    let (rep, [high, low]) = (code as u8, bound.port().to_be_bytes());
    match bound.ip().to_canonical() {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            let reply = [VERSION, rep, 0, 1, a, b, c, d, high, low];
            if let Some(head) = out.first_chunk_mut() {
                *head = reply;
            }
            10
        }
        IpAddr::V6(addr) => {
            let (head, tail) = out.split_at_mut(4);
            head.copy_from_slice(&[VERSION, rep, 0, 4]);
            let (octets, port) = tail.split_at_mut(16);
            octets.copy_from_slice(&addr.octets());
            port.copy_from_slice(&[high, low]);
            22
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What curl sends for `socks5h://user:secret@…` and example.com:80.
    const GREETING: &[u8] = &[5, 3, 0, 1, 2];
    const LOGIN: &[u8] = b"\x01\x04user\x06secret";
    const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0bexample.com\x00\x50";

    #[test]
    fn captured_messages_parse() {
        let (greeting, len) = Greeting::parse(GREETING).unwrap().unwrap();
        assert_eq!((greeting.methods, len), (&[0, 1, 2][..], 5));
        let (login, len) = Login::parse(LOGIN).unwrap().unwrap();
        assert_eq!(
            (login.name, login.password, len),
            (&b"user"[..], &b"secret"[..], 13)
        );
        let (request, len) = Request::parse(REQUEST).unwrap().unwrap();
        assert_eq!(
            (request.command, request.port, len),
            (Command::Connect, 80, 18)
        );
        let Address::Name(name) = request.address else {
            panic!("a name")
        };
        assert_eq!(name.as_bytes(), b"example.com");
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for len in 0..GREETING.len() {
            assert_eq!(Greeting::parse(&GREETING[..len]), Ok(None));
        }
        for len in 0..LOGIN.len() {
            assert!(Login::parse(&LOGIN[..len]) == Ok(None));
        }
        for len in 0..REQUEST.len() {
            assert_eq!(Request::parse(&REQUEST[..len]), Ok(None));
        }
    }

    #[test]
    fn literals_sent_as_names_are_addresses() {
        for (text, addr) in [("1.2.3.4", "1.2.3.4"), ("::1", "::1"), ("[::1]", "::1")] {
            let literal = Name::new(text.as_bytes()).unwrap().literal();
            assert_eq!(literal, Some(addr.parse().unwrap()));
        }
        for text in ["127.1", "0x7f000001", "[1.2.3.4]", "1.2.3.4.", "[::1"] {
            assert_eq!(
                Name::new(text.as_bytes()).unwrap().literal(),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn names_that_cannot_be_names_are_malformed() {
        let long = [b'a'; 254];
        for text in [&b""[..], b"a b", b"a\0b", b"a\nb", b"\x7f", &long] {
            assert_eq!(Name::new(text), Err(Malformed::Name));
        }
        assert!(Name::new(&long[..253]).is_ok());
    }

    #[test]
    fn an_unknown_address_type_is_told_at_once() {
        assert_eq!(Request::parse(&[5, 1, 0, 9]), Err(Malformed::AddressType));
    }

    #[test]
    fn replies_are_written_as_the_rfc_draws_them() {
        let mut out = [0; REPLY_MAX];
        let len = write_reply(
            ReplyCode::Succeeded,
            "1.2.3.4:258".parse().unwrap(),
            &mut out,
        );
        assert_eq!((len, &out[..10]), (10, &[5, 0, 0, 1, 1, 2, 3, 4, 1, 2][..]));
        let mapped = "[::ffff:1.2.3.4]:258".parse().unwrap();
        let len = write_reply(ReplyCode::Succeeded, mapped, &mut out);
        assert_eq!((len, &out[..10]), (10, &[5, 0, 0, 1, 1, 2, 3, 4, 1, 2][..]));
        let len = write_reply(ReplyCode::Succeeded, "[::1]:80".parse().unwrap(), &mut out);
        assert_eq!(len, 22);
        assert_eq!((out[3], out[19], out[21]), (4, 1, 80));
    }

    proptest! {
        #[test]
        fn no_input_panics_or_reads_past_its_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..600)
        ) {
            let lens = [
                Greeting::parse(&bytes).ok().flatten().map(|parsed| parsed.1),
                Login::parse(&bytes).ok().flatten().map(|parsed| parsed.1),
                Request::parse(&bytes).ok().flatten().map(|parsed| parsed.1),
            ];
            prop_assert!(lens.into_iter().flatten().all(|len| len <= bytes.len()));
        }

        #[test]
        fn what_follows_a_message_changes_nothing(
            port: u16, octets: [u8; 4], tail in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let mut bytes = vec![5, 1, 0, 1];
            bytes.extend(octets);
            bytes.extend(port.to_be_bytes());
            let alone = Request::parse(&bytes).unwrap().unwrap();
            bytes.extend(tail);
            prop_assert_eq!(Request::parse(&bytes).unwrap().unwrap(), alone);
        }
    }
}
