//! The package for OpenWrt's build system, made by make with stand-ins for that system's files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::router::packaging;
use crate::support::foreign::output_of;
use crate::support::{Folder, is_installed};

/// rules.mk, as far as it goes here.
const RULES: &str = "\
INCLUDE_DIR:=$(TOPDIR)/include
PKG_BUILD_DIR:=$(TOPDIR)/build
PKG_INSTALL_DIR:=$(TOPDIR)/built
INSTALL_DIR:=install -d -m755
INSTALL_BIN:=install -m755
INSTALL_CONF:=install -m600
CP:=cp -fpR
RUST_ARCH_DEPENDS:=@mips
";

/// package.mk: the targets of one package.
const PACKAGE: &str = "\
define BuildPackage
prepare:
\t$(call Build/Prepare)
install:
\t$(call Package/$(1)/install,$(TOPDIR)/root)
describe:
\t@echo $(PKG_NAME) $(PKG_VERSION)-r$(PKG_RELEASE) $(strip $(Package/$(1)/conffiles))
endef
";

/// A folder that passes for a build system's, with a "program" that it has built.
fn build_system(name: &str) -> Option<Folder> {
    if !is_installed("make") {
        return None;
    }
    let folder = Folder::new(&format!("feed-{name}"));
    for sub in ["include", "feeds/packages/lang/rust", "built/bin"] {
        fs::create_dir_all(folder.path(sub)).unwrap();
    }
    folder.write("rules.mk", RULES);
    folder.write("include/package.mk", PACKAGE);
    folder.write("feeds/packages/lang/rust/rust-package.mk", "");
    folder.write("built/bin/anklet", "program");
    Some(folder)
}

/// Makes a target of the feed's package.
fn make(folder: &Folder, target: &str) -> String {
    let mut command = Command::new("make");
    command
        .arg("-C")
        .arg(packaging("anklet"))
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
fn the_feed_builds_this_checkout() {
    let Some(folder) = build_system("prepare") else {
        return;
    };
    make(&folder, "prepare");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "src/main.rs",
        "src/config/help.rs",
    ] {
        let copied = fs::read(folder.path(&format!("build/{file}"))).unwrap();
        assert!(copied == fs::read(ours.join(file)).unwrap(), "{file}");
    }
    // What cargo has built here is not for the router.
    assert!(!Path::new(&folder.path("build/target")).exists());
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
        ("etc/init.d/anklet", packaging("anklet.init"), 0o755),
        ("etc/config/anklet", packaging("anklet.config"), 0o600),
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
