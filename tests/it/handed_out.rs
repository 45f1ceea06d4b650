//! What a release hands out beside OpenWrt's packages: the Debian package with its service, the
//! container image, the indexes of package managers. Where the programs that read them are
//! installed, they read them.

use std::fs;
use std::process::Command;

use crate::openwrt::packages::{licences, listed};
use crate::openwrt::router::packaging;
use crate::support::foreign::{errors, output_of};
use crate::support::{Folder, is_installed, not_run};

const VERSION: &str = "1.2.3-r4";

/// A folder with a "program" in it, and the script's package of that.
fn packed(name: &str, script: &str, arch: &str) -> (Folder, String) {
    let folder = Folder::new(&format!("handed-out-{name}"));
    let program = folder.write("program", &"a program\n".repeat(1000));
    let pack = |out: &str, umask: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        command
            .arg(packaging(script))
            .args([&program, arch, VERSION, out]);
        command.env("LICENCES", licences()).env_remove("ANKLET_URL");
        let said = output_of(command.env("SOURCE_DATE_EPOCH", "1000000000"));
        let said = String::from_utf8(said).unwrap();
        said.trim_end().split_once("  ").unwrap().1.to_string()
    };
    let package = pack(&folder.path("out"), "022");
    let again = pack(&folder.path("again"), "077");
    let (first, second) = (fs::read(&package).unwrap(), fs::read(again).unwrap());
    assert!(first == second, "two packages of the same files differ");
    (folder, package)
}

fn text(command: &mut Command) -> String {
    String::from_utf8(output_of(command)).unwrap()
}

#[test]
fn a_deb_has_program_service_manual_completion_and_licences() {
    if !is_installed("ar") || !is_installed("dpkg-deb") {
        return;
    }
    let (_folder, package) = packed("deb", "../deb/pack-deb", "armhf");
    let contents = text(Command::new("dpkg-deb").args(["--contents", &package]));
    for (file, mode) in [
        ("etc/anklet/", "drwx------"),
        ("etc/default/anklet", "-rw-r--r--"),
        ("usr/bin/anklet", "-rwxr-xr-x"),
        ("usr/lib/systemd/system/anklet.service", "-rw-r--r--"),
        ("usr/share/bash-completion/completions/anklet", "-rw-r--r--"),
        ("usr/share/doc/anklet/LICENSES.gz", "-rw-r--r--"),
        ("usr/share/doc/anklet/copyright", "-rw-r--r--"),
        ("usr/share/man/man8/anklet.8.gz", "-rw-r--r--"),
    ] {
        let ending = format!(" ./{file}");
        let line = contents.lines().find(|line| line.ends_with(&ending));
        let line = line.unwrap_or_else(|| panic!("no {file} in\n{contents}"));
        assert!(line.starts_with(mode) && line.contains(" 0/0 "), "{line}");
    }
    let field = |name| {
        let said = text(Command::new("dpkg-deb").args(["--field", &package, name]));
        said.trim_end().to_string()
    };
    assert_eq!(field("Version"), "1.2.3-4");
    assert_eq!(field("Architecture"), "armhf");
    assert_eq!(field("Homepage"), env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(field("Depends"), "");
}

#[test]
fn systemd_understands_the_service() {
    let unit = packaging("../deb/anklet.service");
    if !is_installed("systemd-analyze") {
        return;
    }
    let folder = Folder::new("service");
    let text = fs::read_to_string(unit).unwrap();
    // Program and manual are not where the package puts them.
    let text = text.replace("/usr/bin/anklet", "/bin/true");
    let text = text.replace("Documentation=man:anklet(8)\n", "");
    let unit = folder.write("anklet.service", &text);
    let mut verify = Command::new("systemd-analyze");
    let output = verify.args(["verify", &unit]).output().unwrap();
    let said = errors(&output);
    if said.contains("Failed to initialize manager") {
        not_run("systemd-analyze finds no system to speak of");
        return;
    }
    let about_ours = said.lines().any(|line| line.contains("anklet.service"));
    assert!(output.status.success() && !about_ours, "{said}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    let output = security.arg(&unit).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn the_service_lets_the_program_do_what_it_does() {
    let unit = fs::read_to_string(packaging("../deb/anklet.service")).unwrap();
    let value = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}"))
    };
    // Interfaces come by netlink; nothing else is opened but sockets of the Internet.
    assert_eq!(
        value("RestrictAddressFamilies="),
        "AF_INET AF_INET6 AF_NETLINK"
    );
    assert!(value("ExecStart=").starts_with("/usr/bin/anklet "));
    // What the default file and the manual page tell to write.
    let defaults = fs::read_to_string(packaging("../deb/anklet.default")).unwrap();
    assert!(defaults.contains("/run/credentials/anklet.service/users"));
    assert!(unit.contains("\nLoadCredential=users:/etc/anklet/users\n"));
}

/// The string behind `"name":` in JSON that this project writes: nothing is escaped in it.
fn strings<'a>(json: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!("\"{name}\":\"");
    let parts = json.split(mark.as_str()).skip(1);
    parts.map(|part| part.split('"').next().unwrap()).collect()
}

