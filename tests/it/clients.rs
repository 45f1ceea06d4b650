//! Foreign clients of SOCKS4 and HTTP: curl, wget, apt-get, git, nc, PySocks and Chromium, each
//! to a server of the test's own.
//!
//! Those of SOCKS5 CONNECT are in `interop.rs`, of BIND and UDP in `dante.rs`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::support::foreign::{chromium, errors, foreign, has_module, nc_is_echoed, output_of};
use crate::support::site::{LARGE, PAGE, PYTHON, Site, tls_site};
use crate::support::targets::{Refusing, echo};
use crate::support::wire::pattern;
use crate::support::{Folder, Proxy, is_installed, not_run};

/// A folder with a page and a large file.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("page.html", PAGE);
    fs::write(folder.path("large"), pattern(LARGE)).unwrap();
    folder
}

fn curl(options: &[&str]) -> Command {
    let mut command = foreign("curl");
    command.args(["-q", "-sS", "--fail", "--max-time", "10", "--noproxy", ""]);
    command.args(options);
    command
}

/// The line of the session that led to `asked`.
#[track_caller]
fn assert_used(proxy: &Proxy, asked: impl std::fmt::Display) {
    proxy.wait_log_all(&["INFO", &format!("-> {asked} ("), " bytes, "]);
}

#[test]
fn curl_over_socks4_and_4a() {
    if !is_installed("curl") {
        return;
    }
    let folder = folder("curl4");
    let (proxy, site) = (Proxy::start(&[]), Site::of(&folder));
    let via = proxy.addr.to_string();
    let named = format!("localhost:{}", site.addr.port());
    for (kind, host) in [("--socks4", site.addr.to_string()), ("--socks4a", named)] {
        let large = curl(&[kind, &via, &format!("http://{host}/large")])
            .output()
            .unwrap();
        assert!(large.stdout == pattern(LARGE), "{kind}: {}", errors(&large));
        assert_used(&proxy, host);
    }
    let refusing = format!("http://{}/", Refusing::new().addr);
    let refused = curl(&["--socks4", &via, &refusing]).output().unwrap();
    // CURLE_PROXY, with the code of the reply in the message.
    assert_eq!(refused.status.code(), Some(97), "{}", errors(&refused));
    assert!(errors(&refused).contains("91"), "{}", errors(&refused));
}

#[test]
fn curl_over_http_with_and_without_a_tunnel() {
    if !is_installed("curl") {
        return;
    }
    let folder = folder("curl-http");
    let (proxy, site) = (Proxy::start(&[]), Site::of(&folder));
    let via = format!("http://{}", proxy.addr);
    let host = format!("localhost:{}", site.addr.port());
    let url = |path: &str| format!("http://{host}/{path}");
    let upload = format!("@{}", folder.path("large"));
    for (name, tunnel) in [("forwarded", &[][..]), ("tunnelled", &["-p"])] {
        let with = |options: &[&str]| curl(&[&["-x", &via], tunnel, options].concat());
        let large = output_of(&mut with(&[&url("large")]));
        assert!(large == pattern(LARGE), "{name}: changed on its way");
        // curl waits for "100 Continue" with this one.
        let len = output_of(&mut with(&["--data-binary", &upload, &url(name)]));
        assert_eq!(len, LARGE.to_string().as_bytes());
        assert!(
            fs::read(folder.path(name)).unwrap() == pattern(LARGE),
            "{name}: changed"
        );
        // Two requests, for which it would keep its connection.
        let (page, pages) = (url("page.html"), PAGE.repeat(2));
        assert_eq!(output_of(&mut with(&[&page, &page])), pages.as_bytes());
        let missing = with(&[&url("missing")]).output().unwrap();
        assert_eq!(missing.status.code(), Some(22), "{}", errors(&missing));
    }
    assert!(site.was_asked("POST /forwarded HTTP/1.1"));
    assert_used(&proxy, &host);
}

#[test]
fn curl_over_http_with_a_user() {
    if !is_installed("curl") {
        return;
    }
    let folder = folder("curl-user");
    let (proxy, site) = (Proxy::locked(), Site::of(&folder));
    let page = format!("http://{}/page.html", site.addr);
    let via = format!("http://{}", proxy.addr);
    for tunnel in [&[][..], &["-p"]] {
        let with = |options: &[&str]| curl(&[&["-x", &via, &page], tunnel, options].concat());
        for user in [
            &["-U", "ann:secret"][..],
            &["-U", "ann:secret", "--proxy-anyauth"],
        ] {
            assert_eq!(output_of(&mut with(user)), PAGE.as_bytes());
        }
        for wrong in [&["-U", "ann:wrong"][..], &[]] {
            let codes = ["-w", "<%{http_code} %{http_connect}>"];
            let refused = with(&[&codes, wrong].concat()).output().unwrap();
            assert!(!refused.status.success());
            assert!(errors(&refused).contains("407"), "{}", errors(&refused));
        }
    }
    let inside = format!("http://ann:secret@{}", proxy.addr);
    assert_eq!(
        output_of(&mut curl(&["-x", &inside, &page])),
        PAGE.as_bytes()
    );
    proxy.wait_log_all(&["INFO", " ann ", " bytes, "]);
}

