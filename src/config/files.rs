//! The files that the configuration draws on: users, resolv.conf, hosts, and the kernel's
//! memory figure.
//!
//! Reading is bounded, parsing is pure. SIGHUP goes through [`Sources`] again; what to do with
//! a file that has become bad is for the caller to decide.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use super::dns::{DnsSettings, Families};
use super::error::ConfigError;
use super::settings::Sources;
use super::values::{self, Scopes};
use crate::net::{Errno, in_words};
use crate::state::users::Users;
use crate::sys::file::{self, Contents, Words, lines};
use crate::sys::memory;
use crate::sys::scope::interface_index;
use crate::wire::decimal;

/// The port of name servers (RFC 1035 §4.2).
pub(super) const DNS_PORT: u16 = 53;

/// Name servers at most, glibc's `MAXNS`.
pub(super) const NAME_SERVERS_MAX: usize = 3;

/// Search domains at most, glibc's `MAXDNSRCH` until it was dropped.
const SEARCH_MAX: usize = 6;

/// Bytes of one file at most; all of it is in memory while it is parsed.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Names of the hosts file at most. They are searched one after the other for each name.
const HOSTS_MAX: usize = 4_096;

/// Warnings about one file at most.
const WARNINGS_MAX: usize = 8;

/// Longest name in text (RFC 1035 §2.3.4, less the root label and one length byte).
const NAME_BYTES_MAX: usize = 253;

/// Memory that is assumed where the kernel does not tell: that of a small router.
const MEMORY_BYTES_FALLBACK: u64 = 64 << 20;

/// The files as they were read, before anybody has judged them: users, resolv.conf and hosts.
/// What has no path does not exist.
#[derive(PartialEq, Eq)]
pub struct Files([Result<Contents, Errno>; 3]);

impl Sources {
    /// The paths of the files, in the order of [`Files`].
    fn paths(&self) -> [Option<&str>; 3] {
        [&self.users, &self.resolv_conf, &self.hosts].map(Option::as_deref)
    }

    /// Reads the files.
    pub fn read(&self) -> Files {
        Files(self.paths().map(|path| {
            let path = path.ok_or(Errno::ENOENT)?;
            file::contents(path, FILE_BYTES_MAX)
        }))
    }

    /// The path of a file that is empty or whose last line has no end: it may be one that is
    /// being written.
    pub fn unfinished(&self, files: &Files) -> Option<&str> {
        let is_unfinished = |read: &Result<Contents, Errno>| match read {
            Ok(file) => file.rights.is_file && file.is_whole && !file.text.ends_with(b"\n"),
            Err(_) => false,
        };
        let at = files.0.iter().position(is_unfinished)?;
        self.paths()[at]
    }

    /// The users of the users file and the one of the command line. Fails when the file cannot be
    /// read, can be written by everybody, is larger than 1 MiB, has a bad line, no user at all (an
    /// emptied file is an accident: it would lock everyone out), or the command line's user too.
    pub fn load_users(
        &self,
        files: &Files,
        warnings: &mut Vec<String>,
    ) -> Result<Users, ConfigError> {
        let mut users = match &self.users {
            Some(path) => parse_users(&files.0[0], path, warnings)
                .map_err(|why| ConfigError::about("users", Some(path), &why))?,
            None => Users::default(),
        };
        if let Some((name, password)) = &self.credential {
            users
                .add(name, password)
                .map_err(|why| ConfigError::about("user", str::from_utf8(name).ok(), why))?;
        }
        Ok(users)
    }

