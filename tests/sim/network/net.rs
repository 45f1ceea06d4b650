//! Implements [`Net`] on the seeded world, over virtual time.
//!
//! The clock moves inside [`Net::wait`] alone. A wait runs all that is due in the schedule. If
//! there is no event to deliver, the clock jumps to what comes first, the next entry of the
//! schedule or the server's timeout.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use anklet::net::{
    DnsSocket, Errno, Event, Intake, Memory, Millis, Net, Offload, Pipe, Purpose, Side, Signal,
    Stream, Survey, Udp, UdpSocket,
};
use anklet::state::access::Interface;
use anklet::state::batch::Batch;
use anklet::state::slots::Token;

use crate::clients::tunnel_end::TunnelEnd;
use crate::clients::web::WebServer;
use crate::faults::{Call, Concerned};
use crate::network::bind_listener::{ListenerHandle, route};
use crate::network::name_server::{self, NameServer};
use crate::world::{Actor, LISTENERS, World};

/// The handle of a TCP connection that the server holds.
pub(crate) struct StreamHandle(pub(crate) World, pub(crate) usize);

/// The handle of a pipe that the server holds.
pub(crate) struct PipeHandle(World, usize);

/// The handle of the socket of a DNS query that the server holds.
pub(crate) struct DnsHandle(World, usize);

/// The handle of a UDP socket of an association that the server holds.
pub(crate) struct UdpHandle(World, usize);

impl Net for World {
    type Stream = StreamHandle;
    type Listener = ListenerHandle;
    type DnsSocket = DnsHandle;

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<bool, Errno> {
        events.clear();
        let inner = &mut *self.0.borrow_mut();
        if let Some(stopped_ms) = inner.network.stopped_ms.take() {
            inner.stop_for(stopped_ms);
            return Ok(false);
        }
        let timeout_ms = timeout
            .map(|timeout| Millis::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(0));
        inner
            .network
            .trace(|| format!("server waits {timeout_ms:?} ms"));
        inner.network.check_pass(timeout_ms);
        inner.network.check_survey();
        inner.network.check_listener();
        let until = timeout_ms.map(|timeout_ms| inner.network.now + timeout_ms);
        // The work of a pass takes time, now and then a whole millisecond.
        inner.network.now += u64::from(inner.network.chance(125));
        inner.run_due();
        let interrupted = inner.network.chance(inner.network.odds.interrupted);
        if interrupted {
            // No fault of the server: it has to wait once more.
            inner.network.checks.progress();
        }
        let mut waiting = inner.network.ready.is_empty() && timeout_ms != Some(0) && !interrupted;
        if waiting {
            let next = inner.network.next_at();
            let nearest = next.into_iter().chain(until).min();
            let gap_ms = nearest.map(|at| at.saturating_sub(inner.network.now));
            inner.network.check_quiet(gap_ms);
            if gap_ms.is_some_and(|gap_ms| gap_ms > 1)
                && inner.network.chance(inner.network.odds.stale)
            {
                inner.deliver_stale(events);
                waiting = events.is_empty();
            }
        }
        while waiting {
            let next = inner
                .network
                .next_at()
                .filter(|next| until.is_none_or(|until| *next < until));
            let Some(at) = next.or(until) else {
                inner.done = true;
                break;
            };
            inner.network.now = inner.network.now.max(at);
            inner.run_due();
            waiting = inner.network.ready.is_empty() && next.is_some();
        }
        if interrupted {
            // A signal is an event too: the pass that follows is not the server's doing.
            inner.network.checks.note_events();
        }
        if events.is_empty() {
            inner.deliver(events);
        }
        for event in events.iter() {
            inner
                .network
                .trace(|| format!("server gets the event {}", describe(event)));
        }
        Ok(!interrupted && inner.network.ready.is_empty())
    }

