//! Draws what the two ends of a tunnel do.

use fastrand::Rng;

use crate::clients::scenario::{Behaviour, End, Kind};

/// Draws what client and target do in a tunnel.
pub(super) fn behaviours(rng: &mut Rng, kind: Kind) -> [Behaviour; 2] {
    let mut behaviour = |most: u64| Behaviour {
        send: rng.u64(..=most),
        echo: false,
        waits: false,
        reads: true,
        chunk: rng.usize(32..400),
        pace_ms: rng.u64(..20),
        end: End::Fin,
    };
    let [mut client, mut target] = [behaviour(2_000), behaviour(2_000)];
    match kind {
        Kind::Transfer | Kind::Pipeliner => match rng.u8(..4) {
            0 => (target.echo, target.end) = (true, End::AfterOther),
            1 => client.end = End::AfterOther,
            2 => (target.send, target.end) = (0, End::AfterOther),
            _ => {}
        },
        Kind::Dripper => {
            (client.chunk, client.send) = (1, client.send / 8);
            (target.echo, target.end) = (true, End::AfterOther);
        }
        Kind::HalfCloser if rng.bool() => (target.waits, target.end) = (true, End::AfterOther),
        Kind::HalfCloser => (client.waits, client.end) = (true, End::AfterOther),
        Kind::NeverReader => {
            (client.reads, client.end, target.send) = (false, End::Never, 40_000);
        }
        Kind::TargetNeverReads => {
            (target.reads, target.end, client.send) = (false, End::Never, 40_000)
        }
        Kind::Vanisher | Kind::BrokenTarget => {
            let at = rng.u64(..=client.send + target.send / 2);
            let end = if rng.u8(..3) == 0 {
                End::Vanish(at)
            } else {
                End::Reset(at)
            };
            if kind == Kind::Vanisher {
                client.end = end;
            } else {
                target.end = end;
            }
        }
        Kind::Trickler => trickle(rng, &mut client, &mut target),
        Kind::Idler => {
            client.send /= 8;
            client.end = if rng.bool() { End::Never } else { End::Fin };
            target.end = End::Never;
            target.send /= 8;
        }
        _ => {}
    }
    [client, target]
}

/// Both ends move a few bytes at a time, with pauses just shorter than the timeout.
fn trickle(rng: &mut Rng, client: &mut Behaviour, target: &mut Behaviour) {
    // Four steps: 60 s are the idle timeout, 30 s that of a half-closed tunnel.
    (client.send, target.send) = (4 * client.chunk as u64, 4 * target.chunk as u64);
    (client.pace_ms, target.pace_ms) = (35_000, 35_000);
    if rng.bool() {
        (client.send, target.pace_ms) = (0, 20_000);
    } else {
        (target.echo, target.end, target.pace_ms) = (true, End::AfterOther, 0);
    }
}
