//! Datagrams through associations: as many as get through, with so many under way at most, so that
//! what is lost is the relay's loss and no overflow of a socket's buffer.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
};
use socket2::SockRef;

use crate::pattern::Pattern;
use crate::peers::Proxy;
use crate::site::{connect, hello, reply, request_for};

/// Datagrams sent or received in one call.
const BATCH: usize = 16;

/// Datagrams under way at once in one association: each takes a socket's buffer of 208 KiB by 768
/// bytes at least and 2,304 where it has more than 450.
const WINDOW: u64 = 64;

/// Room for the longest datagram: 1,400 bytes and the header of an IPv4 address.
const ROOM: usize = 2_048;

/// The header of RFC 1928 §7 in front of an IPv4 address.
const HEADER: usize = 10;

/// Which way a flood goes, and how it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// From the client, datagram by datagram.
    Up,
    /// To the client.
    Down,
    /// The same as servers of QUIC send: many of one size in one piece (UDP_SEGMENT).
    Segments,
}

/// An association, and the remote that it talks to.
struct Association {
    /// It lives as long as this.
    _control: Option<TcpStream>,
    client: UdpSocket,
    remote: UdpSocket,
    /// Where the client sends to, and where the remote.
    relay: SocketAddr,
    outer: SocketAddr,
    header: Vec<u8>,
    sent: u64,
    received: u64,
    moved: Instant,
}

/// Associations through which datagrams go.
pub(crate) struct Datagrams<'a> {
    pattern: &'a Pattern,
    associations: Vec<Association>,
    headers: (MultiHeaders<SockaddrStorage>, MultiHeaders<SockaddrStorage>),
    rooms: Vec<Vec<u8>>,
    len: usize,
    /// Datagrams that have arrived, and those that have not.
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
}

impl<'a> Datagrams<'a> {
    /// So many associations, for datagrams of `len` bytes.
    pub(crate) fn open(
        pattern: &'a Pattern,
        proxy: &Proxy,
        count: usize,
        len: usize,
    ) -> Result<Self, String> {
        let open = |number| {
            Association::open(proxy)
                .map_err(|error| format!("association {number} of {count}: {error}"))
        };
        let associations: Result<Vec<_>, String> = (0..count).map(open).collect();
        let headers = || MultiHeaders::preallocate(BATCH, None);
        Ok(Self {
            pattern,
            associations: associations?,
            headers: (headers(), headers()),
            rooms: vec![vec![0; ROOM]; BATCH],
            len,
            arrived: 0,
            lost: 0,
        })
    }

