//! PROTOCOL.md's H14, `--status`: what .github/STATUS.md says, who is told it, and who is not.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anklet::wire::Shown;
use nix::sys::signal::Signal;
use rlimit::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::again::in_own_process;
use crate::support::json::Json;
use crate::support::name_server::{Answer, NameServer};
use crate::support::namespace::{Router, in_namespace, run};
use crate::support::targets::{Target, echo, echo_at};
use crate::support::udp::{self, Association};
use crate::support::web::{basic, connect as http_connect};
use crate::support::wire::{
    Client, GREETING, Way, both_ways, connect, connect_name, loopback, loopback6,
};
use crate::support::{
    DEADLINE, Folder, Proxy, command, is_emulated, not_run, note, on_loopback, wait_until,
};

/// The fields of the answer.
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
                    Content-Type: application/json\r\n\
                    Cache-Control: no-store\r\n\
                    X-Content-Type-Options: nosniff\r\n\
                    Connection: close\r\n\r\n";

/// The request of a client that names `host`.
fn request(host: &str) -> String {
    format!("GET /status HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
}

/// Reads all that comes.
fn hear(client: &Client) -> String {
    String::from_utf8(client.hear_at_most(1 << 24)).unwrap()
}

/// What an answer with the state says.
#[track_caller]
fn state_in(answer: &str) -> Json {
    let Some(body) = answer.strip_prefix(HEAD) else {
        panic!("no state: {answer}");
    };
    Json::parse(body)
}

/// The state of a proxy, as a program beside it is told it.
#[track_caller]
fn state(proxy: &Proxy) -> Json {
    let mut client = proxy.client();
    client.say(Way::Pipelined, request(&proxy.addr.to_string()).as_bytes());
    state_in(&hear(&client))
}

/// Asks in vain: the answer has that status, and tells nothing.
#[track_caller]
fn asks_in_vain(mut client: Client, request: &str, status: u16) {
    client.say(Way::Pipelined, request.as_bytes());
    let answer = client.refusal_http();
    assert_eq!(answer.status, status, "{request}: {}", answer.head);
    assert!(
        !answer.body.contains("uptime"),
        "{request}: {}",
        answer.body
    );
}

#[test]
fn h14_the_state_has_the_schema_that_is_documented() {
    let proxy = Proxy::start(&["--status"]);
    let state = state(&proxy);
    assert_eq!(
        state.names(),
        "clients limits lookups lost refused sessions totals udp_held_bytes udp_lookups uptime \
         users version"
    );
    assert_eq!(state["version"].text(), Some(env!("CARGO_PKG_VERSION")));
    for name in state["limits"].names().split(' ') {
        assert_eq!(state["limits"][name].names(), "max peak used");
    }
    assert_eq!(
        state["limits"].names(),
        "associations binds buffers established heads long_heads openings pipes readers sessions \
         spare_attempts"
    );
    assert_eq!(
        state["totals"].names(),
        "accepted banned crowded datagrams_down datagrams_up down garbage pauses strangers \
         tunnels up wrong_passwords"
    );
    assert_eq!(
        state["refused"].names(),
        "listener loopback multicast other_subnet own_address private rebinding rule stranger"
    );
    assert_eq!(
        state["lost"].names(),
        "fragment full malformed name refused stranger too_long uncontacted unknown unsendable"
    );
    let [session] = state["sessions"].list() else {
        panic!("the reader is the only one: {state:?}");
    };
    assert_eq!(
        session.names(),
        "age asked client down id idle phase protocol reached up user"
    );
    assert_eq!(session["phase"].text(), Some("status"));
    assert_eq!(state["limits"]["readers"]["used"].number(), 1);
    // Each name stands in the document.
    let document = include_str!("../../.github/STATUS.md");
    for object in [
        &state,
        session,
        &state["limits"],
        &state["totals"],
        &state["refused"],
        &state["lost"],
    ] {
        for name in object.names().split(' ') {
            assert!(
                document.contains(&format!("`{name}`")),
                "{name} is not documented"
            );
        }
    }
}

#[test]
fn each_session_is_told_of_with_what_it_asked_for_and_has_carried() {
    let is_loopback = Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]);
    let names = NameServer::start(vec![
        ("echo.test", is_loopback),
        ("never.test", Answer::Never),
    ]);
    let proxy = Proxy::start(&[
        "--status",
        "-u",
        "ann",
        "-P",
        "secret",
        "-w",
        "127.0.0.2",
        "--dns",
        &names.option(),
    ]);
    let target = echo();
    let mut tunnel = proxy.user_tunnel(b"ann", b"secret", target);
    tunnel.echo(b"hello");
    let mut by_http = proxy.client();
    let login = basic("ann", "secret");
    let head = format!(
        "CONNECT echo.test:{} HTTP/1.1\r\nHost: a\r\nProxy-Authorization: {login}\r\n\r\n",
        target.port()
    );
    by_http.ask_http(Way::Pipelined, head.as_bytes());
    by_http.echo(b"through HTTP");
    let mut lookup = proxy.client_from("127.0.0.2");
    lookup.say(
        Way::Pipelined,
        &[&GREETING[..], &connect_name("never.test", 443)].concat(),
    );
    let association = Association::over(proxy.client_from("127.0.0.2"));
    association.echo(udp::echo(loopback(1, 0)), b"datagram");
    let silent = proxy.client_from("127.0.0.2");
    let mut seen = state(&proxy);
    wait_until("the lookup to be under way", || {
        seen = state(&proxy);
        let client = lookup.addr.to_string();
        let found = seen["sessions"]
            .list()
            .iter()
            .find(|session| session["client"].text() == Some(&client));
        found.is_some_and(|session| session["phase"].text() == Some("lookup"))
    });
    let session = |client: SocketAddr| seen["sessions"].with("client", &client.to_string());
    let texts = |client: SocketAddr| {
        ["user", "protocol", "phase", "asked", "reached"]
            .map(|name| session(client)[name].text().map(String::from))
    };
    let numbers = |client: SocketAddr| ["up", "down"].map(|name| session(client)[name].number());
    let some = |texts: [&str; 5]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    let reached = target.to_string();
    let by_name = format!("echo.test:{}", target.port());
    assert_eq!(
        texts(tunnel.addr),
        some(["ann", "socks5", "tunnel", &reached, &reached])
    );
    assert_eq!(numbers(tunnel.addr), [5, 5]);
    assert_eq!(
        texts(by_http.addr),
        some(["ann", "http", "tunnel", &by_name, &reached])
    );
    assert_eq!(numbers(by_http.addr), [12, 12]);
    assert_eq!(
        texts(lookup.addr),
        some(["", "socks5", "lookup", "never.test:443", ""])
    );
    assert_eq!(texts(silent.addr), some(["", "", "handshake", "", ""]));
    let udp = seen["sessions"].with("phase", "udp");
    assert_eq!([udp["up"].number(), udp["down"].number()], [8, 8]);
    // What is under way counts, and for whom.
    let ann = seen["users"].with("user", "ann");
    assert_eq!(
        ["sessions", "up", "down"].map(|name| ann[name].number()),
        [2, 17, 17]
    );
    assert_eq!(
        ["up", "down", "datagrams_up"].map(|name| seen["totals"][name].number()),
        [25, 25, 1]
    );
    drop((tunnel, by_http));
    wait_until("the user's sessions to end", || {
        seen = state(&proxy);
        seen["users"].with("user", "ann")["sessions"].number() == 0
    });
    let ann = seen["users"].with("user", "ann");
    assert_eq!(["up", "down"].map(|name| ann[name].number()), [17, 17]);
}