    /// What the resolver works with. A missing resolv.conf or one without name servers stands for
    /// 127.0.0.1, as in glibc; a missing hosts file for an empty one.
    pub fn load_dns(
        &self,
        files: &Files,
        families: Families,
        warnings: &mut Vec<String>,
    ) -> DnsSettings {
        let mut settings = DnsSettings {
            families,
            ..DnsSettings::default()
        };
        if let Some(path) = &self.resolv_conf {
            if let Some(text) = optional(path, &files.0[1], warnings) {
                for (line, why) in parse_resolv_conf(text, &mut settings, interface_index) {
                    warnings.push(format!("{path}: line {line}: {why}"));
                }
            }
            if settings.servers.is_empty() {
                let local = SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT));
                settings.servers.push(local);
            }
        }
        if !self.dns.is_empty() {
            settings.servers.clone_from(&self.dns);
        }
        if let Some(path) = &self.hosts
            && let Some(text) = optional(path, &files.0[2], warnings)
        {
            let (hosts, all) = parse_hosts(text);
            settings.hosts = hosts;
            if !all {
                warnings.push(format!("{path}: only {HOSTS_MAX} names are used"));
            }
        }
        settings
    }

    /// What the resolver is to work with instead of `old`, because resolv.conf has changed: what it
    /// was made for `patience_ms`. `None`: it has not changed, or it cannot be read, or names no
    /// server, and then all stays as it was.
    pub fn changed_dns(&self, old: &DnsSettings, patience_ms: u32) -> Option<DnsSettings> {
        let path = self.resolv_conf.as_ref().filter(|_| self.dns.is_empty())?;
        let file = file::contents(path, FILE_BYTES_MAX).ok()?;
        let mut new = DnsSettings {
            families: old.families,
            ..DnsSettings::default()
        };
        parse_resolv_conf(&file.text, &mut new, interface_index);
        let mut new = new.within(patience_ms);
        if new.servers.is_empty() || new.is_asked_like(old) {
            return None;
        }
        new.hosts.clone_from(&old.hosts);
        Some(new)
    }
}

/// The memory in bytes that the machine has, less what the kernel keeps for itself, or that a
/// control group leaves of it; 64 MiB where neither is told.
pub fn memory_bytes() -> u64 {
    let memory = memory::Source::find().read();
    let rooms = [memory.machine, memory.cgroup].into_iter().flatten();
    let least = rooms.map(|room| room.bytes).min();
    least.unwrap_or(MEMORY_BYTES_FALLBACK)
}

/// Judges and parses the users file. An error is what is wrong with it.
fn parse_users(
    read: &Result<Contents, Errno>,
    path: &str,
    warnings: &mut Vec<String>,
) -> Result<Users, String> {
    let file = match read {
        Ok(file) => file,
        Err(failure) => return Err(format!("{}", in_words(*failure))),
    };
    let rights = &file.rights;
    if !rights.is_file {
        return Err("not a file".into());
    }
    if rights.others_write {
        return Err("everybody may write it (chmod o-w)".into());
    }
    if !file.is_whole {
        return Err("larger than 1 MiB".into());
    }
    let users = Users::parse(&file.text).map_err(|(line, why)| format!("line {line}: {why}"))?;
    if users.is_empty() {
        return Err("no user in it".into());
    }
    if rights.group_writes {
        warnings.push(format!("{path}: its group may write it (chmod g-w)"));
    }
    if rights.others_read {
        warnings.push(format!("{path}: everybody may read it (chmod o-r)"));
    }
    Ok(users)
}

/// The lines of a file that may be missing. What else is wrong goes to `warnings`.
fn optional<'a>(
    path: &str,
    read: &'a Result<Contents, Errno>,
    warnings: &mut Vec<String>,
) -> Option<&'a [u8]> {
    match read {
        Ok(Contents { text, is_whole, .. }) if *is_whole => Some(text),
        Ok(Contents { text, .. }) => {
            warnings.push(format!("{path}: only the first 1 MiB is read"));
            let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            Some(&text[..end])
        }
        Err(Errno::ENOENT) => None,
        Err(failure) => {
            warnings.push(format!("{path}: {}", in_words(*failure)));
            None
        }
    }
}

