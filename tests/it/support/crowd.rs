//! Tunnels that have their turn first in a pass of the proxy's loop, so that it can be stopped in
//! the middle of that.

use std::io::Read;
use std::net::TcpStream;

use nix::sys::signal::Signal;

use super::Proxy;
use super::targets::Target;
use super::wire::{Client, Way};

/// So many take longer than a signal does.
const TUNNELS: usize = 200;

/// What each of them carries in a pass. Nobody reads it but of the first.
const BLOCK: [u8; 1024] = [7; 1024];

/// Tunnels with both of their ends.
pub(crate) struct Crowd(Vec<(Client, TcpStream)>);

impl Crowd {
    /// Tunnels of that proxy.
    pub(crate) fn new(proxy: &Proxy) -> Self {
        let target = Target::new();
        let tunnel = |_| (proxy.tunnel(target.addr), target.accept());
        Self((0..TUNNELS).map(tunnel).collect())
    }

    /// Stops the proxy, until SIGCONT, in the middle of a pass that ends with what comes of `say`.
    pub(crate) fn stop_before(&mut self, proxy: &Proxy, say: impl FnOnce()) {
        proxy.pause();
        for (client, _) in &mut self.0 {
            client.say(Way::Pipelined, &BLOCK);
        }
        say();
        proxy.signal(Signal::SIGCONT);
        self.0[0].1.read_exact(&mut [0; BLOCK.len()]).unwrap();
        proxy.signal(Signal::SIGSTOP);
    }
}
