//! The users with their names and passwords, and the addresses that need none because they have
//! logged in before (`--auth-once`).
//!
//! Tables and lookups only: the handshake decides which method a client is offered, and the
//! configuration knows the file that the users come from. No error and no `Debug` line shows a
//! password.

use std::fmt;
use std::net::IpAddr;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::net::Millis;

/// The most users. A check compares each of them, and should take no more than about a
/// millisecond on a slow router.
pub const USERS_MAX: usize = 1024;

/// The longest name and the longest password in bytes: RFC 1929 §2 gives each one length byte.
pub const CREDENTIAL_BYTES_MAX: usize = 255;

/// The number of a user among those that were read with it; of no meaning among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId(u16);

impl UserId {
    /// Its place among the users.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The user at that index, which is below [`USERS_MAX`].
    fn at(index: usize) -> Self {
        Self(u16::try_from(index).expect("there are at most 1,024 users"))
    }
}

/// Names and passwords, byte strings both.
#[derive(Default)]
pub struct Users {
    users: Vec<User>,
}

struct User {
    name: Box<[u8]>,
    password: Box<[u8]>,
    usage: Usage,
}

/// What the sessions of a user come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Those that are open.
    pub sessions: u32,
    /// Bytes that the others have carried from clients to targets, since there is this user.
    pub up_bytes: u64,
    /// And back.
    pub down_bytes: u64,
}

impl Users {
    /// Adds a user. Name and password have 1 to [`CREDENTIAL_BYTES_MAX`] bytes.
    ///
    /// Errors: one is empty or too long, there is a user of that name, or there are [`USERS_MAX`].
    pub fn add(&mut self, name: &[u8], password: &[u8]) -> Result<(), &'static str> {
        if name.is_empty() || name.len() > CREDENTIAL_BYTES_MAX {
            return Err("a user name has 1 to 255 bytes");
        }
        if password.is_empty() || password.len() > CREDENTIAL_BYTES_MAX {
            return Err("a password has 1 to 255 bytes");
        }
        if self.users.len() == USERS_MAX {
            return Err("more than 1024 users");
        }
        if self.find(name).is_some() {
            return Err("this user name stands twice");
        }
        self.users.push(User {
            name: name.into(),
            password: password.into(),
            usage: Usage::default(),
        });
        Ok(())
    }

    /// Reads a users file: one `name:password` per line, blanks and other bytes as `%XX` in
    /// both, then `key=value` fields, none of which is known yet. Lines may end in CR LF; empty
    /// ones and those that begin with `#` are skipped. An error is the line's number, from 1,
    /// and what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, (usize, &'static str)> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut users = Self::default();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            users
                .add_line(line.strip_suffix(b"\r").unwrap_or(line))
                .map_err(|why| (number, why))?;
        }
        Ok(users)
    }

    /// The number of users, at most [`USERS_MAX`].
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Returns `true` if there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The name of one of these users.
    pub fn name(&self, user: UserId) -> &[u8] {
        &self.user(user).name
    }

    /// What the sessions of one of these users come to.
    pub fn usage_mut(&mut self, user: UserId) -> &mut Usage {
        &mut self.users[usize::from(user.0)].usage
    }

    /// The user at that index: its name, and what its sessions come to.
    pub fn at(&self, index: usize) -> Option<(&[u8], Usage)> {
        let user = self.users.get(index)?;
        Some((&user.name, user.usage))
    }

    /// The users were read again: who was one of the `old` ones keeps what was counted.
    pub fn follow(&mut self, old: &Self) {
        for user in &mut self.users {
            if let Some(before) = old.find(&user.name) {
                user.usage = old.user(before).usage;
            }
        }
    }

    fn user(&self, user: UserId) -> &User {
        &self.users[usize::from(user.0)]
    }

    /// The user of that name. Not for what a client sent: see [`Self::verify`].
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        let index = self.users.iter().position(|user| *user.name == *name)?;
        Some(UserId::at(index))
    }

    /// The user whose name and password these are; empty and over-long ones are nobody's.
    ///
    /// Takes the same time whatever was sent (P4, P6): name and password of every user are
    /// compared, all padded to the same length. Padding those that are stored takes a time that
    /// depends on the users, but is the same for every guess.
    pub fn verify(&self, name: &[u8], password: &[u8]) -> Option<UserId> {
        let (name, password) = (Padded::new(name), Padded::new(password));
        let mut found = NOBODY;
        for (index, user) in (0u32..).zip(&self.users) {
            let right =
                Padded::new(&user.name).same(&name) & Padded::new(&user.password).same(&password);
            found.conditional_assign(&index, right);
        }
        u16::try_from(found).ok().map(UserId)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let mut fields = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|f| !f.is_empty());
        let Some(first) = fields.next() else {
            return Ok(());
        };
        if first.starts_with(b"#") {
            return Ok(());
        }
        let colon = first.iter().position(|byte| *byte == b':');
        let (name, password) =
            first.split_at(colon.ok_or("no colon between the name and the password")?);
        if let Some(field) = fields.next() {
            return Err(if field.contains(&b'=') {
                "unknown key"
            } else {
                "key=value expected behind the password (a blank is written %20)"
            });
        }
        self.add(&decoded(name)?, &decoded(&password[1..])?)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.users.len())
    }
}

