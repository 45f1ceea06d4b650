//! Each option of the configuration gives its argument, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use super::router::{Router, enabled, list, option, packaging, section};
use crate::support::foreign::output_of;
use crate::support::{command, is_emulated, not_run};

/// Options that are 0 or 1, and their arguments.
const FLAGS: [(&str, &str); 12] = [
    ("reuseport", "--reuseport"),
    ("no_udp", "--no-udp"),
    ("no_bind", "--no-bind"),
    ("no_socks4", "--no-socks4"),
    ("no_http", "--no-http"),
    ("status", "--status"),
    ("auth_once", "--auth-once"),
    ("ipv4", "--ipv4"),
    ("ipv6", "--ipv6"),
    ("udp_strict", "--udp-strict"),
    ("no_splice", "--no-splice"),
    ("quiet", "--quiet"),
];

/// Options with one value, their arguments, and a value that the program takes.
const VALUES: [(&str, &str, &str); 16] = [
    ("port", "--port", "1081"),
    ("ban", "--ban", "20"),
    ("mark", "--mark", "0x10"),
    ("prefer", "--prefer", "4"),
    ("relay_ports", "--relay-ports", "40000-40999"),
    ("max_sessions", "--max-sessions", "100"),
    ("max_per_client", "--max-per-client", "10"),
    ("buffers", "--buffers", "64"),
    ("buffer_size", "--buffer-size", "4096"),
    ("handshake_timeout", "--handshake-timeout", "11"),
    ("connect_timeout", "--connect-timeout", "12"),
    ("idle_timeout", "--idle-timeout", "13"),
    ("half_close_timeout", "--half-close-timeout", "14"),
    ("udp_timeout", "--udp-timeout", "15"),
    ("bind_timeout", "--bind-timeout", "16"),
    ("peer_timeout", "--peer-timeout", "17"),
];

/// Options with several values, their arguments, and two values that the program takes.
const LISTS: [(&str, &str, [&str; 2]); 8] = [
    ("listenip", "--listen", ["192.168.1.1", "[fd00::1]:1082"]),
    ("trust", "--trust", ["192.168.1.10", "fd00::/64"]),
    ("clients", "--clients", ["192.168.1.0/24", "br-lan"]),
    (
        "permit",
        "--permit",
        ["192.168.2.0/24:80-90", "[fd01::1]:443"],
    ),
    ("block", "--block", ["198.51.100.0/24", "eth0.2:25"]),
    ("bindaddr", "--bind", ["192.0.2.1", "2001:db8::1"]),
    ("dns", "--dns", ["9.9.9.9", "[2620:fe::fe]:5353"]),
    ("public", "--public", ["192.0.2.1", "2001:db8::1"]),
];

/// Arguments that no option gives, beside --retry-listen and --syslog, which are always there: one user is
/// written to the users file as all others, and the last three do not serve.
const NOT_CONFIGURED: [&str; 5] = ["--user", "--password", "--check", "--help", "--version"];

/// The configuration of an instance per option, named after it, with all its values.
fn one_by_one() -> String {
    let flags = FLAGS.map(|(name, _)| enabled(name, &[option(name, "1")]));
    let values = VALUES.map(|(name, _, value)| enabled(name, &[option(name, value)]));
    let lists = LISTS.map(|(name, _, values)| enabled(name, &values.map(|v| list(name, v))));
    [flags.concat(), values.concat(), lists.concat()].concat()
}

#[test]
fn an_option_alone_gives_its_argument_alone() {
    let Some(router) = Router::new("alone") else {
        return;
    };
    let calls = router.start(&one_by_one());
    assert_eq!(
        calls.instances().len(),
        FLAGS.len() + VALUES.len() + LISTS.len()
    );
    for (name, argument) in FLAGS {
        assert_eq!(calls.instance(name).arguments(), [argument]);
    }
    for (name, argument, value) in VALUES {
        assert_eq!(calls.instance(name).arguments(), [argument, value]);
    }
    for (name, argument, [one, two]) in LISTS {
        let expected = [argument, one, argument, two];
        assert_eq!(calls.instance(name).arguments(), expected);
    }
}

