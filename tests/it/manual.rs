//! The manual and the completion of bash, as their readers have them: rendered by mandoc, and asked
//! by bash. What is in them comes from the table of options (`src/config/options/manual.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::foreign::output_of;
use crate::support::{Folder, command, is_installed};

/// A file that `make man` writes.
fn made(file: &str) -> String {
    let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = checkout.join("cross/man").join(file);
    path.to_str().unwrap().into()
}

fn text(command: &mut Command) -> String {
    String::from_utf8(output_of(command)).unwrap()
}

/// The program's own `--help`.
fn help() -> String {
    text(&mut command(&[], &["--help"]))
}

/// The manual as it is read, without what prints twice for bold.
fn rendered() -> String {
    let mut mandoc = Command::new("mandoc");
    let plain = text(mandoc.args(["-Tutf8", "-Owidth=200"]).arg(made("anklet.8")));
    let mut seen = String::new();
    let mut letters = plain.chars().peekable();
    while let Some(letter) = letters.next() {
        if letters.next_if_eq(&'\u{8}').is_none() {
            seen.push(letter);
        }
    }
    seen
}

/// The options that begin a line behind so many blanks at the most, with their values:
/// `-p, --port PORT`.
fn listed(text: &str, blanks_max: usize) -> BTreeSet<String> {
    let options = text.lines().filter(|line| {
        let option = line.trim_start();
        option.starts_with('-') && line.len() - option.len() <= blanks_max
    });
    let head = |line: &str| line.trim_start().split("  ").next().unwrap().to_string();
    options.map(head).collect()
}

#[test]
fn the_manual_lists_the_options_that_help_lists_and_no_others() {
    if !is_installed("mandoc") {
        return;
    }
    // What is said of an option stands further in, and may begin with the name of another.
    let (manual, help) = (listed(&rendered(), 5), listed(&help(), 6));
    assert!(help.len() > 40, "{help:?}");
    assert_eq!(manual, help);
}

#[test]
fn mandoc_has_nothing_to_say_of_the_manual() {
    if !is_installed("mandoc") {
        return;
    }
    let mut mandoc = Command::new("mandoc");
    let said = mandoc.args(["-Tlint", &made("anklet.8")]).output().unwrap();
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    // Which other manuals are installed is not for this one to answer for.
    let mut lines = said.lines();
    let about_others =
        |line: &str| line.contains("mandoc.db") || line.contains("referenced manual");
    let complaint = lines.find(|line| !about_others(line));
    assert_eq!(complaint, None);
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _anklet; \
        [ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-euc", script]).arg(made("anklet.bash"));
    let said = text(bash.args(words));
    said.lines().map(String::from).collect()
}

#[test]
fn bash_offers_the_options_of_help() {
    if !is_installed("bash") {
        return;
    }
    let help = help();
    let long = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    let long = long.map(|word| word.trim_end_matches([';', ',', ')']));
    let long: BTreeSet<&str> = long.collect();
    let all = offered(&["anklet", "--"]);
    assert_eq!(
        all.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        long
    );
    assert_eq!(offered(&["anklet", "-p", "1", "--no-u"]), ["--no-udp"]);
}

#[test]
fn bash_offers_values_where_there_are_some() {
    if !is_installed("bash") {
        return;
    }
    let folder = Folder::new("completion");
    let users = folder.write("users of mine", "ann:secret\n");
    let beginning = folder.path("users");
    for words in [
        &["anklet", "--users", &beginning][..],
        &["anklet", "--users", "=", &beginning],
    ] {
        assert_eq!(offered(words), [users.as_str()]);
    }
    assert_eq!(offered(&["anklet", "--prefer", ""]), ["4", "6"]);
    assert_eq!(offered(&["anklet", "--prefer", "="]), ["4", "6"]);
    assert_eq!(offered(&["anklet", "--port", ""]), [""; 0]);
    if fs::exists("/sys/class/net/lo").unwrap() {
        assert!(offered(&["anklet", "-i", "l"]).contains(&"lo".into()));
        let listed = offered(&["anklet", "--clients", "10.0.0.0/8,l"]);
        assert!(listed.contains(&"10.0.0.0/8,lo".into()), "{listed:?}");
    }
}

#[test]
fn install_puts_program_manual_and_completion_where_they_are_found() {
    if !is_installed("make") {
        return;
    }
    let rules = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    let folder = Folder::new("installed");
    // Without building it again: what is installed here is a stand-in.
    let stand_in = folder.path("checkout");
    fs::create_dir_all(format!("{stand_in}/target/release")).unwrap();
    fs::create_dir_all(format!("{stand_in}/cross/man")).unwrap();
    fs::write(format!("{stand_in}/target/release/anklet"), "program").unwrap();
    for file in ["anklet.8", "anklet.bash"] {
        fs::copy(made(file), format!("{stand_in}/cross/man/{file}")).unwrap();
    }
    let rules = rules.replace("include cross/", "#");
    fs::write(format!("{stand_in}/Makefile"), rules).unwrap();
    let root = folder.path("root");
    let mut make = Command::new("make");
    make.args(["-C", &stand_in, "install", "CARGO=true", "PREFIX=/usr"]);
    output_of(make.arg(format!("DESTDIR={root}")));
    for (file, from) in [
        ("bin/anklet", format!("{stand_in}/target/release/anklet")),
        ("share/man/man8/anklet.8", made("anklet.8")),
        (
            "share/bash-completion/completions/anklet",
            made("anklet.bash"),
        ),
    ] {
        let installed = fs::read(format!("{root}/usr/{file}")).unwrap();
        assert!(installed == fs::read(from).unwrap(), "{file}");
    }
}