/// No index of a user: [`USERS_MAX`] is less, and it does not fit a [`UserId`].
const NOBODY: u32 = u32::MAX;
const _: () = assert!(USERS_MAX <= u16::MAX as usize);

/// The bytes that some editors put in front of a text file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A name or a password in a form of fixed size: a byte with its length and 255 bytes, as words of
/// four bytes, because then there are a quarter of the comparisons.
struct Padded([u32; (CREDENTIAL_BYTES_MAX + 1) / 4]);

impl Padded {
    /// Too long a text becomes the empty one, which no user has.
    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; CREDENTIAL_BYTES_MAX + 1];
        if let Ok(len) = u8::try_from(text.len()) {
            bytes[0] = len;
            bytes[1..=text.len()].copy_from_slice(text);
        }
        let mut words = [0; (CREDENTIAL_BYTES_MAX + 1) / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        Self(words)
    }

    fn same(&self, other: &Self) -> Choice {
        self.0[..].ct_eq(&other.0[..])
    }
}

/// Decodes `%XX`, one byte in hexadecimal. Other bytes stay as they are.
fn decoded(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let [high, low, ..] = *rest else {
            return Err(BAD_ESCAPE);
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (
            digit(high).ok_or(BAD_ESCAPE)?,
            digit(low).ok_or(BAD_ESCAPE)?,
        );
        bytes.push(u8::try_from(high << 4 | low).map_err(|_| BAD_ESCAPE)?);
        rest = &rest[2..];
    }
    Ok(bytes)
}

const BAD_ESCAPE: &str = "two hexadecimal digits expected behind % (a % is written %25)";

/// A table of what was seen lately: at most [`RECENT_MAX`] keys, each with a value. In a full
/// table a new key takes the place of the one that was not seen for the longest time.
#[derive(Debug)]
struct Recent<K, V> {
    seen: Vec<Seen<K, V>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen<K, V> {
    key: K,
    value: V,
    /// When, in milliseconds.
    at: Millis,
}

/// The number of keys of a table: a /24 of clients.
const RECENT_MAX: usize = 256;

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<K: Copy + PartialEq, V: Copy> Recent<K, V> {
    /// The value of `key` if it was seen less than `quiet_ms` ago.
    fn value(&self, key: K, now: Millis, quiet_ms: Millis) -> Option<V> {
        let seen = self.seen.iter().find(|seen| seen.key == key)?;
        (now.saturating_sub(seen.at) < quiet_ms).then_some(seen.value)
    }

    /// Sets the value of `key`, seen now.
    fn set(&mut self, key: K, value: V, now: Millis) {
        let new = Seen {
            key,
            value,
            at: now,
        };
        if let Some(known) = self.seen.iter_mut().find(|seen| seen.key == key) {
            *known = new;
        } else if self.seen.len() < RECENT_MAX {
            self.seen.push(new);
        } else if let Some(oldest) = self.seen.iter_mut().min_by_key(|seen| seen.at) {
            *oldest = new;
        }
    }

    fn forget(&mut self, key: K) {
        self.seen.retain(|seen| seen.key != key);
    }
}

/// The addresses that have authenticated (`--auth-once`), each trusted as that user.
#[derive(Debug, Default)]
pub struct Remembered(Recent<IpAddr, UserId>);

/// After an hour without a connection an address must authenticate again.
const REMEMBERED_IDLE_MS: Millis = 3_600_000;

impl Remembered {
    /// The user that `addr` has authenticated as. It is kept for another hour from `now` on.
    /// Exactly this address, v4-mapped unwrapped.
    pub fn lookup(&mut self, addr: IpAddr, now: Millis) -> Option<UserId> {
        let addr = addr.to_canonical();
        let user = self.0.value(addr, now, REMEMBERED_IDLE_MS);
        match user {
            Some(user) => self.0.set(addr, user, now),
            None => self.0.forget(addr),
        }
        user
    }

    /// Remembers that `addr` has authenticated as `user`. In a full table it takes the place of
    /// the address that has been idle for the longest time.
    pub fn insert(&mut self, addr: IpAddr, user: UserId, now: Millis) {
        self.0.set(addr.to_canonical(), user, now);
    }

