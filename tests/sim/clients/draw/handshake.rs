//! The messages of a handshake, in each dialect, drawn to fit a scenario; and the codes with which
//! each dialect may be answered. What HTTP clients send is put together in `http.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

use super::http;
use crate::clients::draw::CREDENTIAL;
use crate::clients::scenario::{Dialect, Kind, Pace, Scenario};

/// Addresses that the rules forbid, with port 1080.
const FORBIDDEN: [[u8; 4]; 5] = [
    [127, 0, 0, 1],
    [192, 168, 1, 1],
    [10, 0, 0, 5],
    [45, 66, 0, 2],
    [224, 0, 0, 1],
];

/// The destination in a request.
enum Place {
    Addr(SocketAddr),
    Name(String, u16),
}

impl Scenario {
    /// Draws the messages of the handshake.
    pub(crate) fn draw_handshake(&mut self, rng: &mut Rng, number: u8, needs_password: bool) {
        let place = self.place(rng, number);
        match self.dialect {
            Dialect::Socks5 => self.socks5(rng, &place, needs_password),
            Dialect::Socks4 => self.socks4(rng, &place, needs_password),
            Dialect::Connect | Dialect::Forward => self.http(rng, number, &place, needs_password),
        }
        if self.kind == Kind::Dripper {
            self.pace = Pace::Dripping;
        } else if self.kind == Kind::Trickler {
            // Its pauses are too long to see a refusal in time.
            self.pace = Pace::Stepwise;
        } else if self.kind == Kind::Pipeliner {
            self.pace = Pace::Pipelined;
        }
    }

