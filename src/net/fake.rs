//! A network in memory for unit tests: the far end of each socket that is opened is the test's
//! to play. Nothing happens by itself, and time only passes as the test sets it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::{
    DnsSocket, Errno, Event, Intake, Listener, Memory, Millis, Net, Offload, Pipe, Purpose, Side,
    Signal, Stream, Survey, Udp, UdpSocket,
};
use crate::state::access::Interface;
use crate::state::batch::Batch;
use crate::state::slots::Token;

/// The network, and what goes wrong in it.
#[derive(Default)]
pub(crate) struct FakeNet {
    pub(crate) now: Millis,
    /// The far end of every socket opened so far.
    pub(crate) ends: Vec<End>,
    /// What opening a socket fails with.
    pub(crate) open_error: Option<Errno>,
    /// What drawing random bytes fails with.
    pub(crate) random_error: Option<Errno>,
    random: u16,
}

/// The far end of a socket, shared with it.
pub(crate) type End = Rc<RefCell<FarEnd>>;

/// What the far end of a socket sends and sees.
pub(crate) struct FarEnd {
    pub(crate) token: Token,
    pub(crate) addr: SocketAddr,
    pub(crate) is_tcp: bool,
    /// A TCP connection is established; before, writes block.
    pub(crate) is_connected: bool,
    /// The far end has closed a TCP connection: reads find its end behind `incoming`.
    pub(crate) is_ended: bool,
    /// The socket has been closed.
    pub(crate) is_closed: bool,
    /// What the next read or write fails with.
    pub(crate) error: Option<Errno>,
    /// The most bytes that one read or write of a TCP connection moves.
    pub(crate) piece_bytes: usize,
    /// All that has been sent to the far end.
    pub(crate) sent: Vec<u8>,
    /// What is there to be read, datagram by datagram.
    pub(crate) incoming: VecDeque<Vec<u8>>,
    /// The number of reads so far.
    pub(crate) reads: usize,
}

/// A socket of any kind in the hands of the code under test.
pub(crate) struct FakeSocket(End);

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}

impl FarEnd {
    /// An event that announces data and room.
    pub(crate) fn event(&self) -> Event {
        Event {
            token: self.token,
            readable: true,
            writable: true,
            ended: false,
            failed: false,
        }
    }
}

impl FakeNet {
    fn open(&mut self, addr: SocketAddr, is_tcp: bool, token: Token) -> Result<FakeSocket, Errno> {
        if let Some(error) = self.open_error {
            return Err(error);
        }
        let end = Rc::new(RefCell::new(FarEnd {
            token,
            addr,
            is_tcp,
            is_connected: false,
            is_ended: false,
            is_closed: false,
            error: None,
            piece_bytes: usize::MAX,
            sent: Vec::new(),
            incoming: VecDeque::new(),
            reads: 0,
        }));
        self.ends.push(Rc::clone(&end));
        Ok(FakeSocket(end))
    }
}

impl Net for FakeNet {
    type Stream = FakeSocket;
    type Listener = FakeSocket;
    type DnsSocket = FakeSocket;

    fn wait(&mut self, _: &mut Vec<Event>, _: Option<Duration>) -> Result<bool, Errno> {
        unimplemented!()
    }

    fn now(&self) -> Millis {
        self.now
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Errno> {
        if let Some(error) = self.random_error {
            return Err(error);
        }
        self.random = self.random.wrapping_add(0x4f1b);
        out.copy_from_slice(&self.random.to_be_bytes());
        Ok(())
    }

    fn accept(&mut self, _: usize) -> Result<(FakeSocket, SocketAddr), Errno> {
        unimplemented!()
    }

    fn watch(&mut self, _: &mut FakeSocket, _: Token) -> Result<(), Errno> {
        unimplemented!()
    }

    fn connect(&mut self, to: SocketAddr, _: Purpose, token: Token) -> Result<FakeSocket, Errno> {
        self.open(to, true, token)
    }

    fn listen(&mut self, _: IpAddr, _: Option<(u16, u16)>, _: Token) -> Result<FakeSocket, Errno> {
        unimplemented!()
    }

    fn route(&mut self, _: IpAddr) -> Result<IpAddr, Errno> {
        unimplemented!()
    }

    fn dns_socket(&mut self, server: SocketAddr, token: Token) -> Result<FakeSocket, Errno> {
        self.open(server, false, token)
    }

    fn listeners(&self) -> &[SocketAddr] {
        unimplemented!()
    }

    fn renew_listeners(&mut self, _: Option<&[Interface]>) -> bool {
        unimplemented!()
    }

    fn close_listeners(&mut self) {
        unimplemented!()
    }

    fn signal(&mut self) -> Option<Signal> {
        unimplemented!()
    }

    fn begin_survey(&mut self) -> Result<bool, Errno> {
        unimplemented!()
    }

    fn survey(&mut self) -> Result<Survey, Errno> {
        unimplemented!()
    }

    fn memory(&mut self) -> Memory {
        unimplemented!()
    }
}

impl Udp for FakeNet {
    type UdpSocket = FakeSocket;

