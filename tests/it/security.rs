//! `.github/SECURITY.md` and the tests agree: what it names in `code` exists.

use std::collections::BTreeSet;

use crate::support::checkout::{checkout, read, sources};

/// The functions with `#[test]` in the sources of a folder, and in those of the folders in it.
fn tests_in(folder: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in sources(folder) {
        for function in read(path).split("#[test]").skip(1) {
            let name = function
                .split_once("fn ")
                .and_then(|(_, f)| f.split_once('('));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// The paragraphs of a part of the document.
fn paragraphs(part: &str) -> Vec<String> {
    let text = read(".github/SECURITY.md");
    let part = text.split("\n## ").find(|found| found.starts_with(part));
    let paragraphs = part.unwrap().split("\n\n").skip(1);
    paragraphs.map(str::to_owned).collect()
}

/// What stands in `code` in a paragraph.
fn code(paragraph: &str) -> impl Iterator<Item = &str> {
    paragraph.split('`').skip(1).step_by(2)
}

fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[test]
fn every_promise_names_its_tests_and_they_exist() {
    let mut tests = tests_in("tests");
    tests.extend(tests_in("src"));
    let make = read("Makefile") + &read("cross/targets.mk");
    let mut named = 0;
    for paragraph in paragraphs("Promises") {
        for text in code(&paragraph) {
            let target = checkout("tests/fuzz/fuzz_targets").join(format!("{text}.rs"));
            let exists = match text.strip_prefix("make ") {
                Some(target) => make.contains(&format!("\n{target}:")),
                None => !is_name(text) || tests.contains(text) || target.exists(),
            };
            assert!(exists, "{text} of .github/SECURITY.md does not exist");
            named += usize::from(is_name(text));
        }
        let has_tests = code(&paragraph).any(is_name);
        assert!(
            has_tests || paragraph.starts_with("**In the code.**"),
            "no test holds it to that: {paragraph}"
        );
    }
    assert!(named > 30, "only {named} tests are named");
}
