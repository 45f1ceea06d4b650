//! Foreign clients: curl, OpenBSD's nc, ssh behind nc, the crate `socks`, and Chromium, each
//! through the proxy to a server of the test's own on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

use crate::support::foreign::{chromium, foreign, nc_is_echoed};
use crate::support::namespace::{in_namespace, run};
use crate::support::site::PAGE;
use crate::support::targets::{Refusing, Target, echo, serve};
use crate::support::wire::{loopback, prepare};
use crate::support::{Folder, Proxy, is_error_lost, is_installed, not_run};

/// A web server with one page.
fn origin() -> SocketAddr {
    serve(loopback(1, 0), |mut stream| {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        // A request's head ends with an empty line.
        if lines.by_ref().any(|line| line.is_empty()) {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let page = format!("{head}Content-Length: {}\r\n\r\n{PAGE}", PAGE.len());
            // The client may have seen enough.
            let _ = stream.write_all(page.as_bytes());
        }
    })
}

fn curl(options: &[&str], url: &str) -> Output {
    let always = ["-q", "-sS", "--max-time", "10", "--noproxy", ""];
    foreign("curl")
        .args(always)
        .args(options)
        .arg(url)
        .output()
        .unwrap()
}

#[track_caller]
fn assert_page(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("the page of the origin"),
        "{}: {text}\n{errors}",
        output.status
    );
}

/// The line of the session that led to `asked`.
#[track_caller]
fn assert_used(proxy: &Proxy, asked: &str) {
    proxy.wait_log_all(&["INFO", &format!("-> {asked} ("), " bytes, "]);
}

#[test]
fn curl_with_an_address() {
    if !is_installed("curl") {
        return;
    }
    let (proxy, origin) = (Proxy::start(&[]), origin());
    let socks = proxy.addr.to_string();
    assert_page(&curl(&["--socks5", &socks], &format!("http://{origin}/")));
    proxy.session_line_to(origin);
}

#[test]
fn curl_with_a_name() {
    if !is_installed("curl") {
        return;
    }
    let (proxy, origin) = (Proxy::start(&[]), origin());
    let (socks, host) = (
        proxy.addr.to_string(),
        format!("localhost:{}", origin.port()),
    );
    assert_page(&curl(
        &["--socks5-hostname", &socks],
        &format!("http://{host}/"),
    ));
    assert_used(&proxy, &host);
}

#[test]
fn curl_with_a_user() {
    if !is_installed("curl") {
        return;
    }
    let (proxy, origin) = (Proxy::locked(), origin());
    let url = format!("http://localhost:{}/", origin.port());
    let socks = |user: &str| format!("socks5h://{user}{}", proxy.addr);
    assert_page(&curl(&["-x", &socks("ann:secret@")], &url));
    assert!(!curl(&["-x", &socks("ann:wrong@")], &url).status.success());
    assert!(!curl(&["-x", &socks("")], &url).status.success());
}

#[test]
fn curl_tells_why_it_failed() {
    if is_error_lost() {
        return;
    }
    if !is_installed("curl") {
        return;
    }
    let (proxy, refusing) = (Proxy::start(&[]), Refusing::new());
    let socks = proxy.addr.to_string();
    let output = curl(
        &["--socks5-hostname", &socks],
        &format!("http://{}/", refusing.addr),
    );
    // CURLE_PROXY, and the code of the reply in the message.
    assert_eq!(output.status.code(), Some(97));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("(5)"), "{errors}");
}

#[test]
fn nc_carries_its_standard_input() {
    if !is_openbsd_nc() {
        return;
    }
    let (proxy, target) = (Proxy::start(&[]), echo());
    for host in ["127.0.0.1", "localhost"] {
        nc_is_echoed(proxy.addr, "5", host, target.port());
    }
}

/// Whether nc is the one that knows SOCKS; says so where it is not.
fn is_openbsd_nc() -> bool {
    if !is_installed("nc") {
        return false;
    }
    let help = foreign("nc").arg("-h").output().unwrap();
    let is = String::from_utf8_lossy(&help.stderr).contains("-X proxy_protocol")
        || String::from_utf8_lossy(&help.stderr).contains("OpenBSD");
    if !is {
        not_run("nc is not OpenBSD's: OpenBSD's nc is not installed");
    }
    is
}

#[test]
fn ssh_behind_nc_runs_a_command() {
    if !is_openbsd_nc() || !["ssh", "sshd", "ssh-keygen"].into_iter().all(is_installed) {
        return;
    }
    // sshd wants a folder below /run that may not exist: it gets a /run of its own.
    in_namespace(|| {
        run("mount -t tmpfs none /run");
        run("mkdir -m 755 /run/sshd");
        let folder = Folder::new("ssh");
        let [host_key, key] = ["host", "client"].map(|name| folder.path(name));
        for key in [&host_key, &key] {
            let made = foreign("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", key])
                .status()
                .unwrap();
            assert!(made.success());
        }
        let settings = format!(
            "HostKey {host_key}\nAuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        );
        let settings = folder.write("sshd_config", &settings);
        let (proxy, target) = (Proxy::start(&[]), Target::new());
        let ssh = foreign("ssh")
            .args([
                "-F",
                "none",
                "-i",
                &key,
                "-p",
                &target.addr.port().to_string(),
            ])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o"])
            .arg(format!("ProxyCommand=nc -X 5 -x {} %h %p", proxy.addr))
            .args(["root@127.0.0.1", "echo through ssh"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stream = OwnedFd::from(target.accept_blocking());
        // As inetd starts it: the connection is its standard input, and no port is needed.
        let mut sshd = Command::new("/usr/sbin/sshd")
            .args(["-i", "-e", "-f", &settings])
            .stdin(stream.try_clone().unwrap())
            .stdout(stream)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = ssh.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "through ssh\n",
            "{errors}"
        );
        sshd.wait().unwrap();
        proxy.session_line_to(target.addr);
    });
}

#[test]
fn the_crate_socks_connects() {
    let (proxy, target) = (Proxy::start(&[]), echo());
    let named = ("localhost", target.port());
    let streams = [
        socks::Socks5Stream::connect(proxy.addr, target).unwrap(),
        socks::Socks5Stream::connect(proxy.addr, named).unwrap(),
        socks::Socks5Stream::connect_with_password(proxy.addr, target, "any", "thing").unwrap(),
    ];
    for stream in streams {
        assert_echo(stream.into_inner());
    }
    let locked = Proxy::locked();
    let stream =
        socks::Socks5Stream::connect_with_password(locked.addr, target, "ann", "secret").unwrap();
    assert_echo(stream.into_inner());
    assert!(socks::Socks5Stream::connect(locked.addr, target).is_err());
    let wrong = socks::Socks5Stream::connect_with_password(locked.addr, target, "ann", "wrong");
    assert!(wrong.is_err());
}

fn assert_echo(mut stream: TcpStream) {
    prepare(&stream);
    stream.write_all(b"through a foreign client").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through a foreign client");
}

#[test]
fn chromium_loads_a_page() {
    if !is_installed("chromium") {
        return;
    }
    let (proxy, origin) = (Proxy::start(&[]), origin());
    let folder = Folder::new("chromium");
    let host = format!("localhost:{}", origin.port());
    let through = format!("socks5://{}", proxy.addr);
    let url = format!("http://{host}/");
    let output = chromium(&through, &folder.path("profile"), &url)
        .output()
        .unwrap();
    assert_page(&output);
    assert_used(&proxy, &host);
}