#[test]
fn curl_and_wget_over_http_to_https() {
    if !is_installed("curl") || !is_installed("openssl") {
        return;
    }
    let folder = folder("https");
    let (_server, port) = tls_site(&folder);
    let (open, locked) = (Proxy::start(&[]), Proxy::locked());
    let host = format!("localhost:{port}");
    let url = format!("https://{host}/large");
    for (proxy, user) in [(&open, ""), (&locked, "ann:secret@")] {
        let via = format!("http://{user}{}", proxy.addr);
        let large = output_of(&mut curl(&["-k", "-x", &via, &url]));
        assert!(large == pattern(LARGE), "changed on its way");
        assert_used(proxy, &host);
        if is_installed("wget") {
            let large = output_of(
                foreign("wget")
                    .args([
                        "--no-config",
                        "--no-check-certificate",
                        "-q",
                        "-O-",
                        "-t1",
                        &url,
                    ])
                    .env("https_proxy", &via),
            );
            assert!(large == pattern(LARGE), "changed on its way");
        }
    }
}

#[test]
fn wget_over_http() {
    if !is_installed("wget") {
        return;
    }
    let folder = folder("wget");
    let (open, locked, site) = (Proxy::start(&[]), Proxy::locked(), Site::of(&folder));
    let host = format!("localhost:{}", site.addr.port());
    let wget = |via: &str, options: &[&str]| {
        let mut command = foreign("wget");
        command.args(["--no-config", "-nv", "-O-", "-t1", "-T10"]);
        command.args(options).env("http_proxy", via);
        command
    };
    let (large, page) = (
        format!("http://{host}/large"),
        format!("http://{host}/page.html"),
    );
    for (proxy, user) in [(&open, ""), (&locked, "ann:secret@")] {
        let via = format!("http://{user}{}/", proxy.addr);
        let got = output_of(&mut wget(&via, &[&large, &page]));
        assert!(
            got == [&pattern(LARGE), PAGE.as_bytes()].concat(),
            "changed on its way"
        );
        assert_used(proxy, &host);
        let post = format!("--post-file={}", folder.path("large"));
        let len = output_of(&mut wget(&via, &[&post, &format!("http://{host}/posted")]));
        assert_eq!(len, LARGE.to_string().as_bytes());
    }
    assert!(fs::read(folder.path("posted")).unwrap() == pattern(LARGE));
    let refused = wget(&format!("http://{}/", locked.addr), &[&page])
        .output()
        .unwrap();
    assert!(errors(&refused).contains("407"), "{}", errors(&refused));
}

#[test]
fn apt_get_over_http() {
    if !is_installed("apt-get") {
        return;
    }
    let folder = Folder::new("apt");
    let package = "Package: nothing\nVersion: 1\nArchitecture: all\nMaintainer: nobody\n\
                   Filename: nothing.deb\nSize: 1\nDescription: none\n";
    folder.write("Packages", package);
    let site = Site::of(&folder);
    let list = format!("deb [trusted=yes] http://{}/ ./\n", site.addr);
    let list = folder.write("sources.list", &list);
    for (name, proxy, user) in [
        ("open", Proxy::start(&[]), ""),
        ("user", Proxy::locked(), "ann:secret@"),
    ] {
        let [lists, cache] = ["lists", "cache"].map(|part| folder.path(&format!("{name}/{part}")));
        for part in [
            format!("{lists}/partial"),
            format!("{cache}/archives/partial"),
        ] {
            fs::create_dir_all(part).unwrap();
        }
        let options = [
            format!("Dir::Etc::sourcelist={list}"),
            format!("Dir::State::lists={lists}"),
            format!("Dir::Cache={cache}"),
            format!("Acquire::http::Proxy=http://{user}{}/", proxy.addr),
        ];
        let fixed = [
            "Dir::Etc::sourceparts=-",
            "Dir::Etc::main=/dev/null",
            "Dir::Etc::parts=/dev/null",
            "Dir::State::status=/dev/null",
            "Acquire::Languages=none",
            "Acquire::Retries=0",
            // Without it the files would have to belong to another account.
            "APT::Sandbox::User=",
        ];
        let mut update = foreign("apt-get");
        update.env("APT_CONFIG", "/dev/null").args(["-q", "update"]);
        for option in options.iter().map(String::as_str).chain(fixed) {
            update.args(["-o", option]);
        }
        output_of(&mut update);
        let got = fs::read_dir(&lists).unwrap().filter_map(Result::ok);
        let got = got.map(|file| file.file_name().into_string().unwrap());
        let got: Vec<String> = got.collect();
        assert!(got.iter().any(|file| file.contains("_Packages")), "{got:?}");
        assert_used(&proxy, site.addr);
    }
}

