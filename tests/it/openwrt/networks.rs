//! Names of OpenWrt's networks become devices, and what happens to a network is noticed.

use super::router::{Calls, Router, enabled, list, section};

/// The networks whose events start the script again.
fn watched(calls: &Calls) -> Vec<&str> {
    let calls = calls.of("procd_add_reload_interface_trigger");
    calls.iter().map(|words| words[0].as_str()).collect()
}

#[test]
fn a_change_of_the_configuration_starts_the_script_again() {
    let Some(router) = Router::new("trigger") else {
        return;
    };
    // Even where nothing is enabled: enabling is a change too.
    let calls = router.start(&section("anklet", "main", &[]));
    assert_eq!(calls.of("procd_add_reload_trigger"), [["anklet"]]);
    assert_eq!(watched(&calls), [""; 0]);
}

#[test]
fn a_network_stands_for_its_device() {
    let Some(router) = Router::new("device") else {
        return;
    };
    let lines = [
        list("listenip", "lan"),
        list("listenip", "guest:1081"),
        list("trust", "lan"),
        list("clients", " lan , guest"),
        list("permit", "guest:80-90"),
        list("block", "lan:25"),
        // Down: the device that it will be on, until its event brings the real one.
        list("bindaddr", "wan"),
    ];
    let calls = router.start(&enabled("main", &lines));
    let expected = "--listen br-lan --listen br-guest:1081 --trust br-lan --clients br-lan \
        --clients br-guest --permit br-guest:80-90 --block br-lan:25 --bind eth1";
    assert_eq!(calls.instance("main").arguments().join(" "), expected);
    assert_eq!(watched(&calls), ["lan", "guest", "wan"]);
}

#[test]
fn what_is_no_network_stays_as_it_is() {
    let Some(router) = Router::new("stays") else {
        return;
    };
    let values = [
        "eth0",
        "br-lan",
        "eth0.2",
        "eth0.2:80",
        "wg_home",
        "10.0.0.1",
        "10.0.0.1:80",
        "10.0.0.0/8",
        "::1",
        "fe80::1%eth0",
        "[::1]:80",
        "[fd00::/8]:80-90",
        "lan::1",
        "",
    ];
    let lines = values.map(|value| list("permit", value));
    let calls = router.start(&enabled("main", &lines));
    let arguments = calls.instance("main").arguments().join(" ");
    let values: Vec<&str> = values
        .into_iter()
        .filter(|value| !value.is_empty())
        .collect();
    assert_eq!(arguments, format!("--permit {}", values.join(" --permit ")));
    // These may be networks that are not there yet.
    assert_eq!(watched(&calls), ["eth0", "wg_home"]);
}

#[test]
fn name_servers_and_public_addresses_are_no_networks() {
    let Some(router) = Router::new("addresses") else {
        return;
    };
    let calls = router.start(&enabled(
        "main",
        &[list("dns", "lan"), list("public", "lan")],
    ));
    let arguments = calls.instance("main").arguments().join(" ");
    assert_eq!(
        arguments, "--dns lan --public lan",
        "the program refuses them"
    );
    assert_eq!(watched(&calls), [""; 0]);
}

/// It follows them itself: nobody's session ends because the router got another address.
#[test]
fn addresses_of_networks_change_nothing() {
    let Some(router) = Router::new("unmoved") else {
        return;
    };
    let lines = [
        list("listenip", "lan"),
        list("listenip", "guest"),
        list("bindaddr", "lan"),
    ];
    let calls = router.start(&enabled("main", &lines));
    assert_eq!(calls.instance("main").param("env"), [""; 0]);
}

/// Guest Wi-Fi that is off: no device is there, and the one that comes is the configured one.
#[test]
fn a_network_without_a_device_stands_for_the_one_it_will_have() {
    let Some(router) = Router::new("absent") else {
        return;
    };
    let networks = ["iot:1081", "tunnel", "wan6", "deep:1082", "evil"];
    let lines = networks.map(|network| list("listenip", network));
    let calls = router.start(&enabled("main", &lines));
    // The last three are aliases: of wan, of a network that is nowhere, and of what is no name.
    let expected = ["br-iot:1081", "tunnel", "eth1", "deep:1082", "evil"];
    let expected = format!("--listen {}", expected.join(" --listen "));
    assert_eq!(calls.instance("main").arguments().join(" "), expected);
    assert_eq!(watched(&calls), ["iot", "tunnel", "wan6", "deep", "evil"]);
}