    /// Floods for that long.
    pub(crate) fn flood(&mut self, flood: Flood, time: Duration) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < time {
            for at in 0..self.associations.len() {
                self.send(at, flood)?;
                self.receive(at, flood)?;
            }
        }
        Ok(())
    }

    /// One datagram there and back at a time; microseconds of each.
    pub(crate) fn ping(&self, time: Duration) -> Result<Vec<f64>, String> {
        let (start, mut micros) = (Instant::now(), Vec::new());
        let association = &self.associations[0];
        let mut room = [0; ROOM];
        while start.elapsed() < time {
            let body = self.pattern.piece(1, micros.len() as u64, self.len);
            let message = [&association.header[..], body].concat();
            let begun = Instant::now();
            let mut trip = || {
                association.client.send_to(&message, association.relay)?;
                let (len, from) = association.remote.recv_from(&mut room)?;
                association.remote.send_to(&room[..len], from)?;
                association.client.recv(&mut room)
            };
            let len = trip().map_err(|error| format!("a datagram does not come back: {error}"))?;
            micros.push(begun.elapsed().as_secs_f64() * 1e6);
            if room[association.header.len()..len] != *body {
                return Err("a datagram came back wrong".into());
            }
        }
        Ok(micros)
    }

    fn send(&mut self, at: usize, flood: Flood) -> Result<(), String> {
        let association = &mut self.associations[at];
        let under_way = association.sent - association.received;
        if under_way + BATCH as u64 > WINDOW {
            if association.moved.elapsed() > Duration::from_millis(100) {
                // Nobody has them any more.
                self.lost += under_way;
                association.received = association.sent;
                association.moved = Instant::now();
            }
            return Ok(());
        }
        let (socket, to) = match flood {
            Flood::Up => (&association.client, association.relay),
            Flood::Down | Flood::Segments => (&association.remote, association.outer),
        };
        let header = if flood == Flood::Up {
            &association.header[..]
        } else {
            &[]
        };
        let first = association.sent;
        let number = |n: usize| (first + n as u64).to_be_bytes();
        let numbers: [_; BATCH] = std::array::from_fn(number);
        let body = |n: usize| self.pattern.piece(at, first + n as u64, self.len - 8);
        let slices: Vec<[IoSlice<'_>; 3]> = (0..BATCH)
            .map(|n| {
                [
                    IoSlice::new(header),
                    IoSlice::new(&numbers[n]),
                    IoSlice::new(body(n)),
                ]
            })
            .collect();
        let (fd, to) = (socket.as_raw_fd(), SockaddrStorage::from(to));
        let sent = if flood == Flood::Segments {
            let size = u16::try_from(self.len).unwrap();
            let control = [ControlMessage::UdpGsoSegments(&size)];
            sendmsg(fd, &slices.concat(), &control, MsgFlags::empty(), Some(&to)).map(|_| BATCH)
        } else {
            let headers = &mut self.headers.0;
            sendmmsg(
                fd,
                headers,
                &slices,
                [Some(to); BATCH],
                [],
                MsgFlags::empty(),
            )
            .map(|results| results.count())
        };
        association.sent += sent.map_err(|error| format!("sending: {error}"))? as u64;
        Ok(())
    }

    fn receive(&mut self, at: usize, flood: Flood) -> Result<(), String> {
        let association = &mut self.associations[at];
        let (socket, header) = match flood {
            Flood::Up => (&association.remote, 0),
            Flood::Down | Flood::Segments => (&association.client, association.header.len()),
        };
        let fd = socket.as_raw_fd();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .rooms
            .iter_mut()
            .map(|room| [IoSliceMut::new(room)])
            .collect();
        let received = recvmmsg(
            fd,
            &mut self.headers.1,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let lens: Vec<usize> = match received {
            Ok(results) => results.map(|result| result.bytes).collect(),
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(format!("receiving: {error}")),
        };
        for (len, room) in lens.into_iter().zip(&self.rooms) {
            let Some(bytes) = room
                .get(header..len)
                .filter(|bytes| bytes.len() == self.len)
            else {
                return Err(format!("a datagram of {len} bytes"));
            };
            let (number, body) = bytes.split_at(8);
            let number = u64::from_be_bytes(number.try_into().unwrap());
            if body != self.pattern.piece(at, number, self.len - 8) {
                return Err(format!("datagram {number} arrived wrong"));
            }
            if number < association.received {
                // It was given up before.
                self.lost -= 1;
            } else {
                self.lost += number - association.received;
                association.received = number + 1;
            }
            self.arrived += 1;
            association.moved = Instant::now();
        }
        Ok(())
    }
}

impl Association {
    fn open(proxy: &Proxy) -> std::io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (client, remote) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
        for socket in [&client, &remote] {
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            // Twice the window, whatever the system's default is.
            SockRef::from(socket).set_send_buffer_size(1 << 20)?;
        }
        let mut association = Self {
            _control: None,
            relay: remote.local_addr()?,
            outer: client.local_addr()?,
            client,
            remote,
            header: Vec::new(),
            sent: 0,
            received: 0,
            moved: Instant::now(),
        };
        if proxy.peer.is_socks() {
            let control = connect(proxy.addr, None)?;
            hello(&control, proxy.login)?;
            let mut said = &control;
            std::io::Write::write_all(&mut said, &request_for(3, any))?;
            association.relay = reply(&control)?;
            if association.relay.ip().is_unspecified() {
                association.relay.set_ip(proxy.addr.ip());
            }
            association._control = Some(control);
            let to = association.remote.local_addr()?;
            association.header = [&[0, 0], &request_for(0, to)[2..]].concat();
            association.header[2] = 0;
        }
        assert!(association.header.is_empty() || association.header.len() == HEADER);
        association.learn()?;
        Ok(association)
    }

    /// The first datagram shows the remote where it comes from; the answer opens the way back.
    fn learn(&mut self) -> std::io::Result<()> {
        let mut room = [0; ROOM];
        let first = [&self.header[..], b"first"].concat();
        self.client.send_to(&first, self.relay)?;
        let (len, from) = self.remote.recv_from(&mut room)?;
        self.outer = from;
        self.remote.send_to(&room[..len], from)?;
        self.client.recv(&mut room).map(drop)
    }
}
