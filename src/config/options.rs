//! The command line: words to [`Config`].
//!
//! getopts separates the words, `values` reads single values; here are the table of options,
//! the lists, and what contradicts what. A value that cannot be honoured is an error, never
//! ignored. Nothing is opened or asked of the system but the numbers of interfaces.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use getopts::{Fail, Matches, Options};
use log::LevelFilter;

use super::help::HELP;
use super::values;
use super::{Config, ConfigError, Families, Limits, Listen, Outgoing, Sources, Timeouts};
use super::{PORT_DEFAULT, files::NAME_SERVERS_MAX};
use crate::state::access::Policy;
use crate::sys::scope::interface_index;

/// Listeners at most. Their descriptors are part of the fixed share in `limits`; more
/// addresses than these have one wildcard.
pub const LISTENERS_MAX: usize = 8;

/// Items of one list at most. Rules are searched one after the other for each connection.
const ITEMS_MAX: usize = 256;

/// Longest timeout: 30 days. Its milliseconds fit 32 bits.
const SECONDS_MAX: u64 = 30 * 24 * 3600;

/// Longest --peer-timeout: 24 days. The kernel takes TCP_USER_TIMEOUT as a signed number of 32
/// bits, in milliseconds, and refuses 25 days.
const PEER_SECONDS_MAX: u64 = 24 * 24 * 3600;

const _: () = assert!(SECONDS_MAX * 1000 <= u32::MAX as u64);
const _: () = assert!(PEER_SECONDS_MAX * 1000 <= i32::MAX as u64);

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve, or only check.
    Run(Box<Config>),
    /// Print this text to the standard output and end.
    Help(&'static str),
    /// Print name and version and end.
    Version,
}

/// Reads the arguments behind the program's name. The limits are still what was asked for:
/// `limits::limits` settles them.
pub fn parse(args: &[OsString]) -> Result<Command, ConfigError> {
    let mut words = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        words.push(arg.to_str().ok_or(ConfigError::Encoding(index + 1))?);
    }
    let matches = table().parse(words).map_err(misuse)?;
    if matches.opt_present("help") {
        return Ok(Command::Help(HELP));
    }
    if matches.opt_present("version") {
        return Ok(Command::Version);
    }
    if let Some(word) = matches.free.first() {
        // A password with a blank in it and no quotes around it ends up here.
        let secret = matches.opt_present("password");
        return Err(ConfigError::Stray((!secret).then(|| word.clone())));
    }
    let port = match matches.opt_str("port") {
        Some(text) => to_u16(values::number("port", &text, 0, u16::MAX.into())?),
        None => PORT_DEFAULT,
    };
    let families = families(&matches)?;
    let outgoing = outgoing(&matches, families)?;
    Ok(Command::Run(Box::new(Config {
        listen: listen(&matches, port)?,
        port,
        retry_listen: matches.opt_present("retry-listen"),
        reuseport: matches.opt_present("reuseport"),
        families: confined(families, &outgoing),
        outgoing,
        policy: policy(&matches)?,
        sources: sources(&matches)?,
        timeouts: timeouts(&matches)?,
        limits: limits(&matches)?,
        verbosity: verbosity(&matches)?,
        check: matches.opt_present("check"),
    })))
}

/// How an option appears on the command line.
#[derive(Clone, Copy)]
enum Form {
    /// Without a value, once.
    Flag,
    /// Without a value, any number of times.
    Count,
    /// With a value, once.
    One,
    /// With a list of values, any number of times.
    Many,
}

/// Every option: its letter, its name and its form.
const TABLE: [(&str, &str, Form); 32] = [
    ("i", "listen", Form::Many),
    ("p", "port", Form::One),
    ("", "retry-listen", Form::Flag),
    ("", "reuseport", Form::Flag),
    ("u", "user", Form::One),
    ("P", "password", Form::One),
    ("", "users", Form::One),
    ("w", "trust", Form::Many),
    ("1", "auth-once", Form::Flag),
    ("", "clients", Form::Many),
    ("", "permit", Form::Many),
    ("", "block", Form::Many),
    ("b", "bind", Form::Many),
    ("", "mark", Form::One),
    ("4", "ipv4", Form::Flag),
    ("6", "ipv6", Form::Flag),
    ("", "prefer", Form::One),
    ("", "dns", Form::Many),
    ("", "handshake-timeout", Form::One),
    ("", "connect-timeout", Form::One),
    ("", "idle-timeout", Form::One),
    ("", "half-close-timeout", Form::One),
    ("", "peer-timeout", Form::One),
    ("", "max-sessions", Form::One),
    ("", "max-per-client", Form::One),
    ("", "buffers", Form::One),
    ("", "buffer-size", Form::One),
    ("q", "quiet", Form::Flag),
    ("v", "verbose", Form::Count),
    ("", "check", Form::Flag),
    ("h", "help", Form::Flag),
    ("V", "version", Form::Flag),
];

