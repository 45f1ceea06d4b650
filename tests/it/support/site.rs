//! Servers that foreign programs talk to: files over HTTP, files over TLS, files over FTP; and
//! programs that run beside a test.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Folder;
use super::wire::loopback;

/// A page that a browser shows.
pub(crate) const PAGE: &str = "<html><body>the page of the origin</body></html>";

/// Bytes of a file that takes more than one of everything.
pub(crate) const LARGE: usize = 5 << 20;

/// A program that runs beside a test. Killed when dropped.
pub(crate) struct Beside(Child);

impl Beside {
    /// Starts `command` and reads its standard output up to a line with `needle`, which it
    /// gives too.
    #[track_caller]
    pub(crate) fn start(mut command: Command, needle: &str) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(needle));
        // Nobody writes into a closed pipe unharmed.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let beside = Self(child);
        match line {
            Some(line) => (beside, line),
            None => panic!("{command:?} ended without a line {needle:?}"),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A web server with the files of a folder; what is posted goes into one of them.
pub(crate) struct Site {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// The request lines so far.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// The files of `folder`, until the tests end.
    pub(crate) fn of(folder: &Folder) -> Self {
        let listener = TcpListener::bind(loopback(1, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, root) = (asked.clone(), PathBuf::from(folder.path("")));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, root) = (log.clone(), root.clone());
                // The client may have seen enough.
                thread::spawn(move || drop(serve(&stream, &root, &log)));
            }
        });
        Self { addr, asked }
    }

    /// Whether a line that starts with `line` has been asked for.
    pub(crate) fn was_asked(&self, line: &str) -> bool {
        let asked = self.asked.lock().unwrap();
        asked.iter().any(|asked| asked.starts_with(line))
    }
}

/// Answers one request of known length, and closes.
fn serve(mut stream: &TcpStream, root: &Path, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    log.lock().unwrap().push(line.trim_end().to_owned());
    let (mut len, mut expects, mut field) = (0, false, String::new());
    while reader.read_line(&mut field)? > 2 {
        let lower = field.trim_end().to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            len = value.parse().unwrap();
        }
        expects |= lower == "expect: 100-continue";
        field.clear();
    }
    if expects {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let path = path
        .split('?')
        .next()
        .unwrap()
        .trim_start_matches(['/', '.']);
    let found = if method == "POST" {
        let mut body = Vec::new();
        reader.take(len).read_to_end(&mut body)?;
        fs::write(root.join(path), &body)?;
        Ok(body.len().to_string().into_bytes())
    } else {
        fs::read(root.join(path))
    };
    let (status, body) = match found {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let kind = if path.ends_with("html") {
        "text/html"
    } else {
        "application/octet-stream"
    };
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// The files of `folder` over TLS with a certificate that nobody has signed; its port. Needs
/// openssl.
pub(crate) fn tls_site(folder: &Folder) -> (Beside, u16) {
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|file| folder.path(file));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=localhost",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut server = Command::new("openssl");
    server
        .args(["s_server", "-accept", "127.0.0.1:0", "-WWW"])
        .args(["-cert", &certificate, "-key", &key])
        .current_dir(folder.path(""));
    let (server, line) = Beside::start(server, "ACCEPT ");
    let port = line.rsplit_once(':').unwrap().1.parse().unwrap();
    (server, port)
}

/// An FTP server of python3-pyftpdlib that lets anyone write.
const FTP_SERVER: &str = "
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_anonymous(sys.argv[1], perm='elradfmw')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print('port', server.address[1], flush=True)
server.serve_forever()
";

/// The files of `folder` over FTP; its address. Needs python3-pyftpdlib.
pub(crate) fn ftp_site(folder: &Folder) -> (Beside, SocketAddr) {
    let mut server = Command::new(PYTHON);
    server.args(["-W", "ignore", "-c", FTP_SERVER, &folder.path("")]);
    let (server, line) = Beside::start(server, "port ");
    let port = line.trim_start_matches("port ").parse().unwrap();
    (server, loopback(1, port))
}

/// The system's Python, the one that Debian's packages are for.
pub(crate) const PYTHON: &str = "/usr/bin/python3";
