//! SOCKS5 messages: RFC 1928, and user/password of RFC 1929.
//!
//! Every parser reads from the start of the bytes that have arrived. It returns the message,
//! `None` while bytes are missing, or [`Malformed`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

use super::Reader;
use super::encoded::Encoded;

/// Protocol version, first byte of greeting, request and reply (RFC 1928 §3).
pub const VERSION: u8 = 5;
/// Version of the user/password sub-negotiation (RFC 1929 §2).
const LOGIN_VERSION: u8 = 1;

/// The method "no authentication required" (RFC 1928 §3).
pub const NO_AUTHENTICATION: u8 = 0;
/// The method "username/password" (RFC 1928 §3, RFC 1929).
pub const USER_PASSWORD: u8 = 2;
/// "No acceptable methods": the reply to a greeting without one (RFC 1928 §3).
pub const NO_ACCEPTABLE: u8 = 0xff;

/// The longest name in bytes: the longest text form that DNS can carry (RFC 1035 §2.3.4).
pub const NAME_MAX: usize = 253;

/// What a parser returns; `None` if more bytes are needed.
pub type Parsed<T> = Option<Result<T, Malformed>>;

/// What is wrong with a message of SOCKS5 or SOCKS4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Its version is another one.
    Version,
    /// Its address type is unknown.
    AddressType,
    /// Its name is empty, longer than [`NAME_MAX`], or has a byte that no name has.
    Name,
    /// A text of a SOCKS4 request is longer than 255 bytes.
    TooLong,
}

/// The client's greeting (RFC 1928 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The methods offered.
    pub methods: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads a greeting; 257 bytes at most.
    pub fn read(reader: &mut Reader<'a>) -> Parsed<Self> {
        if reader.u8()? != VERSION {
            return Some(Err(Malformed::Version));
        }
        let methods = reader.counted()?;
        Some(Ok(Self { methods }))
    }

    /// Returns `true` if the client offers `method`.
    pub fn offers(&self, method: u8) -> bool {
        self.methods.contains(&method)
    }
}

/// Name and password (RFC 1929 §2). It has no `Debug`, so that they do not get into a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// UNAME, as sent.
    pub name: &'a [u8],
    /// PASSWD, as sent.
    pub password: &'a [u8],
}

impl<'a> Login<'a> {
    /// Reads the sub-negotiation; 513 bytes at most.
    pub fn read(reader: &mut Reader<'a>) -> Parsed<Self> {
        if reader.u8()? != LOGIN_VERSION {
            return Some(Err(Malformed::Version));
        }
        let (name, password) = (reader.counted()?, reader.counted()?);
        Some(Ok(Self { name, password }))
    }

    /// The reply (RFC 1929 §2). Its version is 1, not 5.
    pub fn reply(granted: bool) -> [u8; 2] {
        [LOGIN_VERSION, u8::from(!granted)]
    }
}

/// CMD, what a request asks for (RFC 1928 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// 01: a TCP connection to the address.
    Connect,
    /// 02: a listener for a connection from the address.
    Bind,
    /// 03: a UDP relay.
    UdpAssociate,
    /// Any other, with its code.
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

/// The host of a destination as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// ATYP 01 or 04, or a name that is an address in text form.
    Ip(IpAddr),
    /// ATYP 03.
    Name(Name),
}

/// A name that may be resolved: 1 to 253 bytes, none of them a space or a control character.
// Boxed, because requests are moved more often than named.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks a name. Bytes above 0x7f are allowed: the name server decides what they mean.
    ///
    /// Errors: [`Malformed::Name`].
    pub fn new(text: &[u8]) -> Result<Self, Malformed> {
        let no_name_byte = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
        if !(1..=NAME_MAX).contains(&text.len()) || text.iter().any(no_name_byte) {
            return Err(Malformed::Name);
        }
        Ok(Self(text.into()))
    }

    /// The name as it was sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&super::Shown(self.as_bytes()), f)
    }
}

/// A request (RFC 1928 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// CMD.
    pub command: Command,
    /// DST.ADDR.
    pub address: Address,
    /// DST.PORT.
    pub port: u16,
}

impl Request {
    /// Reads a request; 262 bytes at most. RSV may be anything. An address sent as a name becomes
    /// an address, a v4-mapped address becomes the IPv4 address.
    pub fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        if reader.u8()? != VERSION {
            return Some(Err(Malformed::Version));
        }
        let [command, _reserved, address_type] = reader.array()?;
        let address = match Address::read(address_type, reader)? {
            // The length of the message is not known then.
            Err(Malformed::AddressType) => return Some(Err(Malformed::AddressType)),
            address => address,
        };
        // An error in the name is returned once the whole message is there, so that the result
        // does not depend on how the bytes were split.
        let port = reader.u16()?;
        Some(address.map(|address| Self {
            command: command.into(),
            address,
            port,
        }))
    }
}

impl Address {
    /// Reads an address of the type `address_type` (ATYP, RFC 1928 §5).
    pub(super) fn read(address_type: u8, reader: &mut Reader<'_>) -> Parsed<Self> {
        Some(match address_type {
            1 => Ok(Self::Ip(Ipv4Addr::from(reader.array::<4>()?).into())),
            3 => Self::parse(reader.counted()?),
            4 => {
                let addr = Ipv6Addr::from(reader.array::<16>()?);
                Ok(Self::Ip(addr.to_canonical()))
            }
            _ => Err(Malformed::AddressType),
        })
    }

