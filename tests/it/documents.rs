//! What is written for readers: what it links to exists, and README is short.

use crate::support::checkout::{checkout, read};

/// The documents with links: those in Markdown that are not generated or of a corpus.
const DOCUMENTS: [&str; 12] = [
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    ".github/DESIGN.md",
    ".github/SECURITY.md",
    "cross/BUILDING.md",
    "cross/FEED.md",
    "cross/SIZE.md",
    "cross/openwrt/README.md",
    "tests/CLIENTS.md",
    "tests/PROTOCOL.md",
    "tests/luci/README.md",
];

/// The lines that README has at the most.
const README_LINES_MAX: usize = 170;

/// The targets of `[text](target)` that are files of the checkout.
fn links(text: &str) -> Vec<&str> {
    let parts = text.split("](").skip(1);
    let targets = parts.map(|part| part.split(')').next().unwrap());
    // Pages of the project's site are none, and no other's either.
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("../../releases"))
        .collect()
}

/// The words that look like a file of the checkout: `cross/BUILDING.md`.
fn mentioned(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || "./-_".contains(letter)));
    let words = words.map(|word| word.trim_end_matches('.'));
    let folders = ["cross/", "tests/", "src/", ".github/", ".ci/"];
    words
        .filter(|word| folders.iter().any(|folder| word.starts_with(folder)))
        // The name goes on with a variable: cross/openwrt/pack-$*.
        .filter(|word| !word.ends_with('-'))
        .collect()
}

#[test]
fn what_a_document_links_to_exists() {
    for document in DOCUMENTS {
        let folder = checkout(document);
        let folder = folder.parent().unwrap();
        let text = read(document);
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{document} links to {link}");
        }
    }
}

#[test]
fn the_files_that_the_readme_and_the_makefiles_name_exist() {
    for document in [
        "README.md",
        "Makefile",
        "cross/targets.mk",
        "cross/release.mk",
    ] {
        let text = read(document);
        let files = mentioned(&text);
        assert!(!files.is_empty(), "{document}");
        for file in files {
            assert!(checkout(file).exists(), "{document} names {file}");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines < README_LINES_MAX, "{lines} lines");
}

#[test]
fn the_changelog_and_the_feed_have_the_programs_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("\n## [{version}] - ")));
    let recipe = read("cross/openwrt/anklet/Makefile");
    assert!(recipe.contains(&format!("\nPKG_VERSION:={version}\n")));
}