#[test]
fn h14_without_the_option_it_is_a_request_like_any_other() {
    let (proxy, other) = (Proxy::start(&[]), Proxy::start(&["--status"]));
    asks_in_vain(proxy.client(), &request("localhost"), 400);
    let mut client = other.client();
    let head = request("localhost").replace("GET", "HEAD");
    client.say(Way::Pipelined, head.as_bytes());
    let refusal = String::from_utf8(client.rest()).unwrap();
    assert!(
        refusal.starts_with("HTTP/1.1 400 ") && refusal.ends_with("\r\n\r\n"),
        "{refusal}"
    );
    for line in [
        "POST /status",
        "GET /",
        "GET /status/",
        "GET /status?a",
        "GET //status",
    ] {
        let request = request("localhost").replace("GET /status", line);
        asks_in_vain(other.client(), &request, 400);
    }
}

#[test]
fn h14_the_host_is_localhost_or_the_address_that_was_asked() {
    let proxy = Proxy::launch(on_loopback(&[], &["-i", "[::1]:0", "--status"]));
    let port = proxy.addr.port();
    both_ways(|way| {
        for host in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1",
            &format!("127.0.0.1:{port}"),
        ] {
            let mut client = proxy.client();
            client.say(way, request(host).as_bytes());
            state_in(&hear(&client));
        }
    });
    // What a browser asks that was led here by a name of somebody else.
    for host in [
        "rebound.test",
        &format!("rebound.test:{port}"),
        "localhost.rebound.test",
        "localhost.",
        "127.0.0.2",
        "0.0.0.0",
        "0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "192.0.2.1",
    ] {
        asks_in_vain(proxy.client(), &request(host), 403);
    }
    let none = "GET /status HTTP/1.0\r\n\r\n";
    asks_in_vain(proxy.client(), none, 400);
    let two = request("localhost").replace("User-Agent: test", "Host: localhost");
    asks_in_vain(proxy.client(), &two, 400);
}

