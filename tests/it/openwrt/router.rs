//! A router for the init script: its configuration, and what procd and others are told.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, is_installed};

/// What the script runs of busybox: all of it is in OpenWrt's own selection.
const APPLETS: [&str; 11] = [
    "cat", "cmp", "ls", "mkdir", "mv", "rm", "sed", "sleep", "tail", "tr", "uname",
];

/// The folder of the packaging.
pub(crate) fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cross/openwrt")
        .join(file)
}

/// A stand-in beside this file.
pub(crate) fn stand_in(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/openwrt")
        .join(file)
}

/// A router; nothing of it outlives the test.
pub(crate) struct Router {
    root: Folder,
}

impl Router {
    /// A router whose folder has `name` in its name; `None` where there is no busybox.
    pub(crate) fn new(name: &str) -> Option<Self> {
        if !is_installed("busybox") {
            return None;
        }
        let root = Folder::new(&format!("openwrt-{name}"));
        fs::create_dir_all(root.path("bin")).unwrap();
        fs::create_dir_all(root.path("lib/functions")).unwrap();
        fs::copy(
            stand_in("network.sh"),
            root.path("lib/functions/network.sh"),
        )
        .unwrap();
        let path = env::var_os("PATH").unwrap();
        let busybox = env::split_paths(&path)
            .map(|folder| folder.join("busybox"))
            .find(|file| file.is_file())
            .unwrap();
        for applet in APPLETS.into_iter().chain(["ash"]) {
            symlink(&busybox, root.path(&format!("bin/{applet}"))).unwrap();
        }
        Some(Self { root })
    }

    /// What is told when the service starts, or is started again, with this configuration.
    pub(crate) fn start(&self, config: &str) -> Calls {
        self.start_with(&[], config)
    }

    /// The same on a router that differs from the usual one: see `stand-in.sh`.
    pub(crate) fn start_with(&self, differences: &[(&str, &str)], config: &str) -> Calls {
        self.root.write("config", config);
        self.run(differences, &["start"])
    }

    /// The same where the configuration is missing.
    pub(crate) fn start_without_config(&self) -> Calls {
        self.run(&[], &["start"])
    }

    /// What is told when it stops: all of it or one instance.
    pub(crate) fn stop(&self, instance: &[&str]) -> Calls {
        self.run(&[], &[&["stop"], instance].concat())
    }

    fn run(&self, differences: &[(&str, &str)], action: &[&str]) -> Calls {
        self.root.write("calls", "");
        let output = Command::new(self.root.path("bin/ash"))
            .arg(stand_in("stand-in.sh"))
            .arg(packaging("anklet.init"))
            .args([self.root.path("config"), self.path()])
            .args(action)
            .env_clear()
            .env("PATH", self.root.path("bin"))
            .envs(differences.iter().copied())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "{action:?}");
        Calls::parse(&fs::read(self.root.path("calls")).unwrap())
    }

    fn path(&self) -> String {
        String::from(self.root.path("").trim_end_matches('/'))
    }

    /// The path of an instance's users file.
    pub(crate) fn users_file(&self, instance: &str) -> String {
        self.root.path(&format!("var/etc/anklet.{instance}.users"))
    }

    /// A file of the owner's.
    pub(crate) fn write(&self, file: &str, text: &str) -> String {
        self.root.write(file, text)
    }
}

/// What the stand-ins were told, in order; each call with its name in front.
#[derive(Debug)]
pub(crate) struct Calls(Vec<Vec<String>>);

impl Calls {
    fn parse(record: &[u8]) -> Self {
        let text = String::from_utf8(record.to_vec()).unwrap();
        let mut words = text.split_terminator('\0').map(String::from);
        let mut calls = Vec::new();
        while let Some(count) = words.next() {
            calls.push(words.by_ref().take(count.parse().unwrap()).collect());
        }
        Self(calls)
    }

    /// The arguments of every call of `name`.
    pub(crate) fn of(&self, name: &str) -> Vec<&[String]> {
        let calls = self.0.iter().filter(|call| call[0] == name);
        calls.map(|call| &call[1..]).collect()
    }

    /// Everything that was said to anybody.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(String::as_str)
    }

    /// The names of the instances.
    pub(crate) fn instances(&self) -> Vec<&str> {
        let opened = self.of("procd_open_instance");
        opened.iter().map(|words| words[0].as_str()).collect()
    }

    /// What procd is told of one instance.
    #[track_caller]
    pub(crate) fn instance(&self, name: &str) -> Instance {
        let opening = ["procd_open_instance", name];
        let start = self.0.iter().position(|call| *call == opening);
        let start = start.unwrap_or_else(|| panic!("no instance {name} in {self:?}")) + 1;
        let mut params: Vec<(String, Vec<String>)> = Vec::new();
        for call in &self.0[start..] {
            match (call[0].as_str(), &call[1..]) {
                ("procd_close_instance", _) => return Instance { params },
                ("procd_set_param", [kind, words @ ..]) => {
                    params.retain(|(known, _)| known != kind);
                    params.push((kind.clone(), words.to_vec()));
                }
                ("procd_append_param", [kind, words @ ..]) => {
                    match params.iter_mut().find(|(known, _)| known == kind) {
                        Some((_, known)) => known.extend(words.iter().cloned()),
                        None => params.push((kind.clone(), words.to_vec())),
                    }
                }
                _ => {}
            }
        }
        panic!("the instance {name} is not closed in {self:?}");
    }
}

/// One instance as procd is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    params: Vec<(String, Vec<String>)>,
}

impl Instance {
    /// The words of a parameter; none where it was not given.
    pub(crate) fn param(&self, kind: &str) -> Vec<&str> {
        let param = self.params.iter().find(|(known, _)| known == kind);
        param.map_or_else(Vec::new, |(_, words)| {
            words.iter().map(String::as_str).collect()
        })
    }

    /// Why it is not started.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.param("error")
    }

    /// The arguments behind the program and --retry-listen, of an instance that is started.
    #[track_caller]
    pub(crate) fn arguments(&self) -> Vec<&str> {
        assert_eq!(self.errors(), [""; 0]);
        let command = self.param("command");
        assert_eq!(command[..2], ["/usr/bin/anklet", "--retry-listen"]);
        command[2..].to_vec()
    }
}

/// A section of the configuration.
pub(crate) fn section(kind: &str, name: &str, lines: &[String]) -> String {
    format!("config {kind} '{name}'\n{}\n", lines.concat())
}

/// An enabled instance.
pub(crate) fn enabled(name: &str, lines: &[String]) -> String {
    section("anklet", name, &[&[option("enabled", "1")], lines].concat())
}

/// A line of a section.
pub(crate) fn option(name: &str, value: &str) -> String {
    format!("\toption {name} {}\n", quoted(value))
}

/// The same for one of several values.
pub(crate) fn list(name: &str, value: &str) -> String {
    format!("\tlist {name} {}\n", quoted(value))
}

/// A value as `uci export` writes it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
