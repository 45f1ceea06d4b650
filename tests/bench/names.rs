//! Names whose server never answers, beside names that it does answer: a proxy that waits in a
//! thread, or one after the other, leaves the others waiting too.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use crate::peers::{Ask, Peer, Proxy};
use crate::rows::Figure;
use crate::site::{connect, hello};

/// Clients that ask for names without an answer, and those that ask for others.
const DEAD: usize = 20;
const ALIVE: usize = 3;

/// How long a name that has an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The address of the name server: its port is not the C library's to choose.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 153)), 53);

/// Counts the names that are served beside the dead ones.
pub(crate) fn measure(peer: Peer) -> Result<Vec<Figure>, String> {
    let server = UdpSocket::bind(SERVER).map_err(|error| format!("a name server: {error}"))?;
    server
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let file = std::env::temp_dir().join(format!("anklet-bench-{}.conf", std::process::id()));
    fs::write(
        &file,
        format!(
            "nameserver {}\noptions timeout:30 attempts:1\n",
            SERVER.ip()
        ),
    )
    .unwrap();
    let names = file.to_str().map(|file| (file, SERVER));
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = target.local_addr().unwrap().port();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                answer(&server);
            }
        });
        let counted = Proxy::start(
            peer,
            Ask {
                names,
                ..Ask::default()
            },
        )
        .and_then(|proxy| count(&proxy, port).map_err(|error| error.to_string()));
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        counted
    });
    let _ = fs::remove_file(file);
    Ok(vec![Figure {
        name: "of 3 served",
        value: counted? as f64,
    }])
}

fn count(proxy: &Proxy, port: u16) -> std::io::Result<usize> {
    let ask = |name: &str| {
        let stream = connect(proxy.addr, None)?;
        hello(&stream, false)?;
        let len = u8::try_from(name.len()).unwrap();
        let request = [&[5, 1, 0, 3, len], name.as_bytes(), &port.to_be_bytes()].concat();
        (&stream).write_all(&request)?;
        std::io::Result::Ok(stream)
    };
    // Who does not even take the request has served nobody.
    let dead: Vec<_> = (0..DEAD)
        .map(|n| ask(&format!("dead{n}.bench.test")))
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let alive: Vec<_> = (0..ALIVE)
        .map(|n| ask(&format!("alive{n}.bench.test")))
        .collect();
    let mut served = 0;
    for stream in alive.into_iter().flatten() {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reply = [0; 10];
        let is_served = (&stream).read_exact(&mut reply).is_ok() && reply[1] == 0;
        served += usize::from(is_served);
    }
    drop(dead);
    Ok(served)
}

/// Answers one question, unless it is for a dead name.
fn answer(server: &UdpSocket) {
    let mut message = [0; 512];
    let Ok((len, from)) = server.recv_from(&mut message) else {
        return;
    };
    let question = &message[12..len.max(12)];
    let is_dead = question.windows(4).any(|part| part == b"dead");
    // A, or an answer without an address for all else (RFC 1035 §4.1).
    let Some(end) = question
        .iter()
        .position(|byte| *byte == 0)
        .filter(|_| !is_dead)
    else {
        return;
    };
    let question = &question[..(end + 5).min(question.len())];
    let is_a = question.ends_with(&[0, 1, 0, 1]);
    let head = [
        message[0],
        message[1],
        0x81,
        0x80,
        0,
        1,
        0,
        u8::from(is_a),
        0,
        0,
        0,
        0,
    ];
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
    let record = if is_a { &record[..] } else { &[] };
    let _ = server.send_to(&[&head, question, record].concat(), from);
}
