//! The table of sessions, its keys, and the tokens that are registered with epoll.
//!
//! [`Slots`] has a generation per place: a key that is kept in a queue, a timer or an event may
//! outlive its session, and then finds nothing.

/// The bits of a token that hold the generation. No place is reused 8,192 times while a stale
/// key is kept: that is for one pass of the loop, or for one DNS query.
const GENERATION_BITS: u32 = 13;
const GENERATION_MASK: u16 = (1 << GENERATION_BITS) - 1;
const INDEX_BITS: u32 = 16;
const ROLE_BITS: u32 = 3;

// Tokens are `usize` in mio, 32 bits on MIPS and ARM.
const _: () = assert!(INDEX_BITS + ROLE_BITS + GENERATION_BITS == 32);

/// The most places a table can have.
pub const SLOTS_MAX: usize = 1 << INDEX_BITS;

/// The key of one entry of a [`Slots`] table; the next one in its place has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    index: u16,
    generation: u16,
}

impl Key {
    /// A key from its parts. The generation is cut to 13 bits.
    pub fn new(index: u16, generation: u16) -> Self {
        Self {
            index,
            generation: generation & GENERATION_MASK,
        }
    }

    /// The place in the table, below [`SLOTS_MAX`].
    pub fn index(self) -> usize {
        usize::from(self.index)
    }

    /// The generation, below 8,192.
    pub fn generation(self) -> u16 {
        self.generation
    }
}

/// Which socket of an owner an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The client's TCP connection of a session.
    Client = 0,
    /// The connection to the target, or an attempt at it.
    Target = 1,
    /// A listener (the key's index is its number).
    Listener = 2,
    /// What the system tells: signals (the key's index is 0), changes of interfaces (1).
    System = 3,
    /// A DNS socket (the key's index is its number).
    Dns = 4,
    /// The socket of a UDP association that its client sends to.
    Inner = 5,
    /// Its socket towards IPv4 remotes.
    Outer4 = 6,
    /// Its socket towards IPv6 remotes.
    Outer6 = 7,
}

/// What is registered with epoll: a key and a role in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u32);

impl Token {
    /// Packs a token.
    pub fn new(key: Key, role: Role) -> Self {
        Self(
            u32::from(key.index) << (ROLE_BITS + GENERATION_BITS)
                | (role as u32) << GENERATION_BITS
                | u32::from(key.generation),
        )
    }

    /// The key that was packed.
    pub fn key(self) -> Key {
        // The index is the upper half, the generation the lower bits of the other.
        let [a, b, c, d] = self.0.to_be_bytes();
        Key::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// The role that was packed; always one, as long as there are eight.
    pub fn role(self) -> Option<Role> {
        match (self.0 >> GENERATION_BITS) & ((1 << ROLE_BITS) - 1) {
            0 => Some(Role::Client),
            1 => Some(Role::Target),
            2 => Some(Role::Listener),
            3 => Some(Role::System),
            4 => Some(Role::Dns),
            5 => Some(Role::Inner),
            6 => Some(Role::Outer4),
            7 => Some(Role::Outer6),
            _ => None,
        }
    }

    /// The number that epoll carries.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// The token with that number.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// A table with a fixed number of places. Its memory is reserved at once, and touched only as
/// far as it is used.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Option<T>>,
    generations: Vec<u16>,
    /// The places that are empty, the last one to be filled first.
    free: Vec<u16>,
    max: usize,
}

impl<T> Slots<T> {
    /// A table of at most `max` entries, which is at most [`SLOTS_MAX`].
    pub fn new(max: usize) -> Self {
        assert!(max <= SLOTS_MAX, "an index has 16 bits");
        Self {
            entries: Vec::with_capacity(max),
            generations: Vec::with_capacity(max),
            free: Vec::with_capacity(max),
            max,
        }
    }

    /// Puts an entry into a free place. `make` makes it from its key. Returns `None` if the
    /// table is full.
    pub fn insert(&mut self, make: impl FnOnce(Key) -> T) -> Option<(Key, &mut T)> {
        if self.is_full() {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.generations.push(0);
            u16::try_from(self.entries.len() - 1).expect("a table has at most 65,536 places")
        });
        let place = usize::from(index);
        let key = Key::new(index, self.generations[place]);
        Some((key, self.entries[place].insert(make(key))))
    }