    /// Parses a name. One that is an address in text form becomes that address.
    ///
    /// Errors: [`Malformed::Name`].
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        Ok(match literal(text) {
            Some(addr) => Self::Ip(addr),
            None => Self::Name(Name::new(text)?),
        })
    }
}

/// The address, if `text` is one in text form (`1.2.3.4`, `::1`, `[::1]`): clients like Chromium
/// send every address as a name.
fn literal(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let addr = match text.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse::<IpAddr>().ok()?,
    };
    Some(addr.to_canonical())
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
    /// 06: in practice any timeout of the connection.
    TtlExpired = 6,
    /// 07
    CommandNotSupported = 7,
    /// 08
    AddressTypeNotSupported = 8,
}

/// A reply (RFC 1928 §6), 10 or 22 bytes. `bound` is BND.ADDR and BND.PORT.
pub fn reply(code: ReplyCode, bound: SocketAddr) -> Encoded {
    encode_address([VERSION, code as u8, 0], &bound)
}

/// Encodes three bytes followed by ATYP, address and port, 10 or 22 bytes: the form of replies
/// (RFC 1928 §6) and of headers of datagrams (§7). A v4-mapped address is encoded as IPv4.
pub(super) fn encode_address([first, second, third]: [u8; 3], addr: &SocketAddr) -> Encoded {
    let [high, low] = addr.port().to_be_bytes();
    match addr.ip().to_canonical() {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            Encoded::new([first, second, third, 1, a, b, c, d, high, low])
        }
        IpAddr::V6(addr) => {
            let mut message = [0; 22];
            message[..4].copy_from_slice(&[first, second, third, 4]);
            message[4..20].copy_from_slice(&addr.octets());
            message[20..].copy_from_slice(&[high, low]);
            Encoded::new(message)
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

    /// A message and how many bytes it took.
    type Message<T> = Result<Option<(T, usize)>, Malformed>;

    fn whole<'a, T>(bytes: &'a [u8], read: impl Fn(&mut Reader<'a>) -> Parsed<T>) -> Message<T> {
        let mut reader = Reader::new(bytes);
        let message = read(&mut reader).transpose()?;
        Ok(message.map(|message| (message, reader.consumed())))
    }

    fn greeting(bytes: &[u8]) -> Message<Greeting<'_>> {
        whole(bytes, Greeting::read)
    }

    fn login(bytes: &[u8]) -> Message<Login<'_>> {
        whole(bytes, Login::read)
    }

    fn request(bytes: &[u8]) -> Message<Request> {
        whole(bytes, Request::read)
    }

    #[test]
    fn captured_messages_parse() {
        let (greeting, len) = greeting(GREETING).unwrap().unwrap();
        assert_eq!((greeting.methods, len), (&[0, 1, 2][..], 5));
        let (login, len) = login(LOGIN).unwrap().unwrap();
        assert_eq!(
            (login.name, login.password, len),
            (&b"user"[..], &b"secret"[..], 13)
        );
        let (request, len) = request(REQUEST).unwrap().unwrap();
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
            assert_eq!(greeting(&GREETING[..len]), Ok(None));
        }
        for len in 0..LOGIN.len() {
            assert!(login(&LOGIN[..len]) == Ok(None));
        }
        for len in 0..REQUEST.len() {
            assert_eq!(request(&REQUEST[..len]), Ok(None));
        }
    }

    #[test]
    fn literals_sent_as_names_are_addresses() {
        for (text, addr) in [("1.2.3.4", "1.2.3.4"), ("::1", "::1"), ("[::1]", "::1")] {
            let literal = literal(text.as_bytes());
            assert_eq!(literal, Some(addr.parse().unwrap()));
        }
        for text in ["127.1", "0x7f000001", "[1.2.3.4]", "1.2.3.4.", "[::1"] {
            assert_eq!(literal(text.as_bytes()), None, "{text}");
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
        assert_eq!(request(&[5, 1, 0, 9]), Err(Malformed::AddressType));
    }

    #[test]
    fn replies_are_written_as_the_rfc_draws_them() {
        let succeeded = |bound: &str| reply(ReplyCode::Succeeded, bound.parse().unwrap());
        for bound in ["1.2.3.4:258", "[::ffff:1.2.3.4]:258"] {
            let expected = [5, 0, 0, 1, 1, 2, 3, 4, 1, 2];
            assert_eq!(succeeded(bound).as_bytes(), expected, "{bound}");
        }
        let reply = succeeded("[::1]:80");
        let reply = reply.as_bytes();
        assert_eq!(
            (reply.len(), reply[3], reply[19], reply[21]),
            (22, 4, 1, 80)
        );
    }

    proptest! {
        #[test]
        fn no_input_panics_or_reads_past_its_end(
            bytes in proptest::collection::vec(any::<u8>(), 0..600)
        ) {
            let lens = [
                greeting(&bytes).ok().flatten().map(|parsed| parsed.1),
                login(&bytes).ok().flatten().map(|parsed| parsed.1),
                request(&bytes).ok().flatten().map(|parsed| parsed.1),
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
            let alone = request(&bytes).unwrap().unwrap();
            bytes.extend(tail);
            prop_assert_eq!(request(&bytes).unwrap().unwrap(), alone);
        }
    }
}