/// The table in the form of getopts. The help text is written by hand.
fn table() -> Options {
    let mut options = Options::new();
    for (letter, name, form) in TABLE {
        match form {
            Form::Flag => options.optflag(letter, name, ""),
            Form::Count => options.optflagmulti(letter, name, ""),
            Form::One => options.optopt(letter, name, "", ""),
            Form::Many => options.optmulti(letter, name, "", ""),
        };
    }
    options
}

/// What getopts found wrong, with the option's long name where it has one.
fn misuse(fail: Fail) -> ConfigError {
    let (name, why) = match fail {
        Fail::UnrecognizedOption(name) => (name, "unknown option"),
        Fail::ArgumentMissing(name) => (name, "needs a value"),
        Fail::OptionDuplicated(name) => (name, "given more than once"),
        Fail::UnexpectedArgument(name) => (name, "takes no value"),
        Fail::OptionMissing(name) => (name, "is missing"),
    };
    let known = TABLE
        .iter()
        .find(|(letter, long, _)| name == *letter || name == *long);
    let option = match known {
        Some((_, long, _)) => format!("--{long}"),
        // "--password:secret" is an unknown option with a password in it.
        None if name.starts_with("pass") => String::from("--pass..."),
        None if name.chars().count() == 1 => format!("-{name}"),
        None => format!("--{name}"),
    };
    ConfigError::Option { option, why }
}

/// An error about the option as a whole.
fn against(option: &str, why: &'static str) -> ConfigError {
    ConfigError::Option {
        option: format!("--{option}"),
        why,
    }
}

/// An error about one value.
fn bad(option: &'static str, value: &str, why: &'static str) -> ConfigError {
    ConfigError::Value {
        option,
        value: value.to_string(),
        why,
    }
}

/// The items of a list option, all its occurrences together, in their order; none is empty.
fn items(
    matches: &Matches,
    option: &'static str,
    items_max: usize,
    too_many: &'static str,
) -> Result<Vec<String>, ConfigError> {
    let mut items = Vec::new();
    for list in matches.opt_strs(option) {
        for item in list.split(',') {
            let item = item.trim();
            if item.is_empty() {
                return Err(bad(option, &list, "an item of the list is empty"));
            }
            if items.len() == items_max {
                return Err(bad(option, item, too_many));
            }
            items.push(item.to_string());
        }
    }
    Ok(items)
}

/// A list of networks or destinations.
fn list<T: FromStr<Err = &'static str>>(
    matches: &Matches,
    option: &'static str,
) -> Result<Vec<T>, ConfigError> {
    let mut list = Vec::new();
    for item in items(matches, option, ITEMS_MAX, "one more than 256")? {
        list.push(item.parse().map_err(|why| bad(option, &item, why))?);
    }
    Ok(list)
}

