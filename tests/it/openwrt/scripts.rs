//! Every script is one that the shells take: the router's, the developer's, and shellcheck.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::router::{packaging, stand_in};
use crate::support::foreign::output_of;
use crate::support::is_installed;

/// The scripts of the packaging and of the tests.
fn scripts() -> Vec<PathBuf> {
    let folders = [
        packaging(""),
        packaging("anklet/files"),
        packaging("anklet"),
        packaging("../deb"),
        packaging("../image"),
        packaging(".."),
        packaging("../vm"),
        stand_in(""),
    ];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut scripts: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    scripts.retain(|file| {
        let is_script = |text: &str| text.starts_with("#!/bin/sh") || text.contains("shellcheck");
        file.extension().is_none_or(|kind| kind != "rs")
            && fs::read_to_string(file).is_ok_and(|text| is_script(&text))
    });
    scripts.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/run"));
    assert!(scripts.len() >= 25, "{scripts:?}");
    scripts
}

#[test]
fn every_script_is_read_by_sh() {
    for script in scripts() {
        output_of(Command::new("sh").arg("-n").arg(script));
    }
}

#[test]
fn every_script_is_read_by_busyboxs_shell() {
    if !is_installed("busybox") {
        return;
    }
    for script in scripts() {
        output_of(Command::new("busybox").args(["ash", "-n"]).arg(script));
    }
}

#[test]
fn what_the_feed_ships_is_formatted_as_the_feed_wants_it() {
    if !is_installed("shfmt") {
        return;
    }
    let mut scripts = scripts();
    scripts.retain(|script| script.starts_with(packaging("anklet")));
    assert!(scripts.len() >= 2, "{scripts:?}");
    output_of(
        Command::new("shfmt")
            .args(["-d", "-sr", "-s"])
            .args(scripts),
    );
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !is_installed("shellcheck") {
        return;
    }
    output_of(Command::new("shellcheck").args(scripts()));
}

#[test]
fn no_line_is_longer_than_100_columns() {
    for script in scripts() {
        for line in fs::read_to_string(&script).unwrap().lines() {
            let columns = line.replace('\t', "    ").chars().count();
            assert!(columns <= 100, "{}: {line}", script.display());
        }
    }
}

#[test]
fn what_is_run_is_executable() {
    use std::os::unix::fs::PermissionsExt;
    for script in scripts() {
        let text = fs::read_to_string(&script).unwrap();
        let mode = fs::metadata(&script).unwrap().permissions().mode();
        let executable = mode & 0o111 == 0o111;
        assert_eq!(executable, text.starts_with("#!"), "{}", script.display());
    }
}