    /// The entry of `key`; `None` if it has been removed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        if self.generations.get(key.index()) != Some(&key.generation) {
            return None;
        }
        self.entries.get_mut(key.index())?.as_mut()
    }

    /// Drops the entry of `key`, if it is still there. Every key to it is stale from now on.
    pub fn remove(&mut self, key: Key) {
        if self.get_mut(key).is_some() {
            self.generations[key.index()] = (key.generation + 1) & GENERATION_MASK;
            self.entries[key.index()] = None;
            self.free.push(key.index);
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Returns `true` if the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns `true` if the next insert will fail.
    pub fn is_full(&self) -> bool {
        self.len() == self.max
    }

    /// The number of places.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The entry in that place.
    pub fn at(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    /// The most entries that there were at once.
    pub fn peak(&self) -> usize {
        self.entries.len()
    }

    /// All entries, for checks: it walks over the empty places too.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    /// All entries, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }

    /// The keys of all entries.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::with_capacity(self.len());
        let entries = self.entries.iter().zip(&self.generations);
        // Of all indexes there may be: an open range would count on to one more.
        for (index, (entry, generation)) in (0..=u16::MAX).zip(entries) {
            if entry.is_some() {
                keys.push(Key::new(index, *generation));
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_tables_name_all_their_keys() {
        for max in [SLOTS_MAX - 1, SLOTS_MAX] {
            let mut slots = Slots::new(max);
            while slots.insert(|_| ()).is_some() {}
            assert_eq!(slots.keys().len(), max);
        }
    }

    #[test]
    fn a_stale_key_finds_nothing_in_the_reused_place() {
        let mut slots = Slots::new(2);
        let old = slots.insert(|_| 'a').unwrap().0;
        slots.remove(old);
        let new = slots.insert(|_| 'b').unwrap().0;
        assert_eq!(old.index(), new.index());
        assert_eq!(slots.get_mut(old), None);
        slots.remove(old);
        assert_eq!(slots.get_mut(new), Some(&mut 'b'));
    }

    #[test]
    fn a_full_table_refuses() {
        let mut slots = Slots::new(1);
        slots.insert(|_| ()).unwrap();
        assert!(slots.is_full());
        assert_eq!(slots.insert(|_| ()), None);
    }

    #[test]
    fn the_peak_is_the_most_that_there_were_at_once() {
        let mut slots = Slots::new(8);
        let first = slots.insert(|_| 'a').unwrap().0;
        let second = slots.insert(|_| 'b').unwrap().0;
        slots.remove(first);
        slots.remove(second);
        slots.insert(|_| 'c').unwrap();
        assert_eq!((slots.len(), slots.peak()), (1, 2));
        let entries: Vec<_> = (0..3).filter_map(|index| slots.at(index)).collect();
        assert_eq!(entries, [&'c']);
    }

    proptest! {
        #[test]
        fn tokens_keep_what_was_packed(index: u16, generation in 0u16..8192, role in 0u8..8) {
            let role = [
                Role::Client, Role::Target, Role::Listener, Role::System,
                Role::Dns, Role::Inner, Role::Outer4, Role::Outer6,
            ][usize::from(role)];
            let key = Key::new(index, generation);
            let token = Token::from_bits(Token::new(key, role).to_bits());
            prop_assert_eq!(token.key(), key);
            prop_assert_eq!(token.role(), Some(role));
        }

        #[test]
        fn slots_agree_with_a_plain_list(
            steps in proptest::collection::vec(any::<(bool, u8)>(), 0..200)
        ) {
            let mut slots = Slots::new(16);
            let mut model: Vec<(Key, u32)> = Vec::new();
            let mut gone: Vec<Key> = Vec::new();
            for (n, (add, pick)) in (0u32..).zip(steps) {
                if add {
                    match slots.insert(|_| n) {
                        Some((key, value)) => model.push((key, *value)),
                        None => prop_assert_eq!(model.len(), 16),
                    }
                } else if !model.is_empty() {
                    let (key, value) = model.swap_remove(usize::from(pick) % model.len());
                    prop_assert_eq!(slots.get_mut(key).copied(), Some(value));
                    slots.remove(key);
                    gone.push(key);
                }
                prop_assert_eq!(slots.len(), model.len());
                for (key, _) in &model {
                    prop_assert!(slots.keys().contains(key));
                }
                for (key, value) in &model {
                    prop_assert_eq!(slots.get_mut(*key).copied(), Some(*value));
                }
                for key in &gone {
                    prop_assert_eq!(slots.get_mut(*key), None);
                }
            }
        }
    }
}
