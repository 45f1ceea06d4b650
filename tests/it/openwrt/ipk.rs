//! The package for opkg (OpenWrt 24.10 and older).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::packages::{ARCH, FILES, VERSION, licences, listed, pack, unpack, workshop};
use super::router::packaging;
use crate::support::Folder;
use crate::support::foreign::output_of;

/// An .ipk and the folder it was unpacked into.
fn ipk(folder: &Folder, program: &str) -> (String, String) {
    let out = folder.path("out");
    let said = output_of(&mut pack("pack-ipk", program, &out));
    let package = format!("{out}/anklet_{VERSION}_{ARCH}.ipk");
    assert!(
        String::from_utf8(said)
            .unwrap()
            .ends_with(&format!("  {package}\n"))
    );
    let inside = folder.path("inside");
    fs::create_dir_all(&inside).unwrap();
    unpack(&package, &inside);
    (package, inside)
}

/// A field of a control file.
fn field<'a>(control: &'a str, name: &str) -> &'a str {
    let line = control
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {control}"))
}

#[test]
fn an_ipk_is_a_tar_of_three_parts_in_opkgs_order() {
    let (folder, program) = workshop("parts");
    let (package, inside) = ipk(&folder, &program);
    let parts = ["debian-binary", "data.tar.gz", "control.tar.gz"];
    assert_eq!(
        listed(&package),
        parts.map(|part| format!("-rw-r--r-- 0/0 ./{part}"))
    );
    assert_eq!(
        fs::read(format!("{inside}/debian-binary")).unwrap(),
        b"2.0\n"
    );
}

#[test]
fn an_ipk_has_the_right_files_with_their_modes_and_owners() {
    let (folder, program) = workshop("files");
    let (_, inside) = ipk(&folder, &program);
    assert_eq!(listed(&format!("{inside}/data.tar.gz")), FILES);
    unpack(&format!("{inside}/data.tar.gz"), &inside);
    let of = |file: &str| fs::read(format!("{inside}/{file}")).unwrap();
    let ours = |file: &str| fs::read(packaging(file)).unwrap();
    assert_eq!(of("usr/bin/anklet"), fs::read(&program).unwrap());
    assert_eq!(of("etc/init.d/anklet"), ours("anklet/files/anklet.init"));
    assert_eq!(of("etc/config/anklet"), ours("anklet/files/anklet.config"));
    assert_eq!(of("lib/upgrade/keep.d/anklet"), b"/etc/anklet.users\n");
}

#[test]
fn an_ipk_says_what_it_is() {
    let (folder, program) = workshop("control");
    let (_, inside) = ipk(&folder, &program);
    let parts = ["control", "conffiles", "postinst", "prerm"];
    let control = format!("{inside}/control.tar.gz");
    let mut listed = listed(&control);
    listed.sort_by_key(|line| line.rsplit_once('/').unwrap().1.to_string());
    let modes = ["-rw-r--r--", "-rw-r--r--", "-rwxr-xr-x", "-rwxr-xr-x"];
    let mut expected: Vec<_> = parts.iter().zip(modes).collect();
    expected.sort();
    let expected: Vec<_> = expected
        .iter()
        .map(|(part, mode)| format!("{mode} 0/0 ./{part}"))
        .collect();
    assert_eq!(listed, expected);
    unpack(&control, &inside);
    let control = fs::read_to_string(format!("{inside}/control")).unwrap();
    for (name, value) in [
        ("Package", "anklet"),
        ("Version", VERSION),
        ("Architecture", ARCH),
        ("License", env!("CARGO_PKG_LICENSE")),
        ("Maintainer", env!("CARGO_PKG_AUTHORS")),
        ("Description", env!("CARGO_PKG_DESCRIPTION")),
        ("Require-User", "anklet:anklet"),
        ("Section", "net"),
        ("Provides", "socks-server"),
        ("Source", "anklet"),
        ("URL", env!("CARGO_PKG_REPOSITORY")),
    ] {
        assert_eq!(field(&control, name), value);
    }
    // A static program: "libc" would not be found in an offline root.
    assert!(
        !control.contains("Depends") && !control.contains('@'),
        "{control}"
    );
    let size: u64 = field(&control, "Installed-Size").parse().unwrap();
    assert!(size > fs::metadata(&program).unwrap().len(), "{size}");
    let conffiles = fs::read_to_string(format!("{inside}/conffiles")).unwrap();
    assert_eq!(conffiles, "/etc/config/anklet\n");
}

