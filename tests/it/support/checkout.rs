//! The files of the checkout that the tests are of.

use std::fs;
use std::path::{Path, PathBuf};

/// A file or a folder of the checkout.
pub(crate) fn checkout(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of the checkout.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = checkout(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sources in a folder of the checkout, and in the folders in it.
pub(crate) fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![checkout(folder)]);
    // Bounded by the folders that there are.
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