/// Reads resolv.conf as resolv.conf(5) says: keywords at the start of a line, # and ; begin
/// comments, the last `search` or `domain` counts, unknown words are passed over. Returns at
/// most 8 lines that are worth a warning. glibc's default search list, the domain of the host
/// name, and its environment variables are left out: routers have none of them.
pub fn parse_resolv_conf(
    text: &[u8],
    settings: &mut DnsSettings,
    scopes: Scopes,
) -> Vec<(usize, &'static str)> {
    let mut faults = Vec::new();
    for (number, line) in lines(text).enumerate() {
        if line.first().is_none_or(u8::is_ascii_whitespace) {
            continue;
        }
        let mut words = words(line, b';');
        let outcome = match words.next() {
            Some(b"nameserver") => name_server(words.next(), settings, scopes),
            Some(b"domain") => search(words, 1, settings),
            Some(b"search") => search(words, SEARCH_MAX, settings),
            Some(b"options") => {
                for word in words {
                    option(word, settings);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = outcome
            && faults.len() < WARNINGS_MAX
        {
            faults.push((number + 1, why));
        }
    }
    faults
}

/// The words of a line up to a comment, which # begins, and `comment`.
fn words(line: &[u8], comment: u8) -> Words<'_> {
    let begins = |byte: &u8| *byte == b'#' || *byte == comment;
    let end = line.iter().position(begins).unwrap_or(line.len());
    Words(&line[..end])
}

/// One `nameserver` line. Those behind the third are passed over, as in glibc.
fn name_server(
    word: Option<&[u8]>,
    settings: &mut DnsSettings,
    scopes: Scopes,
) -> Result<(), &'static str> {
    let text = word
        .and_then(|word| str::from_utf8(word).ok())
        .ok_or("not an address")?;
    let (addr, scope) = values::address(text, scopes)?;
    let server = match addr {
        IpAddr::V6(v6) => SocketAddrV6::new(v6, DNS_PORT, 0, scope).into(),
        IpAddr::V4(_) => SocketAddr::new(addr, DNS_PORT),
    };
    if settings.servers.len() < NAME_SERVERS_MAX {
        settings.servers.push(server);
    }
    Ok(())
}

/// A `search` or `domain` line, which takes the place of the ones before; of a `domain` line
/// the first word counts. The root, as systemd-resolved writes it, adds nothing to a name and
/// is left out.
fn search(
    words: Words<'_>,
    words_max: usize,
    settings: &mut DnsSettings,
) -> Result<(), &'static str> {
    settings.search.clear();
    for word in words {
        if word == b"." {
            continue;
        }
        let name = name(word).ok_or("not a domain")?;
        if settings.search.len() == words_max {
            // glibc passes over what follows the domain, so that is no fault.
            return if words_max == 1 {
                Ok(())
            } else {
                Err("only 6 search domains are used")
            };
        }
        settings.search.push(name);
    }
    Ok(())
}

/// One word of an `options` line; numbers are brought into glibc's bounds.
fn option(word: &[u8], settings: &mut DnsSettings) {
    let colon = word.iter().position(|byte| *byte == b':');
    let (key, value) = word.split_at(colon.unwrap_or(word.len()));
    let digits = value.get(1..).unwrap_or_default();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        settings.rotate |= key == b"rotate";
        return;
    }
    // A number beyond 8 bits is as good as the largest.
    let number = decimal(digits).and_then(|number| u8::try_from(number).ok());
    let number = number.unwrap_or(u8::MAX);
    match key {
        b"ndots" => settings.ndots = number.min(15),
        b"attempts" => settings.attempts = number.clamp(1, 5),
        b"timeout" => settings.timeout_ms = u32::from(number.clamp(1, 30)) * 1000,
        _ => {}
    }
}

/// Names with their addresses, as [`DnsSettings`] has them.
pub type Hosts = Vec<(Box<[u8]>, IpAddr)>;

/// Reads a hosts file: an address and its names on each line. Lines that are something else
/// are passed over, as in glibc. Returns the names with their addresses, and `false` if there are
/// more than [`HOSTS_MAX`].
pub fn parse_hosts(text: &[u8]) -> (Hosts, bool) {
    let mut hosts = Vec::new();
    for line in lines(text) {
        let mut words = words(line, b'#');
        let addr = words.next().and_then(|word| str::from_utf8(word).ok());
        let Some(Ok(addr)) = addr.map(str::parse::<IpAddr>) else {
            continue;
        };
        for name in words.filter_map(name) {
            if hosts.len() == HOSTS_MAX {
                return (hosts, false);
            }
            hosts.push((name, addr.to_canonical()));
        }
    }
    (hosts, true)
}