#[test]
fn all_options_together_give_all_arguments() {
    let Some(router) = Router::new("together") else {
        return;
    };
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for (name, argument) in FLAGS {
        lines.push(option(name, "1"));
        expected.push(argument);
    }
    expected.push("--verbose");
    for (name, argument, value) in VALUES {
        lines.push(option(name, value));
        expected.extend([argument, value]);
    }
    for (name, argument, values) in LISTS {
        lines.extend(values.map(|value| list(name, value)));
        expected.extend(values.iter().flat_map(|value| [argument, value]));
    }
    lines.extend([
        option("verbose", "1"),
        option("user", "ann"),
        option("password", "x"),
    ]);
    let file = router.users_file("main");
    expected.extend(["--users", &file]);
    assert_eq!(
        router
            .start(&enabled("main", &lines))
            .instance("main")
            .arguments(),
        expected
    );
}

#[test]
fn an_instance_without_options_has_the_defaults_of_the_program() {
    let Some(router) = Router::new("defaults") else {
        return;
    };
    let calls = router.start(&enabled("main", &[]));
    assert_eq!(calls.instance("main").arguments(), [""; 0]);
}

#[test]
fn an_option_that_is_empty_or_off_gives_nothing() {
    let Some(router) = Router::new("off") else {
        return;
    };
    let empty = [
        &FLAGS.map(|(name, _)| option(name, ""))[..],
        &VALUES.map(|(name, ..)| option(name, "")),
        &LISTS.map(|(name, ..)| option(name, "")),
        &["user", "password", "users", "verbose", "nofile"].map(|name| option(name, "")),
    ];
    let off = FLAGS.map(|(name, _)| option(name, "0"));
    let words = ["off", "no", "false", "disabled"].map(|word| option("no_udp", word));
    let config = [
        enabled("empty", &empty.concat()),
        enabled("off", &off),
        enabled("words", &words),
        enabled("quiet", &[option("verbose", "0")]),
    ];
    let calls = router.start(&config.concat());
    for name in ["empty", "off", "words", "quiet"] {
        assert_eq!(calls.instance(name).arguments(), [""; 0], "{name}");
    }
}

#[test]
fn a_flag_is_on_by_any_of_ucis_words() {
    let Some(router) = Router::new("words") else {
        return;
    };
    for word in ["1", "on", "true", "yes", "enabled"] {
        let calls = router.start(&enabled("main", &[option("no_udp", word)]));
        assert_eq!(calls.instance("main").arguments(), ["--no-udp"], "{word}");
    }
}

#[test]
fn verbose_has_two_steps() {
    let Some(router) = Router::new("verbose") else {
        return;
    };
    let arguments = |value| {
        let calls = router.start(&enabled("main", &[option("verbose", value)]));
        calls.instance("main").arguments().join(" ")
    };
    assert_eq!(arguments("1"), "--verbose");
    assert_eq!(arguments("2"), "--verbose --verbose");
}

#[test]
fn a_list_can_be_one_option_with_commas() {
    let Some(router) = Router::new("commas") else {
        return;
    };
    let lines = [
        option("listenip", "127.0.0.1"),
        option("clients", "10.0.0.0/8, 192.168.1.5 ,fd00::/8"),
        list("dns", "9.9.9.9,149.112.112.112"),
        list("dns", "2620:fe::fe"),
        option("permit", "10.0.0.1,,10.0.0.2"),
    ];
    let calls = router.start(&enabled("main", &lines));
    let arguments = calls.instance("main").arguments().join(" ");
    let expected = "--listen 127.0.0.1 --clients 10.0.0.0/8 --clients 192.168.1.5 \
        --clients fd00::/8 --permit 10.0.0.1 --permit  --permit 10.0.0.2 \
        --dns 9.9.9.9 --dns 149.112.112.112 --dns 2620:fe::fe";
    assert_eq!(arguments, expected, "the program refuses the empty one");
}