    /// Draws the messages of SOCKS5.
    fn socks5(&mut self, rng: &mut Rng, place: &Place, needs_password: bool) {
        if self.kind == Kind::Garbage && rng.bool() {
            let mut noise: Vec<u8> = (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect();
            noise[0] = [0, 1, 6, 22, 255][rng.usize(..5)];
            (self.handshake, self.codes) = (vec![noise], Vec::new());
            return;
        }
        let login = needs_password || rng.u8(..4) == 0;
        self.handshake.push(match login {
            true if rng.bool() && needs_password => vec![5, 3, 0, 1, 2],
            true => vec![5, 1, 2],
            false => vec![5, 2, 0, 1],
        });
        if login {
            let (name, mut password) = (CREDENTIAL.0, CREDENTIAL.1.to_vec());
            if self.kind == Kind::WrongPassword && needs_password {
                password[3] ^= 1;
                self.codes.clear();
            }
            self.handshake.push(fields(&[&[1], name, &password]));
        }
        let mut request = vec![5, self.command(), 0];
        match place {
            Place::Name(name, _) => {
                request.push(3);
                request.extend(fields(&[&[], name.as_bytes()]));
            }
            Place::Addr(SocketAddr::V4(addr)) => {
                request.push(1);
                request.extend(addr.ip().octets());
            }
            Place::Addr(SocketAddr::V6(addr)) => {
                request.push(4);
                request.extend(addr.ip().octets());
            }
        }
        request.extend(place.port().to_be_bytes());
        if self.kind == Kind::Garbage {
            (self.codes, self.target_addrs) = ((1..=8).collect(), Vec::new());
            request[[0, 1, 3][rng.usize(..3)]] = rng.u8(9..);
        }
        self.handshake.push(request);
    }

    /// Draws a request of SOCKS4, or of 4A for a name.
    fn socks4(&mut self, rng: &mut Rng, place: &Place, needs_password: bool) {
        let addr = match place {
            Place::Addr(addr) => match addr.ip() {
                IpAddr::V4(v4) => v4,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            },
            Place::Name(..) => Ipv4Addr::new(0, 0, 0, rng.u8(1..)),
        };
        let mut request = vec![4, self.command()];
        request.extend(place.port().to_be_bytes());
        request.extend(addr.octets());
        request.extend((0..rng.usize(..20)).map(|_| rng.u8(1..)));
        request.push(0);
        if let Place::Name(name, _) = place {
            request.extend(name.as_bytes());
            request.push(0);
        }
        if self.kind == Kind::Garbage && rng.bool() {
            // A user id without an end: closed without a reply (S3).
            request.truncate(8);
            request.extend([b'x'; 300]);
            (self.codes, self.target_addrs) = (Vec::new(), Vec::new());
        } else if self.kind == Kind::Garbage {
            request[1] = rng.u8(3..);
            (self.codes, self.target_addrs) = (vec![91], Vec::new());
        } else {
            let granted = |code: &u16| if *code == 0 { 90 } else { 91 };
            self.codes = self.codes.iter().map(granted).collect();
        }
        if needs_password && !self.codes.is_empty() {
            // A user id proves nothing (S4).
            (self.codes, self.bind_peers) = (vec![91], None);
        }
        self.handshake = vec![request];
    }

    /// Draws a request of HTTP.
    fn http(&mut self, rng: &mut Rng, number: u8, place: &Place, needs_password: bool) {
        self.codes = self
            .codes
            .iter()
            .flat_map(|code| statuses(*code))
            .copied()
            .collect();
        let mut password = CREDENTIAL.1.to_vec();
        let credential = needs_password || rng.u8(..4) == 0;
        if self.kind == Kind::WrongPassword && needs_password {
            password[3] ^= 1;
            self.codes = vec![407];
        }
        let without = self.kind == Kind::WrongPassword && rng.bool();
        let credential = (credential && !without).then_some((CREDENTIAL.0, &password[..]));
        let login = http::login(credential);
        let authority = place.authority();
        if self.kind == Kind::Garbage {
            let (head, status) = http::garbage(rng, &authority);
            (self.handshake, self.codes) = (vec![head], vec![status]);
            if status == 414 {
                // Before its end the line may want a place for long heads, and find none.
                self.codes.push(431);
            }
            self.target_addrs.clear();
        } else if self.dialect == Dialect::Connect {
            self.handshake = vec![http::connect(&authority, &login)];
        } else {
            let origin = http::Origin {
                number,
                authority,
                login,
            };
            let web = http::web(rng, self, &origin);
            let head = http::head_len(&web.exchanges[0].request);
            self.handshake = vec![web.exchanges[0].request[..head].to_vec()];
            self.web = Some(web);
        }
    }

    /// The command code of SOCKS.
    fn command(&self) -> u8 {
        match (&self.bind_peers, &self.udp) {
            (_, Some(_)) => 3,
            (Some(_), _) => 2,
            _ => 1,
        }
    }

    /// Draws the destination in the request.
    fn place(&self, rng: &mut Rng, number: u8) -> Place {
        if let Some(udp) = &self.udp {
            let nobody = SocketAddr::from(([0; 4], 0));
            let own = SocketAddr::new(self.from.ip(), udp.hint);
            return Place::Addr(if udp.hint > 0 || rng.bool() {
                own
            } else {
                nobody
            });
        }
        let last = self.target_addrs.last().map(|(addr, _)| *addr);
        match (self.name, last) {
            (Some(class), addr) => {
                let port = addr.map_or(1080, |addr| addr.port());
                Place::Name(format!("{class}-{number}.example"), port)
            }
            (None, Some(addr)) if self.bind_peers.is_some() && self.any_peer => {
                let nowhere: IpAddr = match addr {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                Place::Addr((nowhere, 0).into())
            }
            (None, Some(addr)) => Place::Addr(addr),
            (None, None) => {
                let addr = FORBIDDEN[rng.usize(..FORBIDDEN.len())];
                Place::Addr((addr, 1080).into())
            }
        }
    }
}

impl Place {
    /// The port.
    fn port(&self) -> u16 {
        match self {
            Self::Addr(addr) => addr.port(),
            Self::Name(_, port) => *port,
        }
    }

    /// The destination as HTTP writes it.
    fn authority(&self) -> String {
        match self {
            Self::Addr(addr) => addr.to_string(),
            Self::Name(name, port) => format!("{name}:{port}"),
        }
    }
}

/// The statuses of HTTP that stand for a code of SOCKS5. A name that does not resolve and one
/// without an answer in time have one code, but two statuses.
fn statuses(code: u16) -> &'static [u16] {
    match code {
        0 => &[200],
        2 => &[403],
        4 => &[502, 504],
        3 | 5 => &[502],
        6 => &[504],
        _ => &[503],
    }
}

/// Writes the first part as it is, then each other part with its length in front.
fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut message = parts[0].to_vec();
    for part in &parts[1..] {
        message.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(part);
    }
    message
}
