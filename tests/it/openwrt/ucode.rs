//! The plugin of rpcd and the collector of prometheus-node-exporter-ucode, in a real ucode and with a
//! real proxy. What procd and netifd say comes from a stand-in for ucode's module ubus, and
//! uclient-fetch is curl.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::router::packaging;
use crate::support::foreign::output_of;
use crate::support::json::Json;
use crate::support::targets::echo;
use crate::support::wire::Client;
use crate::support::{Folder, Proxy, is_installed, not_run};

/// Tunnels beside which a page is a part of them.
const TUNNELS: usize = 120;

const UBUS: &str = "return { connect: () => ({\n\
                    call: (object, method) => json(getenv('SAID'))[`${object} ${method}`]\n}) };\n";

/// Calls a method of the plugin, as rpcd does.
const CALL: &str = "let plugin = call(loadfile(ARGV[0], { raw_mode: true }), null, { ...global });\n\
                    let request = { args: json(ARGV[2]) };\n\
                    print(plugin.anklet[ARGV[1]].call(request), '\\n');\n";

/// Runs the collector, as the exporter does in its jail, with the plugin behind ubus.
const COLLECT: &str = "let metric = (name) => (labels, value) => {\n\
                       if (value != null) print(name, ' ', labels, ' ', value, '\\n');\n};\n\
                       let plugin = call(loadfile(ARGV[1], { raw_mode: true }), null, { ...global });\n\
                       let ubus = { call: (object, method, args) =>\n\
                       object == 'anklet' ? plugin.anklet[method].call({ args: args ?? {} }) : null };\n\
                       let require = (name) => die('it is not in the jail');\n\
                       let options = { raw_mode: true, strict_declarations: true };\n\
                       let scope = { ...global, gauge: metric, counter: metric, ubus, require };\n\
                       call(loadfile(ARGV[0], options), null, scope);\n";

/// A router's ucode; what procd says of the instances.
struct Ucode {
    folder: Folder,
    said: String,
}

impl Ucode {
    /// `None` where there is no ucode; says so.
    fn new(name: &str, instances: &str) -> Option<Self> {
        if !is_installed("ucode") || !is_installed("curl") {
            not_run("the plugin of rpcd and the exporter's collector: ucode is not installed");
            return None;
        }
        let folder = Folder::new(name);
        let module = fs::read_to_string(packaging("anklet/files/anklet.uc")).unwrap();
        for (file, text) in [
            ("anklet.uc", &*module),
            ("ubus.uc", UBUS),
            ("call.uc", CALL),
            ("collect.uc", COLLECT),
        ] {
            folder.write(file, text);
        }
        let fetch = "#!/bin/sh\nfor url; do :; done\nexec curl -sf -m 5 \"$url\"\n";
        let fetch = folder.write("uclient-fetch", fetch);
        fs::set_permissions(fetch, fs::Permissions::from_mode(0o755)).unwrap();
        let networks = r#"[{"l3_device":"br-lan","ipv6-address":[{"address":"::1"}],
            "ipv4-address":[{"address":"127.0.0.1"}]}]"#;
        let said = format!(
            r#"{{"service list":{{"anklet":{{"instances":{{{instances}}}}}}},
                "network.interface dump":{{"interface":{networks}}}}}"#
        );
        Some(Self { folder, said })
    }

    /// What a script prints.
    fn run(&self, words: &[&str]) -> String {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("ucode");
        command
            .args(["-L", &self.folder.path("*.uc"), &self.folder.path(words[0])])
            .args(&words[1..])
            .env("PATH", format!("{}:{path}", self.folder.path("")))
            .env("SAID", &self.said);
        String::from_utf8(output_of(&mut command)).unwrap()
    }

    /// What the collector says.
    fn collect(&self) -> String {
        let [collector, plugin] = ["anklet.exporter.uc", "anklet.rpcd.uc"]
            .map(|file| packaging(&format!("anklet/files/{file}")));
        let words = [
            "collect.uc",
            collector.to_str().unwrap(),
            plugin.to_str().unwrap(),
        ];
        self.run(&words)
    }

    /// What a method of the plugin says.
    fn call(&self, method: &str, request: &str) -> Json {
        let plugin = packaging("anklet/files/anklet.rpcd.uc");
        Json::parse(&self.run(&["call.uc", plugin.to_str().unwrap(), method, request]))
    }
}