/// `--listen`. The same place twice could never be bound twice.
fn listen(matches: &Matches, port: u16) -> Result<Vec<Listen>, ConfigError> {
    let mut listeners = Vec::new();
    for item in items(matches, "listen", LISTENERS_MAX, "one more than 8")? {
        let listener = values::listen(&item, port, interface_index)
            .map_err(|why| bad("listen", &item, why))?;
        if listeners.contains(&listener) {
            return Err(bad("listen", &item, "given more than once"));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// `--ipv4`, `--ipv6` and `--prefer`.
fn families(matches: &Matches) -> Result<Families, ConfigError> {
    let (only_v4, only_v6) = (matches.opt_present("ipv4"), matches.opt_present("ipv6"));
    if only_v4 && only_v6 {
        return Err(against("ipv4", "contradicts --ipv6"));
    }
    let preferred = matches.opt_str("prefer");
    match preferred.as_deref() {
        Some(text) if only_v4 => return Err(bad("prefer", text, "contradicts --ipv4")),
        Some(text) if only_v6 => return Err(bad("prefer", text, "contradicts --ipv6")),
        None | Some("4" | "6") => {}
        Some(text) => return Err(bad("prefer", text, "neither 4 nor 6")),
    }
    let v6_first = !only_v4 && preferred.as_deref() != Some("4");
    Ok(Families {
        v4: !only_v6,
        v6: !only_v4,
        v6_first,
    })
}

/// The families that are left once source addresses are given: who chooses the way out for
/// one family does not want the other to leave by another.
fn confined(families: Families, outgoing: &Outgoing) -> Families {
    let addressed = outgoing.v4.is_some() || outgoing.v6.is_some();
    Families {
        v4: families.v4 && (!addressed || outgoing.v4.is_some()),
        v6: families.v6 && (!addressed || outgoing.v6.is_some()),
        ..families
    }
}

/// `--bind` and `--mark`.
fn outgoing(matches: &Matches, families: Families) -> Result<Outgoing, ConfigError> {
    let mut outgoing = Outgoing::default();
    for item in items(matches, "bind", ITEMS_MAX, "one more than 256")? {
        bind(&mut outgoing, &item, families).map_err(|why| bad("bind", &item, why))?;
    }
    if let Some(text) = matches.opt_str("mark") {
        outgoing.mark = Some(values::mark(&text).map_err(|why| bad("mark", &text, why))?);
    }
    Ok(outgoing)
}

/// Adds one `--bind`: an interface on its own, or an address of either family.
fn bind(outgoing: &mut Outgoing, item: &str, families: Families) -> Result<(), &'static str> {
    let addressed = outgoing.v4.is_some() || outgoing.v6.is_some();
    if let Some(name) = values::interface(item) {
        if addressed || outgoing.device.replace(name).is_some() {
            return Err("an interface stands alone");
        }
        return Ok(());
    }
    if outgoing.device.is_some() {
        return Err("an interface stands alone");
    }
    let addr: IpAddr = item
        .parse()
        .map_err(|_| "neither an address nor an interface name")?;
    let addr = addr.to_canonical();
    if addr.is_unspecified() || addr.is_multicast() {
        return Err("not the address of an interface");
    }
    match addr {
        IpAddr::V4(_) if !families.v4 => Err("contradicts --ipv6"),
        IpAddr::V6(_) if !families.v6 => Err("contradicts --ipv4"),
        IpAddr::V4(v4) if v4.is_broadcast() => Err("not the address of an interface"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err("a link-local address reaches nothing"),
        IpAddr::V4(v4) if outgoing.v4.replace(v4).is_some() => Err("a second IPv4 address"),
        IpAddr::V6(v6) if outgoing.v6.replace(v6).is_some() => Err("a second IPv6 address"),
        _ => Ok(()),
    }
}

/// Who may connect and where to. Trust means to do without a password, so there must be one.
fn policy(matches: &Matches) -> Result<Policy, ConfigError> {
    let credentials = matches.opt_present("user") || matches.opt_present("users");
    let auth_once = matches.opt_present("auth-once");
    if !credentials {
        const WHY: &str = "needs --user or --users";
        if let Some(value) = matches.opt_str("trust") {
            return Err(bad("trust", &value, WHY));
        }
        if auth_once {
            return Err(against("auth-once", WHY));
        }
    }
    Ok(Policy {
        credentials,
        clients: list(matches, "clients")?,
        trust: list(matches, "trust")?,
        permit: list(matches, "permit")?,
        block: list(matches, "block")?,
        auth_once,
    })
}

/// Users and name servers: what SIGHUP reads again.
fn sources(matches: &Matches) -> Result<Sources, ConfigError> {
    let users = matches.opt_str("users");
    if users.as_deref() == Some("") {
        return Err(against("users", "needs the name of a file"));
    }
    let mut sources = Sources {
        credential: None,
        users: users.map(PathBuf::from),
        dns: name_servers(matches)?,
        resolv_conf: Some(PathBuf::from("/etc/resolv.conf")),
        hosts: Some(PathBuf::from("/etc/hosts")),
    };
    credential(matches, &mut sources)?;
    Ok(sources)
}

/// `--user` and `--password`, both or none. RFC 1929 §2 has a byte for each length.
fn credential(matches: &Matches, sources: &mut Sources) -> Result<(), ConfigError> {
    const WHY: &str = "not 1 to 255 bytes long";
    match (matches.opt_str("user"), matches.opt_str("password")) {
        (None, None) => {}
        (Some(name), None) => return Err(bad("user", &name, "needs --password")),
        (None, Some(_)) => return Err(against("password", "needs --user")),
        (Some(name), Some(password)) => {
            if !(1..=255).contains(&name.len()) {
                return Err(bad("user", &name, WHY));
            }
            if !(1..=255).contains(&password.len()) {
                return Err(against("password", WHY));
            }
            sources.credential = Some((name.into_bytes(), password.into_bytes()));
        }
    }
    Ok(())
}

/// `--dns`.
fn name_servers(matches: &Matches) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut servers = Vec::new();
    for item in items(matches, "dns", NAME_SERVERS_MAX, "one more than 3")? {
        let server = values::endpoint(&item, super::files::DNS_PORT, interface_index)
            .map_err(|why| bad("dns", &item, why))?;
        if server.port() == 0 || server.ip().is_unspecified() {
            return Err(bad("dns", &item, "nobody answers there"));
        }
        servers.push(server);
    }
    Ok(servers)
}

/// The timeouts, from seconds to milliseconds.
fn timeouts(matches: &Matches) -> Result<Timeouts, ConfigError> {
    let default = Timeouts::default();
    let read = |option, default_ms, seconds_max| match matches.opt_str(option) {
        Some(text) => values::number(option, &text, 1, seconds_max)
            // The bounds above keep this within 32 bits.
            .map(|seconds| u32::try_from(seconds * 1000).unwrap_or(u32::MAX)),
        None => Ok(default_ms),
    };
    Ok(Timeouts {
        handshake_ms: read("handshake-timeout", default.handshake_ms, SECONDS_MAX)?,
        connect_ms: read("connect-timeout", default.connect_ms, SECONDS_MAX)?,
        idle_ms: read("idle-timeout", default.idle_ms, SECONDS_MAX)?,
        half_close_ms: read("half-close-timeout", default.half_close_ms, SECONDS_MAX)?,
        peer_ms: read("peer-timeout", default.peer_ms, PEER_SECONDS_MAX)?,
    })
}

/// The limits that were asked for; 0 stands for none.
fn limits(matches: &Matches) -> Result<Limits, ConfigError> {
    let read = |option, least, most| match matches.opt_str(option) {
        Some(text) => values::number(option, &text, least, most)
            .map(|number| usize::try_from(number).unwrap_or(usize::MAX)),
        None => Ok(0),
    };
    // A session's number has 16 bits; buffers come from the same range.
    let limits = Limits {
        sessions_max: read("max-sessions", 1, 65_535)?,
        per_client_max: read("max-per-client", 1, 65_535)?,
        openings_max: 0,
        buffers_max: read("buffers", 4, 65_535)?,
        buffer_bytes: read("buffer-size", 256, 65_536)?,
    };
    if limits.sessions_max > 0 && limits.per_client_max > limits.sessions_max {
        let value = limits.per_client_max.to_string();
        return Err(bad("max-per-client", &value, "more than --max-sessions"));
    }
    Ok(limits)
}

/// `--quiet` and `--verbose`. One line per finished session is the usual level.
fn verbosity(matches: &Matches) -> Result<LevelFilter, ConfigError> {
    match (matches.opt_present("quiet"), matches.opt_count("verbose")) {
        (true, 0) => Ok(LevelFilter::Warn),
        (true, _) => Err(against("quiet", "contradicts --verbose")),
        (false, 0) => Ok(LevelFilter::Info),
        (false, 1) => Ok(LevelFilter::Debug),
        (false, _) => Ok(LevelFilter::Trace),
    }
}

/// A number that is known to fit.
fn to_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    fn command(args: &[&str]) -> Result<Command, ConfigError> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[track_caller]
    fn config(args: &[&str]) -> Box<Config> {
        match command(args) {
            Ok(Command::Run(config)) => config,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn error(args: &[&str]) -> String {
        command(args).unwrap_err().to_string()
    }

    fn texts<T: ToString>(items: &[T]) -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_command_line_gives_the_defaults() {
        let config = config(&[]);
        assert_eq!((config.listen.len(), config.port), (0, 1080));
        assert_eq!(
            config.families,
            Families {
                v4: true,
                v6: true,
                v6_first: true
            }
        );
        assert_eq!(config.timeouts.idle_ms, 7_440_000);
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.verbosity, LevelFilter::Info);
        assert_eq!(
            config.sources.resolv_conf,
            Some(PathBuf::from("/etc/resolv.conf"))
        );
        assert!(!config.check && !config.policy.credentials);
    }

    #[test]
    fn the_options_of_microsocks_mean_what_they_mean_there() {
        let args = [
            "-1", "-q", "-i", "::", "-p", "9", "-u", "me", "-P", "pw", "-b", "10.0.0.1",
        ];
        let config = config(&[&args[..], &["-w", "127.0.0.1,192.168.1.1"]].concat());
        assert_eq!(config.listen, [Listen::Addr("[::]:9".parse().unwrap())]);
        assert_eq!(
            config.sources.credential,
            Some((b"me".to_vec(), b"pw".to_vec()))
        );
        assert_eq!(config.outgoing.v4, Some([10, 0, 0, 1].into()));
        assert_eq!(texts(&config.policy.trust), ["127.0.0.1", "192.168.1.1"]);
        assert!(config.policy.auth_once && config.policy.credentials);
        assert_eq!(config.verbosity, LevelFilter::Warn);
    }

    #[test]
    fn lists_are_comma_separated_and_repeatable() {
        let args = ["--clients", "10.0.0.0/8, br-lan", "--clients=fd00::/8"];
        assert_eq!(
            texts(&config(&args).policy.clients),
            ["10.0.0.0/8", "br-lan", "fd00::/8"]
        );
        let args = ["--permit", "10.0.0.1:80", "--block", "[::1]:1-9,wan"];
        assert_eq!(texts(&config(&args).policy.permit), ["10.0.0.1:80"]);
        assert_eq!(texts(&config(&args).policy.block), ["[::1]:1-9", "wan"]);
        let listen = config(&["-i", "127.0.0.1,br-lan:7", "-i", "::1", "-p", "0"]).listen;
        assert_eq!(listen.len(), 3);
        assert_eq!(listen[1], Listen::Interface(String::from("br-lan"), 7));
        assert_eq!(listen[2], Listen::Addr("[::1]:0".parse().unwrap()));
    }

    #[test]
    fn one_address_per_family_or_one_interface_is_bound() {
        let both = config(&["-b", "10.0.0.1,2001:db8::1"]).outgoing;
        assert!(both.v4.is_some() && both.v6.is_some());
        assert_eq!(
            config(&["-b", "10.0.0.1,2001:db8::1"]).families,
            Families::default()
        );
        let only_v4 = config(&["-b", "10.0.0.1"]).families;
        assert!(only_v4.v4 && !only_v4.v6, "IPv6 would leave by another way");
        assert_eq!(
            config(&["-b", "wan"]).outgoing.device.as_deref(),
            Some("wan")
        );
        assert_eq!(config(&["--mark", "0x10"]).outgoing.mark, Some(16));
    }

    #[test]
    fn families_follow_the_options() {
        let families = |args| config(args).families;
        assert_eq!(
            families(&["-4"]),
            Families {
                v4: true,
                v6: false,
                v6_first: false
            }
        );
        assert_eq!(
            families(&["-6"]),
            Families {
                v4: false,
                v6: true,
                v6_first: true
            }
        );
        assert_eq!(
            families(&["--prefer=4"]),
            Families {
                v4: true,
                v6: true,
                v6_first: false
            }
        );
        assert_eq!(families(&["--prefer", "6"]), Families::default());
    }

    #[test]
    fn name_servers_have_port_53_unless_another_is_given() {
        let dns = config(&["--dns", "9.9.9.9,[2620:fe::fe]:5353", "--dns", "2620:fe::9"])
            .sources
            .dns;
        assert_eq!(
            texts(&dns),
            ["9.9.9.9:53", "[2620:fe::fe]:5353", "[2620:fe::9]:53"]
        );
    }

    #[test]
    fn timeouts_are_seconds_up_to_their_bounds() {
        let long = config(&["--idle-timeout", "2592000", "--peer-timeout", "2073600"]).timeouts;
        assert_eq!((long.idle_ms, long.peer_ms), (2_592_000_000, 2_073_600_000));
        let args = [
            "--handshake-timeout=1",
            "--connect-timeout=2",
            "--half-close-timeout=3",
        ];
        let short = config(&args).timeouts;
        assert_eq!(
            (short.handshake_ms, short.connect_ms, short.half_close_ms),
            (1000, 2000, 3000)
        );
    }

    #[test]
    fn limits_are_what_was_asked_for() {
        let args = [
            "--max-sessions=9",
            "--max-per-client=9",
            "--buffers=4",
            "--buffer-size=256",
        ];
        let limits = config(&args).limits;
        assert_eq!((limits.sessions_max, limits.per_client_max), (9, 9));
        assert_eq!((limits.buffers_max, limits.buffer_bytes), (4, 256));
    }

    #[test]
    fn verbosity_grows_with_each_v() {
        assert_eq!(config(&["-v"]).verbosity, LevelFilter::Debug);
        assert_eq!(config(&["-vv"]).verbosity, LevelFilter::Trace);
        assert_eq!(
            config(&["--verbose", "-v", "-v"]).verbosity,
            LevelFilter::Trace
        );
    }

    #[test]
    fn a_value_that_cannot_be_honoured_is_an_error_naming_it() {
        for (args, line) in [
            (
                &["-p", "65536"][..],
                "--port 65536: not a number from 0 to 65535",
            ),
            (&["-p", ""], "--port : not a number from 0 to 65535"),
            (&["-i", "10.0.0.256"], "--listen 10.0.0.256: not an address"),
            (
                &["-i", "::1", "-i", "[::1]:1080"],
                "--listen [::1]:1080: given more than once",
            ),
            (&["--listen="], "--listen : an item of the list is empty"),
            (
                &["--clients", "a,,b"],
                "--clients a,,b: an item of the list is empty",
            ),
            (
                &["-b", "0.0.0.0"],
                "--bind 0.0.0.0: not the address of an interface",
            ),
            (
                &["-b", "fe80::1"],
                "--bind fe80::1: a link-local address reaches nothing",
            ),
            (
                &["-b", "10.0.0.1:1"],
                "--bind 10.0.0.1:1: neither an address nor an interface name",
            ),
            (
                &["-b", "10.0.0.1,10.0.0.2"],
                "--bind 10.0.0.2: a second IPv4 address",
            ),
            (&["-b", "::2,::3"], "--bind ::3: a second IPv6 address"),
            (
                &["-b", "wan,10.0.0.1"],
                "--bind 10.0.0.1: an interface stands alone",
            ),
            (
                &["-b", "10.0.0.1", "-b", "wan"],
                "--bind wan: an interface stands alone",
            ),
            (&["-b", "wan,lan"], "--bind lan: an interface stands alone"),
            (
                &["--mark", "x"],
                "--mark x: not a number of 32 bits, decimal or 0x hexadecimal",
            ),
            (&["--prefer", "5"], "--prefer 5: neither 4 nor 6"),
            (&["--dns", "localhost"], "--dns localhost: not an address"),
            (
                &["--dns", "1.1.1.1:0"],
                "--dns 1.1.1.1:0: nobody answers there",
            ),
            (
                &["--dns", "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4"],
                "--dns 1.1.1.4: one more than 3",
            ),
            (&["--users", ""], "--users: needs the name of a file"),
        ] {
            assert_eq!(error(args), line);
        }
        assert!(error(&["--clients", "10.0.0.0/33"]).starts_with("--clients 10.0.0.0/33: "));
        assert!(error(&["--permit", "10.0.0.1:9-1"]).starts_with("--permit 10.0.0.1:9-1: "));
    }

    #[test]
    fn a_number_out_of_its_range_is_an_error_naming_both() {
        for (args, line) in [
            (
                &["--idle-timeout", "0"][..],
                "--idle-timeout 0: not a number from 1 to 2592000",
            ),
            (
                &["--peer-timeout=2073601"],
                "--peer-timeout 2073601: not a number from 1 to 2073600",
            ),
            (
                &["--max-sessions", "65536"],
                "--max-sessions 65536: not a number from 1 to 65535",
            ),
            (
                &["--buffers", "3"],
                "--buffers 3: not a number from 4 to 65535",
            ),
            (
                &["--buffer-size", "255"],
                "--buffer-size 255: not a number from 256 to 65536",
            ),
        ] {
            assert_eq!(error(args), line);
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_errors() {
        for (args, line) in [
            (&["-4", "-6"][..], "--ipv4: contradicts --ipv6"),
            (&["-4", "--prefer", "4"], "--prefer 4: contradicts --ipv4"),
            (&["-6", "--prefer", "4"], "--prefer 4: contradicts --ipv6"),
            (
                &["-4", "-b", "2001:db8::1"],
                "--bind 2001:db8::1: contradicts --ipv4",
            ),
            (
                &["-6", "-b", "10.0.0.1"],
                "--bind 10.0.0.1: contradicts --ipv6",
            ),
            (&["-q", "-v"], "--quiet: contradicts --verbose"),
            (
                &["-w", "10.0.0.1"],
                "--trust 10.0.0.1: needs --user or --users",
            ),
            (&["-1"], "--auth-once: needs --user or --users"),
            (&["-u", "me"], "--user me: needs --password"),
            (&["-P", "secret"], "--password: needs --user"),
            (
                &["-u", "", "-P", "secret"],
                "--user : not 1 to 255 bytes long",
            ),
            (
                &["-u", "me", "-P", ""],
                "--password: not 1 to 255 bytes long",
            ),
            (
                &["--max-sessions", "2", "--max-per-client", "3"],
                "--max-per-client 3: more than --max-sessions",
            ),
        ] {
            assert_eq!(error(args), line);
        }
    }

    #[test]
    fn words_that_are_no_options_or_come_wrongly_are_errors() {
        for (args, line) in [
            (&["stray"][..], "stray: belongs to no option"),
            (&["--", "-q"], "-q: belongs to no option"),
            (&["-x"], "-x: unknown option"),
            (&["--no-udp"], "--no-udp: unknown option"),
            (&["--run-as", "nobody"], "--run-as: unknown option"),
            (&["-p"], "--port: needs a value"),
            (&["-q", "--quiet"], "--quiet: given more than once"),
            (&["-p", "1", "-p", "1"], "--port: given more than once"),
            (&["--check=yes"], "--check: takes no value"),
        ] {
            assert_eq!(error(args), line);
        }
        let args = [OsString::from("-q"), OsString::from_vec(vec![b'-', 0xff])];
        assert_eq!(
            parse(&args).unwrap_err().to_string(),
            "argument 2: not UTF-8"
        );
    }

    #[test]
    fn no_error_has_the_password_in_it() {
        for args in [
            &["-u", "me", "-P", "my", "secret"][..],
            &["-P", "secret"],
            &["-u", "me", "-P", "secret", "-P", "secret"],
            &["--password:secret"],
            &["--passwordsecret"],
            &["-u", "me", "-P", "secret", "-p", "x"],
        ] {
            assert!(!error(args).contains("secret"), "{args:?}");
        }
        let long = format!("secret{}", "x".repeat(250));
        assert!(!error(&["-u", "me", "-P", &long]).contains("secret"));
    }

    #[test]
    fn the_lists_are_bounded() {
        let list = vec!["10.0.0.1"; 257].join(",");
        assert_eq!(
            error(&["--clients", &list]),
            "--clients 10.0.0.1: one more than 256"
        );
        let list: Vec<String> = (1..=9).map(|n| format!("127.0.0.{n}")).collect();
        assert_eq!(
            error(&["-i", &list.join(",")]),
            "--listen 127.0.0.9: one more than 8"
        );
    }

    #[test]
    fn help_and_version_come_before_the_meaning_of_the_rest() {
        assert!(matches!(command(&["-4", "-6", "-h"]), Ok(Command::Help(_))));
        assert!(matches!(
            command(&["stray", "--version"]),
            Ok(Command::Version)
        ));
    }

    #[test]
    fn the_help_text_names_every_option_and_fits_a_terminal() {
        for (letter, name, form) in TABLE {
            let long = format!("--{name} ");
            let line = HELP.lines().find(|line| line.contains(&long));
            let line = line.unwrap_or_else(|| panic!("{name} is not explained"));
            assert_eq!(
                line.contains(&format!("-{letter}, --")),
                !letter.is_empty(),
                "{name}"
            );
            assert_eq!(line.contains(",.."), matches!(form, Form::Many), "{name}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 96));
        let options = HELP
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .count();
        assert_eq!(options, TABLE.len());
    }

    proptest! {
        #[test]
        fn any_words_give_a_command_or_one_line(
            words in proptest::collection::vec(
                "(-[a-zA-Z1-6]{1,3}|--[a-z-]{0,9}|\\PC{0,9}|[0-9.:/,]{1,9})",
                0..8,
            ),
        ) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            if let Err(error) = parse(&words) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