#[test]
fn ipv6_is_as_good() {
    let Ok(listener) = TcpListener::bind(loopback6(0)) else {
        return not_run("status over IPv6: there is no ::1");
    };
    drop(listener);
    let proxy = Proxy::launch(command(&[], &["-i", "::1", "-p", "0", "--status"]));
    let mut client = Client::connect(proxy.addr);
    client.say(Way::Pipelined, request(&proxy.addr.to_string()).as_bytes());
    state_in(&hear(&client));
    asks_in_vain(Client::connect(proxy.addr), &request("127.0.0.1"), 403);
}

#[test]
fn h14_another_address_of_this_machine_is_somebody_else() {
    let proxy = Proxy::start(&["--status"]);
    for host in ["localhost", "127.0.0.1", "127.0.0.2"] {
        asks_in_vain(proxy.client_from("127.0.0.2"), &request(host), 400);
    }
}

#[test]
fn h14_another_machine_gets_nothing() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "0.0.0.0", "-i", "::", "-p", "0", "--status"]);
        let at = SocketAddr::new(Ipv4Addr::new(192, 168, 77, 1).into(), proxy.addr.port());
        for host in [
            at.to_string(),
            "localhost".into(),
            "127.0.0.1".into(),
            "192.168.77.2".into(),
        ] {
            asks_in_vain(Client::connect(at), &request(&host), 400);
        }
        // Nor does one that takes an address of the router for its own.
        run("ip addr add 192.168.77.1/32 dev lo");
        run("ip route add 192.168.77.1 dev lan src 192.168.77.1 table 7");
        run("ip rule add from 192.168.77.1 table 7 pref 1");
        run("ip rule add pref 9 lookup local");
        run("ip rule del pref 0");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from((Ipv4Addr::new(192, 168, 77, 1), 0)).into())
            .unwrap();
        let connected = socket.connect_timeout(&at.into(), Duration::from_millis(1500));
        assert!(
            connected.is_err(),
            "the router has taken a stranger for itself"
        );
    });
}

/// A tunnel that leads back here is no way round.
#[test]
fn h14_a_request_through_the_proxy_itself_gets_nothing() {
    let proxy = Proxy::start(&["--status", "--permit", "127.0.0.0/8"]);
    let at = proxy.addr;
    asks_in_vain(
        proxy.client(),
        &format!("GET http://{at}/status HTTP/1.1\r\nHost: {at}\r\n\r\n"),
        403,
    );
    asks_in_vain(proxy.client(), &http_connect(&at.to_string()), 403);
    assert_eq!(proxy.client().ask_in_vain(Way::Pipelined, &connect(at)), 2);
}

