//! Short connections: connect, handshake, one byte there and back, close. So many at a time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::peers::Proxy;
use crate::site::{Site, greeting, login, request_for};

/// How long none of all connections may come to its end before the proxy counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// The token of the target's listener.
const LISTENER: Token = Token(usize::MAX / 2);

/// What a client hears next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connected,
    Method,
    Verdict,
    Granted,
    Echo,
}

/// A client's connection.
struct Client {
    stream: TcpStream,
    step: Step,
    heard: Vec<u8>,
    begun: Instant,
    /// Its byte: another one than its neighbours'.
    byte: u8,
}

/// Connections that come and go.
pub(crate) struct Burst<'a> {
    site: &'a Site,
    proxy: &'a Proxy,
    poll: Poll,
    events: Events,
    clients: Vec<Option<Client>>,
    targets: Vec<Option<TcpStream>>,
    free_targets: Vec<usize>,
    begun: u64,
    /// Each connection until its byte was back, in microseconds.
    pub(crate) micros: Vec<f64>,
}

impl<'a> Burst<'a> {
    /// So many connections at a time.
    pub(crate) fn new(site: &'a Site, proxy: &'a Proxy, at_once: usize) -> Self {
        let poll = Poll::new().unwrap();
        site.announce(poll.registry(), LISTENER);
        Self {
            site,
            proxy,
            poll,
            events: Events::with_capacity(1024),
            clients: (0..at_once).map(|_| None).collect(),
            targets: Vec::new(),
            free_targets: Vec::new(),
            begun: 0,
            micros: Vec::new(),
        }
    }

    /// Connections for that long, and then the end of those that have begun.
    pub(crate) fn run(&mut self, time: Duration) -> Result<(), String> {
        let start = Instant::now();
        let mut last = start;
        loop {
            let is_over = start.elapsed() >= time;
            if is_over && self.clients.iter().all(Option::is_none) {
                return Ok(());
            }
            for slot in 0..self.clients.len() {
                if self.clients[slot].is_none() && !is_over {
                    self.begin(slot)
                        .map_err(|error| format!("connecting: {error}"))?;
                }
            }
            let before = self.micros.len();
            let wait = Some(Duration::from_millis(100));
            self.poll
                .poll(&mut self.events, wait)
                .map_err(|error| error.to_string())?;
            let tokens: Vec<Token> = self.events.iter().map(|event| event.token()).collect();
            for token in tokens {
                self.turn(token)
                    .map_err(|error| format!("a connection: {error}"))?;
            }
            if self.micros.len() > before {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                return Err("connections do not come to their end".into());
            }
        }
    }

    fn begin(&mut self, slot: usize) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        socket.set_tcp_nodelay(true)?;
        let begun = Instant::now();
        match socket.connect(&self.proxy.addr.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        self.begun += 1;
        let client = Client {
            stream: socket.into(),
            step: Step::Connected,
            heard: Vec::with_capacity(16),
            begun,
            byte: u8::try_from(self.begun % 251).expect("less than 251"),
        };
        let descriptor = client.stream.as_raw_fd();
        let both = Interest::READABLE.add(Interest::WRITABLE);
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&descriptor), Token(2 * slot), both)?;
        self.clients[slot] = Some(client);
        Ok(())
    }

    fn turn(&mut self, token: Token) -> io::Result<()> {
        if token == LISTENER {
            return self.accept();
        }
        let slot = token.0 / 2;
        if token.0 % 2 == 1 {
            return self.serve(slot);
        }
        let Some(client) = &mut self.clients[slot] else {
            return Ok(());
        };
        let is_socks = self.proxy.peer.is_socks();
        if client.turn(is_socks, self.proxy.login, self.site)? {
            self.micros.push(client.begun.elapsed().as_secs_f64() * 1e6);
            self.clients[slot] = None;
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.site.accept() {
                Ok(stream) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            let slot = self.free_targets.pop().unwrap_or(self.targets.len());
            let (descriptor, token) = (stream.as_raw_fd(), Token(2 * slot + 1));
            let registry = self.poll.registry();
            registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
            if slot == self.targets.len() {
                self.targets.push(None);
            }
            self.targets[slot] = Some(stream);
        }
    }

    /// A target sends its byte back, and closes when its peer has.
    fn serve(&mut self, slot: usize) -> io::Result<()> {
        let Some(Some(stream)) = self.targets.get_mut(slot) else {
            return Ok(());
        };
        let mut byte = [0; 4];
        loop {
            match stream.read(&mut byte) {
                Ok(0) => break,
                Ok(len) => stream.write_all(&byte[..len])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // A reset is an end here.
                Err(_) => break,
            }
        }
        self.targets[slot] = None;
        self.free_targets.push(slot);
        Ok(())
    }
}

impl Drop for Burst<'_> {
    fn drop(&mut self) {
        self.site.conceal();
    }
}

impl Client {
    /// Does what can be done. Returns true when its byte has come back.
    fn turn(&mut self, is_socks: bool, has_login: bool, site: &Site) -> io::Result<bool> {
        if self.step == Step::Connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            if self.stream.peer_addr().is_err() {
                return Ok(false);
            }
            if is_socks {
                self.say(Step::Method, greeting(has_login).0)?;
            } else {
                self.say(Step::Echo, &[self.byte])?;
            }
            return Ok(false);
        }
        loop {
            let mut bytes = [0; 64];
            let missing = self.missing();
            match self.stream.read(&mut bytes[..missing]) {
                Ok(0) => return Err(io::Error::other(format!("closed at {:?}", self.step))),
                Ok(len) => self.heard.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.missing() > 0 {
                continue;
            }
            let heard = std::mem::take(&mut self.heard);
            let expected = match self.step {
                Step::Method => greeting(has_login).1.to_vec(),
                Step::Verdict => vec![1, 0],
                Step::Granted => vec![5, 0],
                Step::Echo | Step::Connected => vec![self.byte],
            };
            if !heard.starts_with(&expected) {
                let text = format!("{heard:?} at {:?}", self.step);
                return Err(io::Error::other(text));
            }
            match self.step {
                Step::Method if has_login => self.say(Step::Verdict, &login())?,
                Step::Method | Step::Verdict => {
                    self.say(Step::Granted, &request_for(1, site.addr))?;
                }
                Step::Granted => self.say(Step::Echo, &[self.byte])?,
                Step::Echo | Step::Connected => return Ok(true),
            }
            return Ok(false);
        }
    }

    /// How many bytes of the next answer are missing.
    fn missing(&self) -> usize {
        let len = match self.step {
            Step::Method | Step::Verdict => 2,
            Step::Granted => 10,
            Step::Echo | Step::Connected => 1,
        };
        len - self.heard.len()
    }

    fn say(&mut self, step: Step, bytes: &[u8]) -> io::Result<()> {
        self.step = step;
        self.stream.write_all(bytes)
    }
}
