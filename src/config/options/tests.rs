//! Command lines, and what they mean or why they mean nothing.

use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::config::dns::Families;
use crate::config::settings::{AskedLimits, Listen, RelayOptions};
use crate::state::protocols::Protocols;
use log::LevelFilter;

fn command(args: &[&str]) -> Result<Command, ConfigError> {
    parse(args.iter().map(OsString::from))
}

#[track_caller]
fn config(args: &[&str]) -> Box<Asked> {
    match command(args) {
        Ok(Command::Run(config)) => config,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[track_caller]
fn error(args: &[&str]) -> String {
    command(args).unwrap_err().to_string()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_command_line_gives_the_defaults() {
    let config = config(&[]);
    assert_eq!(config.port, 1080);
    let any = Listen::Any {
        port: 1080,
        as_v6: false,
    };
    assert_eq!(config.listen, [any]);
    assert_eq!(
        config.families,
        Families {
            v4: true,
            v6: true,
            v6_first: true
        }
    );
    assert_eq!(config.timeouts.idle_ms, 7_440_000);
    assert_eq!(config.timeouts.udp_ms, 120_000);
    assert_eq!(config.timeouts.bind_ms, 120_000);
    assert_eq!(config.protocols, Protocols::default());
    assert_eq!(config.relay, RelayOptions::default());
    assert_eq!(config.limits, AskedLimits::default());
    assert_eq!(config.verbosity, LevelFilter::Info);
    assert_eq!(
        config.sources.resolv_conf,
        Some(String::from("/etc/resolv.conf"))
    );
    assert!(!config.check && !config.policy.credentials);
}

#[test]
fn all_of_ipv6_is_ipv6_alone_with_a_port_or_beside_others() {
    let v6: Listen = Listen::Addr("[::]:1080".parse().unwrap());
    assert_eq!(config(&["-i", "[::]:1080"]).listen[0], v6);
    assert_eq!(config(&["-i", "::,127.0.0.1"]).listen[0], v6);
    assert_eq!(config(&["-i", "0.0.0.0,::"]).listen[1], v6);
}

#[test]
fn the_options_of_microsocks_mean_what_they_mean_there() {
    let args = [
        "-1", "-q", "-i", "::", "-p", "9", "-u", "me", "-P", "pw", "-b", "10.0.0.1",
    ];
    let config = config(&[&args[..], &["-w", "127.0.0.1,192.168.1.1"]].concat());
    let both = Listen::Any {
        port: 9,
        as_v6: true,
    };
    assert_eq!(config.listen, [both]);
    assert_eq!(
        config.sources.credential,
        Some((b"me".to_vec(), b"pw".to_vec()))
    );
    assert_eq!(config.outgoing.v4, Some([10, 0, 0, 1].into()));
    assert_eq!(texts(&config.policy.trust), ["127.0.0.1", "192.168.1.1"]);
    assert!(config.policy.auth_once && config.policy.credentials);
    assert!(config.quiet);
    assert_eq!(config.verbosity, LevelFilter::Info);
}

#[test]
fn lists_are_comma_separated_and_repeatable() {
    let args = ["--clients", "10.0.0.0/8, br-lan", "--clients=fd00::/8"];
    assert_eq!(
        texts(&config(&args).policy.clients),
        ["10.0.0.0/8", "br-lan", "fd00::/8"]
    );
    let args = ["--permit", "10.0.0.1:80", "--block", "[::1]:1-9,wan"];
    assert_eq!(texts(&config(&args).policy.permit), ["10.0.0.1:80"]);
    assert_eq!(texts(&config(&args).policy.block), ["[::1]:1-9", "wan"]);
    let listen = config(&["-i", "127.0.0.1,br-lan:7", "-i", "::1", "-p", "0"]).listen;
    assert_eq!(listen.len(), 3);
    assert_eq!(listen[1], Listen::Interface(String::from("br-lan"), 7));
    assert_eq!(listen[2], Listen::Addr("[::1]:0".parse().unwrap()));
}

#[test]
fn one_address_per_family_or_one_interface_is_bound() {
    let both = config(&["-b", "10.0.0.1,2001:db8::1"]).outgoing;
    assert!(both.v4.is_some() && both.v6.is_some());
    assert_eq!(
        config(&["-b", "10.0.0.1,2001:db8::1"]).families,
        Families::default()
    );
    let only_v4 = config(&["-b", "10.0.0.1"]).families;
    assert!(only_v4.v4 && !only_v4.v6, "IPv6 would leave by another way");
    assert_eq!(
        config(&["-b", "wan"]).outgoing.device.as_deref(),
        Some("wan")
    );
    assert_eq!(config(&["--mark", "0x10"]).outgoing.mark, Some(16));
}

#[test]
fn families_follow_the_options() {
    let families = |args| config(args).families;
    assert_eq!(
        families(&["-4"]),
        Families {
            v4: true,
            v6: false,
            v6_first: false
        }
    );
    assert_eq!(
        families(&["-6"]),
        Families {
            v4: false,
            v6: true,
            v6_first: true
        }
    );
    assert_eq!(
        families(&["--prefer=4"]),
        Families {
            v4: true,
            v6: true,
            v6_first: false
        }
    );
    assert_eq!(families(&["--prefer", "6"]), Families::default());
}

#[test]
fn each_protocol_has_a_switch_of_its_own() {
    let all = Protocols {
        udp: true,
        bind: true,
        socks4: true,
        http: true,
        status: false,
    };
    let on = |args| config(args).protocols;
    assert_eq!(on(&[]), all);
    assert_eq!(on(&["--no-udp"]), Protocols { udp: false, ..all });
    assert_eq!(on(&["--no-bind"]), Protocols { bind: false, ..all });
    let socks4 = false;
    assert_eq!(on(&["--no-socks4"]), Protocols { socks4, ..all });
    assert_eq!(on(&["--no-http"]), Protocols { http: false, ..all });
    let status = true;
    assert_eq!(on(&["--status"]), Protocols { status, ..all });
}

#[test]
fn relays_have_ports_and_one_public_address_per_family() {
    let args = ["--relay-ports", "5000-5099", "--udp-strict"];
    let public = ["--public", "192.0.2.1", "--public=2001:db8::1"];
    let (v4, v6) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
    assert_eq!(
        config(&[&args[..], &public].concat()).relay,
        RelayOptions {
            ports: Some((5000, 5099)),
            public_v4: Some(v4),
            public_v6: Some(v6),
            strict: true,
        }
    );
    let relay = config(&["--public", "::ffff:192.0.2.1, 2001:db8::1"]).relay;
    assert_eq!((relay.public_v4, relay.public_v6), (Some(v4), Some(v6)));
}

#[test]
fn a_public_address_serves_clients_of_a_family_that_nothing_leaves_by() {
    let relay = config(&["-4", "--public", "2001:db8::1"]).relay;
    assert!(relay.public_v6.is_some());
    let relay = config(&["-b", "::2", "--public", "192.0.2.1", "--no-bind"]).relay;
    assert!(relay.public_v4.is_some());
    assert_eq!(
        error(&["-4", "--public", "2001:db8::1", "--no-udp"]),
        "--public 2001:db8::1: BIND has no IPv6, and UDP is off"
    );
    assert_eq!(
        error(&["-b", "::2", "--public", "192.0.2.1", "--no-udp"]),
        "--public 192.0.2.1: BIND has no IPv4, and UDP is off"
    );
}

#[test]
fn name_servers_have_port_53_unless_another_is_given() {
    let dns = config(&["--dns", "9.9.9.9,[2620:fe::fe]:5353", "--dns", "2620:fe::9"])
        .sources
        .dns;
    assert_eq!(
        texts(&dns),
        ["9.9.9.9:53", "[2620:fe::fe]:5353", "[2620:fe::9]:53"]
    );
}

#[test]
fn timeouts_are_seconds_up_to_their_bounds() {
    let long = config(&["--idle-timeout", "2592000", "--peer-timeout", "2073600"]).timeouts;
    assert_eq!((long.idle_ms, long.peer_ms), (2_592_000_000, 2_073_600_000));
    let args = [
        "--handshake-timeout=1",
        "--connect-timeout=2",
        "--half-close-timeout=3",
        "--udp-timeout=4",
        "--bind-timeout=2592000",
    ];
    let short = config(&args).timeouts;
    assert_eq!(
        (short.handshake_ms, short.connect_ms, short.half_close_ms),
        (1000, 2000, 3000)
    );
    assert_eq!((short.udp_ms, short.bind_ms), (4000, 2_592_000_000));
}

#[test]
fn limits_are_what_was_asked_for() {
    let args = [
        "--max-sessions=9",
        "--max-per-client=9",
        "--buffers=4",
        "--buffer-size=256",
    ];
    let limits = config(&args).limits;
    assert_eq!(
        (limits.sessions_max, limits.per_client_max),
        (Some(9), Some(9))
    );
    assert_eq!(
        (limits.buffers_max, limits.buffer_bytes),
        (Some(4), Some(256))
    );
}

#[test]
fn verbosity_grows_with_each_v() {
    assert_eq!(config(&["-v"]).verbosity, LevelFilter::Debug);
    assert_eq!(config(&["-vv"]).verbosity, LevelFilter::Trace);
    assert_eq!(
        config(&["--verbose", "-v", "-v"]).verbosity,
        LevelFilter::Trace
    );
}

#[test]
fn a_value_that_cannot_be_honoured_is_an_error_naming_it() {
    for (args, line) in [
        (
            &["-p", "65536"][..],
            "--port 65536: not a number from 0 to 65535",
        ),
        (&["-p", ""], "--port : not a number from 0 to 65535"),
        (&["-i", "10.0.0.256"], "--listen 10.0.0.256: not an address"),
        (
            &["-i", "::1", "-i", "[::1]:1080"],
            "--listen [::1]:1080: given more than once",
        ),
        (&["--listen="], "--listen : an item of the list is empty"),
        (
            &["--clients", "a,,b"],
            "--clients a,,b: an item of the list is empty",
        ),
        (
            &["-b", "0.0.0.0"],
            "--bind 0.0.0.0: not the address of an interface",
        ),
        (
            &["-b", "fe80::1"],
            "--bind fe80::1: a link-local address reaches nothing",
        ),
        (
            &["-b", "10.0.0.1:1"],
            "--bind 10.0.0.1:1: neither an address nor an interface name",
        ),
        (
            &["-b", "10.0.0.1,10.0.0.2"],
            "--bind 10.0.0.2: a second IPv4 address",
        ),
        (&["-b", "::2,::3"], "--bind ::3: a second IPv6 address"),
        (
            &["-b", "wan,10.0.0.1"],
            "--bind 10.0.0.1: an interface stands alone",
        ),
        (
            &["-b", "10.0.0.1", "-b", "wan"],
            "--bind wan: an interface stands alone",
        ),
        (&["-b", "wan,lan"], "--bind lan: an interface stands alone"),
        (
            &["--mark", "x"],
            "--mark x: not a number of 32 bits, decimal or 0x hexadecimal",
        ),
        (&["--prefer", "5"], "--prefer 5: neither 4 nor 6"),
        (&["--dns", "localhost"], "--dns localhost: not an address"),
        (
            &["--dns", "1.1.1.1:0"],
            "--dns 1.1.1.1:0: nobody answers there",
        ),
        (
            &["--dns", "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4"],
            "--dns 1.1.1.4: one more than 3",
        ),
        (&["--users", ""], "--users : needs the name of a file"),
        (&["--syslog", ""], "--syslog : needs the name of a socket"),
        (
            &["--relay-ports", "5000"],
            "--relay-ports 5000: not two ports A-B from 1 to 65535",
        ),
        (
            &["--relay-ports", "2-1"],
            "--relay-ports 2-1: the first port is above the last",
        ),
        (
            &["--public", "0.0.0.0"],
            "--public 0.0.0.0: nobody answers there",
        ),
        (
            &["--public", "192.0.2.1,ff02::1"],
            "--public ff02::1: a multicast address",
        ),
        (&["--public", "wan"], "--public wan: not an address"),
        (
            &["--public", "192.0.2.1,192.0.2.2"],
            "--public 192.0.2.2: a second IPv4 address",
        ),
        (
            &["--public", "::2,::3"],
            "--public ::3: a second IPv6 address",
        ),
    ] {
        assert_eq!(error(args), line);
    }
    assert!(error(&["--clients", "10.0.0.0/33"]).starts_with("--clients 10.0.0.0/33: "));
    assert!(error(&["--permit", "10.0.0.1:9-1"]).starts_with("--permit 10.0.0.1:9-1: "));
}

#[test]
fn a_number_out_of_its_range_is_an_error_naming_both() {
    for (args, line) in [
        (
            &["--idle-timeout", "0"][..],
            "--idle-timeout 0: not a number from 1 to 2592000",
        ),
        (
            &["--peer-timeout=2073601"],
            "--peer-timeout 2073601: not a number from 1 to 2073600",
        ),
        (
            &["--udp-timeout", "0"],
            "--udp-timeout 0: not a number from 1 to 2592000",
        ),
        (
            &["--bind-timeout=2592001"],
            "--bind-timeout 2592001: not a number from 1 to 2592000",
        ),
        (
            &["--max-sessions", "65536"],
            "--max-sessions 65536: not a number from 1 to 65535",
        ),
        (
            &["--buffers", "3"],
            "--buffers 3: not a number from 4 to 65535",
        ),
        (
            &["--buffer-size", "255"],
            "--buffer-size 255: not a number from 256 to 65536",
        ),
    ] {
        assert_eq!(error(args), line);
    }
}

#[test]
fn options_that_contradict_each_other_are_errors() {
    for (args, line) in [
        (&["-4", "-6"][..], "--ipv4: contradicts --ipv6"),
        (&["-4", "--prefer", "4"], "--prefer 4: contradicts --ipv4"),
        (&["-6", "--prefer", "4"], "--prefer 4: contradicts --ipv6"),
        (
            &["-4", "-b", "2001:db8::1"],
            "--bind 2001:db8::1: contradicts --ipv4",
        ),
        (
            &["-6", "-b", "10.0.0.1"],
            "--bind 10.0.0.1: contradicts --ipv6",
        ),
        (&["-q", "-v"], "--quiet: contradicts --verbose"),
        (
            &["--no-udp", "--udp-strict"],
            "--udp-strict: contradicts --no-udp",
        ),
        (
            &["--no-udp", "--udp-timeout=9"],
            "--udp-timeout 9: contradicts --no-udp",
        ),
        (
            &["--no-bind", "--bind-timeout=9"],
            "--bind-timeout 9: contradicts --no-bind",
        ),
        (
            &["--no-bind", "--no-udp", "--relay-ports=1-2"],
            "--relay-ports 1-2: contradicts --no-udp with --no-bind",
        ),
        (
            &["--no-bind", "--no-udp", "--public=192.0.2.1"],
            "--public 192.0.2.1: contradicts --no-udp with --no-bind",
        ),
        (
            &["-w", "10.0.0.1"],
            "--trust 10.0.0.1: needs --user or --users",
        ),
        (&["-1"], "--auth-once: needs --user or --users"),
        (&["-u", "me"], "--user me: needs --password"),
        (&["-P", "secret"], "--password: needs --user"),
        (
            &["-u", "", "-P", "secret"],
            "--user : not 1 to 255 bytes long",
        ),
        (
            &["-u", "me", "-P", ""],
            "--password: not 1 to 255 bytes long",
        ),
        (
            &["--max-sessions", "2", "--max-per-client", "3"],
            "--max-per-client 3: more than --max-sessions",
        ),
    ] {
        assert_eq!(error(args), line);
    }
}

#[test]
fn words_that_are_no_options_or_come_wrongly_are_errors() {
    for (args, line) in [
        (&["stray"][..], "stray: belongs to no option"),
        (&["--", "-q"], "-q: belongs to no option"),
        (&["-x"], "-x: unknown option"),
        (&["--no-socks5"], "--no-socks5: unknown option"),
        (&["--no-udp=yes"], "--no-udp: takes no value"),
        (&["--public"], "--public: needs a value"),
        (
            &["--relay-ports", "1-2", "--relay-ports", "3-4"],
            "--relay-ports: given more than once",
        ),
        (&["--run-as", "nobody"], "--run-as: unknown option"),
        (&["-p"], "--port: needs a value"),
        (&["-q", "--quiet"], "--quiet: given more than once"),
        (&["-p", "1", "-p", "1"], "--port: given more than once"),
        (&["--check=yes"], "--check: takes no value"),
    ] {
        assert_eq!(error(args), line);
    }
    let args = [OsString::from("-q"), OsString::from_vec(vec![b'-', 0xff])];
    assert_eq!(
        parse(args.into_iter()).unwrap_err().to_string(),
        "argument 2: not UTF-8"
    );
}

#[test]
fn no_error_has_the_password_in_it() {
    for args in [
        &["-u", "me", "-P", "my", "secret"][..],
        &["-P", "secret"],
        &["-u", "me", "-P", "secret", "-P", "secret"],
        &["--password:secret"],
        &["--passwordsecret"],
        &["-u", "me", "-P", "secret", "-p", "x"],
    ] {
        assert!(!error(args).contains("secret"), "{args:?}");
    }
    let long = format!("secret{}", "x".repeat(250));
    assert!(!error(&["-u", "me", "-P", &long]).contains("secret"));
}

#[test]
fn the_lists_are_bounded() {
    let list = vec!["10.0.0.1"; 257].join(",");
    assert_eq!(
        error(&["--clients", &list]),
        "--clients 10.0.0.1: one more than 256"
    );
    let list: Vec<String> = (1..=9).map(|n| format!("127.0.0.{n}")).collect();
    assert_eq!(
        error(&["-i", &list.join(",")]),
        "--listen 127.0.0.9: one more than 8"
    );
}

#[test]
fn help_and_version_come_before_the_meaning_of_the_rest() {
    assert!(matches!(command(&["-4", "-6", "-h"]), Ok(Command::Help(_))));
    assert!(matches!(
        command(&["stray", "--version"]),
        Ok(Command::Version)
    ));
}

#[test]
fn the_help_text_fits_80_columns() {
    assert!(HELP.lines().all(|line| line.len() <= 80));
}

#[test]
fn no_option_is_without_a_meaning() {
    let plain = format!("{:?}", config(&[]));
    for Entry { name, kind, .. } in &OPTIONS {
        let args: &[&str] = match (*name, kind) {
            // The program ends with these, or they need each other.
            ("help" | "version" | "user" | "password" | "trust" | "auth-once" | "ban", _) => {
                continue;
            }
            ("users" | "bind", _) => &["wan"],
            ("prefer", _) => &["4"],
            ("relay-ports", _) => &["1-2"],
            (_, Kind::Flag(_)) => &[],
            (_, Kind::Number(_)) => &["300"],
            _ => &["7.7.7.7"],
        };
        let value = if *name == "mark" { &["1"] } else { args };
        let option = format!("--{name}");
        let args = [&[&option[..]], value].concat();
        assert_ne!(format!("{:?}", config(&args)), plain, "{name}");
    }
}

proptest! {
    #[test]
    fn any_words_give_a_command_or_one_line(
        words in proptest::collection::vec(
            "(-[a-zA-Z1-6]{1,3}|--[a-z-]{0,9}|\\PC{0,9}|[0-9.:/,]{1,9})",
            0..8,
        ),
    ) {
        if let Err(error) = parse(words.into_iter().map(OsString::from)) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
