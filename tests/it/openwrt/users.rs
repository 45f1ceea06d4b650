//! Users: the file that the script writes, who is in it, and who is told when it changes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::router::{Instance, Router, enabled, list, option, section};
use crate::support::wire::{Way, user_pass};
use crate::support::{Proxy, on_loopback};

/// Names and passwords that a users file or a shell could trip over.
const ODD: [(&str, &str); 9] = [
    ("ann", "correct horse"),
    ("b:b", "co:lon"),
    ("#carl", "# hash"),
    ("d%41", "%41%2"),
    ("tab\tname", "\ttab\t"),
    ("eve's", r#"it's "quoted" \back\ \n"#),
    ("-n", "-e \\c"),
    ("grüße", "☂ ünïcode\r"),
    ("$HOME", "*?[a-z] `id` $(id) ${x} key=value"),
];

/// One user of an instance.
fn credential(name: &str, password: &str) -> [String; 2] {
    [option("user", name), option("password", password)]
}

/// A section of type user.
fn user(section_name: &str, name: &str, password: &str, rest: &[String]) -> String {
    let lines = [option("name", name), option("password", password)];
    section("user", section_name, &[&lines, rest].concat())
}

/// The lines of a users file that are users.
fn users_in(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(String::from).collect()
}

/// A proxy with the arguments of an instance, on a free port of 127.0.0.1.
fn proxy_of(instance: &Instance) -> Proxy {
    Proxy::launch(on_loopback(&[], &instance.arguments()))
}

/// Whether the proxy takes a password.
fn is_let_in(proxy: &Proxy, name: &str, password: &str) -> bool {
    let mut client = proxy.client();
    client.say(Way::Pipelined, &[5, 1, 2]);
    assert_eq!(client.hear(2), [5, 2]);
    client.say(
        Way::Pipelined,
        &user_pass(name.as_bytes(), password.as_bytes()),
    );
    client.hear(2) == [1, 0]
}

#[test]
fn passwords_are_in_a_file_of_mode_600_and_nowhere_else() {
    let Some(router) = Router::new("secret") else {
        return;
    };
    let lines = credential("ann", "correct horse");
    let config = [
        enabled("main", &lines),
        user("more", "bob", "battery staple", &[]),
    ];
    let calls = router.start(&config.concat());
    let file = router.users_file("main");
    assert_eq!(calls.instance("main").arguments(), ["--users", &file]);
    assert_eq!(
        users_in(&file),
        ["ann:correct%20horse", "bob:battery%20staple"]
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let new = format!("{file}.new");
    assert_eq!(
        calls.of("chown"),
        [["anklet", &new]],
        "before it is in place"
    );
    for word in calls.words() {
        assert!(
            !word.contains("horse") && !word.contains("staple"),
            "{word}"
        );
    }
}

#[test]
fn odd_names_and_passwords_get_through_to_the_program() {
    let Some(router) = Router::new("odd-users") else {
        return;
    };
    let (first, others) = ODD.split_first().unwrap();
    let others = (1..).zip(others);
    let others = others.map(|(n, (name, password))| user(&format!("u{n}"), name, password, &[]));
    let main = enabled("main", &credential(first.0, first.1));
    let calls = router.start(&[main, others.collect::<String>()].concat());
    let proxy = proxy_of(&calls.instance("main"));
    for (name, password) in ODD {
        assert!(is_let_in(&proxy, name, password), "{name}:{password}");
    }
}

/// Hundreds of them would take a slow router minutes otherwise.
#[test]
fn a_plain_name_and_password_take_no_program() {
    let Some(router) = Router::new("plain") else {
        return;
    };
    fs::remove_file(router.path_of("bin/sed")).unwrap();
    let user = user("u", "bob-2@example.org", "battery_Staple.", &[]);
    router.start(&[enabled("main", &[]), user].concat());
    let users = users_in(&router.users_file("main"));
    assert_eq!(users, ["bob-2@example.org:battery_Staple."]);
}

#[test]
fn the_sections_are_for_all_instances_or_for_those_they_name() {
    let Some(router) = Router::new("sections-user") else {
        return;
    };
    let config = [
        enabled("one", &credential("own", "x")),
        enabled("two", &[]),
        enabled("three", &[]),
        user("all", "all", "x", &[]),
        user(
            "some",
            "some",
            "x",
            &[list("instance", "two"), list("instance", "three")],
        ),
        user("only", "only", "x", &[option("instance", "three")]),
        user("nobody", "nobody", "x", &[option("instance", "four")]),
        section("anklet", "four", &[]),
    ];
    router.start(&config.concat());
    let users = |instance| users_in(&router.users_file(instance)).join(" ");
    assert_eq!(users("one"), "own:x all:x");
    assert_eq!(users("two"), "all:x some:x");
    assert_eq!(users("three"), "all:x some:x only:x");
}

#[test]
fn an_instance_without_users_has_no_users_file() {
    let Some(router) = Router::new("no-users") else {
        return;
    };
    let config = [
        enabled("main", &[]),
        user("u", "ann", "x", &[option("instance", "two")]),
        section("anklet", "two", &[]),
    ];
    let calls = router.start(&config.concat());
    assert_eq!(calls.instance("main").arguments(), [""; 0]);
    assert!(fs::metadata(router.users_file("main")).is_err());
}

#[test]
fn the_owners_file_comes_first_as_it_is() {
    let Some(router) = Router::new("owner") else {
        return;
    };
    // Without an end of the last line, and in a file whose name needs quotes.
    let owners = router.write("the owner's users", "# family\ncarol:a%20b\ndave:c");
    let lines = [&[option("users", &owners)][..], &credential("ann", "x")].concat();
    let calls = router.start(&enabled("main", &lines));
    let file = router.users_file("main");
    assert_eq!(calls.instance("main").arguments(), ["--users", &file]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# family\ncarol:a%20b\ndave:c\n"),
        "{text}"
    );
    assert_eq!(users_in(&file), ["carol:a%20b", "dave:c", "ann:x"]);
    let proxy = proxy_of(&calls.instance("main"));
    assert!(is_let_in(&proxy, "carol", "a b") && is_let_in(&proxy, "dave", "c"));
}

#[test]
fn an_owners_file_that_is_not_there_keeps_the_instance_from_starting() {
    let Some(router) = Router::new("missing") else {
        return;
    };
    let calls = router.start(&enabled("main", &[option("users", "/nonexistent/users")]));
    let why = "users /nonexistent/users: not a file that can be read";
    assert_eq!(calls.instance("main").errors(), [why]);
    assert!(fs::metadata(router.users_file("main")).is_err());
}

/// From now on, a wait of the script's is a line in the file that this returns, and takes no time.
fn without_waits(router: &Router) -> String {
    let waits = router.write("waits", "");
    let sleep = router.path_of("bin/sleep");
    fs::remove_file(&sleep).unwrap();
    fs::write(&sleep, format!("#!/bin/sh\necho \"$1\" >> '{waits}'\n")).unwrap();
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).unwrap();
    waits
}

/// The script waits while it holds procd's lock, and has in memory what it waits for.
#[test]
fn what_cannot_be_a_users_file_is_not_waited_for() {
    let Some(router) = Router::new("no-users-file") else {
        return;
    };
    let right = router.write("users", "joe:before\n");
    let large = router.write("large", &"x".repeat(1024 * 1024 + 1));
    let long = router.write("long", &"x".repeat(1024 * 1024));
    let waits = without_waits(&router);
    router.start(&enabled("main", &[option("users", &right)]));
    for (file, why, expected) in [
        ("/proc/version", "no user in it", ""),
        (&large, "larger than 1 MiB", ""),
        (&long, "", "1\n"),
    ] {
        let calls = router.start(&enabled("main", &[option("users", file)]));
        assert_eq!(fs::read_to_string(&waits).unwrap(), expected, "{file}");
        let said = calls.of("logger").concat().concat();
        assert!(said.contains(why), "{file}: {said}");
    }
}

#[test]
fn an_owners_file_has_an_absolute_path() {
    let Some(router) = Router::new("relative") else {
        return;
    };
    for file in ["anklet.users", "-n", "../users", "\x1b[2J"] {
        let calls = router.start(&enabled("main", &[option("users", file)]));
        let shown = file.replace('\x1b', "?");
        let why = format!("users {shown}: not an absolute path");
        assert_eq!(calls.instance("main").errors(), [why]);
    }
}

#[test]
fn an_owners_file_that_everybody_may_write_keeps_the_instance_from_starting() {
    let Some(router) = Router::new("writable") else {
        return;
    };
    let owners = router.write("w:rw-rw-rw-", "carol:c\n");
    let config = enabled("main", &[option("users", &owners)]);
    let set = |mode| fs::set_permissions(&owners, fs::Permissions::from_mode(mode)).unwrap();
    set(0o666);
    let calls = router.start(&config);
    let why = format!("users {owners}: everybody may write it (chmod o-w)");
    assert_eq!(calls.instance("main").errors(), [why]);
    set(0o644);
    assert!(router.start(&config).instance("main").errors().is_empty());
}

#[test]
fn an_owners_file_that_is_being_written_is_waited_for() {
    let Some(router) = Router::new("half-written") else {
        return;
    };
    let owners = router.write("users", "joe:before\n");
    let config = enabled("main", &[option("users", &owners)]);
    router.start(&config);
    fs::write(&owners, "joe:a-lo").unwrap();
    thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(|| {
            // Not while the script has not seen the half yet; it then looks for a second.
            thread::sleep(Duration::from_millis(500));
            fs::write(&owners, "joe:a-long-password\n").unwrap();
        });
        router.start(&config);
        assert!(start.elapsed() > Duration::from_millis(900), "no wait");
    });
    assert_eq!(
        users_in(&router.users_file("main")),
        ["joe:a-long-password"]
    );
}