#[test]
fn a_value_is_one_argument_whatever_is_in_it() {
    let Some(router) = Router::new("odd") else {
        return;
    };
    for odd in [
        "two words",
        " blanks around ",
        "it's",
        "a \"quote\"",
        r"back\slash\n\\",
        "$HOME $(id) `id` ${x}",
        "*",
        "/etc/*",
        "a;b|c&d>e<f",
        "-x",
        "--check",
        "#no comment",
        "tab\there",
        "grüße ☂",
        "!#~[]{}()?%^=+@",
    ] {
        let lines = [option("prefer", odd), list("dns", odd), list("public", odd)];
        let calls = router.start(&enabled("main", &lines));
        let expected = ["--prefer", odd, "--dns", odd, "--public", odd];
        assert_eq!(calls.instance("main").arguments(), expected);
    }
}

#[test]
fn a_value_of_two_lines_is_refused() {
    let Some(router) = Router::new("lines") else {
        return;
    };
    for line in [option("prefer", "4\n6"), list("dns", "9.9.9.9\n1.1.1.1")] {
        let calls = router.start(&enabled("main", &[line]));
        let instance = calls.instance("main");
        let [error] = instance.errors()[..] else {
            panic!("{instance:?}");
        };
        assert!(
            error.ends_with(": a value has more than one line"),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_understood_is_refused_and_logged() {
    let Some(router) = Router::new("refused") else {
        return;
    };
    for (line, why) in [
        (option("no_udp", "maybe"), "no_udp maybe: neither 0 nor 1"),
        (option("verbose", "3"), "verbose 3: not 0, 1 or 2"),
        (option("nofile", "many"), "nofile many: not a number"),
        (
            option("no_udp", "\x1b]0;x\x07\t\n\x7f"),
            "no_udp ?]0;x????: neither 0 nor 1",
        ),
        (option("nofile", "0"), "nofile 0: less than 32"),
        (option("nofile", "1"), "nofile 1: less than 32"),
        (
            option("nofile", "999999999"),
            "nofile 999999999: more than fs.nr_open",
        ),
        (
            option("nofile", "9999999999"),
            "nofile 9999999999: not a number",
        ),
        (option("enabled", "perhaps"), "enabled: neither 0 nor 1"),
        (option("no_upd", "1"), "unknown options: main.no_upd"),
        (list("client", "10.0.0.1"), "unknown options: main.client"),
        (
            option("retry_listen", "1"),
            "unknown options: main.retry_listen",
        ),
    ] {
        let calls = router.start(&enabled("main", &[line]));
        assert_eq!(calls.instance("main").errors(), [why]);
        let [log] = calls.of("logger")[..] else {
            panic!("{calls:?}");
        };
        assert_eq!(log.last().unwrap(), &format!("main: {why}"));
        assert!(log.contains(&String::from("daemon.err")));
    }
}

#[test]
fn a_mistyped_section_is_refused_too() {
    let Some(router) = Router::new("sections") else {
        return;
    };
    for (kind, name, why) in [
        ("user", "pasword", "unknown options: wrong.pasword; a user"),
        ("usr", "name", "section wrong: its type is usr, neither"),
        ("anklets", "enabled", "section wrong: its type is anklets"),
    ] {
        let wrong = section(kind, "wrong", &[option(name, "x")]);
        let calls = router.start(&[enabled("main", &[]), wrong].concat());
        let instance = calls.instance("main");
        assert!(instance.errors().concat().starts_with(why), "{calls:?}");
    }
}

#[test]
fn only_what_is_enabled_is_started_and_each_on_its_own() {
    let Some(router) = Router::new("enabled") else {
        return;
    };
    let config = [
        section("anklet", "unset", &[option("port", "1")]),
        section("anklet", "off", &[option("enabled", "0")]),
        enabled("one", &[option("port", "1081"), option("no_udp", "1")]),
        enabled("two", &[option("port", "1082")]),
    ];
    let calls = router.start(&config.concat());
    assert_eq!(calls.instances(), ["one", "two"]);
    assert_eq!(
        calls.instance("one").arguments(),
        ["--no-udp", "--port", "1081"]
    );
    assert_eq!(calls.instance("two").arguments(), ["--port", "1082"]);
}

#[test]
fn variables_of_the_callers_shell_are_not_the_scripts() {
    let Some(router) = Router::new("environment") else {
        return;
    };
    let environment = ["only", "checking", "RESTARTING", "wrong", "users", "OPENED"];
    let environment = environment.map(|name| (name, "main"));
    let config = enabled("main", &[option("port", "1081")]);
    let expected = router.start(&config).instance("main");
    let calls = router.start_with(&environment, &config.replace("main", "other"));
    assert_eq!(calls.instance("other"), expected);
}

#[test]
fn a_configuration_that_cannot_be_read_starts_nothing() {
    let Some(router) = Router::new("unread") else {
        return;
    };
    let calls = router.start_without_config();
    assert_eq!(calls.instances(), [""; 0]);
    assert_eq!(calls.of("logger").len(), 1);
    assert_eq!(calls.of("procd_add_reload_trigger"), [["anklet"]]);
}

#[test]
fn every_option_of_the_program_can_be_configured() {
    let help = output_of(&mut command(&[], &["--help"]));
    let help = String::from_utf8(help).unwrap();
    let lines = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let offered: BTreeSet<&str> = lines
        .map(|line| {
            let words = line.split([' ', ',']);
            words
                .into_iter()
                .find(|word| word.starts_with("--"))
                .unwrap()
        })
        .collect();
    let configured = FLAGS.iter().map(|(_, argument)| *argument);
    let configured = configured.chain(VALUES.iter().map(|(_, argument, _)| *argument));
    let configured = configured.chain(LISTS.iter().map(|(_, argument, _)| *argument));
    let others = ["--retry-listen", "--syslog", "--users", "--verbose"].into_iter();
    let known: BTreeSet<&str> = configured.chain(others).chain(NOT_CONFIGURED).collect();
    assert_eq!(offered, known);
}

#[test]
fn what_an_option_gives_is_taken_by_the_program() {
    if is_emulated() {
        return not_run("the script asks the program, which only an emulator starts here");
    }
    let Some(router) = Router::new("taken") else {
        return;
    };
    // Some options mean nothing without users.
    let user = section(
        "user",
        "ann",
        &[option("name", "ann"), option("password", "x")],
    );
    let calls = router.start(&[one_by_one(), user].concat());
    for name in calls.instances() {
        let instance = calls.instance(name);
        let arguments = [&instance.param("command")[1..], &["--check"]].concat();
        let report = output_of(&mut command(&[], &arguments));
        let report = String::from_utf8(report).unwrap();
        assert!(report.contains("\nusers: 1\n"), "{name}: {report}");
    }
}

#[test]
fn the_configuration_of_the_package_starts_nothing_until_it_is_enabled() {
    let Some(router) = Router::new("shipped") else {
        return;
    };
    let shipped = fs::read_to_string(packaging("anklet/files/anklet.config")).unwrap();
    assert_eq!(router.start(&shipped).instances(), [""; 0]);
    let calls = router.start(&shipped.replace("enabled '0'", "enabled '1'"));
    let expected = [
        "--status", "--quiet", "--port", "1080", "--listen", "br-lan",
    ];
    assert_eq!(calls.instance("main").arguments(), expected);
}

#[test]
fn the_examples_in_the_configuration_of_the_package_are_good() {
    if is_emulated() {
        return not_run("the script asks the program, which only an emulator starts here");
    }
    let Some(router) = Router::new("examples") else {
        return;
    };
    let shipped = fs::read_to_string(packaging("anklet/files/anklet.config")).unwrap();
    let users = router.write("anklet.users", "carol:x\n");
    let examples = shipped
        .replace("enabled '0'", "enabled '1'")
        .replace("/etc/anklet.users", &users)
        // These switch off what other examples are about.
        .replace("\t#option no_udp '1'\n\t#option no_bind '1'\n", "")
        .replace("\t#option", "\toption")
        .replace("\t#list", "\tlist")
        .replace("#config", "config")
        .replace("#\toption", "\toption")
        .replace("#\tlist", "\tlist");
    let instance = router.start(&examples).instance("main");
    assert!(instance.arguments().len() > 30, "{instance:?}");
    let arguments = [&instance.param("command")[1..], &["--check"]].concat();
    let report = output_of(&mut command(&[], &arguments));
    let report = String::from_utf8(report).unwrap();
    assert!(report.contains("\nusers: 3\n"), "{report}");
}