#[test]
fn an_image_is_a_layout_whose_digests_are_those_of_its_blobs() {
    let (folder, archive) = packed("image", "../image/pack-image", "arm-v7");
    let layout = folder.path("layout");
    fs::create_dir_all(&layout).unwrap();
    output_of(Command::new("tar").args(["-C", &layout, "-xf", &archive]));
    let read = |file: &str| fs::read_to_string(format!("{layout}/{file}")).unwrap();
    let blob = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let blobs = fs::read_dir(format!("{layout}/blobs/sha256")).unwrap();
    let blobs: Vec<_> = blobs.map(|blob| blob.unwrap()).collect();
    assert_eq!(blobs.len(), 3);
    for blob in blobs {
        let sum = text(Command::new("sha256sum").arg(blob.path()));
        assert_eq!(sum.split(' ').next().unwrap(), blob.file_name());
    }
    let index = read("index.json");
    assert_eq!(strings(&index, "variant"), ["v7"]);
    let manifest = read(&blob(strings(&index, "digest")[0]));
    let [config, layer] = strings(&manifest, "digest")[..] else {
        panic!("{manifest}");
    };
    let config_text = read(&blob(config));
    assert_eq!(strings(&config_text, "User"), ["65534:65534"]);
    assert_eq!(strings(&config_text, "architecture"), ["arm"]);
    // What docker reads instead leads to the same.
    let docker = read("manifest.json");
    assert_eq!(strings(&docker, "Config"), [blob(config)]);
    assert!(docker.contains(&blob(layer)), "{docker}");
    let layer = format!("{layout}/{}", blob(layer));
    assert_eq!(
        listed(&layer),
        ["-rw-r--r-- 0/0 ./LICENSES.gz", "-rwxr-xr-x 0/0 ./anklet"]
    );
}

#[test]
fn skopeo_takes_an_image_from_its_archive() {
    if !is_installed("skopeo") {
        return;
    }
    let (folder, archive) = packed("skopeo", "../image/pack-image", "amd64");
    for kind in ["oci-archive", "docker-archive"] {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--insecure-policy", &format!("{kind}:{archive}")]);
        output_of(skopeo.arg(format!("dir:{}", folder.path(kind))));
    }
}

#[test]
fn an_index_of_packages_says_where_they_lie_and_what_they_are() {
    let folder = Folder::new("handed-out-index");
    let program = folder.write("program", "a program\n");
    let out = folder.path("out");
    for arch in ["mips_24kc", "x86_64"] {
        let mut pack = Command::new(packaging("pack-ipk"));
        pack.args([&program, arch, VERSION, &out]);
        output_of(pack.env("LICENCES", licences()));
    }
    let mut index = Command::new(packaging("pack-index"));
    output_of(
        index
            .arg(&out)
            .env_remove("USIGN_KEY")
            .env_remove("APK_KEY"),
    );
    let packages = fs::read_to_string(format!("{out}/Packages")).unwrap();
    let blocks: Vec<&str> = packages.trim_end().split("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{packages}");
    for (block, arch) in blocks.iter().zip(["mips_24kc", "x86_64"]) {
        let file = format!("anklet_{VERSION}_{arch}.ipk");
        let path = format!("{out}/{file}");
        let sum = text(Command::new("sha256sum").arg(&path));
        let size = fs::metadata(&path).unwrap().len();
        for line in [
            "Package: anklet".to_string(),
            format!("Architecture: {arch}"),
            format!("Filename: {file}"),
            format!("Size: {size}"),
            format!("SHA256sum: {}", sum.split(' ').next().unwrap()),
        ] {
            assert!(
                block.lines().any(|found| found == line),
                "{line} in\n{block}"
            );
        }
    }
    let unpacked = text(Command::new("gzip").args(["-dc", &format!("{out}/Packages.gz")]));
    assert_eq!(unpacked, packages);
    assert!(!fs::exists(format!("{out}/packages.adb")).unwrap());
}

/// What is said and written by a release of the sources alone, made at an address.
fn released(folder: &Folder, url: Option<&str>) -> Option<(String, String)> {
    let out = folder.path("dist");
    let mut release = Command::new(packaging("../pack-release"));
    release.args([&out, VERSION, "--", "--", "--"]);
    for name in ["ANKLET_URL", "USIGN_KEY", "APK_KEY"] {
        release.env_remove(name);
    }
    if let Some(url) = url {
        release.env("ANKLET_URL", url);
    }
    let output = release.env("APK", "none").output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    if said.contains("not a git repository") || said.contains("xz: not found") {
        not_run("a release takes a git checkout and xz");
        return None;
    }
    assert!(output.status.success(), "{}", errors(&output));
    let archive = format!("{out}/anklet-1.2.3-openwrt-feed.tar.gz");
    let mut recipe = Command::new("tar");
    recipe.args(["-xzOf", &archive, "anklet/Makefile"]);
    let sources = fs::read(format!("{out}/anklet-1.2.3.tar.xz"));
    assert!(!sources.unwrap().is_empty());
    Some((said, text(&mut recipe)))
}

#[test]
fn a_release_names_its_address_or_says_that_it_has_none() {
    let folder = Folder::new("handed-out-address");
    // With the slash that people put behind an address.
    let Some((said, recipe)) = released(&folder, Some("https://git.example.org/anklet/")) else {
        return;
    };
    assert_eq!(said, "");
    for line in [
        "PKG_SOURCE_URL:=https://git.example.org/anklet/releases/download/v$(PKG_VERSION)",
        "  URL:=https://git.example.org/anklet",
    ] {
        assert!(recipe.lines().any(|found| found == line), "{recipe}");
    }
    let sources = folder.path("dist/anklet-1.2.3.tar.xz");
    let sum = text(Command::new("sha256sum").arg(sources));
    let hash = format!("PKG_HASH:={}", sum.split(' ').next().unwrap());
    assert!(recipe.lines().any(|found| found == hash), "{recipe}");

    let (said, recipe) = released(&folder, None).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    let nobodys = env!("CARGO_PKG_REPOSITORY");
    assert!(
        said.contains("ANKLET_URL") && said.contains(nobodys),
        "{said}"
    );
    assert!(recipe.contains(&format!("URL:={nobodys}\n")), "{recipe}");
}