#[test]
fn two_packages_of_the_same_files_are_the_same_bytes() {
    let (folder, program) = workshop("twice");
    let (first, _) = ipk(&folder, &program);
    let first = fs::read(first).unwrap();
    // Another file of other dates and modes, made later, by somebody with another umask.
    let other = folder.write("other", &fs::read_to_string(&program).unwrap());
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    output_of(Command::new("touch").args(["-d", "2001-01-01", &other]));
    let again = folder.path("again");
    let mut careful = Command::new("sh");
    careful.args(["-c", "umask 077; exec \"$@\"", "sh"]);
    careful
        .arg(packaging("pack-ipk"))
        .args([&other, ARCH, VERSION, &again])
        .env("LICENCES", licences());
    output_of(&mut careful);
    let second = fs::read(format!("{again}/anklet_{VERSION}_{ARCH}.ipk")).unwrap();
    assert!(
        first == second,
        "{} and {} bytes",
        first.len(),
        second.len()
    );
}

#[test]
fn a_package_without_the_licences_of_what_is_linked_in_is_not_made() {
    let (folder, program) = workshop("unlicensed");
    let out = folder.path("out");
    for script in ["pack-ipk", "../deb/pack-deb", "../image/pack-image"] {
        let arch = if script == "pack-ipk" { ARCH } else { "amd64" };
        let mut command = Command::new(packaging(script));
        command.args([&program, arch, VERSION, &out]);
        let output = command.env("LICENCES", "/nonexistent").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{script}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("make licences"));
    }
}

#[test]
fn a_version_of_another_form_makes_no_package() {
    let (folder, program) = workshop("version");
    let out = folder.path("out");
    for script in ["pack-ipk", "../deb/pack-deb", "../image/pack-image"] {
        for version in [
            "1.2.3",
            "1.2.3-4",
            "v1.2.3-r4",
            "../1.2.3-r4",
            "1.2.3-r4\"x",
        ] {
            let mut command = Command::new(packaging(script));
            command.args([&program, "amd64", version, &out]);
            let output = command.env("LICENCES", licences()).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{script} {version}");
            assert!(!fs::exists(&out).unwrap(), "{script} {version}");
        }
    }
}

#[test]
fn the_date_of_a_package_can_be_given() {
    let (folder, program) = workshop("date");
    let bytes = |date, out: &str| {
        let out = folder.path(out);
        output_of(pack("pack-ipk", &program, &out).env("SOURCE_DATE_EPOCH", date));
        fs::read(format!("{out}/anklet_{VERSION}_{ARCH}.ipk")).unwrap()
    };
    assert!(bytes("1000000000", "a") == bytes("1000000000", "b"));
    assert!(bytes("1000000000", "a") != bytes("1000000001", "c"));
}

/// A package does not depend on where the checkout lies or how it is reached.
#[test]
fn the_scripts_can_be_called_through_a_link_to_their_folder() {
    let (folder, program) = workshop("link");
    let (package, _) = ipk(&folder, &program);
    symlink(packaging(""), folder.path("link")).unwrap();
    let out = folder.path("elsewhere");
    let mut command = Command::new(folder.path("link/pack-ipk"));
    command.env("LICENCES", licences());
    output_of(command.args([&program, ARCH, VERSION, &out]));
    let other = fs::read(format!("{out}/anklet_{VERSION}_{ARCH}.ipk")).unwrap();
    assert!(other == fs::read(package).unwrap());
}
