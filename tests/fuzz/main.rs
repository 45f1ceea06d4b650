//! Replays the recorded inputs of the fuzz targets: `corpus/NAME/` has those of the target of that
//! name. How to let a fuzzer look for more: `.github/CONTRIBUTING.md`.
#![allow(
    clippy::unwrap_used,
    reason = "a test tells what went wrong by panicking"
)]

mod targets;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use targets::TARGETS;

/// The bytes of all recorded inputs at most: they are for the cases, not for statistics.
const CORPUS_BYTES_MAX: u64 = 200_000;

#[test]
fn every_target_holds_for_its_recorded_inputs() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() > 5, "{name} has hardly any input");
        for (file, bytes) in inputs {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| target(&bytes)));
            assert!(outcome.is_ok(), "{name} fails for {file}");
        }
    }
}

#[test]
fn every_target_holds_for_the_inputs_of_all_others_and_for_their_beginnings() {
    let all: Vec<_> = TARGETS.iter().flat_map(|(name, _)| inputs(name)).collect();
    for (name, target) in TARGETS {
        for (file, bytes) in &all {
            let bytes = &bytes[..bytes.len().min(600)];
            for len in [bytes.len(), bytes.len() / 2, bytes.len() / 3] {
                let outcome = panic::catch_unwind(AssertUnwindSafe(|| target(&bytes[..len])));
                assert!(outcome.is_ok(), "{name} fails for {len} bytes of {file}");
            }
        }
    }
}

#[test]
fn each_target_is_one_of_the_fuzzer_and_the_corpus_is_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(
            folder.join(format!("fuzz_targets/{name}.rs")).is_file(),
            "{name}"
        );
    }
    let mut bytes = 0;
    for corpus in fs::read_dir(folder.join("corpus")).unwrap() {
        for file in fs::read_dir(corpus.unwrap().path()).unwrap() {
            bytes += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes < CORPUS_BYTES_MAX, "{bytes} bytes");
}

/// The recorded inputs of a target, with their files.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder.join(target)).unwrap() {
        let path = entry.unwrap().path();
        inputs.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    inputs.sort();
    inputs
}