#[test]
fn an_instance_of_a_user_is_a_name_not_a_pattern() {
    let Some(router) = Router::new("pattern") else {
        return;
    };
    let user = user("u", "ann", "x", &[list("instance", "*")]);
    let calls = router.start(&[enabled("main", &[]), user].concat());
    let why = "user u: there is no instance *";
    assert_eq!(calls.instance("main").errors(), [why]);
}

#[test]
fn an_owners_file_without_a_last_end_is_waited_for_once() {
    let Some(router) = Router::new("waited-once") else {
        return;
    };
    let owners = router.write("users", "joe:x");
    let names = ["one", "two", "three", "four"];
    let config = names.map(|name| enabled(name, &[option("users", &owners)]));
    let waits = without_waits(&router);
    router.start(&config.concat());
    router.start(&config.concat());
    assert_eq!(fs::read_to_string(waits).unwrap(), "1\n");
}

#[test]
fn half_a_user_keeps_the_instance_from_starting() {
    let Some(router) = Router::new("half") else {
        return;
    };
    for config in [
        enabled("main", &[option("user", "ann")]),
        enabled("main", &[option("password", "x")]),
        [enabled("main", &[]), user("u", "ann", "", &[])].concat(),
        [enabled("main", &[]), user("u", "", "x", &[])].concat(),
        [enabled("main", &[]), section("user", "u", &[])].concat(),
    ] {
        let calls = router.start(&config);
        let why = "a user without a name or without a password";
        assert_eq!(calls.instance("main").errors(), [why], "{config}");
    }
}