    fn now(&self) -> Millis {
        self.0.borrow().network.now
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Errno> {
        self.network().call(Call::Random, Concerned::Names)?;
        self.network().rng.fill(out);
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Result<(StreamHandle, SocketAddr), Errno> {
        self.network().call(Call::Accept, Concerned::Nobody)?;
        let s = self.network().accept(listener)?;
        let peer = self.network().sockets[s].peer;
        self.network().wake(s, 0);
        Ok((StreamHandle(self.clone(), s), peer))
    }

    fn watch(&mut self, stream: &mut StreamHandle, token: Token) -> Result<(), Errno> {
        stream.call(Call::Watch)?;
        self.network().register(stream.1, token);
        Ok(())
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        token: Token,
    ) -> Result<StreamHandle, Errno> {
        self.network().call_of(Call::Connect, token)?;
        let inner = &mut *self.0.borrow_mut();
        let s = inner.network.connect(to, purpose, token)?;
        inner.actors.push(match inner.network.sockets[s].client {
            Some(client) if inner.network.is_scripted => {
                inner.network.clients[client].targets.push(s);
                Actor::Nobody
            }
            Some(client) if inner.network.clients[client].scenario.web.is_some() => {
                inner.network.clients[client].targets.push(s);
                Actor::Web(WebServer::new(client, s))
            }
            Some(client) => {
                inner.network.clients[client].targets.push(s);
                Actor::Target(TunnelEnd::new(&inner.network, client, 1, s))
            }
            None => Actor::NameServer(NameServer::default()),
        });
        Ok(StreamHandle(self.clone(), s))
    }

    fn listen(
        &mut self,
        addr: IpAddr,
        _ports: Option<(u16, u16)>,
        token: Token,
    ) -> Result<ListenerHandle, Errno> {
        self.network().call_of(Call::Listen, token)?;
        let d = self.network().listen(addr, token)?;
        Ok(ListenerHandle(self.clone(), d))
    }

    fn route(&mut self, to: IpAddr) -> Result<IpAddr, Errno> {
        self.network().call(Call::Route, Concerned::Binds)?;
        Ok(route(to))
    }

    fn dns_socket(&mut self, server: SocketAddr, token: Token) -> Result<DnsHandle, Errno> {
        self.network().call_of(Call::DnsSocket, token)?;
        let m = self.network().open_dns_socket(server, token)?;
        Ok(DnsHandle(self.clone(), m))
    }

    fn listeners(&self) -> &[SocketAddr] {
        &LISTENERS
    }

    fn renew_listeners(&mut self, _: Option<&[Interface]>) -> bool {
        self.network().renew_listeners()
    }

    fn close_listeners(&mut self) {
        self.network().close_listeners();
    }

    fn signal(&mut self) -> Option<Signal> {
        let signal = self.network().signals.pop_front();
        if signal.is_some() {
            self.network().checks.progress();
        }
        signal
    }

    fn begin_survey(&mut self) -> Result<bool, Errno> {
        self.network().begin_survey()
    }

    fn survey(&mut self) -> Result<Survey, Errno> {
        self.network().survey()
    }

    fn memory(&mut self) -> Memory {
        let network = &mut *self.network();
        network.count_look();
        network.odds.memory(network.now)
    }
}

impl Udp for World {
    type UdpSocket = UdpHandle;

    fn udp_relay(&mut self, side: Side, token: Token) -> Result<UdpHandle, Errno> {
        self.network().call_of(Call::UdpRelay, token)?;
        let p = self.network().open_udp_socket(side, token)?;
        Ok(UdpHandle(self.clone(), p))
    }

    fn try_offload(&mut self) -> Offload {
        self.network().try_offload()
    }

    fn receive_batch(
        &mut self,
        socket: &mut UdpHandle,
        batch: &mut Batch,
        intake: Intake,
    ) -> Result<usize, Errno> {
        socket.call(Call::ReceiveBatch)?;
        self.network().receive_datagrams(socket.1, batch, intake)
    }

    fn send_batch(
        &mut self,
        socket: &mut UdpHandle,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<usize, Errno> {
        socket.call(Call::SendBatch)?;
        self.network()
            .send_datagrams(socket.1, batch, numbers, is_aimed, false)
    }

    fn send_run(
        &mut self,
        socket: &mut UdpHandle,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<(), Errno> {
        socket.call(Call::SendRun)?;
        self.network()
            .send_datagrams(socket.1, batch, numbers, is_aimed, true)
            .map(drop)
    }
}

impl StreamHandle {
    /// The server makes a call on it.
    fn call(&self, call: Call) -> Result<(), Errno> {
        let network = &mut *self.0.network();
        let client = network.sockets[self.1].client;
        let concerned = match client {
            Some(_) => Concerned::Client(client),
            None => Concerned::Names,
        };
        network.call(call, concerned)
    }

    /// Writes a line about an operation when a seed is replayed.
    fn trace(&self, what: &str, len: usize, result: &Result<usize, Errno>) {
        self.0
            .network()
            .trace(|| format!("server {what} socket {}: {result:?} of {len}", self.1));
    }
}

impl Stream for StreamHandle {
    type Pipe = PipeHandle;

    fn open_pipe(&self) -> Result<PipeHandle, Errno> {
        self.0.network().call(Call::OpenPipe, Concerned::Nobody)?;
        let p = self.0.network().open_pipe()?;
        Ok(PipeHandle(self.0.clone(), p))
    }

    fn splice_in(&mut self, pipe: &mut PipeHandle, len: usize) -> Result<usize, Errno> {
        self.call(Call::SpliceIn)?;
        let result = self.0.network().splice_in(self.1, pipe.1, len);
        self.trace("splices from", len, &result);
        result
    }

    fn splice_out(&mut self, pipe: &mut PipeHandle, len: usize) -> Result<usize, Errno> {
        self.call(Call::SpliceOut)?;
        let result = self.0.network().splice_out(self.1, pipe.1, len);
        self.trace("splices to", len, &result);
        result
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.call(Call::Read)?;
        let result = self.0.network().read(self.1, buf, true);
        self.trace("reads", buf.len(), &result);
        result
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        self.call(Call::Write)?;
        let result = self.0.network().write(self.1, buf);
        self.trace("writes to", buf.len(), &result);
        result
    }

    fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.call(Call::Read)?;
        let result = self.0.network().read(self.1, buf, false);
        self.trace("peeks at", buf.len(), &result);
        result
    }

    fn skip(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.read(buf)
    }

    fn shutdown_write(&mut self) -> Result<(), Errno> {
        self.call(Call::ShutdownWrite)?;
        self.0.network().shut(self.1)
    }

    fn take_error(&mut self) -> Option<Errno> {
        let error = self.call(Call::TakeError).err();
        error.or_else(|| self.0.network().sockets[self.1].error.take())
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        self.call(Call::PeerAddr)?;
        let socket = &self.0.network().sockets[self.1];
        if socket.connecting || socket.broken {
            Err(Errno::ENOTCONN)
        } else {
            Ok(socket.peer)
        }
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        self.call(Call::LocalAddr)?;
        Ok(self.0.network().sockets[self.1].local)
    }

    fn keep_alive(&mut self) {
        let result = self.call(Call::KeepAlive);
        let network = &mut *self.0.network();
        if result.is_ok() && !network.sockets[self.1].kept_alive {
            network.sockets[self.1].kept_alive = true;
            // Once for each connection: a thousand of them may be due one behind the other.
            network.checks.progress();
        }
    }

    fn abort_on_close(&mut self) {
        self.0.network().sockets[self.1].abort = true;
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        // A panic may drop it while the world is borrowed.
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close(self.1);
        }
    }
}

impl Pipe for PipeHandle {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.network().call(Call::ReadPipe, Concerned::Anyone)?;
        Ok(self.0.network().read_pipe(self.1, buf))
    }
}

impl Drop for PipeHandle {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close_pipe(self.1);
        }
    }
}

