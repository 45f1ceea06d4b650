//! What `service anklet check` says to who asks while the service runs.

use std::net::TcpListener;

use super::router::{Router, enabled, list, option, section};
use crate::support::foreign::errors;

#[test]
fn a_check_says_that_a_port_in_use_may_be_its_own() {
    let Some(router) = Router::judging("check-in-use") else {
        return;
    };
    // As the instance that runs has it.
    let running = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = running.local_addr().unwrap().port();
    let lines = [
        option("port", &port.to_string()),
        list("listenip", "127.0.0.1"),
    ];
    router.write("config", &enabled("one", &lines));
    let output = router.command(&[], &["check"]);
    assert!(output.status.success(), "{}", errors(&output));
    let policy = String::from_utf8(output.stdout).unwrap();
    let warning = policy
        .lines()
        .find(|line| line.starts_with("warning: cannot listen"));
    let warning = warning.unwrap_or_else(|| panic!("{policy}"));
    assert!(
        warning.ends_with(" in use: by this instance, if it runs"),
        "{warning}"
    );
}

#[test]
fn a_check_of_an_instance_that_is_not_there_says_so() {
    let Some(router) = Router::new("check-nobody") else {
        return;
    };
    let user = section("user", "ann", &[option("name", "ann")]);
    router.write("config", &[enabled("one", &[]), user].concat());
    for name in ["two", "ann"] {
        let output = router.command(&[], &["check", name]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("there is no instance {name}\n"));
    }
}

#[test]
fn what_is_being_edited_is_judged_in_the_folder_where_it_lies() {
    let Some(router) = Router::judging("check-edited") else {
        return;
    };
    router.write("config", &enabled("one", &[list("listenip", "127.0.0.1")]));
    router.write("anklet", "");
    let judged = |folder: &str| {
        let folder = router.path_of(folder);
        router.command(&[("UCI_CONFIG_DIR", &folder)], &["check"])
    };
    let output = judged("");
    assert!(output.status.success(), "{}", errors(&output));
    // The strict reading is of that folder as well, not of /etc/config.
    let output = judged("nowhere");
    assert!(!output.status.success());
    assert!(errors(&output).contains("Entry not found"));
}
