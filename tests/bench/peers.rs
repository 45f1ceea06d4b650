//! The programs that are compared: how each is found and started. What is not there is left out,
//! and said.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cost::Tool;
use crate::process::Process;

/// Name and password where a row logs in.
pub(crate) const USER: (&str, &str) = ("bench", "secret");

/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A way to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Without a proxy: what the generator itself is able to do.
    Direct,
    Anklet,
    /// anklet as it was: the program that `ANKLET_BENCH_BEFORE` names.
    Before,
    Microsocks,
    Dante,
    ThreeProxy,
    Hev,
    FastSocks5,
    /// Plain forwarding by splice: no SOCKS proxy, but nearly a limit of what one may reach.
    Haproxy,
}

/// All of them, in the order of the table's columns.
pub(crate) const PEERS: [Peer; 9] = [
    Peer::Direct,
    Peer::Haproxy,
    Peer::Anklet,
    Peer::Before,
    Peer::Hev,
    Peer::ThreeProxy,
    Peer::FastSocks5,
    Peer::Microsocks,
    Peer::Dante,
];

/// What a row asks of a proxy.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    /// Where a forwarder leads to.
    pub(crate) target: Option<SocketAddr>,
    /// Clients log in.
    pub(crate) login: bool,
    /// The resolv.conf to be read, and the address of its server.
    pub(crate) names: Option<(&'a str, SocketAddr)>,
    /// What counts, and the file that it writes.
    pub(crate) tool: Option<(Tool, &'a Path)>,
    /// Further processes beside it at the same port (anklet alone).
    pub(crate) shares_port: bool,
}

impl Peer {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "no proxy",
            Self::Anklet => "anklet",
            Self::Before => "before",
            Self::Microsocks => "microsocks",
            Self::Dante => "danted",
            Self::ThreeProxy => "3proxy",
            Self::Hev => "hev",
            Self::FastSocks5 => "fast-socks5",
            Self::Haproxy => "haproxy",
        }
    }

    /// The variable that points at it, and where it is looked for without.
    fn places(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Direct => ("", &[]),
            Self::Anklet => ("ANKLET_BINARY", &[env!("CARGO_BIN_EXE_anklet")]),
            Self::Before => ("ANKLET_BENCH_BEFORE", &[]),
            Self::Microsocks => ("ANKLET_BENCH_MICROSOCKS", &["microsocks"]),
            Self::Dante => ("ANKLET_BENCH_DANTED", &["danted", "sockd"]),
            Self::ThreeProxy => ("ANKLET_BENCH_3PROXY", &["3proxy"]),
            Self::Hev => ("ANKLET_BENCH_HEV", &["hev-socks5-server"]),
            Self::FastSocks5 => ("ANKLET_BENCH_FAST_SOCKS5", &["fast-socks5"]),
            Self::Haproxy => ("ANKLET_BENCH_HAPROXY", &["haproxy"]),
        }
    }

    /// Its program; an error says how to name it.
    pub(crate) fn program(self) -> Result<PathBuf, String> {
        let (variable, names) = self.places();
        if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
            return Ok(path.into());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .collect();
        let places = names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let found = places.into_iter().find(|place| place.is_file());
        found.ok_or_else(|| format!("{} is not here; {variable} names it", self.name()))
    }

    /// Whether it speaks SOCKS5.
    pub(crate) fn is_socks(self) -> bool {
        !matches!(self, Self::Direct | Self::Haproxy)
    }

    /// Whether it relays datagrams.
    pub(crate) fn has_udp(self) -> bool {
        !matches!(self, Self::Microsocks | Self::Haproxy)
    }

    /// Whether it can ask for a password that is not one of the system's users.
    pub(crate) fn has_login(self) -> bool {
        self.is_socks() && self != Self::Dante
    }
}

/// A proxy that serves.
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    /// Where it listens; with no proxy the target itself.
    pub(crate) addr: SocketAddr,
    pub(crate) login: bool,
    process: Option<Process>,
    _folder: Folder,
}

