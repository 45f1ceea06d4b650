//! Which user an instance runs as, and what else procd is told of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use super::router::{Instance, Router, enabled, list, option};

/// The user of an instance with these lines, and what the log says.
fn user_of(router: &Router, differences: &[(&str, &str)], lines: &[String]) -> (String, String) {
    let calls = router.start_with(differences, &enabled("main", lines));
    let log = calls.of("logger");
    let log = log.iter().map(|words| words.last().unwrap().as_str());
    let log = log.collect::<Vec<_>>().join("|");
    (calls.instance("main").param("user").concat(), log)
}

#[test]
fn an_instance_has_all_that_a_service_of_procd_should_have() {
    let Some(router) = Router::new("params") else {
        return;
    };
    let calls = router.start(&enabled("main", &[]));
    let instance = calls.instance("main");
    let program = instance.param("command")[0].to_string();
    assert!(program.ends_with("/usr/bin/anklet"), "{program}");
    assert_eq!(instance.arguments(), [""; 0]);
    assert_eq!(instance.param("user"), ["anklet"]);
    assert_eq!(instance.param("limits"), ["nofile=20000 20000"]);
    assert_eq!(instance.param("stdout"), ["1"]);
    assert_eq!(instance.param("stderr"), ["1"]);
    assert_eq!(instance.param("file"), [program], "an upgrade is noticed");
    assert_eq!(
        calls
            .of("procd_set_param")
            .iter()
            .filter(|w| w[0] == "respawn")
            .count(),
        1
    );
    // It would be sent for every change, and nothing would ever be started again.
    assert!(instance.param("reload_signal").is_empty());
}

#[test]
fn the_number_of_descriptors_can_be_configured() {
    let Some(router) = Router::new("nofile") else {
        return;
    };
    let calls = router.start(&enabled("main", &[option("nofile", "1000")]));
    assert_eq!(calls.instance("main").param("limits"), ["nofile=1000 1000"]);
    assert_eq!(calls.instance("main").arguments(), [""; 0]);
}

#[test]
fn without_the_packages_user_it_is_nobody() {
    let Some(router) = Router::new("nobody") else {
        return;
    };
    let (user, log) = user_of(&router, &[("USERS", "root nobody")], &[]);
    assert_eq!((user.as_str(), log.as_str()), ("nobody", ""));
}

#[test]
fn marks_and_low_ports_need_root_and_the_log_says_so() {
    let Some(router) = Router::new("root") else {
        return;
    };
    for (line, reason) in [
        (option("mark", "0x1"), "mark"),
        (option("port", "80"), "port 80"),
        (option("port", "1023"), "port 1023"),
        (option("relay_ports", "1000-2000"), "port 1000"),
        (list("listenip", "192.168.1.1:443"), "port 443"),
        (list("listenip", "[fd00::1]:443"), "port 443"),
        (list("listenip", "lan:443"), "port 443"),
        (option("listenip", "127.0.0.1,eth0.2:22"), "port 22"),
    ] {
        let (user, log) = user_of(&router, &[], std::slice::from_ref(&line));
        assert_eq!(user, "root", "{line}");
        assert_eq!(log, format!("main: runs as root because of {reason}"));
    }
}

#[test]
fn nothing_else_needs_root() {
    let Some(router) = Router::new("no-root") else {
        return;
    };
    for line in [
        option("port", "1024"),
        option("port", "0"),
        option("port", "65535"),
        option("port", "many"),
        option("relay_ports", "40000-40999"),
        list("listenip", "192.168.1.1"),
        list("listenip", "fd00::1:80"),
        list("listenip", "[fd00::1]:1080"),
        list("listenip", "lan"),
        list("bindaddr", "wan"),
        list("permit", "192.168.1.0/24:80"),
    ] {
        let (user, log) = user_of(&router, &[], std::slice::from_ref(&line));
        assert_eq!((user.as_str(), log.as_str()), ("anklet", ""), "{line}");
    }
}

#[test]
fn before_linux_5_7_a_device_to_leave_by_needs_root() {
    let Some(router) = Router::new("kernel") else {
        return;
    };
    let user = |kernel, source| {
        let lines = [list("bindaddr", source)];
        user_of(&router, &[("KERNEL", kernel)], &lines).0
    };
    for old in ["4.14.275", "5.4.188", "5.6.19"] {
        assert_eq!(user(old, "wan"), "root", "{old}");
        assert_eq!(user(old, "192.0.2.1"), "anklet");
        assert_eq!(user(old, "2001:db8::1"), "anklet");
    }
    for new in ["5.7.0", "5.10.176", "5.15.150", "6.6.93", "10.0.1"] {
        assert_eq!(user(new, "wan"), "anklet", "{new}");
    }
}

#[test]
fn the_users_file_belongs_to_whoever_runs_it() {
    let Some(router) = Router::new("chown") else {
        return;
    };
    let credential = [option("user", "ann"), option("password", "x")];
    let owner = |differences: &[(&str, &str)], lines: &[String]| {
        let config = enabled("main", &[&credential, lines].concat());
        router.start_with(differences, &config).of("chown")[0][0].clone()
    };
    assert_eq!(owner(&[], &[]), "anklet");
    assert_eq!(owner(&[("USERS", "nobody")], &[]), "nobody");
    assert_eq!(owner(&[], &[option("mark", "1")]), "root");
}

