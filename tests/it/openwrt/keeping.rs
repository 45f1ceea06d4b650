//! What cannot be had as it is configured changes nothing that runs: each section stands alone,
//! and the log and `status` say why.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::router::{Calls, Instance, Router, enabled, list, option, section};
use crate::support::foreign::errors;

/// What uci says of an option whose name it does not take.
const SYNTAX: &str = "uci: Parse error (invalid character in name field) at line 3, byte 9";

/// Two instances: the first has the lines, the second a port.
fn two(lines: &[String]) -> String {
    let second = enabled("two", &[option("port", "1081")]);
    [enabled("one", lines), second].concat()
}

/// The errors that are logged.
fn logged(calls: &Calls) -> Vec<&str> {
    let calls = calls.of("logger");
    for words in &calls {
        assert!(words.contains(&String::from("daemon.err")), "{words:?}");
    }
    calls
        .iter()
        .map(|words| words.last().unwrap().as_str())
        .collect()
}

/// What `status` adds to procd's own line.
fn status(router: &Router) -> String {
    let output = router.command(&[], &["status"]);
    assert!(output.status.success(), "{}", errors(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    String::from(said.strip_prefix("running\n").unwrap())
}

fn both(calls: &Calls) -> [Instance; 2] {
    ["one", "two"].map(|name| calls.instance(name))
}

#[test]
fn a_syntax_error_is_refused_with_its_line_and_changes_nothing() {
    let Some(router) = Router::new("syntax") else {
        return;
    };
    let before = router.start(&two(&[
        list("clients", "10.0.0.0/8"),
        list("permit", "lan"),
    ]));
    // What config_load makes of a file that ends in the middle: it opens what was closed.
    let calls = router.start_with(&[("UCI", SYNTAX)], &enabled("one", &[]));
    assert_eq!(both(&calls), both(&before));
    assert_eq!(logged(&calls), [format!("/etc/config/anklet: {SYNTAX}")]);
    let expected = ["one", "two"].map(|name| format!("{name}: {SYNTAX}; it goes on as it was\n"));
    assert_eq!(status(&router), expected.concat());
    // The networks are watched as before.
    let watched = |calls: &Calls| format!("{:?}", calls.of("procd_add_reload_interface_trigger"));
    assert_eq!(watched(&calls), watched(&before));
}

#[test]
fn a_configuration_that_openwrts_functions_cannot_load_changes_nothing() {
    let Some(router) = Router::new("unloaded") else {
        return;
    };
    let before = router.start(&two(&[]));
    let calls = router.start_with(&[("UNLOADED", "1")], &two(&[]));
    assert_eq!(both(&calls), both(&before));
    assert_eq!(logged(&calls), ["/etc/config/anklet: it cannot be read"]);
}

#[test]
fn a_program_that_ends_without_a_word_has_not_judged() {
    let Some(router) = Router::new("mute") else {
        return;
    };
    let before = router.start(&two(&[]));
    let program = router.write("usr/bin/anklet", "#!/bin/sh\nexit 1\n");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    let calls = router.start(&two(&[option("port", "1080")]));
    assert_eq!(both(&calls), both(&before));
    assert_eq!(logged(&calls)[0], "one: the program cannot be asked");
}

#[test]
fn a_syntax_error_at_boot_starts_nothing() {
    let Some(router) = Router::new("syntax-boot") else {
        return;
    };
    let calls = router.start_with(&[("UCI", SYNTAX)], &two(&[]));
    assert_eq!(calls.instances(), [""; 0]);
    assert_eq!(logged(&calls), [format!("/etc/config/anklet: {SYNTAX}")]);
    assert_eq!(calls.of("procd_add_reload_trigger"), [["anklet"]]);
}

#[test]
fn a_bad_value_leaves_the_instance_that_runs_as_it_is_and_the_others_follow() {
    let Some(router) = Router::judging("bad-value") else {
        return;
    };
    let before = router.start(&two(&[option("idle_timeout", "60")]));
    let config = two(&[option("idle_timeout", "long")]).replace("1081", "1082");
    for _ in 0..2 {
        let calls = router.start(&config);
        assert_eq!(calls.instance("one"), before.instance("one"));
        assert_eq!(calls.instance("two").arguments(), ["--port", "1082"]);
        let [error] = logged(&calls)[..] else {
            panic!("{calls:?}");
        };
        assert!(error.starts_with("one: --idle-timeout long: "), "{error}");
        assert_eq!(status(&router), format!("{error}; it goes on as it was\n"));
    }
    let calls = router.start(&two(&[option("idle_timeout", "61")]));
    let expected = ["--idle-timeout", "61"];
    assert_eq!(calls.instance("one").arguments(), expected);
    assert_eq!((logged(&calls).len(), status(&router).as_str()), (0, ""));
}

#[test]
fn an_instance_that_does_not_run_is_not_started_with_a_bad_value() {
    let Some(router) = Router::judging("bad-start") else {
        return;
    };
    let calls = router.start(&two(&[option("mark", "many")]));
    let instance = calls.instance("one");
    let [why] = instance.errors()[..] else {
        panic!("{instance:?}");
    };
    assert!(why.starts_with("--mark many: "), "{why}");
    assert_eq!(status(&router), format!("one: {why}; it is not started\n"));
    assert_eq!(calls.instance("two").arguments(), ["--port", "1081"]);
}

#[test]
fn a_mistyped_option_is_the_matter_of_its_section_alone() {
    let Some(router) = Router::new("mistyped") else {
        return;
    };
    let before = router.start(&two(&[]));
    let calls = router.start(&two(&[option("no_upd", "1")]).replace("1081", "1082"));
    assert_eq!(calls.instance("one"), before.instance("one"));
    assert_eq!(calls.instance("two").arguments(), ["--port", "1082"]);
    let expected = "one: unknown options: one.no_upd";
    assert_eq!(logged(&calls), [expected]);
}

#[test]
fn a_user_that_may_be_meant_for_it_keeps_an_instance_as_it_is() {
    let Some(router) = Router::new("meant") else {
        return;
    };
    let ann = [option("name", "ann"), option("password", "x")];
    let before = router.start(&two(&[]));
    let user = |kind, lines: &[String]| section(kind, "ann", &[&ann, lines].concat());
    for (user, kept) in [
        (
            user("user", &[option("nme", "x")]),
            ["one", "two"].as_slice(),
        ),
        (user("usr", &[]), &["one", "two"]),
        (user("user", &[option("instance", "too")]), &["one", "two"]),
        (
            user("user", &[option("instance", "two"), option("nme", "x")]),
            &["two"],
        ),
    ] {
        let calls = router.start(&[two(&[]), user].concat());
        assert_eq!(logged(&calls).len(), kept.len(), "{calls:?}");
        assert_eq!(both(&calls), both(&before));
    }
}

#[test]
fn an_instance_of_a_mistyped_type_goes_on() {
    let Some(router) = Router::new("mistyped-type") else {
        return;
    };
    let before = router.start(&two(&[]));
    let calls = router.start(&two(&[]).replacen("config anklet", "config anklte", 1));
    assert_eq!(both(&calls), both(&before));
    assert!(status(&router).contains("section one: its type is anklte, neither"));
}

/// OpenWrt's functions take it for the section's own, and see no instance any more.
#[test]
fn an_option_that_is_named_type_is_refused() {
    let Some(router) = Router::new("named-type") else {
        return;
    };
    let before = router.start(&two(&[]));
    let calls = router.start(&two(&[option("TYPE", "proxy")]));
    assert_eq!(both(&calls), both(&before));
    let why = "section one: no option has the name TYPE; it goes on as it was";
    assert!(status(&router).contains(why), "{}", status(&router));
}

#[test]
fn what_is_off_or_gone_does_not_come_back() {
    let Some(router) = Router::new("gone") else {
        return;
    };
    let configured = two(&[]);
    for without in [
        configured.replace(
            "config anklet 'two'\n\toption enabled '1'",
            "config anklet 'two'\n",
        ),
        enabled("one", &[]),
    ] {
        router.start(&configured);
        assert_eq!(router.start(&without).instances(), ["one"]);
        let calls = router.start_with(&[("UCI", SYNTAX)], "");
        assert_eq!(calls.instances(), ["one"]);
    }
    router.stop(&[]);
    assert_eq!(
        router.start_with(&[("UCI", SYNTAX)], "").instances(),
        [""; 0]
    );
}

#[test]
fn a_restart_with_a_bad_configuration_brings_back_what_ran() {
    let Some(router) = Router::judging("restart") else {
        return;
    };
    let users = [option("user", "ann"), option("password", "x")];
    let before = router.start(&two(&users));
    router.write("config", &two(&[option("port", "many")]));
    let calls = router.restart();
    assert_eq!(both(&calls), both(&before));
    assert!(fs::exists(router.users_file("one")).unwrap());
}

#[test]
fn odd_arguments_come_back_as_they_were() {
    let Some(router) = Router::new("odd-kept") else {
        return;
    };
    let odd = [
        "two words",
        " x ",
        "it's",
        "\\n",
        "$(id)",
        "-e",
        "tab\t",
        "*",
    ];
    let lines = odd.map(|value| list("dns", value));
    let lines = [&lines[..], &[list("permit", ""), option("permit", "a,,b")]].concat();
    let before = router.start(&two(&lines));
    let calls = router.start(&two(&[option("no_upd", "1")]));
    assert_eq!(calls.instance("one"), before.instance("one"));
}

#[test]
fn a_bad_users_file_leaves_the_users_that_were_right_last() {
    let Some(router) = Router::judging("bad-users") else {
        return;
    };
    let owners = router.write("users", "carol:c\n");
    let config = |port| enabled("main", &[option("port", port), option("users", &owners)]);
    let before = router.start(&config("1080"));
    let users = || fs::read_to_string(router.users_file("main")).unwrap();
    let right = users();
    fs::write(&owners, "carol:new\nno colon\n").unwrap();
    let why = format!(
        "main: users {owners}: line 2: no colon between the name and the password; \
         those count that were right last"
    );
    let calls = router.start(&config("1080"));
    assert_eq!(calls.instance("main"), before.instance("main"));
    assert_eq!(
        (users(), logged(&calls)),
        (right.clone(), vec![why.as_str()])
    );
    assert!(calls.of("procd_send_signal").is_empty());
    assert_eq!(status(&router), format!("{why}\n"));
    // Everything else is followed, and all of it also after a reboot.
    router.reboot();
    let calls = router.start(&config("1081"));
    assert_eq!(calls.instance("main").arguments()[..2], ["--port", "1081"]);
    assert_eq!((users(), logged(&calls)), (right, vec![why.as_str()]));
    fs::write(&owners, "carol:new\n").unwrap();
    let calls = router.start(&config("1081"));
    assert_eq!(calls.of("procd_send_signal"), [["anklet", "main", "HUP"]]);
    assert!(users().starts_with("carol:new\n") && status(&router).is_empty());
}

#[test]
fn a_users_file_that_was_never_right_keeps_the_instance_from_starting() {
    let Some(router) = Router::judging("never-right") else {
        return;
    };
    let owners = router.write("users", "no colon\n");
    let calls = router.start(&enabled("main", &[option("users", &owners)]));
    let why = format!("users {owners}: line 1: no colon between the name and the password");
    assert_eq!(calls.instance("main").errors(), [why]);
    assert!(!fs::exists(router.users_file("main")).unwrap());
}

/// Who was taken out of the configuration does not come back with the next bad file.
#[test]
fn the_users_that_were_right_last_go_with_the_option_that_names_them() {
    let Some(router) = Router::judging("last-gone") else {
        return;
    };
    let owners = router.write("users", "carol:c\n");
    let bad = router.write("bad", "no colon\n");
    let config = |file| enabled("main", &[option("users", file)]);
    let last = router.path_of("etc/anklet.last/main");
    for without in [enabled("main", &[]), enabled("other", &[])] {
        router.start(&config(&owners));
        router.start(&config(&owners).replace("enabled '1'", "enabled '0'"));
        router.start_with(&[("UCI", SYNTAX)], "");
        assert!(fs::exists(&last).unwrap(), "it may be wanted again");
        router.start(&without);
        assert!(!fs::exists(&last).unwrap());
        let calls = router.start(&config(&bad));
        assert_eq!(
            calls.instance("main").errors().len(),
            usize::from(without.contains("other"))
        );
    }
}

#[test]
fn the_users_that_were_right_last_are_written_once_and_for_root_alone() {
    let Some(router) = Router::judging("last") else {
        return;
    };
    let owners = router.write("users", "carol:c\n");
    let config = |port| enabled("main", &[option("port", port), option("users", &owners)]);
    let last = || fs::metadata(router.path_of("etc/anklet.last/main")).unwrap();
    router.start(&config("1080"));
    let first = last();
    assert_eq!(first.permissions().mode() & 0o7777, 0o600);
    let folder = fs::metadata(router.path_of("etc/anklet.last")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
    router.start(&config("1081"));
    let same = |a: &fs::Metadata| (a.ino(), a.mtime(), a.mtime_nsec());
    assert_eq!(same(&last()), same(&first));
}

/// A memory without room: half of what is kept would be an instance with less than it has.
#[test]
fn what_could_not_be_kept_whole_does_not_come_back() {
    let Some(router) = Router::new("full") else {
        return;
    };
    let clients = |net| two(&[list("clients", net)]);
    router.start(&clients("10.0.0.0/8"));
    for file in ["one.new", "one.good.new"] {
        let file = router.path_of(&format!("var/run/anklet/{file}"));
        symlink("/dev/full", file).unwrap();
    }
    router.write("config", &clients("10.0.0.7"));
    router.command(&[], &["start"]);
    let calls = router.calls();
    let expected = ["--clients", "10.0.0.7"];
    assert_eq!(calls.instance("one").arguments(), expected);
    let [error] = logged(&calls)[..] else {
        panic!("{calls:?}");
    };
    assert!(error.contains(" cannot be written: "), "{error}");
    let calls = router.start(&two(&[option("no_upd", "1")]));
    let why = ["unknown options: one.no_upd"];
    assert_eq!(calls.instance("one").errors(), why);
}

#[test]
fn flash_without_room_keeps_the_users_that_were_right_before() {
    let Some(router) = Router::judging("full-flash") else {
        return;
    };
    let owners = router.write("users", "carol:c\n");
    let config = enabled("main", &[option("users", &owners)]);
    router.start(&config);
    let last = router.path_of("etc/anklet.last");
    symlink("/dev/full", format!("{last}/main.new")).unwrap();
    fs::write(&owners, "carol:new\n").unwrap();
    router.command(&[], &["start"]);
    let calls = router.calls();
    assert_eq!(calls.of("procd_send_signal"), [["anklet", "main", "HUP"]]);
    let [error] = logged(&calls)[..] else {
        panic!("{calls:?}");
    };
    assert!(error.ends_with("it stays as it was"), "{error}");
    let kept = fs::read_dir(&last).unwrap();
    let kept: Vec<_> = kept.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(kept, ["main"], "and takes no room");
    let kept = fs::read_to_string(format!("{last}/main")).unwrap();
    assert_eq!(kept, "carol:c\n");
}

#[test]
fn what_is_kept_of_an_instance_is_for_root_alone_and_without_passwords() {
    let Some(router) = Router::new("kept-secret") else {
        return;
    };
    router.start(&two(&[
        option("user", "ann"),
        option("password", "hunter2"),
    ]));
    let kept = router.path_of("var/run/anklet/one.good");
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!fs::read_to_string(kept).unwrap().contains("hunter2"));
}

#[test]
fn check_prints_each_policy_or_what_is_wrong_and_does_nothing() {
    let Some(router) = Router::judging("check") else {
        return;
    };
    let owners = router.write("users", "carol:c\n");
    let good = two(&[option("users", &owners)]);
    router.write("config", &good);
    let said = |words: &[&str], config: &str| {
        router.write("config", config);
        let output = router.command(&[], words);
        assert_eq!(router.calls().of("procd_open_instance").len(), 0);
        assert_eq!(router.calls().of("logger").len(), 0);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, policy, errors) = said(&["check"], &good);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(policy.starts_with("one:\nlisten: ") && policy.contains("\ntwo:\nlisten: "));
    assert!(policy.contains("\nusers: 1\n") && policy.contains("\nusers: 0\n"));
    for folder in ["var/run/anklet", "etc"] {
        let path = router.path_of(folder);
        assert!(!fs::exists(&path).unwrap(), "{path} was made");
    }
    // What is not enabled yet is checked as well.
    let off = good.replace("enabled '1'", "enabled '0'");
    let (_, policy, _) = said(&["check", "two"], &off);
    assert!(
        policy.starts_with("two:\n") && !policy.contains("one:"),
        "{policy}"
    );
    let (code, policy, errors) = said(&["check"], &good.replace("1081", "many"));
    assert_eq!(code, Some(1));
    assert!(
        policy.starts_with("one:\n") && !policy.contains("two:"),
        "{policy}"
    );
    assert!(errors.starts_with("two: --port many: "), "{errors}");
    fs::write(&owners, "no colon\n").unwrap();
    let (code, _, errors) = said(&["check"], &good);
    assert!(code == Some(1) && errors.starts_with(&format!("one: users {owners}: line 1")));
    let output = router.command(&[("UCI", SYNTAX)], &["check"]);
    let expected = format!("/etc/config/anklet: {SYNTAX}\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn a_check_leaves_what_runs_alone() {
    let Some(router) = Router::judging("check-running") else {
        return;
    };
    let lines = [option("user", "ann"), option("password", "x")];
    router.start(&two(&lines));
    let folder = || {
        let walk = ["", "one", "two"].map(|folder| {
            let path = router.path_of(&format!("var/run/anklet/{folder}"));
            let entries = fs::read_dir(path).into_iter().flatten();
            let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            entries
        });
        let users = fs::metadata(router.users_file("one")).unwrap();
        (walk, users.ino(), users.mtime_nsec())
    };
    let before = folder();
    let output = router.command(&[], &["check"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(folder(), before);
}

#[test]
fn sessions_and_stats_are_what_the_program_says_when_it_is_asked() {
    let Some(router) = Router::new("report") else {
        return;
    };
    let head = "Fri Nov 27 03:00:01 2026 daemon.info anklet[7]:";
    let piped = "Fri Nov 27 03:00:01 2026 daemon.err anklet[7]: INFO  [anklet]";
    let sessions = [
        r#"{"id":"1.1","user":null}"#,
        r#"{"id":"2.1","user":"bob"}"#,
    ];
    let [one, two] = sessions;
    let log = format!(
        "{head} \"users\":[\n{head} ],\n{head} \"sessions\":[\n\
         {head} {one}\n{piped} ,{two}\n{piped} ]}}\n"
    );
    router.write("log", &log);
    let said = |words: &[&str]| {
        let output = router.command(&[], words);
        assert!(output.status.success(), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(&["sessions"]), format!("{one}\n{two}\n"));
    assert_eq!(
        router.calls().of("procd_send_signal"),
        [["anklet", "*", "USR1"]]
    );
    assert_eq!(
        said(&["stats", "two"]),
        "\"users\":[\n],\n\"sessions\":[\n]}\n"
    );
    assert_eq!(
        router.calls().of("procd_send_signal"),
        [["anklet", "two", "USR1"]]
    );
}

#[test]
fn every_command_of_the_service_has_its_line_of_help() {
    let Some(router) = Router::new("help") else {
        return;
    };
    let calls = router.start(&two(&[]));
    let offered = calls.of("extra_command");
    let names: Vec<&str> = offered.iter().map(|words| words[0].as_str()).collect();
    assert_eq!(names, ["check", "sessions", "stats"]);
    assert!(offered.iter().all(|words| words.len() == 2));
}