    /// The users were read again: each address follows its user to the new number, and is
    /// forgotten if the user is gone or has another password.
    pub fn keep(&mut self, old: &Users, new: &Users) {
        self.0.seen.retain_mut(|seen| {
            let successor = successor(seen.value, old, new);
            seen.value = successor.unwrap_or(seen.value);
            successor.is_some()
        });
    }
}

/// The user among `new` that has the name and the password of `user` among `old`.
fn successor(user: UserId, old: &Users, new: &Users) -> Option<UserId> {
    let before = old.user(user);
    let successor = new.find(&before.name)?;
    (new.user(successor).password == before.password).then_some(successor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn users(list: &[(&[u8], &[u8])]) -> Users {
        let mut users = Users::default();
        for (name, password) in list {
            users.add(name, password).unwrap();
        }
        users
    }

    fn addr(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn p6_credentials_are_byte_strings() {
        let users = users(&[
            (b"a", b"x"),
            (b"a\0", b"y"),
            (b"\xff\xfe", b"z\0"),
            (b"a\0b", b"w"),
        ]);
        assert_eq!(users.verify(b"a", b"x"), Some(UserId(0)));
        assert_eq!(users.verify(b"a\0", b"y"), Some(UserId(1)));
        assert_eq!(users.verify(b"\xff\xfe", b"z\0"), Some(UserId(2)));
        assert_eq!(users.verify(b"a\0b", b"w"), Some(UserId(3)));
        for (name, password) in [
            (&b"a"[..], &b"y"[..]),
            (b"a\0", b"x"),
            (b"a", b"x\0"),
            (b"\xff\xfe", b"z"),
            (b"A", b"x"),
            (b"b", b"x"),
            (b"a", b"xx"),
            (b"a\0\0", b"y"),
        ] {
            assert_eq!(users.verify(name, password), None);
        }
    }

    #[test]
    fn p3_empty_and_overlong_credentials_are_wrong() {
        let long = [b'x'; 255];
        let users = users(&[(b"a", b"x"), (&long, &long)]);
        assert_eq!(users.verify(&long, &long), Some(UserId(1)));
        for (name, password) in [(&b""[..], &b""[..]), (b"a", b""), (b"", b"x")] {
            assert_eq!(users.verify(name, password), None);
        }
        assert_eq!(users.verify(&[b'x'; 256], &long), None);
        assert_eq!(users.verify(&long, &[b'x'; 511]), None);
        assert_eq!(Users::default().verify(b"", b""), None);
    }

    #[test]
    fn add_refuses_what_cannot_be_sent_or_told_apart() {
        let mut users = users(&[(b"a", b"x")]);
        assert!(users.add(b"", b"x").is_err());
        assert!(users.add(b"b", b"").is_err());
        assert!(users.add(&[b'x'; 256], b"x").is_err());
        assert!(users.add(b"b", &[b'x'; 256]).is_err());
        assert!(users.add(b"a", b"y").is_err());
        assert_eq!(users.len(), 1);
        for n in 1..USERS_MAX {
            users.add(n.to_string().as_bytes(), b"x").unwrap();
        }
        assert!(users.add(b"b", b"x").is_err());
        assert_eq!(users.verify(b"1023", b"x"), Some(UserId(1023)));
    }

    #[test]
    fn a_users_file_is_read() {
        let text = b"# people\r\n\r\n\n  \t\nann:secret\r\n b%3Ab:p:q%20%25 \n\
            c%00:%e4%FF\n%23d:#\n  # x y\nlast:1";
        let users = Users::parse(text).unwrap();
        assert_eq!(users.len(), 5);
        for (name, password) in [
            (&b"ann"[..], &b"secret"[..]),
            (b"b:b", b"p:q %"),
            (b"c\0", b"\xe4\xff"),
            (b"#d", b"#"),
            (b"last", b"1"),
        ] {
            let user = users.verify(name, password).unwrap();
            assert_eq!(users.name(user), name);
            assert_eq!(users.find(name), Some(user));
        }
        assert!(Users::parse(b"").unwrap().is_empty());
        assert_eq!(
            Users::parse(b"\xef\xbb\xbfann:x\n").unwrap().find(b"ann"),
            Some(UserId(0))
        );
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_never_quoted() {
        for (text, line) in [
            (&b"ann"[..], 1),
            (b"\nann secret", 2),
            (b"a:b\na:c", 2),
            (b":b", 1),
            (b"a:", 1),
            (b"a:b%", 1),
            (b"a:b%2", 1),
            (b"a:%zz", 1),
            (b"a:%+1", 1),
            (b"#\r\n#\r\na:b c", 3),
            (b"a:b rate=5", 1),
            (b"a:b\r\nc:d \x0c", 2),
            (b"a %20:b", 1),
        ] {
            let (number, why) = Users::parse(text).unwrap_err();
            assert_eq!(number, line, "{why}");
        }
        let long = [b"ok:ok\na:".to_vec(), vec![b'x'; 256]].concat();
        assert_eq!(Users::parse(&long).unwrap_err().0, 2);
    }

    #[test]
    fn debug_lines_show_no_secret() {
        let text = format!("{:?}", users(&[(b"ann", b"secret")]));
        assert_eq!(text, "Users(1)");
    }

    #[test]
    fn an_address_is_remembered_until_idle_for_an_hour() {
        let mut remembered = Remembered::default();
        remembered.insert(addr(1), UserId(7), 0);
        assert_eq!(remembered.lookup(addr(2), 0), None);
        assert_eq!(
            remembered.lookup("::ffff:0.0.0.1".parse().unwrap(), 3_599_999),
            Some(UserId(7))
        );
        assert_eq!(remembered.lookup(addr(1), 7_199_998), Some(UserId(7)));
        remembered.insert(addr(1), UserId(8), 7_199_999);
        assert_eq!(remembered.lookup(addr(1), 7_200_000), Some(UserId(8)));
        assert_eq!(remembered.lookup(addr(1), 10_800_000), None);
        assert!(remembered.0.seen.is_empty());
    }

    #[test]
    fn a_full_memory_loses_the_longest_idle() {
        let mut remembered = Remembered::default();
        for n in 0..256 {
            remembered.insert(addr(n), UserId(0), u64::from(n));
        }
        assert_eq!(remembered.lookup(addr(0), 300), Some(UserId(0)));
        remembered.insert(addr(999), UserId(0), 301);
        assert_eq!(remembered.0.seen.len(), RECENT_MAX);
        assert_eq!(remembered.lookup(addr(1), 302), None);
        assert_eq!(remembered.lookup(addr(0), 302), Some(UserId(0)));
    }

    #[test]
    fn a_reload_keeps_the_same_credentials_and_revokes_the_rest() {
        let old = users(&[(b"gone", b"1"), (b"changed", b"2"), (b"stays", b"3")]);
        let new = users(&[(b"stays", b"3"), (b"changed", b"9"), (b"new", b"1")]);
        let mut remembered = Remembered::default();
        for user in 0..3 {
            remembered.insert(addr(u32::from(user)), UserId(user), 0);
        }
        remembered.keep(&old, &new);
        let found: Vec<_> = (0..3).map(|n| remembered.lookup(addr(n), 1)).collect();
        assert_eq!(found, [None, None, Some(UserId(0))]);
    }

    #[test]
    fn what_was_counted_of_a_user_outlives_a_change_of_the_others() {
        let mut old = users(&[(b"gone", b"1"), (b"stays", b"2")]);
        let before = Usage {
            sessions: 2,
            up_bytes: 3,
            down_bytes: 4,
        };
        for name in [&b"gone"[..], b"stays"] {
            *old.usage_mut(old.find(name).unwrap()) = before;
        }
        let mut new = users(&[(b"new", b"1"), (b"stays", b"another")]);
        new.follow(&old);
        assert_eq!(new.at(0), Some((&b"new"[..], Usage::default())));
        assert_eq!(new.at(1), Some((&b"stays"[..], before)));
        assert_eq!(new.at(2), None);
    }

    proptest! {
        #[test]
        fn verify_agrees_with_plain_comparison(
            list in proptest::collection::vec(("[ab\0]{1,3}", "[ab\0]{1,3}"), 0..12),
            name in "[ab\0]{0,3}", password in "[ab\0]{0,3}",
        ) {
            let mut users = Users::default();
            let mut model: Vec<(String, String)> = Vec::new();
            for (name, password) in list {
                let fresh = model.iter().all(|(known, _)| *known != name);
                prop_assert_eq!(users.add(name.as_bytes(), password.as_bytes()).is_ok(), fresh);
                if fresh {
                    model.push((name, password));
                }
            }
            let index = model.iter().position(|user| *user == (name.clone(), password.clone()));
            let found = users.verify(name.as_bytes(), password.as_bytes());
            prop_assert_eq!(found.map(|user| usize::from(user.0)), index);
        }

        #[test]
        fn any_credential_survives_the_file(
            name in proptest::collection::vec(any::<u8>(), 1..256),
            password in proptest::collection::vec(any::<u8>(), 1..256),
        ) {
            let escaped = |bytes: &[u8]| -> String {
                bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
            };
            let line = format!("{}:{}\r\n", escaped(&name), escaped(&password));
            let users = Users::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(users.verify(&name, &password), Some(UserId(0)));
        }

        #[test]
        fn no_file_makes_parse_panic(text: Vec<u8>) {
            let _ = Users::parse(&text);
        }
    }
}