#[test]
fn git_clones_over_http() {
    if !is_installed("git") {
        return;
    }
    let folder = Folder::new("git");
    let git = |arguments: &[&str]| {
        let mut command = foreign("git");
        command
            .args(["-c", "user.name=ann", "-c", "user.email=ann@localhost"])
            .args(arguments);
        command
            .env("HOME", folder.path(""))
            .env("GIT_CONFIG_NOSYSTEM", "1");
        output_of(&mut command)
    };
    let (work, served) = (folder.path("work"), folder.path("served.git"));
    git(&["init", "-q", &work]);
    folder.write("work/file", "from the repository\n");
    git(&["-C", &work, "add", "file"]);
    git(&["-C", &work, "commit", "-q", "-m", "one"]);
    git(&["clone", "-q", "--bare", &work, &served]);
    git(&["-C", &served, "update-server-info"]);
    let site = Site::of(&folder);
    let url = format!("http://localhost:{}/served.git", site.addr.port());
    for (name, proxy, user) in [
        ("open", Proxy::start(&[]), ""),
        ("user", Proxy::locked(), "ann:secret@"),
    ] {
        let via = format!("http.proxy=http://{user}{}", proxy.addr);
        let clone = folder.path(name);
        git(&["-c", &via, "clone", "-q", &url, &clone]);
        let file = fs::read_to_string(folder.path(&format!("{name}/file"))).unwrap();
        assert_eq!(file, "from the repository\n");
        assert_used(&proxy, format!("localhost:{}", site.addr.port()));
    }
}

#[test]
fn nc_over_socks4_and_http() {
    if !is_installed("nc") {
        return;
    }
    let help = foreign("nc").arg("-h").output().unwrap();
    if !errors(&help).contains("OpenBSD") && !errors(&help).contains("-X proxy_protocol") {
        return not_run("nc is not OpenBSD's: OpenBSD's nc is not installed");
    }
    let (proxy, target) = (Proxy::start(&[]), echo());
    for (kind, host) in [
        ("4", "127.0.0.1"),
        ("connect", "127.0.0.1"),
        ("connect", "localhost"),
    ] {
        nc_is_echoed(proxy.addr, kind, host, target.port());
    }
}

/// Connects in each of PySocks' three ways and prints what comes back.
const PYSOCKS: &str = "
import socks, sys
for kind, host in [(socks.SOCKS5, 'localhost'), (socks.SOCKS5, '127.0.0.1'),
        (socks.SOCKS4, 'localhost'), (socks.SOCKS4, '127.0.0.1'), (socks.HTTP, 'localhost')]:
    s = socks.socksocket()
    s.settimeout(10)
    user = sys.argv[3:] if kind != socks.SOCKS4 else []
    if sys.argv[3:] and not user:
        continue
    s.set_proxy(kind, '127.0.0.1', int(sys.argv[1]), True, *user)
    s.connect((host, int(sys.argv[2])))
    s.sendall(b'through PySocks')
    print(s.makefile('rb').read(15).decode())
";

#[test]
fn pysocks_in_three_ways() {
    if !has_module("socks", "python3-socks") {
        return;
    }
    let (open, locked, target) = (Proxy::start(&[]), Proxy::locked(), echo());
    for (proxy, user, count) in [(&open, &[][..], 5), (&locked, &["ann", "secret"], 3)] {
        let ports = [proxy.addr, target].map(|addr: SocketAddr| addr.port().to_string());
        let output = output_of(foreign(PYTHON).args(["-c", PYSOCKS]).args(ports).args(user));
        let expected = "through PySocks\n".repeat(count);
        assert_eq!(String::from_utf8_lossy(&output), expected);
    }
}

#[test]
fn chromium_over_http_and_socks4() {
    if !is_installed("chromium") || !is_installed("openssl") {
        return;
    }
    let folder = folder("chromium-http");
    let (proxy, site) = (Proxy::start(&[]), Site::of(&folder));
    let (_server, tls) = tls_site(&folder);
    let plain = format!("http://localhost:{}/page.html", site.addr.port());
    let secure = format!("https://localhost:{tls}/page.html");
    for (kind, url) in [("http", &plain), ("http", &secure), ("socks4", &plain)] {
        let through = format!("{kind}://{}", proxy.addr);
        let output = chromium(&through, &folder.path("profile"), url)
            .output()
            .unwrap();
        let text = errors(&output);
        assert!(
            text.contains("the page of the origin"),
            "{kind} {url}: {text}"
        );
    }
    assert!(site.was_asked("GET /page.html HTTP/1.1"));
    assert_used(&proxy, format!("localhost:{}", site.addr.port()));
    assert_used(&proxy, format!("localhost:{tls}"));
}