#[test]
fn h14_nor_does_one_to_an_address_that_the_system_takes_for_its_own() {
    in_namespace(|| {
        run("ip route add local 10.9.0.0/24 dev lo");
        let proxy = Proxy::launch(command(
            &[],
            &[
                "-i",
                "0.0.0.0",
                "-p",
                "0",
                "--status",
                "--permit",
                "10.9.0.0/24",
            ],
        ));
        let port = proxy.addr.port();
        let near = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let back = SocketAddr::new(Ipv4Addr::new(10, 9, 0, 7).into(), port);
        let mut client = Client::connect_from("10.9.0.7", back);
        client.say(Way::Pipelined, request("10.9.0.7").as_bytes());
        state_in(&hear(&client));
        for dead in [connect(back), connect_name("10.9.0.7", port)] {
            assert_eq!(Client::connect(near).ask_in_vain(Way::Pipelined, &dead), 2);
        }
        let early = [
            &GREETING[..],
            &connect(back),
            request("10.9.0.7").as_bytes(),
        ]
        .concat();
        let mut client = Client::connect(near);
        client.say(Way::Pipelined, &early);
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.refusal(), 2);
        asks_in_vain(Client::connect(near), &http_connect(&back.to_string()), 403);
        let fields = format!("Host: {back}\r\nConnection: close\r\n\r\n");
        let forwarded = format!("GET http://{back}/status HTTP/1.1\r\n{fields}");
        asks_in_vain(Client::connect(near), &forwarded, 403);
        // What is not the proxy, but at such an address, is still there.
        let mut tunnel = Client::connect(near);
        tunnel.open(echo_at("10.9.0.7:0".parse().unwrap()));
        tunnel.echo(b"hello");
    });
}

#[test]
fn h14_it_is_the_last_request_of_its_connection() {
    let (proxy, target) = (Proxy::start(&["--status"]), Target::new());
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, request("localhost").repeat(2).as_bytes());
        state_in(&hear(&client));
        // It may be behind others.
        let mut client = proxy.client();
        let first = format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", target.addr);
        let both = [first, request("localhost")].concat();
        client.say(way, both.as_bytes());
        let mut server = Client::from(target.accept());
        server.head();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        server.say(Way::Pipelined, answer);
        assert_eq!(client.hear(answer.len()), answer);
        state_in(&hear(&client));
    });
}

#[test]
fn h14_it_needs_no_login_and_no_http_proxy() {
    let proxy = Proxy::start(&["--status", "--no-http", "-u", "ann", "-P", "secret"]);
    state(&proxy);
    let mut client = proxy.client();
    client.say(Way::Pipelined, http_connect(&echo().to_string()).as_bytes());
    assert_eq!(client.rest_or_reset(), b"");
    let mut client = proxy.client_from("127.0.0.2");
    client.say(Way::Pipelined, request("127.0.0.1").as_bytes());
    assert_eq!(client.rest_or_reset(), b"");
    let proxy = Proxy::start(&["--status", "-u", "ann", "-P", "secret"]);
    state(&proxy);
    asks_in_vain(proxy.client(), &http_connect(&echo().to_string()), 407);
}

/// Names that are no text, or that would end a string, a line or a colour.
const HOSTILE: [&[u8]; 6] = [
    b"\"},{\"user\":\"root",
    b"back\\slash\\u0041",
    b"\xff\xfe\x80",
    b"\xed\xa0\x80.",
    "j\u{fc}rgen\u{202e}\u{9b}31m".as_bytes(),
    b"</script>",
];