impl Proxy {
    /// Starts a program and waits until it listens.
    pub(crate) fn start(peer: Peer, ask: Ask<'_>) -> Result<Self, String> {
        let port = free_port();
        let mut proxy = Self {
            peer,
            addr: (Ipv4Addr::LOCALHOST, port).into(),
            login: ask.login,
            process: None,
            _folder: Folder::new(port),
        };
        if peer == Peer::Direct {
            proxy.addr = ask.target.unwrap_or(proxy.addr);
            return Ok(proxy);
        }
        let command = command(peer, port, &proxy._folder, ask)?;
        let mut process = Process::start(command).map_err(|error| error.to_string())?;
        let start = Instant::now();
        while TcpStream::connect(proxy.addr).is_err() {
            if start.elapsed() > START || !process.is_running() {
                return Err(format!("{} does not start", peer.name()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // What a first connection leaves to be done is not the row's.
        std::thread::sleep(Duration::from_millis(50));
        proxy.process = Some(process);
        Ok(proxy)
    }

    /// Another process at its port.
    pub(crate) fn double(&self) -> Result<Self, String> {
        let ask = Ask {
            shares_port: true,
            ..Ask::default()
        };
        let (peer, port) = (self.peer, self.addr.port());
        let folder = Folder::new(port + 1);
        let command = command(peer, port, &folder, ask)?;
        let process = Process::start(command).map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(100));
        Ok(Self {
            peer,
            addr: self.addr,
            login: false,
            process: Some(process),
            _folder: folder,
        })
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Asks it to end.
    pub(crate) fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stop();
        }
    }

    /// Its memory in KiB.
    pub(crate) fn memory_kib(&self) -> f64 {
        self.process.as_ref().map_or(0.0, Process::memory_kib)
    }

    /// Lets it run on that core, of those that this process has.
    pub(crate) fn move_to(&self, core: usize) {
        if let Some(process) = &self.process {
            process.move_to(core);
        }
    }
}

/// The command that starts a program at that port.
fn command(peer: Peer, port: u16, folder: &Folder, ask: Ask<'_>) -> Result<Command, String> {
    let program = peer.program()?;
    let (mut command, text) = (Command::new(&program), port.to_string());
    let (user, password) = USER;
    let settings = |text: Option<String>| text.map(|text| folder.write("settings", &text));
    match peer {
        Peer::Direct => return Err("nothing to start".into()),
        Peer::Anklet | Peer::Before => {
            command.args(["-i", "127.0.0.1", "-p", &text, "-q"]);
            if let Some((_, server)) = ask.names {
                command.args(["--dns", &server.to_string()]);
            }
            if ask.shares_port {
                command.arg("--reuseport");
            }
        }
        Peer::Microsocks => {
            command.args(["-i", "127.0.0.1", "-p", &text]);
        }
        Peer::FastSocks5 => {
            let listen = format!("127.0.0.1:{port}");
            command.env("RUST_LOG", "off");
            command.args(["--listen-addr", &listen, "-U", "--public-addr", "127.0.0.1"]);
            if ask.login {
                command.args(["password", "--username", user, "--password", password]);
            } else {
                command.arg("no-auth");
            }
        }
        Peer::ThreeProxy | Peer::Hev => {
            command.args(settings(written(peer, port, ask)));
        }
        Peer::Haproxy => {
            ask.target.ok_or("a forwarder leads to one target")?;
            command
                .args(["-db", "-q", "-f"])
                .args(settings(written(peer, port, ask)));
        }
        Peer::Dante => {
            command.arg("-f").args(settings(written(peer, port, ask)));
        }
    }
    if ask.login && matches!(peer, Peer::Anklet | Peer::Before | Peer::Microsocks) {
        command.args(["-u", user, "-P", password]);
    }
    if let Some((tool, file)) = ask.tool {
        let words = tool.words(file);
        let mut inside = Command::new(&words[0]);
        inside
            .args(&words[1..])
            .arg(&program)
            .args(command.get_args());
        return Ok(inside);
    }
    match ask.names {
        Some((file, _)) if !matches!(peer, Peer::Anklet | Peer::Before) => {
            Ok(with_names(&command, file))
        }
        _ => Ok(command),
    }
}

/// The settings that a program reads of a file.
fn written(peer: Peer, port: u16, ask: Ask<'_>) -> Option<String> {
    let (user, password) = USER;
    let login = |text: String| if ask.login { text } else { String::new() };
    match peer {
        Peer::Dante => Some(format!(
            "internal: 127.0.0.1 port = {port}\nexternal: lo\nexternal.rotation: route\n\
             socksmethod: none\nclientmethod: none\nuser.notprivileged: nobody\n\
             logoutput: /dev/null\nclient pass {{ from: 0/0 to: 0/0 }}\n\
             socks pass {{ from: 0/0 to: 0/0 }}\n"
        )),
        Peer::ThreeProxy => {
            let users = login(format!(
                "users {user}:CL:{password}\nauth strong\nallow *\n"
            ));
            let socks = format!("socks -s -i127.0.0.1 -p{port}\n");
            Some(format!("maxconn 20000\nauth none\n{users}{socks}"))
        }
        Peer::Hev => {
            let auth = login(format!(
                "auth:\n  username: {user}\n  password: {password}\n"
            ));
            Some(format!(
                "main:\n  workers: 1\n  port: {port}\n  listen-address: '127.0.0.1'\n{auth}\
                 misc:\n  limit-nofile: 65535\n"
            ))
        }
        // As many as 20,000 descriptors are enough for.
        Peer::Haproxy => Some(format!(
            "global\n  nbthread 1\n  maxconn 9200\n  maxpipes 200\ndefaults\n  mode tcp\n  \
             maxconn 9200\n  option splice-auto\n  timeout connect 5s\n  timeout client 600s\n  \
             timeout server 600s\nlisten bench\n  bind 127.0.0.1:{port}\n  server target {}\n",
            ask.target?
        )),
        Peer::Direct | Peer::Anklet | Peer::Before | Peer::Microsocks | Peer::FastSocks5 => None,
    }
}

/// The same command with a view of its own of /etc/resolv.conf, the only file of name servers that
/// the C library reads.
fn with_names(command: &Command, file: &str) -> Command {
    let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["-m", "sh", "-c", script, "sh", file]);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

/// A port of 127.0.0.1 that nobody has, below those that the kernel gives to clients: it stays free
/// while the generator connects.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = (0..100).map(|_| fastrand::u16(10_000..30_000));
    ports.find(is_free).expect("one is free")
}

/// A folder for a program's settings, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(number: u16) -> Self {
        let name = format!("anklet-bench-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: &str) -> String {
        let path = self.0.join(file);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