impl DnsSocket for DnsHandle {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        self.0.network().call(Call::DnsSend, Concerned::Names)?;
        self.0.network().checks.progress();
        name_server::answer_datagram(&mut self.0.network(), self.1, message);
        Ok(())
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.network().call(Call::DnsReceive, Concerned::Names)?;
        self.0.network().receive_dns(self.1, buf)
    }
}

impl Drop for DnsHandle {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close_dns_socket(self.1);
        }
    }
}

impl UdpHandle {
    /// The server makes a call on it.
    fn call(&self, call: Call) -> Result<(), Errno> {
        let network = &mut *self.0.network();
        let client = network.udp_sockets[self.1].client;
        network.call(call, Concerned::Client(Some(client)))
    }
}

impl UdpSocket for UdpHandle {
    fn aim(&mut self, peer: SocketAddr) -> Result<(), Errno> {
        self.call(Call::Aim)?;
        self.0.network().aim_udp_socket(self.1, peer)
    }

    fn join(&mut self) -> Result<(), Errno> {
        if let Err(error) = self.call(Call::Join) {
            self.0.network().refuse_join();
            return Err(error);
        }
        self.0.network().join_datagrams(self.1)
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        self.call(Call::LocalAddr)?;
        Ok(self.0.network().udp_sockets[self.1].local)
    }
}

impl Drop for UdpHandle {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close_udp_socket(self.1);
        }
    }
}

/// The text of an event in a line of the trace.
fn describe(event: &Event) -> String {
    let flags = [
        (event.readable, "readable "),
        (event.writable, "writable "),
        (event.ended, "ended "),
        (event.failed, "failed"),
    ];
    let names: String = flags
        .iter()
        .filter(|flag| flag.0)
        .map(|flag| flag.1)
        .collect();
    let (role, key) = (event.token.role(), event.token.key());
    format!("{role:?} {}/{}: {names}", key.index(), key.generation())
}

#[cfg(test)]
mod tests;