#[test]
fn hostile_names_stay_inside_their_strings() {
    let folder = Folder::new("hostile");
    let mut users = String::new();
    for name in HOSTILE.iter().chain(&[&b"\0\x01\n\r\t\x1b[31m\x7f"[..]]) {
        let escaped: String = name.iter().map(|byte| format!("%{byte:02x}")).collect();
        users += &format!("{escaped}:secret\n");
    }
    let users = folder.write("users", &users);
    let names = NameServer::start(Vec::new());
    let options = [
        "--users",
        &users,
        "-w",
        "127.0.0.2",
        "--dns",
        &names.option(),
        "--status",
    ];
    let proxy = Proxy::start(&options);
    let shown = |name: &[u8]| Shown(name).to_string();
    for name in HOSTILE {
        let target = echo();
        let mut tunnel = proxy.user_tunnel(name, b"secret", target);
        tunnel.echo(b"hello");
        let mut asker = proxy.client_from("127.0.0.2");
        asker.say(
            Way::Pipelined,
            &[&GREETING[..], &connect_name(name, 1)].concat(),
        );
        asker.hear(12);
        let seen = state(&proxy);
        assert_eq!(seen["users"].with("user", &shown(name))["up"].number(), 5);
        let session = |client: &Client| seen["sessions"].with("client", &client.addr.to_string());
        assert_eq!(session(&tunnel)["user"].text(), Some(&*shown(name)));
        assert_eq!(
            session(&asker)["asked"].text(),
            Some(&*format!("{}:1", shown(name)))
        );
        // And in the lines of the log.
        proxy.report();
    }
    // As far as an idle tunnel has room for it.
    let long = [b'x'; 253];
    let mut asker = proxy.client_from("127.0.0.2");
    asker.say(
        Way::Pipelined,
        &[&GREETING[..], &connect_name(long, 1)].concat(),
    );
    asker.hear(12);
    state(&proxy)["sessions"].with("asked", &format!("{}...:1", "x".repeat(64)));
}

/// Users whose names take more room in the state than the kernel has for a reader that takes
/// nothing: 1.5 MiB.
fn many_users(folder: &Folder) -> String {
    let name = "%01".repeat(250);
    let users: String = (0..1_000).map(|n| format!("{name}{n}:secret\n")).collect();
    folder.write("users", &users)
}

/// A reader that takes hardly anything, once it has asked.
fn slow_reader(proxy: &Proxy) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Small segments make the other end's buffer small too.
    socket.set_tcp_mss(536).unwrap();
    socket.set_recv_buffer_size(2304).unwrap();
    socket
        .connect_timeout(&proxy.addr.into(), DEADLINE)
        .unwrap();
    let mut reader = Client::over(socket.into());
    reader.say(Way::Pipelined, request("localhost").as_bytes());
    reader
}

#[test]
fn who_reads_nothing_ends_as_other_idle_clients_do_and_keeps_nobody_out() {
    let folder = Folder::new("slow");
    let options = [
        "--status",
        "--users",
        &many_users(&folder),
        "-v",
        "--half-close-timeout",
        "2",
    ];
    let proxy = Proxy::start(&options);
    let idle = proxy.idle_descriptors();
    // More than there are places: the one that has waited longest makes room.
    let readers: Vec<Client> = (0..8).map(|_| slow_reader(&proxy)).collect();
    let seen = state(&proxy);
    assert_eq!(seen["users"].list().len(), 1_000);
    assert_eq!(seen["limits"]["readers"]["max"].number(), 4);
    assert!(seen["limits"]["readers"]["used"].number() <= 4);
    proxy.wait_log("half-close timeout");
    proxy.wait_descriptors(idle);
    for reader in readers {
        // A part does not pass for the whole.
        let mut text = Vec::new();
        let end = (&reader.stream).read_to_end(&mut text);
        assert!(end.is_err(), "{} bytes and an orderly end", text.len());
    }
}

