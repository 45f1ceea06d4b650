//! The package for the packages feed of OpenWrt, made by make with stand-ins for its build system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::router::packaging;
use crate::support::foreign::{errors, output_of};
use crate::support::{Folder, is_emulated, is_installed};

/// rules.mk, as far as it goes here.
const RULES: &str = "\
INCLUDE_DIR:=$(TOPDIR)/include
PKG_BUILD_DIR:=$(TOPDIR)/build
PKG_INSTALL_DIR:=$(TOPDIR)/built
INSTALL_DIR:=install -d -m755
INSTALL_BIN:=install -m755
INSTALL_CONF:=install -m600
INSTALL_DATA:=install -m644
RUST_ARCH_DEPENDS:=@mips
";

/// package.mk: the targets of one package.
const PACKAGE: &str = "\
define BuildPackage
install:
\t$(call Package/$(1)/install,$(TOPDIR)/root)
describe:
\t@echo $(PKG_NAME) $(PKG_VERSION)-r$(PKG_RELEASE) $(strip $(Package/$(1)/conffiles))
source:
\t@echo $(PKG_SOURCE_URL)/$(PKG_SOURCE) $(PKG_HASH)
endef
";

/// A folder that passes for a build system's with the packages feed in it, ours too, and a
/// "program" that it has built.
fn build_system(name: &str) -> Option<Folder> {
    if !is_installed("make") {
        return None;
    }
    let folder = Folder::new(&format!("feed-{name}"));
    for sub in [
        "include",
        "feeds/packages/lang/rust",
        "feeds/packages/net",
        "built/bin",
    ] {
        fs::create_dir_all(folder.path(sub)).unwrap();
    }
    folder.write("rules.mk", RULES);
    folder.write("include/package.mk", PACKAGE);
    folder.write("feeds/packages/lang/rust/rust-package.mk", "");
    folder.write("built/bin/anklet", "program");
    let ours = folder.path("feeds/packages/net/anklet");
    output_of(
        Command::new("cp")
            .arg("-R")
            .arg(packaging("anklet"))
            .arg(ours),
    );
    Some(folder)
}

/// Makes a target of the feed's package.
fn make(folder: &Folder, target: &str) -> String {
    let mut command = Command::new("make");
    command
        .arg("-C")
        .arg(folder.path("feeds/packages/net/anklet"))
        .args(["-s", "--no-print-directory", target]);
    command.arg(format!("TOPDIR={}", folder.path("").trim_end_matches('/')));
    String::from_utf8(output_of(&mut command)).unwrap()
}

#[test]
fn the_feed_has_the_version_of_the_program() {
    let Some(folder) = build_system("version") else {
        return;
    };
    let said = make(&folder, "describe");
    let version = concat!("anklet ", env!("CARGO_PKG_VERSION"), "-r1");
    assert_eq!(
        said,
        format!("{version} /etc/config/anklet /etc/anklet.users\n")
    );
}

#[test]
fn the_feed_builds_what_a_release_hands_out() {
    let Some(folder) = build_system("source") else {
        return;
    };
    let said = make(&folder, "source");
    let version = env!("CARGO_PKG_VERSION");
    // Both are filled in by `make release`, with the checksum of the archive that it makes.
    let source = format!("@URL@/releases/download/v{version}/anklet-{version}.tar.xz skip\n");
    assert_eq!(said, source);
}

/// As the feed's continuous integration runs it, in a root where the package is installed.
#[test]
fn the_feeds_own_test_passes() {
    if is_emulated() || !is_installed("busybox") {
        return;
    }
    let folder = Folder::new("feed-test");
    fs::create_dir_all(folder.path("bin")).unwrap();
    symlink(crate::support::binary(), folder.path("bin/anklet")).unwrap();
    let test = fs::read_to_string(packaging("anklet/test.sh")).unwrap();
    // Where the package would be, there is the packaging; and /tmp is this folder.
    let init = packaging("anklet/files/anklet.init");
    let test = test.replace("/tmp/", &folder.path(""));
    let test = test.replace("/etc/init.d/anklet", init.to_str().unwrap());
    let test = folder.write("test.sh", &test);
    let path = format!("{}:{}", folder.path("bin"), std::env::var("PATH").unwrap());
    let run = |version: &str| {
        let mut command = Command::new("busybox");
        command.args(["ash", &test, "anklet", version]);
        command.env("PATH", &path).output().unwrap()
    };
    let output = run(env!("CARGO_PKG_VERSION"));
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!run("9.9.9").status.success());
}

#[test]
fn the_feed_installs_what_the_other_packages_have() {
    let Some(folder) = build_system("install") else {
        return;
    };
    make(&folder, "install");
    for (file, contents, mode) in [
        (
            "usr/bin/anklet",
            folder.path("built/bin/anklet").into(),
            0o755,
        ),
        (
            "etc/init.d/anklet",
            packaging("anklet/files/anklet.init"),
            0o755,
        ),
        (
            "etc/config/anklet",
            packaging("anklet/files/anklet.config"),
            0o600,
        ),
    ] {
        let installed = folder.path(&format!("root/{file}"));
        assert!(
            fs::read(&installed).unwrap() == fs::read(contents).unwrap(),
            "{file}"
        );
        let permissions = fs::metadata(&installed).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o7777, mode, "{file}");
    }
}
