//! Faults on the way of a datagram: it is lost, late or doubled, or an error comes back for an
//! earlier one. What a fault strikes need not arrive.

use nix::errno::Errno;

use crate::network::datagram::Datagram;
use crate::network::{Network, SimEvent};

impl Network {
    /// Notes that a fault has struck a datagram: it need not arrive.
    pub(crate) fn note_fault(&mut self, number: Option<(usize, u32)>) {
        if let Some(delivery) = number.and_then(|number| self.delivery(number)) {
            delivery.faulted = true;
        }
    }

    /// Sends a datagram on its way through the network: it may be lost, late or doubled.
    pub(crate) fn forward_datagram(&mut self, datagram: Datagram) {
        if self.chance(self.odds.udp_loss) {
            return self.note_fault(datagram.number);
        }
        if self.chance(self.odds.udp_error)
            && let Some(p) = self
                .udp_sockets
                .iter()
                .position(|socket| socket.local == datagram.from)
        {
            // The error is that of an earlier datagram: this one arrives.
            let latency = self.latency();
            self.schedule(latency, SimEvent::UdpError(p, Errno::EHOSTUNREACH));
        }
        let late = self.chance(self.odds.udp_slow);
        let delay = self.latency() + if late { self.rng.u64(1..300) } else { 0 };
        if self.chance(self.odds.udp_twice) {
            let again = delay + self.latency();
            self.schedule(again, SimEvent::Datagram(Box::new(datagram.clone())));
        }
        self.schedule(delay, SimEvent::Datagram(Box::new(datagram)));
    }
}
