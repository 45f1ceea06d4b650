//! A router for the init script: its configuration, and what procd and others are told.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Folder, command, is_emulated, is_installed, not_run};

/// What the script runs of busybox: all of it is in OpenWrt's own selection.
const APPLETS: [&str; 12] = [
    "cat", "cmp", "ls", "mkdir", "mv", "rm", "rmdir", "sed", "sleep", "tail", "tr", "uname",
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
        fs::create_dir_all(root.path("usr/bin")).unwrap();
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
        let router = Self { root };
        router.write_program("");
        Some(router)
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

    /// What is told when it is started again by hand.
    pub(crate) fn restart(&self) -> Calls {
        self.run(&[], &["restart"])
    }

    /// Loses what is in memory.
    pub(crate) fn reboot(&self) {
        fs::remove_dir_all(self.root.path("var")).unwrap();
    }

    /// A router whose program judges the values. `None` also where only an emulator starts it; says
    /// so.
    pub(crate) fn judging(name: &str) -> Option<Self> {
        if is_emulated() {
            not_run("the script asks the program, which only an emulator starts here");
            return None;
        }
        let router = Self::new(name)?;
        router.install_program();
        Some(router)
    }

    /// From now on values are judged by the program itself. Before, all are right.
    fn install_program(&self) {
        let program = command(&[], &[]);
        let words = [program.get_program()]
            .into_iter()
            .chain(program.get_args());
        let words = words.map(|word| quoted(word.to_str().unwrap()));
        let words = words.collect::<Vec<_>>().join(" ");
        self.write_program(&format!("exec {words} \"$@\"\n"));
    }

    fn write_program(&self, text: &str) {
        let file = self
            .root
            .write("usr/bin/anklet", &format!("#!/bin/sh\n{text}"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, differences: &[(&str, &str)], action: &[&str]) -> Calls {
        let output = self.command(differences, action);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "{action:?}");
        self.calls()
    }

    /// A command of the owner's, by hand.
    pub(crate) fn command(&self, differences: &[(&str, &str)], words: &[&str]) -> Output {
        self.root.write("calls", "");
        Command::new(self.root.path("bin/ash"))
            .arg(stand_in("stand-in.sh"))
            .arg(packaging("anklet/files/anklet.init"))
            .args([self.root.path("config"), self.path()])
            .args(words)
            .env_clear()
            .env("PATH", self.root.path("bin"))
            .envs(differences.iter().copied())
            .output()
            .unwrap()
    }

    /// What was told during the last run.
    pub(crate) fn calls(&self) -> Calls {
        Calls::parse(&fs::read(self.root.path("calls")).unwrap())
    }

    fn path(&self) -> String {
        String::from(self.root.path("").trim_end_matches('/'))
    }

    /// The path of a file of the router's.
    pub(crate) fn path_of(&self, file: &str) -> String {
        self.root.path(file)
    }

    /// The path of an instance's users file.
    pub(crate) fn users_file(&self, instance: &str) -> String {
        self.root.path(&format!("var/run/anklet/{instance}/users"))
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
                ("procd_append_param", [kind, words @ ..]) => append(&mut params, kind, words),
                (call, words) => append(&mut params, call, words),
            }
        }
        panic!("the instance {name} is not closed in {self:?}");
    }
}

fn append(params: &mut Vec<(String, Vec<String>)>, kind: &str, words: &[String]) {
    match params.iter_mut().find(|(known, _)| known == kind) {
        Some((_, known)) => known.extend(words.iter().cloned()),
        None => params.push((String::from(kind), words.to_vec())),
    }
}

/// One instance as procd is told: its parameters, and the words of all other calls by their name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    params: Vec<(String, Vec<String>)>,
}

impl Instance {
    /// The words of a parameter or of a call; none where it was not given.
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

    /// The arguments of the owner's: behind the program, --retry-listen and --syslog, of an
    /// instance that is started.
    #[track_caller]
    pub(crate) fn arguments(&self) -> Vec<&str> {
        assert_eq!(self.errors(), [""; 0]);
        let command = self.param("command");
        assert!(command[0].ends_with("/usr/bin/anklet"), "{command:?}");
        assert_eq!(command[1..3], ["--retry-listen", "--syslog"]);
        assert!(command[3].ends_with("/dev/log"), "{command:?}");
        command[4..].to_vec()
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
