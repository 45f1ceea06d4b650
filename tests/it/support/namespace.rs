//! A network of one's own: a test that runs again inside network and mount namespaces, where it
//! may lay routes and cables, and a router as a second namespace behind them.
//!
//! Namespaces are anonymous and end with the last process inside: nothing is left to clean up,
//! and the machine's own interfaces are never seen.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::again::{in_own_process, is_inside, own_name};
use super::{Proxy, command, not_run};

/// Runs `body` in fresh namespaces with the loopback interface up: the calling test is started
/// again inside. Says so where the system does not allow that.
pub(crate) fn in_namespace(body: impl FnOnce()) {
    if !is_inside() && !is_allowed() {
        let test = own_name();
        return not_run(&format!("{test}: `unshare --net --mount` needs to be root"));
    }
    in_own_process(unshare(), || {
        run("ip link set lo up");
        body();
    });
}

fn is_allowed() -> bool {
    let output = unshare().arg("true").output();
    output.is_ok_and(|output| output.status.success())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]).stdin(Stdio::null());
    command
}

/// Runs a program with blank-separated arguments, which must succeed.
#[track_caller]
pub(crate) fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
}

/// A second namespace, for the proxy; ends when dropped, and its cables with it.
pub(crate) struct Router(Child);

impl Router {
    /// A router without cables.
    pub(crate) fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        let router = Self(child);
        router.run("ip link set lo up");
        router
    }

    /// A router between a LAN, where the test is 192.168.77.2, and an Internet, where it is the
    /// next hop, a stranger and the public address 1.2.3.4.
    pub(crate) fn of_a_home() -> Self {
        let router = Self::new();
        router.cable(
            "lan",
            "192.168.77.1/24",
            &["192.168.77.2/24", "192.168.77.50/24"],
        );
        router.cable("wan", "203.0.113.1/24", &["203.0.113.9/24", "1.2.3.4/32"]);
        router.run("ip route add default via 203.0.113.9");
        router
    }

    /// A cable `name` with an address on the router's end and any number on the test's.
    pub(crate) fn cable(&self, name: &str, router: &str, own: &[&str]) {
        run(&format!(
            "ip link add {name} type veth peer name {name} netns {}",
            self.0.id()
        ));
        for addr in own {
            run(&format!("ip addr add {addr} dev {name} nodad"));
        }
        run(&format!("ip link set {name} up"));
        self.run(&format!("ip addr add {router} dev {name} nodad"));
        self.run(&format!("ip link set {name} up"));
    }

    /// Runs a program inside.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) {
        run(&format!("{} {line}", self.enter().join(" ")));
    }

    /// Starts a proxy inside.
    pub(crate) fn proxy(&self, options: &[&str]) -> Proxy {
        let enter = self.enter();
        let words: Vec<&str> = enter.iter().map(String::as_str).collect();
        Proxy::launch(command(&words, options))
    }

    fn enter(&self) -> [String; 2] {
        [
            "nsenter".into(),
            format!("--net=/proc/{}/ns/net", self.0.id()),
        ]
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It ends by itself when its standard input does.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