/// A name in lower case without the dot at its end; `None` if it cannot be asked for.
fn name(word: &[u8]) -> Option<Box<[u8]>> {
    let word = word.strip_suffix(b".").unwrap_or(word);
    let sound = (1..=NAME_BYTES_MAX).contains(&word.len())
        && word.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    sound.then(|| word.to_ascii_lowercase().into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scopes(name: &str) -> Option<u32> {
        (name == "wan").then_some(4)
    }

    fn resolv(text: &str) -> (DnsSettings, Vec<(usize, &'static str)>) {
        let mut settings = DnsSettings::default();
        let faults = parse_resolv_conf(text.as_bytes(), &mut settings, scopes);
        (settings, faults)
    }

    fn texts(names: &[Box<[u8]>]) -> Vec<&str> {
        names
            .iter()
            .map(|name| str::from_utf8(name).unwrap())
            .collect()
    }

    fn servers(settings: &DnsSettings) -> Vec<String> {
        settings.servers.iter().map(ToString::to_string).collect()
    }

    /// A file in the temporary folder that goes when its test ends.
    struct Scratch(String);

    impl Scratch {
        fn new(name: &str, contents: &[u8]) -> Self {
            let file = format!("anklet-files-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(file);
            fs::write(&path, contents).unwrap();
            Self(path.into_os_string().into_string().unwrap())
        }

        fn name(&self) -> String {
            self.0.clone()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_usual_resolv_conf_is_read() {
        let (settings, faults) = resolv(
            "# written by netifd\n\
             search Lan. example.org\n\
             nameserver 192.168.1.1\n\
             nameserver 2001:db8::1 ; the second\n\
             nameserver fe80::1%wan\n\
             nameserver 9.9.9.9\n\
             options ndots:2 timeout:3 attempts:4 rotate edns0 trust-ad\n",
        );
        assert_eq!(
            servers(&settings),
            ["192.168.1.1:53", "[2001:db8::1]:53", "[fe80::1%4]:53"]
        );
        assert_eq!(texts(&settings.search), ["lan", "example.org"]);
        assert_eq!(
            (settings.ndots, settings.timeout_ms, settings.attempts),
            (2, 3000, 4)
        );
        assert!(settings.rotate);
        assert_eq!(faults, []);
    }

    #[test]
    fn options_out_of_bounds_are_brought_into_them() {
        let (high, _) = resolv("options ndots:99 timeout:31 attempts:99999999999999999999999");
        assert_eq!(
            (high.ndots, high.timeout_ms, high.attempts),
            (15, 30_000, 5)
        );
        let (low, _) = resolv("options ndots:0 timeout:0 attempts:0");
        assert_eq!((low.ndots, low.timeout_ms, low.attempts), (0, 1000, 1));
        let (odd, _) = resolv("options ndots: timeout:x attempts:-1 :5 rotated");
        assert_eq!(
            (odd.ndots, odd.timeout_ms, odd.attempts, odd.rotate),
            (1, 5000, 2, false)
        );
    }

    #[test]
    fn the_last_search_or_domain_counts() {
        assert_eq!(texts(&resolv("search a b\ndomain c d\n").0.search), ["c"]);
        assert_eq!(
            texts(&resolv("domain c\nsearch a b\n").0.search),
            ["a", "b"]
        );
        assert!(resolv("search a\nsearch .\n").0.search.is_empty());
    }

    #[test]
    fn too_many_search_domains_are_reported() {
        let (settings, faults) = resolv("search a b c d e f g h");
        assert_eq!(settings.search.len(), 6);
        assert_eq!(faults, [(1, "only 6 search domains are used")]);
    }

    #[test]
    fn bad_name_servers_are_reported_with_their_line_and_the_good_ones_used() {
        let (settings, faults) =
            resolv("nameserver\nnameserver x\nnameserver fe80::1%nowhere\nnameserver 1.1.1.1#x\n");
        assert_eq!(servers(&settings), ["1.1.1.1:53"]);
        let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3]);
        assert_eq!(resolv(&"nameserver x\n".repeat(100)).1.len(), WARNINGS_MAX);
    }

    #[test]
    fn keywords_count_at_the_start_of_a_line_only() {
        assert!(
            resolv(" nameserver 1.1.1.1\n#nameserver 1.1.1.1\n;x\n")
                .0
                .servers
                .is_empty()
        );
        assert!(resolv("nameserverx 1.1.1.1\n\n\r\n").0.servers.is_empty());
        assert_eq!(resolv("nameserver\t1.1.1.1\r\n").0.servers.len(), 1);
    }

    #[test]
    fn a_hosts_file_gives_every_name_its_address() {
        let (hosts, all) = parse_hosts(
            b"127.0.0.1\tlocalhost\n\n# x y\n::1 localhost IP6-localhost # z\n\
              bad line\n192.168.1.5 Printer.Lan. printer\nfe80::1%eth0 scoped\n10.0.0.1",
        );
        assert!(all);
        let hosts: Vec<String> = hosts
            .iter()
            .map(|(name, addr)| format!("{} {addr}", str::from_utf8(name).unwrap()))
            .collect();
        assert_eq!(
            hosts,
            [
                "localhost 127.0.0.1",
                "localhost ::1",
                "ip6-localhost ::1",
                "printer.lan 192.168.1.5",
                "printer 192.168.1.5"
            ]
        );
    }

    #[test]
    fn a_hosts_file_is_bounded() {
        let full = "0.0.0.0 a\n".repeat(HOSTS_MAX);
        assert!(parse_hosts(full.as_bytes()).1);
        let (hosts, all) = parse_hosts((full + "0.0.0.0 b").as_bytes());
        assert_eq!((hosts.len(), all), (HOSTS_MAX, false));
    }

    #[test]
    fn the_memory_figure_is_there() {
        assert!(memory_bytes() > 1 << 20);
    }

    #[test]
    fn missing_files_stand_for_a_server_on_this_machine_and_no_hosts() {
        let sources = Sources {
            resolv_conf: Some(String::from("/nonexistent/resolv.conf")),
            hosts: Some(String::from("/nonexistent/hosts")),
            ..Sources::default()
        };
        let families = Families {
            v4: true,
            v6: false,
            v6_first: false,
        };
        let mut warnings = Vec::new();
        let settings = sources.load_dns(&sources.read(), families, &mut warnings);
        assert_eq!(servers(&settings), ["127.0.0.1:53"]);
        assert!(settings.hosts.is_empty());
        assert!(!settings.families.v6);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn name_servers_of_the_command_line_replace_those_of_the_file_only() {
        let file = Scratch::new(
            "resolv",
            b"nameserver 1.1.1.1\nsearch lan\noptions ndots:3\n",
        );
        let sources = Sources {
            dns: vec!["10.0.0.1:5353".parse().unwrap()],
            resolv_conf: Some(file.name()),
            ..Sources::default()
        };
        let settings = sources.load_dns(&sources.read(), Families::default(), &mut vec![]);
        assert_eq!(servers(&settings), ["10.0.0.1:5353"]);
        assert_eq!((texts(&settings.search), settings.ndots), (vec!["lan"], 3));
    }

    #[test]
    fn an_overlong_hosts_file_is_cut_at_a_line_with_a_warning() {
        let mut text = b"0.0.0.0 a\n".to_vec();
        text.resize(FILE_BYTES_MAX - 12, b'#');
        text.extend_from_slice(b"\n10.0.0.1 partly");
        let file = Scratch::new("hosts", &text);
        let sources = Sources {
            hosts: Some(file.name()),
            ..Sources::default()
        };
        let mut warnings = Vec::new();
        let settings = sources.load_dns(&sources.read(), Families::default(), &mut warnings);
        assert_eq!(settings.hosts.len(), 1);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("only the first 1 MiB is read"));
    }

    #[test]
    fn users_come_from_the_file_and_the_command_line() {
        let file = Scratch::new("users", b"you:word\n");
        let credential = Some((b"me".to_vec(), b"secret".to_vec()));
        let sources = Sources {
            credential,
            users: Some(file.name()),
            ..Sources::default()
        };
        assert_eq!(load_users(&sources).unwrap().0.len(), 2);
        assert!(load_users(&Sources::default()).unwrap().0.is_empty());
    }

    #[test]
    fn a_bad_users_file_is_an_error_with_its_line_and_without_its_contents() {
        let line = |name, contents: &[u8]| {
            let file = Scratch::new(name, contents);
            let sources = Sources {
                users: Some(file.name()),
                ..Sources::default()
            };
            let line = load_users(&sources).unwrap_err().to_string();
            let place = format!("--users {}: ", file.0);
            line.strip_prefix(&place).unwrap().to_string()
        };
        assert!(line("bad", b"you:word\nhunter2\n").starts_with("line 2: "));
        assert!(!line("quiet", b"you:word\nhunter2\n").contains("hunter2"));
        assert_eq!(line("empty", b"# nobody\n"), "no user in it");
        assert_eq!(
            line("long", &vec![b'#'; FILE_BYTES_MAX + 1]),
            "larger than 1 MiB"
        );
    }

    #[test]
    fn a_users_file_that_is_missing_or_no_file_is_an_error() {
        let line = |path: &str| {
            let sources = Sources {
                users: Some(String::from(path)),
                ..Sources::default()
            };
            load_users(&sources).unwrap_err().to_string()
        };
        assert!(line("/nonexistent/u").starts_with("--users /nonexistent/u: No such file"));
        assert_eq!(line("/dev"), "--users /dev: not a file");
        assert_eq!(line("/dev/zero"), "--users /dev/zero: not a file");
    }

    /// The users, and the warnings.
    fn load_users(sources: &Sources) -> Result<(Users, Vec<String>), ConfigError> {
        let mut warnings = Vec::new();
        let users = sources.load_users(&sources.read(), &mut warnings)?;
        Ok((users, warnings))
    }

    /// What is said of a users file of that mode: an error or warnings.
    fn said_of(mode: u32) -> Result<Vec<String>, String> {
        let file = Scratch::new(&format!("mode-{mode:o}"), b"you:word\n");
        fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
        let sources = Sources {
            users: Some(file.name()),
            ..Sources::default()
        };
        let loaded = load_users(&sources);
        let about = |text: String| text.split_once(": ").unwrap().1.to_string();
        match loaded {
            Ok((_, warnings)) => Ok(warnings.into_iter().map(about).collect()),
            Err(error) => Err(about(error.to_string())),
        }
    }

    #[test]
    fn who_may_write_and_read_the_users_file_is_judged() {
        for mode in [0o600, 0o640, 0o400] {
            assert_eq!(said_of(mode), Ok(vec![]), "{mode:o}");
        }
        // The file's group is that of this process.
        assert_eq!(said_of(0o660), Ok(vec![]));
        let readable = String::from("everybody may read it (chmod o-r)");
        assert_eq!(said_of(0o644), Ok(vec![readable]));
        for mode in [0o602, 0o666] {
            let why = String::from("everybody may write it (chmod o-w)");
            assert_eq!(said_of(mode), Err(why), "{mode:o}");
        }
    }

    #[test]
    fn a_users_pipe_is_refused_without_waiting() {
        let file = Scratch::new("pipe", b"");
        fs::remove_file(&file.0).unwrap();
        mkfifo(&*file.0, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let sources = Sources {
            users: Some(file.name()),
            ..Sources::default()
        };
        let files = sources.read();
        assert_eq!(sources.unfinished(&files), None);
        let error = load_users(&sources).unwrap_err().to_string();
        assert!(error.ends_with(": not a file"), "{error}");
    }

    #[test]
    fn a_link_to_a_users_file_is_judged_by_the_file() {
        let file = Scratch::new("target", b"you:word\n");
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o666)).unwrap();
        let link = Scratch::new("link", b"");
        fs::remove_file(&link.0).unwrap();
        symlink(&file.0, &link.0).unwrap();
        let sources = Sources {
            users: Some(link.name()),
            ..Sources::default()
        };
        assert!(load_users(&sources).is_err());
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(load_users(&sources).is_ok());
    }

    #[test]
    fn a_file_that_ends_within_a_line_is_unfinished() {
        for (contents, is_unfinished) in [
            (&b"joe:a-lo"[..], true),
            (b"", true),
            (b"# joe", true),
            (b"joe:a-long-password\n", false),
            (b"\n", false),
        ] {
            let file = Scratch::new("unfinished", contents);
            let path = Some(file.name());
            let (users, none) = (path.clone(), None);
            let all = [
                (users, none.clone(), none.clone()),
                (none.clone(), path.clone(), none.clone()),
                (none.clone(), none, path),
            ];
            for (users, resolv_conf, hosts) in all {
                let sources = Sources {
                    users,
                    resolv_conf,
                    hosts,
                    ..Sources::default()
                };
                let found = sources.unfinished(&sources.read()).is_some();
                assert_eq!(found, is_unfinished, "{contents:?}, {sources:?}");
            }
        }
        let missing = Sources {
            users: Some("/nonexistent/users".into()),
            hosts: Some("/nonexistent/hosts".into()),
            ..Sources::default()
        };
        assert_eq!(missing.unfinished(&missing.read()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            words in "(nameserver|search|domain|options|ndots:|timeout:|1.2|[ \t\n#;%.:a]){0,60}",
        ) {
            for text in [&bytes[..], words.as_bytes()] {
                let mut settings = DnsSettings::default();
                parse_resolv_conf(text, &mut settings, scopes);
                parse_hosts(text);
                prop_assert!(settings.search.len() <= SEARCH_MAX);
                prop_assert!(settings.servers.len() <= NAME_SERVERS_MAX);
            }
        }
    }
}