    fn try_offload(&mut self) -> Offload {
        Offload::default()
    }

    fn udp_relay(&mut self, _: Side, _: Token) -> Result<FakeSocket, Errno> {
        unimplemented!()
    }

    fn receive_batch(
        &mut self,
        _: &mut FakeSocket,
        _: &mut Batch,
        _: Intake,
    ) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn send_batch(
        &mut self,
        _: &mut FakeSocket,
        _: &Batch,
        _: Range<usize>,
        _: bool,
    ) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn send_run(
        &mut self,
        _: &mut FakeSocket,
        _: &Batch,
        _: Range<usize>,
        _: bool,
    ) -> Result<(), Errno> {
        unimplemented!()
    }
}

impl Listener for FakeSocket {
    type Stream = Self;

    fn accept(&mut self) -> Result<(Self, SocketAddr), Errno> {
        unimplemented!()
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }
}

impl UdpSocket for FakeSocket {
    fn aim(&mut self, _: SocketAddr) -> Result<(), Errno> {
        unimplemented!()
    }

    fn join(&mut self) -> Result<(), Errno> {
        unimplemented!()
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }
}

impl DnsSocket for FakeSocket {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        self.0.borrow_mut().sent.extend_from_slice(message);
        Ok(())
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut end = self.0.borrow_mut();
        end.reads += 1;
        if let Some(error) = end.error.take() {
            return Err(error);
        }
        let message = end.incoming.pop_front().ok_or(Errno::EAGAIN)?;
        buf[..message.len()].copy_from_slice(&message);
        Ok(message.len())
    }
}

impl Pipe for () {
    fn read(&mut self, _: &mut [u8]) -> Result<usize, Errno> {
        unimplemented!()
    }
}

impl Stream for FakeSocket {
    type Pipe = ();

    fn open_pipe(&self) -> Result<(), Errno> {
        unimplemented!()
    }

    fn splice_in(&mut self, (): &mut (), _: usize) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn splice_out(&mut self, (): &mut (), _: usize) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut end = self.0.borrow_mut();
        end.reads += 1;
        let Some(mut bytes) = end.incoming.pop_front() else {
            return if end.is_ended {
                Ok(0)
            } else {
                Err(Errno::EAGAIN)
            };
        };
        let len = bytes.len().min(buf.len()).min(end.piece_bytes);
        let rest = bytes.split_off(len);
        if !rest.is_empty() {
            end.incoming.push_front(rest);
        }
        buf[..len].copy_from_slice(&bytes);
        Ok(len)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        let mut end = self.0.borrow_mut();
        // As on Linux: a connection under way blocks, one that has failed says why.
        if let Some(error) = end.error.take() {
            return Err(error);
        }
        if !end.is_connected {
            return Err(Errno::EAGAIN);
        }
        let len = buf.len().min(end.piece_bytes);
        end.sent.extend_from_slice(&buf[..len]);
        Ok(len)
    }

    fn peek(&mut self, _: &mut [u8]) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn skip(&mut self, _: &mut [u8]) -> Result<usize, Errno> {
        unimplemented!()
    }

    fn shutdown_write(&mut self) -> Result<(), Errno> {
        unimplemented!()
    }

    fn take_error(&mut self) -> Option<Errno> {
        unimplemented!()
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        unimplemented!()
    }

    fn keep_alive(&mut self) {
        unimplemented!()
    }

    fn abort_on_close(&mut self) {
        unimplemented!()
    }
}