/// The instance on a router that has jails.
fn jailed(router: &Router, kernel: &str, lines: &[String]) -> (Instance, Vec<String>) {
    let program = router.path_of("bin/ash");
    let differences = [("UJAIL", program.as_str()), ("KERNEL", kernel)];
    let calls = router.start_with(&differences, &enabled("main", lines));
    assert!(calls.of("logger").is_empty() || kernel < "5");
    let instance = calls.instance("main");
    let file = instance.param("capabilities").concat();
    let sets = fs::read_to_string(file).unwrap_or_default();
    let sets = sets.trim_matches(['{', '}']).split("], ");
    let sets = sets.filter_map(|set| Some(set.split_once(": [")?.1.replace(['"', ']'], "")));
    let sets: BTreeSet<String> = sets.collect();
    assert!(
        sets.len() <= 1,
        "bounding, effective, ... are the same: {sets:?}"
    );
    (instance, sets.into_iter().collect())
}

#[test]
fn in_a_jail_it_has_the_rights_that_it_needs_and_is_not_root() {
    let Some(router) = Router::new("jail") else {
        return;
    };
    for (lines, rights) in [
        (&[option("mark", "0x1")][..], "CAP_NET_ADMIN"),
        (&[option("port", "80")], "CAP_NET_BIND_SERVICE"),
        (&[list("listenip", "lan:443")], "CAP_NET_BIND_SERVICE"),
        (&[option("relay_ports", "900-2000")], "CAP_NET_BIND_SERVICE"),
        (
            &[
                option("port", "80"),
                option("mark", "1"),
                list("listenip", "lan:22"),
            ],
            "CAP_NET_BIND_SERVICE, CAP_NET_ADMIN",
        ),
    ] {
        let (instance, given) = jailed(&router, "6.6.93", lines);
        assert_eq!(given, [rights], "{lines:?}");
        assert_eq!(instance.param("user"), ["anklet"]);
        assert_eq!(instance.param("no_new_privs"), ["1"]);
        let jail = instance.param("procd_add_jail");
        assert_eq!(jail, ["anklet-main", "procfs", "ronly"]);
        let mounted = instance.param("procd_add_jail_mount");
        assert_eq!(mounted, ["/etc/hosts", "/etc/resolv.conf"]);
    }
}

#[test]
fn a_jail_shows_the_log_where_there_is_one() {
    let Some(router) = Router::new("jail-log") else {
        return;
    };
    fs::create_dir(router.path_of("dev")).unwrap();
    let _log = UnixDatagram::bind(router.path_of("dev/log")).unwrap();
    let (instance, _) = jailed(&router, "6.6.93", &[option("mark", "1")]);
    let jail = instance.param("procd_add_jail");
    assert_eq!(jail, ["anklet-main", "procfs", "ronly", "log"]);
}

#[test]
fn a_jail_shows_the_folder_of_the_users() {
    let Some(router) = Router::new("jail-users") else {
        return;
    };
    let lines = [
        option("user", "ann"),
        option("password", "x"),
        option("mark", "1"),
    ];
    let (instance, _) = jailed(&router, "6.6.93", &lines);
    let file = router.users_file("main");
    let folder = file.strip_suffix("/users").unwrap();
    assert!(instance.param("procd_add_jail_mount").contains(&folder));
    // Nothing else is in it, and only root writes there.
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    assert_eq!(
        fs::metadata(folder).unwrap().permissions().mode() & 0o022,
        0
    );
}

#[test]
fn without_a_right_to_leave_there_is_no_jail() {
    let Some(router) = Router::new("no-jail") else {
        return;
    };
    let (instance, given) = jailed(&router, "6.6.93", &[list("bindaddr", "wan")]);
    assert!(given.is_empty());
    assert_eq!(instance.param("user"), ["anklet"]);
    for call in ["procd_add_jail", "procd_add_jail_mount", "capabilities"] {
        assert!(instance.param(call).is_empty(), "{call}");
    }
}

#[test]
fn a_jail_follows_the_kernel() {
    let Some(router) = Router::new("jail-kernel") else {
        return;
    };
    let (instance, given) = jailed(&router, "5.4.188", &[list("bindaddr", "wan")]);
    assert_eq!(given, ["CAP_NET_RAW"]);
    assert_eq!(instance.param("user"), ["anklet"]);
    // Its jail takes files of another form.
    let (instance, given) = jailed(&router, "4.14.275", &[option("mark", "1")]);
    assert!(given.is_empty() && instance.param("procd_add_jail").is_empty());
    assert_eq!(instance.param("user"), ["root"]);
}

#[test]
fn what_is_kept_keeps_its_jail() {
    let Some(router) = Router::new("jail-kept") else {
        return;
    };
    let (before, rights) = jailed(&router, "6.6.93", &[option("mark", "1")]);
    let program = router.path_of("bin/ash");
    let config = enabled("main", &[option("mrk", "1")]);
    let calls = router.start_with(&[("UJAIL", &program)], &config);
    assert_eq!(calls.instance("main"), before);
    assert_eq!(rights, ["CAP_NET_ADMIN"]);
}