/// An instance as procd tells of it.
fn instance(name: &str, arguments: &str) -> String {
    let words: Vec<String> = arguments
        .split(' ')
        .map(|word| format!("{word:?}"))
        .collect();
    let words = words.join(",");
    format!(r#""{name}":{{"running":true,"command":["/usr/bin/anklet",{words}]}}"#)
}

#[test]
fn ubus_and_prometheus_are_told_of_each_instance() {
    let proxy = Proxy::start(&[
        "--status",
        "-u",
        "a\"b\\c",
        "-P",
        "secret",
        "-w",
        "127.0.0.1",
    ]);
    let port = proxy.addr.port();
    let instances = [
        instance("main", &format!("--port {port} --status --listen br-lan")),
        instance("v4", &format!("--status --listen 127.0.0.1:{port}")),
        instance("dead", "--status --listen [::1]:9"),
        instance("off", "--listen br-lan"),
        instance("evil", "--status --listen ';touch$IFS/x'"),
        instance("lines", "--status --listen 127.0.0.1\n';touch$IFS/x;'"),
        r#""stopped":{"running":false}"#.into(),
    ];
    let Some(ucode) = Ucode::new("ucode", &instances.join(",")) else {
        return;
    };
    let target = echo();
    let tunnels: Vec<Client> = (0..TUNNELS).map(|_| proxy.tunnel(target)).collect();
    let status = ucode.call("status", "{}");
    assert_eq!(status.names(), "dead evil lines main off v4");
    for name in ["main", "v4"] {
        assert_eq!(
            status[name]["version"].text(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        let established = &status[name]["limits"]["established"]["used"];
        assert_eq!(established.number(), TUNNELS as u64);
    }
    for name in ["dead", "evil", "lines", "off"] {
        assert_eq!(status[name].names(), "error");
    }
    // They are not asked: what listens there is no address.
    for name in ["evil", "lines"] {
        let why = status[name]["error"].text();
        assert_eq!(why, Some("it runs without the option status"), "{name}");
    }
    let one = ucode.call("status", r#"{"instance":"v4"}"#);
    assert_eq!(one.names(), "v4");

    let (mut clients, mut offset) = (BTreeSet::new(), 0);
    loop {
        let request = format!(r#"{{"instance":"main","offset":{offset},"limit":50}}"#);
        let page = ucode.call("sessions", &request);
        let sessions = page["sessions"].list();
        clients.extend(
            sessions
                .iter()
                .map(|session| session["client"].text().unwrap().to_owned()),
        );
        offset += sessions.len();
        if page["more"] == Json::Flag(false) {
            break;
        }
        assert_eq!(sessions.len(), 50);
    }
    assert!(
        tunnels
            .iter()
            .all(|tunnel| clients.contains(&tunnel.addr.to_string()))
    );
    let users = ucode.call("users", r#"{"instance":"main"}"#);
    users["users"].with("user", r#"a"b\x5cc"#);
    let nobody = ucode.call("users", r#"{"instance":"nobody"}"#);
    assert_eq!(nobody.names(), "error");

    let metrics = ucode.collect();
    let labels = |rest: &str| format!("{{ \"instance\": \"main\"{rest} }}");
    for line in [
        format!("anklet_up {} 1", labels("")),
        "anklet_up { \"instance\": \"off\" } 0".into(),
        format!(
            "anklet_limit_used {} {TUNNELS}",
            labels(", \"limit\": \"established\"")
        ),
        format!(
            "anklet_totals_total {} {TUNNELS}",
            labels(", \"kind\": \"tunnels\"")
        ),
        format!(
            "anklet_user_sessions {} 0",
            labels(r#", "user": "a\"b\\x5cc""#)
        ),
    ] {
        assert!(
            metrics.lines().any(|metric| metric == line),
            "{line} is not in\n{metrics}"
        );
    }
    // All lines of a metric stand together.
    let mut names: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.dedup();
    let count = names.len();
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>().len(), count);
}