#[test]
fn who_reads_slowly_gets_all_of_it() {
    let folder = Folder::new("slowly");
    let users = many_users(&folder);
    let proxy = Proxy::start(&[
        "--status",
        "--users",
        &users,
        "-w",
        "127.0.0.2",
        "--half-close-timeout",
        "2",
    ]);
    let target = echo();
    let tunnel = || {
        let mut client = proxy.client_from("127.0.0.2");
        client.open(target);
        client
    };
    let mut tunnels: Vec<Client> = (0..200).map(|_| tunnel()).collect();
    let mut reader = slow_reader(&proxy);
    let mut text = reader.hear(100_000);
    // Meanwhile some come and go, users too.
    thread::sleep(Duration::from_millis(300));
    tunnels.truncate(100);
    tunnels.extend((0..50).map(|_| tunnel()));
    folder.write("users", "ann:secret\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("reloaded: 1 users");
    text.extend(reader.hear_at_most(1 << 24));
    let seen = state_in(&String::from_utf8(text).unwrap());
    assert!(seen["users"].list().len() < 1_000);
    for tunnel in &tunnels {
        seen["sessions"].with("client", &tunnel.addr.to_string());
    }
}

/// The longest of many pings through a tunnel.
fn ping(tunnel: &mut Client, time: Duration) -> Duration {
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < time {
        let ping = Instant::now();
        tunnel.echo(b"ping");
        longest = longest.max(ping.elapsed());
    }
    longest
}

/// Opens `count` tunnels, and reads the state again and again beside a ping.
fn stand_tunnels(proxy: &Proxy, count: usize) {
    let targets: Vec<Target> = (0..3).map(|_| Target::with_queue(4096)).collect();
    let tunnels: Vec<Client> = (0..count)
        .map(|n| proxy.tunnel(targets[n % targets.len()].addr))
        .collect();
    let mut pinging = proxy.tunnel(echo());
    // Some memory is taken once.
    state(proxy);
    let before = ping(&mut pinging, Duration::from_secs(1));
    let memory = proxy.memory_kib("Anonymous");
    let (during, states) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let start = Instant::now();
            let mut states = Vec::new();
            while start.elapsed() < Duration::from_secs(2) {
                let mut client = proxy.client();
                client.say(Way::Pipelined, request("localhost").as_bytes());
                states.push(hear(&client));
            }
            states
        });
        (
            ping(&mut pinging, Duration::from_secs(2)),
            reader.join().unwrap(),
        )
    });
    let grown = proxy.memory_kib("Anonymous") - memory;
    let bytes = states[0].len();
    note(&format!(
        "{count} tunnels: {} states of {bytes} bytes in 2 s, the longest ping {before:?} without \
         them and {during:?} beside them, {grown} KiB more",
        states.len()
    ));
    let seen = state_in(states.last().unwrap());
    let clients = seen["sessions"]
        .list()
        .iter()
        .map(|session| session["client"].text());
    let mut clients: Vec<_> = clients.flatten().map(String::from).collect();
    clients.sort();
    for tunnel in &tunnels {
        assert!(
            clients.binary_search(&tunnel.addr.to_string()).is_ok(),
            "{} is missing",
            tunnel.addr
        );
    }
    // The tunnels, the ping, and the reader itself, which may have a forerunner that is closing.
    assert!(
        (count + 2..count + 5).contains(&clients.len()),
        "{} sessions",
        clients.len()
    );
    assert!(grown <= 64, "{grown} KiB more");
    assert!(during < Duration::from_millis(250), "a ping of {during:?}");
}

#[test]
fn a_ping_beside_it_goes_on() {
    if is_emulated() {
        return not_run("a ping beside the state: memory and time would be the emulator's");
    }
    stand_tunnels(&Proxy::start(&["--status"]), 300);
}

#[test]
#[ignore = "takes 20,000 descriptors and a minute"]
fn a_ping_beside_nine_thousand_tunnels_goes_on() {
    const DESCRIPTORS: u64 = 20_000;
    if getrlimit(Resource::NOFILE).unwrap().1 < DESCRIPTORS {
        return not_run("the state of nine thousand tunnels: `ulimit -Hn` is below 20,000");
    }
    let mut wrapper = Command::new("sh");
    wrapper.args([
        "-c",
        &format!("ulimit -n {DESCRIPTORS}; exec \"$@\" --ignored"),
        "sh",
    ]);
    in_own_process(wrapper, || {
        stand_tunnels(
            &Proxy::start(&["--status", "--max-per-client", "9010"]),
            9_000,
        );
    });
}
