//! Programs that know no proxy, behind Dante's socksify: FTP in active mode, which needs BIND,
//! and UDP; each to a server of the test's own.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::foreign::{errors, foreign, has_module, output_of};
use crate::support::site::{LARGE, PYTHON, ftp_site};
use crate::support::udp;
use crate::support::wire::{loopback, pattern};
use crate::support::{Folder, Proxy, is_installed};

/// What the small file says.
const SMALL: &str = "a small file\n";

/// Dante's wrapper around a program, which speaks `version`.
fn socksify(proxy: &Proxy, folder: &Folder, version: &str) -> Command {
    let settings = format!(
        "route {{ from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = {}\n\
         proxyprotocol: {version}\nmethod: none }}\n",
        proxy.addr.port()
    );
    let mut command = foreign("socksify");
    // It would go directly to every address of this machine.
    command.env("SOCKS_AUTOADD_LANROUTES", "no");
    command.env("SOCKS_CONF", folder.write("dante.conf", &settings));
    command
}

#[test]
fn ftp_in_active_mode_goes_through_bind() {
    let installed = ["socksify", "tnftp"].into_iter().all(is_installed);
    if !installed || !has_module("pyftpdlib", "python3-pyftpdlib") {
        return;
    }
    let folder = Folder::new("ftp");
    folder.write("small", SMALL);
    fs::write(folder.path("large"), pattern(LARGE)).unwrap();
    let (_server, addr) = ftp_site(&folder);
    for version in ["socks_v5", "socks_v4"] {
        let proxy = Proxy::start(&[]);
        let (got, small) = (folder.path(&format!("got-{version}")), folder.path("small"));
        let commands = format!(
            "open 127.0.0.1 {}\nuser anonymous x\nbinary\npassive off\nepsv4 off\n\
             get large {got}\nput {small} {version}\npassive on\nget small {got}.small\nbye\n",
            addr.port()
        );
        let mut ftp = socksify(&proxy, &folder, version)
            .args(["tnftp", "-n", "-v"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        ftp.stdin
            .take()
            .unwrap()
            .write_all(commands.as_bytes())
            .unwrap();
        let output = ftp.wait_with_output().unwrap();
        let said = errors(&output);
        assert!(output.status.success(), "{version}: {said}");
        assert!(
            fs::read(&got).is_ok_and(|got| got == pattern(LARGE)),
            "{version}: {said}"
        );
        assert_eq!(
            fs::read_to_string(folder.path(version)).unwrap(),
            SMALL,
            "{said}"
        );
        assert_eq!(fs::read_to_string(got + ".small").unwrap(), SMALL, "{said}");
        // The connection for commands, two that the server opened, one that the client did.
        proxy.wait_log_all(&["INFO", &format!(" ({addr}), "), " bytes, "]);
        let up = format!(", 0/{LARGE} bytes");
        proxy.wait_log_all(&["INFO", " (127.0.0.1:", &up]);
        proxy.wait_log_all(&["INFO", &format!(", {}/0 bytes", SMALL.len())]);
    }
}

/// Sends datagrams of several sizes to an echo and expects them back from there.
const DATAGRAMS: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
target = ('127.0.0.1', int(sys.argv[1]))
for n in (1, 1000, 9000):
    s.sendto(b'x' * n, target)
    data, source = s.recvfrom(65536)
    assert (len(data), source) == (n, target), (len(data), source)
";

#[test]
fn udp_behind_socksify_comes_back() {
    if !is_installed("socksify") || !has_module("socket", "python3") {
        return;
    }
    let folder = Folder::new("dante-udp");
    let port = udp::echo(loopback(1, 0)).port().to_string();
    let proxy = Proxy::start(&[]);
    let mut python = socksify(&proxy, &folder, "socks_v5");
    output_of(python.args([PYTHON, "-c", DATAGRAMS, &port]));
    proxy.wait_log_all(&["INFO", ", 10001/10001 bytes"]);
}
