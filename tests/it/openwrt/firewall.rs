//! The ports that the service has the firewall open, as procd keeps the rules with the instance.

use super::router::{Calls, Router, enabled, list, option};

/// Zone, protocols and ports of each rule of an instance.
fn rules(calls: &Calls) -> Vec<String> {
    let instance = calls.instance("main");
    let words = instance.param("json_add_string");
    let rules = words.chunks(12).map(|rule| match rule {
        [
            "type",
            "rule",
            "name",
            "anklet main",
            "src",
            zone,
            "proto",
            protocols,
            "dest_port",
            ports,
            "target",
            "ACCEPT",
        ] => format!("{zone} {protocols} {ports}"),
        _ => panic!("{rule:?}"),
    });
    let rules: Vec<String> = rules.collect();
    let objects = instance.param("json_add_object").len();
    assert_eq!(objects, rules.len(), "each is an object");
    assert_eq!(
        calls.of("procd_open_data").len(),
        calls.of("procd_close_data").len()
    );
    rules
}

#[test]
fn an_open_zone_reaches_the_listeners_and_the_relays() {
    let Some(router) = Router::new("open") else {
        return;
    };
    let guest = list("open", "guest");
    for (lines, expected) in [
        (&[][..], &["guest tcp 1080"][..]),
        (&[option("port", "1081")], &["guest tcp 1081"]),
        (
            &[list("listenip", "lan"), list("listenip", "guest:1082")],
            &["guest tcp 1080", "guest tcp 1082"],
        ),
        (
            &[
                list("listenip", "guest:1082"),
                list("listenip", "[fd00::1]:1082"),
            ],
            &["guest tcp 1082"],
        ),
        (
            &[option("relay_ports", "40000-40999")],
            &["guest tcp 1080", "guest tcp udp 40000-40999"],
        ),
        (
            &[option("relay_ports", "40000-40999"), option("no_bind", "1")],
            &["guest tcp 1080", "guest udp 40000-40999"],
        ),
        (
            &[option("relay_ports", "40000-40999"), option("no_udp", "1")],
            &["guest tcp 1080", "guest tcp 40000-40999"],
        ),
        (
            &[
                option("relay_ports", "40000-40999"),
                option("no_udp", "1"),
                option("no_bind", "1"),
            ],
            &["guest tcp 1080"],
        ),
        (
            &[list("open", "lan_2")],
            &["guest tcp 1080", "lan_2 tcp 1080"],
        ),
    ] {
        let lines = [std::slice::from_ref(&guest), lines].concat();
        let calls = router.start(&enabled("main", &lines));
        assert_eq!(rules(&calls), expected, "{lines:?}");
    }
}

#[test]
fn nothing_is_open_that_was_not_asked_for() {
    let Some(router) = Router::new("closed") else {
        return;
    };
    let calls = router.start(&enabled("main", &[list("listenip", "guest")]));
    assert!(calls.of("procd_open_data").is_empty());
}

#[test]
fn what_is_no_zone_and_the_internet_without_users_are_refused() {
    let Some(router) = Router::new("open-refused") else {
        return;
    };
    let users = [option("user", "ann"), option("password", "x")];
    for (lines, why) in [
        (
            &[list("open", "*")][..],
            "open *: no names of the firewall's zones",
        ),
        (
            &[list("open", "a;b")],
            "open a;b: no names of the firewall's zones",
        ),
        (
            &[list("open", "guest"), list("open", "wan")],
            "open wan: not without users",
        ),
        (
            &[list("open", "guest"), list("listenip", "guest:0")],
            "open guest: not with port 0, which is any",
        ),
    ] {
        let calls = router.start(&enabled("main", lines));
        assert_eq!(calls.instance("main").errors(), [why]);
        assert!(calls.of("procd_open_data").is_empty());
    }
    let lines = [&users[..], &[list("open", "wan")]].concat();
    assert_eq!(
        rules(&router.start(&enabled("main", &lines))),
        ["wan tcp 1080"]
    );
}

#[test]
fn what_is_kept_stays_open() {
    let Some(router) = Router::new("open-kept") else {
        return;
    };
    let lines = [list("open", "guest"), option("relay_ports", "40000-40999")];
    let before = router.start(&enabled("main", &lines));
    let after = router.start(&enabled("main", &[option("relay_prts", "1-2")]));
    assert_eq!(rules(&after), rules(&before));
    assert_eq!(after.instance("main"), before.instance("main"));
}
