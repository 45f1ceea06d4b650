//! Make's targets that need more than a compiler say so before they build anything.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::support::{Folder, is_installed};

/// Makes a target in this checkout, where only these programs are installed. Each of them is the
/// system's own but cargo and python3, which write down that they were called, and fail.
fn make(folder: &Folder, target: &[&str], installed: &[&str]) -> Output {
    fs::create_dir_all(folder.path("bin")).unwrap();
    for name in ["sh", "sed", "dirname", "env", "rm", "touch", "git"]
        .iter()
        .chain(installed)
    {
        let system = ["/usr/bin", "/bin"].map(|bin| format!("{bin}/{name}"));
        let program = system.iter().find(|path| fs::exists(path).unwrap());
        let any = || folder.write(name, "#!/bin/sh\n");
        let _ = symlink(
            program.cloned().unwrap_or_else(any),
            folder.path(&format!("bin/{name}")),
        );
    }
    let mut command = Command::new("/usr/bin/make");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", folder.path("bin"));
    let builder = folder.write("builder", "#!/bin/sh\necho built >&2; exit 1\n");
    fs::set_permissions(
        &builder,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    command
        .arg(format!("ROUTER_CARGO={builder}"))
        .arg(format!("CARGO={builder}"));
    command
        .args(["ZIG=README.md"])
        .args(target)
        .output()
        .unwrap()
}

/// What a target says that lacks something.
fn lacks(target: &[&str], installed: &[&str]) -> String {
    let folder = Folder::new("needs");
    let output = make(&folder, target, installed);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("built"), "{said}");
    said
}

#[test]
fn a_router_in_qemu_names_all_that_it_lacks() {
    if !is_installed("make") {
        return;
    }
    let basic = ["apt-get", "dpkg-deb", "mkfifo", "timeout"];
    let said = lacks(&["vm-test"], &basic);
    assert!(
        said.contains("vm-test: not installed: qemu-system-mipsel cpio ss\n"),
        "{said}"
    );
    let packages = "on Debian: apt-get install qemu-system-mips cpio iproute2\n";
    assert!(said.contains(packages), "{said}");
    let said = lacks(&["vm-test", "VM=arm64"], &basic);
    assert!(
        said.contains("apt-get install qemu-system-arm cpio iproute2\n"),
        "{said}"
    );
    let said = lacks(&["vm-test", "VM=sparc"], &basic);
    assert!(
        said.contains("no machine sparc: mipsel, armhf or arm64"),
        "{said}"
    );
}

#[test]
fn an_emulated_test_names_its_emulator() {
    if !is_installed("make") {
        return;
    }
    for target in [
        "smoke-mips-unknown-linux-musl",
        "qemu-test-mips-unknown-linux-musl",
    ] {
        let said = lacks(&[target], &[]);
        let expected = "qemu-mips-static is not installed: on Debian, apt-get install qemu-user";
        assert!(said.contains(expected), "{said}");
    }
}
