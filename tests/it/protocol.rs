//! `tests/PROTOCOL.md` and the tests agree: every row has tests, every test that carries an id
//! has a row, and a row's last column names the files of its tests.
//!
//! The id of a test is what its name begins with, up to the next `_`: one lower-case letter and
//! digits (`n2_…` is row N2), or `rep_` and two digits (`rep_04_…` is row REP 04). A row is a line
//! `| ID | … | files |`, its files those of `tests/it`. Unit tests in `src` may carry ids too.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::support::checkout::{checkout, read, sources};

/// File names by id.
type Files = BTreeMap<String, BTreeSet<String>>;

/// The id that a test's name begins with, as a row has it.
fn id_of_test(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("rep_") {
        let (digits, _) = rest.split_once('_')?;
        let is_code = digits.len() == 2 && is_number(digits);
        return is_code.then(|| format!("REP {digits}"));
    }
    let (id, _) = name.split_once('_')?;
    let digits = id.strip_prefix(|letter: char| letter.is_ascii_lowercase())?;
    is_number(digits).then(|| id.to_ascii_uppercase())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of the test functions in a source.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().filter_map(move |line| {
        let line = line.trim_start();
        is_test |= line.starts_with("#[test]");
        let name = line.strip_prefix("fn ")?.split_once('(')?.0;
        mem::take(&mut is_test).then_some(name)
    })
}

/// The ids that the tests of a folder carry, and in which files, named from that folder.
fn tests_of(folder: &str) -> Files {
    let mut ids = Files::new();
    for path in sources(folder) {
        let file = path.strip_prefix(checkout(folder)).unwrap();
        for id in tests_in(&read(&path)).filter_map(id_of_test) {
            let files = ids.entry(id).or_default();
            files.insert(file.to_str().unwrap().to_owned());
        }
    }
    ids
}

/// The rows and the files of their tests.
fn rows() -> Files {
    let text = read("tests/PROTOCOL.md");
    let mut rows = Files::new();
    for line in text.lines() {
        let Some(cells) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) else {
            continue;
        };
        let (id, rest) = cells.split_once(" | ").unwrap();
        if id == "id" {
            continue;
        }
        let files = rest.rsplit_once(" | ").unwrap().1;
        let files = files.split(", ").map(str::to_owned).collect();
        assert!(rows.insert(id.to_owned(), files).is_none(), "{id} twice");
    }
    rows
}

#[test]
fn every_row_of_the_protocol_has_its_tests_and_every_id_its_row() {
    let (rows, tests) = (rows(), tests_of("tests/it"));
    for (id, files) in &rows {
        let found = tests.get(id).cloned().unwrap_or_default();
        assert!(!found.is_empty(), "no test has the id {id}");
        assert_eq!(
            *files, found,
            "{id}: the files of its tests, and those that have some"
        );
    }
    for ids in [&tests, &tests_of("src")] {
        for (id, files) in ids {
            assert!(rows.contains_key(id), "{id} of {files:?} has no row");
        }
    }
}

#[test]
fn the_id_of_a_test_is_what_its_name_begins_with() {
    for (name, id) in [
        ("n2_zero_methods_gets_ff", Some("N2")),
        ("u10_an_idle_association_ends", Some("U10")),
        ("rep_02_03_04_what_the_routes_say", Some("REP 02")),
        ("int_ends_with_status_0_within_a_second", None),
        ("a_second_term_changes_nothing", None),
        ("rep_2_is_no_code", None),
    ] {
        assert_eq!(id_of_test(name).as_deref(), id, "{name}");
    }
    let source = "#[test]\n#[ignore]\nfn n1_one() {}\nfn n2_helper() {}\n    #[test]\n    fn n3(";
    assert_eq!(tests_in(source).collect::<Vec<_>>(), ["n1_one", "n3"]);
}
