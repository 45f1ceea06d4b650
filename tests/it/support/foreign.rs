//! Programs of others: how they are started, and what they say.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use super::not_run;
use super::site::PYTHON;

/// A command without proxies and settings from the environment.
pub(crate) fn foreign(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["20", program]).stdin(Stdio::null());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env("LC_ALL", "C");
    command
}

/// Headless Chromium behind a proxy, to print what it makes of a page.
pub(crate) fn chromium(proxy: &str, profile: &str, url: &str) -> Command {
    let mut command = foreign("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
        "--disable-component-update",
        "--ignore-certificate-errors",
        "--proxy-bypass-list=<-loopback>",
    ]);
    command.arg(format!("--proxy-server={proxy}"));
    command.arg(format!("--user-data-dir={profile}"));
    command.args(["--dump-dom", url]);
    command
}

/// What `command` writes; it has to succeed.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", errors(&output));
    output.stdout
}

/// What a program has said.
pub(crate) fn errors(output: &Output) -> String {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{stderr}\n{stdout:.2000}", output.status)
}

/// Whether the system's Python has a module; says so where it has not.
pub(crate) fn has_module(module: &str, package: &str) -> bool {
    let found = Command::new(PYTHON)
        .args(["-W", "ignore", "-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        not_run(&format!("{package} is not installed"));
    }
    found
}

/// Asserts that OpenBSD's nc reaches an echoing `host` through `proxy`, speaking `kind` to it.
#[track_caller]
pub(crate) fn nc_is_echoed(proxy: SocketAddr, kind: &str, host: &str, port: u16) {
    let mut nc = foreign("nc")
        .args(["-N", "-X", kind, "-x", &proxy.to_string(), host])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    nc.stdin.take().unwrap().write_all(b"through nc\n").unwrap();
    let output = nc.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through nc\n");
}
