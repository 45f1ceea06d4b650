//! The package for apk (OpenWrt 25.12 and later), made with a stand-in for apk (`apk.sh`), and with
//! apk itself where it is installed. The environment's APK names one.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use super::packages::{ARCH, FILES, VERSION, listed, pack, root_with_functions, workshop};
use super::router::{packaging, stand_in};
use crate::support::foreign::{errors, output_of};
use crate::support::{Folder, is_installed, not_run};

/// Whether files can be root's, or pass for it.
fn has_root(program: &str) -> bool {
    fs::metadata(program).unwrap().uid() == 0 || is_installed("fakeroot")
}

/// Runs the script with the stand-in for apk of some version.
fn pack_with(version: &str, folder: &Folder, program: &str) -> Output {
    let told = folder.path("told");
    fs::create_dir_all(&told).unwrap();
    let mut command = pack("pack-apk", program, &folder.path("out"));
    command
        .env("APK", stand_in("apk.sh"))
        .env("APK_VERSION", version)
        .env("TOLD", told)
        .env("SOURCE_DATE_EPOCH", "1000000000");
    command.output().unwrap()
}

/// What the stand-in has written down.
fn told(folder: &Folder, file: &str) -> String {
    fs::read_to_string(folder.path(&format!("told/{file}"))).unwrap()
}

/// The folder of what a package is made of; `None` where files cannot be root's.
fn packed(name: &str) -> Option<Folder> {
    let (folder, program) = workshop(name);
    if !has_root(&program) {
        return None;
    }
    let output = pack_with("3.0.5", &folder, &program);
    assert!(output.status.success(), "{}", errors(&output));
    let package = format!("{}/anklet_{VERSION}_{ARCH}.apk", folder.path("out"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with(&format!("  {package}\n")), "{said}");
    Some(folder)
}

#[test]
fn without_apk_v3_there_is_no_apk_and_one_line_that_says_so() {
    let (folder, program) = workshop("no-apk");
    let old = pack_with("2.14.9", &folder, &program);
    let mut missing = pack("pack-apk", &program, &folder.path("out"));
    let missing = missing.env("APK", "/nonexistent/apk").output().unwrap();
    for output in [old, missing] {
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("apk v3 is not installed"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(fs::metadata(folder.path("out")).is_err());
}

#[test]
fn apk_is_told_what_openwrts_own_packages_tell_it() {
    let Some(folder) = packed("apk") else {
        return;
    };
    let words = told(&folder, "words");
    assert!(words.starts_with("mkpkg\n"), "{words}");
    for line in [
        "--info\nname:anklet\n",
        "--info\nversion:1.2.3-r4\n",
        "--info\narch:mips_24kc\n",
        concat!("--info\ndescription:", env!("CARGO_PKG_DESCRIPTION"), "\n"),
        concat!("--info\nlicense:", env!("CARGO_PKG_LICENSE"), "\n"),
        concat!("--info\nmaintainer:", env!("CARGO_PKG_AUTHORS"), "\n"),
        concat!("--info\nurl:", env!("CARGO_PKG_REPOSITORY"), "\n"),
        "--info\nprovides:socks-server\n",
        "--script\npost-install:",
        "--script\npost-upgrade:",
        "--script\npre-deinstall:",
    ] {
        assert!(words.contains(&format!("\n{line}")), "{line} in {words}");
    }
    assert_eq!(told(&folder, "date"), "1000000000\n");
}

#[test]
fn an_apk_has_the_files_of_an_ipk_and_apks_lists() {
    let Some(folder) = packed("apk-files") else {
        return;
    };
    let archive = folder.path("files.tar.gz");
    let files = folder.path("told/files");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--sort=name", "-C", &files]);
    output_of(tar.args(["-czf", &archive, "."]));
    let lists = ["conffiles", "conffiles_static", "list", "rusers"];
    let lists = lists.map(|list| format!("-rw-r--r-- 0/0 ./lib/apk/packages/anklet.{list}"));
    let mut expected = [FILES.map(String::from).to_vec(), lists.to_vec()].concat();
    let mut found = listed(&archive);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn apks_lists_say_what_opkgs_control_says() {
    let Some(folder) = packed("apk-lists") else {
        return;
    };
    let list = |name| told(&folder, &format!("files/lib/apk/packages/anklet.{name}"));
    assert_eq!(list("rusers"), "anklet:anklet\n");
    assert_eq!(list("conffiles"), "/etc/config/anklet\n");
    let checksum =
        output_of(Command::new("sha256sum").arg(packaging("anklet/files/anklet.config")));
    let checksum = String::from_utf8(checksum).unwrap();
    let checksum = checksum.split(' ').next().unwrap();
    assert_eq!(
        list("conffiles_static"),
        format!("/etc/config/anklet {checksum}\n")
    );
    // What OpenWrt's functions look for, to enable and start it.
    assert!(
        list("list")
            .lines()
            .any(|line| line == "/etc/init.d/anklet")
    );
}

#[test]
fn an_upgrade_with_apk_does_not_enable_the_service_again() {
    let Some(folder) = packed("upgrade") else {
        return;
    };
    let root = root_with_functions(&folder);
    let said = |script: &str| {
        let mut command = Command::new("sh");
        command.arg(folder.path(&format!("told/{script}")));
        let said = output_of(command.env("IPKG_INSTROOT", &root));
        String::from_utf8(said).unwrap()
    };
    let both = |upgrade| {
        format!(
            "add_group_and_user 0 pkgname=anklet upgrade={upgrade}\n\
             default_postinst 0 pkgname=anklet upgrade={upgrade}\n"
        )
    };
    assert_eq!(said("post-install"), both(""));
    assert_eq!(said("post-upgrade"), both("1"));
    assert_eq!(
        said("pre-deinstall"),
        "default_prerm 0 pkgname=anklet upgrade=\n"
    );
}

#[test]
fn apk_itself_packs_and_installs_it() {
    let (folder, program) = workshop("real-apk");
    let apk = env::var("APK").unwrap_or_else(|_| String::from("apk"));
    let version = Command::new(&apk).arg("--version").output();
    let version = version.map_or_else(|_| Vec::new(), |output| output.stdout);
    if !version.starts_with(b"apk-tools 3.") || fs::metadata(&program).unwrap().uid() != 0 {
        not_run("apk v3 is not installed, or this is not root");
        return;
    }
    let bytes = |out: &str| {
        let out = folder.path(out);
        output_of(&mut pack("pack-apk", &program, &out));
        fs::read(format!("{out}/anklet_{VERSION}_{ARCH}.apk")).unwrap()
    };
    assert!(bytes("a") == bytes("b"), "two packages of the same files");
    let root = folder.path("root");
    fs::create_dir_all(&root).unwrap();
    let package = format!("{}/anklet_{VERSION}_{ARCH}.apk", folder.path("a"));
    let mut install = Command::new(&apk);
    install.args([
        "add",
        "--initdb",
        "--allow-untrusted",
        "--no-network",
        "--no-scripts",
    ]);
    output_of(install.args(["--root", &root, "--arch", ARCH, &package]));
    let installed = |file: &str| fs::metadata(format!("{root}/{file}")).unwrap();
    for (file, mode) in [("usr/bin/anklet", 0o755), ("etc/config/anklet", 0o600)] {
        assert_eq!(
            installed(file).permissions().mode() & 0o7777,
            mode,
            "{file}"
        );
        assert_eq!(
            (installed(file).uid(), installed(file).gid()),
            (0, 0),
            "{file}"
        );
    }
}
