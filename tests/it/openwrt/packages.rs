//! What the tests of both kinds of packages share, and what both refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::router::packaging;
use crate::support::Folder;
use crate::support::foreign::{errors, output_of};

/// A version and an architecture as they are asked for.
pub(crate) const VERSION: &str = "1.2.3-r4";
pub(crate) const ARCH: &str = "mips_24kc";

/// The files of a package: mode, owner, and path.
pub(crate) const FILES: [&str; 10] = [
    "-rw------- 0/0 ./etc/config/anklet",
    "-rwxr-xr-x 0/0 ./etc/init.d/anklet",
    "-rw-r--r-- 0/0 ./etc/sysctl.d/21-anklet.conf",
    "-rw-r--r-- 0/0 ./lib/upgrade/keep.d/anklet",
    "-rwxr-xr-x 0/0 ./usr/bin/anklet",
    "-rw-r--r-- 0/0 ./usr/share/anklet/LICENSES.gz",
    "-rw-r--r-- 0/0 ./usr/share/rpcd/acl.d/anklet.json",
    "-rw-r--r-- 0/0 ./usr/share/rpcd/ucode/anklet.uc",
    "-rw-r--r-- 0/0 ./usr/share/ucode/anklet.uc",
    "-rw-r--r-- 0/0 ./usr/share/ucode/node-exporter/lib/anklet.uc",
];

/// A folder with a "program" in it.
pub(crate) fn workshop(name: &str) -> (Folder, String) {
    let folder = Folder::new(&format!("package-{name}"));
    let program = folder.write("program", &"a program\n".repeat(1000));
    (folder, program)
}

/// Packs the program into `out`, a folder that need not be there.
pub(crate) fn pack(script: &str, program: &str, out: &str) -> Command {
    let mut command = Command::new(packaging(script));
    command.args([program, ARCH, VERSION, out]);
    command.env("LICENCES", licences());
    command
}

/// A text that stands for what `make licences` writes.
pub(crate) fn licences() -> PathBuf {
    packaging("../../LICENSE-MIT")
}

/// Unpacks a gzipped tar.
pub(crate) fn unpack(archive: &str, folder: &str) {
    output_of(Command::new("tar").args(["-C", folder, "-xpzf", archive]));
}

/// What is in a gzipped tar, in its order: mode, owner and path of each, without the folders.
pub(crate) fn listed(archive: &str) -> Vec<String> {
    let mut tar = Command::new("tar");
    let list = output_of(tar.args(["--numeric-owner", "-tvzf", archive]));
    let list = String::from_utf8(list).unwrap();
    let files = list.lines().filter(|line| !line.starts_with('d'));
    files
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            [words[0], words[1], words[words.len() - 1]].join(" ")
        })
        .collect()
}

#[test]
fn what_makes_no_package_is_refused_with_status_2() {
    let (folder, program) = workshop("refused");
    let out = folder.path("out");
    for words in [
        &[program.as_str(), ARCH, VERSION][..],
        &[&folder.path("nothing"), ARCH, VERSION, &out],
        &[&program, "mips 24kc", VERSION, &out],
        &[&program, "", VERSION, &out],
        &[&program, ARCH, "1.2.3", &out],
        &[&program, ARCH, "v1.2.3-r1", &out],
        &[&program, ARCH, "1.2.3-r1/../x", &out],
    ] {
        for script in ["pack-ipk", "pack-apk"] {
            let output = Command::new(packaging(script))
                .args(words)
                .output()
                .unwrap();
            assert_eq!(
                output.status.code(),
                Some(2),
                "{script} {words:?}: {}",
                errors(&output)
            );
            assert_eq!(
                output.stderr.iter().filter(|byte| **byte == b'\n').count(),
                1
            );
        }
    }
    assert!(!Path::new(&out).exists());
}

/// A folder that passes for a router's root: its functions write down what they are called with.
pub(crate) fn root_with_functions(folder: &Folder) -> String {
    let root = folder.path("root");
    fs::create_dir_all(format!("{root}/lib")).unwrap();
    let functions = "for name in add_group_and_user default_postinst default_prerm; do\n\
        eval \"$name() { echo $name \\$# pkgname=\\$pkgname upgrade=\\$PKG_UPGRADE; }\"\ndone\n";
    fs::write(format!("{root}/lib/functions.sh"), functions).unwrap();
    root
}

#[test]
fn the_scripts_of_the_packages_call_openwrts_functions() {
    let (folder, _) = workshop("scripts");
    let root = root_with_functions(&folder);
    let said = |script: &str, name: &str, value: &str| {
        let mut command = Command::new(packaging(script));
        command
            .env("IPKG_INSTROOT", &root)
            .env(name, value)
            .args(["configure", "1"]);
        String::from_utf8(output_of(&mut command)).unwrap()
    };
    // opkg's functions find the package's name in the script's own.
    assert_eq!(
        said("postinst", "X", ""),
        "default_postinst 3 pkgname= upgrade=\n"
    );
    assert_eq!(
        said("prerm", "X", ""),
        "default_prerm 3 pkgname= upgrade=\n"
    );
    let both = "add_group_and_user 0 pkgname=anklet upgrade=1\n\
        default_postinst 0 pkgname=anklet upgrade=1\n";
    assert_eq!(said("apk-postinst", "PKG_UPGRADE", "1"), both);
    assert_eq!(
        said("apk-prerm", "X", ""),
        "default_prerm 0 pkgname=anklet upgrade=\n"
    );
    for script in ["postinst", "apk-postinst"] {
        assert_eq!(said(script, "IPKG_NO_SCRIPT", "1"), "", "{script}");
    }
}

#[test]
fn the_scripts_of_the_packages_do_nothing_in_an_empty_root() {
    let (folder, _) = workshop("empty");
    for script in ["postinst", "prerm", "apk-postinst", "apk-prerm"] {
        let mut command = Command::new(packaging(script));
        let said = output_of(command.env("IPKG_INSTROOT", folder.path("")));
        assert_eq!(said, b"", "{script}");
    }
}

#[test]
fn what_the_service_has_written_goes_with_the_package_and_stays_in_an_upgrade() {
    let (folder, _) = workshop("leftovers");
    let root = root_with_functions(&folder);
    let last = format!("{root}/etc/anklet.last");
    let remains = |script: &str, upgrade: &str| {
        fs::create_dir_all(&last).unwrap();
        fs::write(format!("{last}/main"), "ann:x\n").unwrap();
        let mut command = Command::new(packaging(script));
        command.env("IPKG_INSTROOT", &root);
        output_of(command.env("PKG_UPGRADE", upgrade));
        Path::new(&last).exists()
    };
    assert!(!remains("prerm", "0"));
    assert!(remains("prerm", "1"));
    assert!(!remains("apk-prerm", ""));
}