#[test]
fn a_password_of_two_lines_keeps_the_instance_from_starting_and_is_not_shown() {
    let Some(router) = Router::new("two-lines") else {
        return;
    };
    let calls = router.start(&enabled("main", &credential("ann", "hunter\n2")));
    let why = "a name or a password of more than one line";
    assert_eq!(calls.instance("main").errors(), [why]);
    assert!(
        calls.words().all(|word| !word.contains("hunter")),
        "{calls:?}"
    );
}

#[test]
fn where_only_users_change_procd_sees_no_difference_and_the_instance_is_told() {
    let Some(router) = Router::new("changed") else {
        return;
    };
    let config = |password| enabled("main", &credential("ann", password));
    let before = router.start(&config("one"));
    assert!(
        before.of("procd_send_signal").is_empty(),
        "nothing runs yet"
    );
    let file = router.users_file("main");
    let text = fs::read_to_string(&file).unwrap();
    let after = router.start(&config("two"));
    assert_eq!(before.instance("main"), after.instance("main"));
    assert_ne!(text, fs::read_to_string(&file).unwrap());
    assert_eq!(after.of("procd_send_signal"), [["anklet", "main", "HUP"]]);
}

#[test]
fn the_new_file_is_a_new_one_so_that_nobody_reads_half_of_it() {
    let Some(router) = Router::new("atomic") else {
        return;
    };
    let file = router.users_file("main");
    let number = |password| {
        router.start(&enabled("main", &credential("ann", password)));
        fs::metadata(&file).unwrap().ino()
    };
    assert_ne!(number("one"), number("two"));
    let folder = file.rsplit_once('/').unwrap().0;
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        1,
        "nothing is left over"
    );
}

#[test]
fn where_nothing_changes_nobody_is_told() {
    let Some(router) = Router::new("same") else {
        return;
    };
    let config = enabled("main", &credential("ann", "one"));
    let before = router.start(&config);
    let after = router.start(&config);
    assert_eq!(before.instance("main"), after.instance("main"));
    assert!(after.of("procd_send_signal").is_empty());
}

#[test]
fn only_the_instance_whose_users_change_is_told() {
    let Some(router) = Router::new("one-of-two") else {
        return;
    };
    let config = |password| {
        let two = enabled("two", &credential("bob", "x"));
        [enabled("one", &credential("ann", password)), two].concat()
    };
    router.start(&config("one"));
    let after = router.start(&config("two"));
    assert_eq!(after.of("procd_send_signal"), [["anklet", "one", "HUP"]]);
}

#[test]
fn a_running_program_takes_the_new_users() {
    let Some(router) = Router::new("running") else {
        return;
    };
    let config = |password| enabled("main", &credential("ann", password));
    let proxy = proxy_of(&router.start(&config("one")).instance("main"));
    assert!(is_let_in(&proxy, "ann", "one"));
    router.start(&config("two"));
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("reloaded: 1 users");
    assert!(is_let_in(&proxy, "ann", "two") && !is_let_in(&proxy, "ann", "one"));
}

#[test]
fn what_is_stopped_or_switched_off_leaves_no_passwords() {
    let Some(router) = Router::new("stopped") else {
        return;
    };
    let names = ["one", "two", "three"];
    let config: String = names
        .map(|name| enabled(name, &credential("ann", "x")))
        .concat();
    let left = || names.map(|name| fs::metadata(router.users_file(name)).is_ok());
    router.start(&config);
    assert_eq!(left(), [true, true, true]);
    router.stop(&["one"]);
    assert_eq!(left(), [false, true, true]);
    router.start(&config.replace("'two'\n\toption enabled '1'", "'two'\n"));
    assert_eq!(left(), [true, false, true]);
    router.stop(&[]);
    assert_eq!(left(), [false, false, false]);
}
