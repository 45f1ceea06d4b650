//! How messages of netlink(7) are laid out: a header, then attributes, each padded to four bytes.

use nix::errno::Errno;

/// The bytes of struct nlmsghdr.
pub(super) const HEADER_BYTES: usize = 16;

/// One message: its header, and what follows.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the next one; `None` at the end, or where it is malformed.
    pub(super) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = **rest else {
            return None;
        };
        let len = u32::from_ne_bytes([a, b, c, d]);
        let body = rest.get(..len as usize)?.get(HEADER_BYTES..)?;
        split(rest, len as usize)?;
        Some(Self {
            kind: u16::from_ne_bytes([e, f]),
            flags: u16::from_ne_bytes([g, h]),
            sequence: u32::from_ne_bytes([i, j, k, l]),
            body,
        })
    }

    /// The end of an answer has the kernel's error, negated, or 0. Not every kernel sends it.
    pub(super) fn check_end(&self) -> Result<(), Errno> {
        match self
            .body
            .first_chunk()
            .map(|code| i32::from_ne_bytes(*code))
        {
            Some(code) if code < 0 => Err(Errno::from_raw(code.wrapping_neg())),
            _ => Ok(()),
        }
    }
}

/// The attributes behind a fixed header, each at the place of its kind.
pub(super) struct Attributes<'a>([Option<&'a [u8]>; KINDS]);

/// How many kinds of attributes there may be, those that matter among them.
const KINDS: usize = 32;

impl<'a> Attributes<'a> {
    /// Reads them up to a malformed one: emulators leave those as they were that they do not know.
    /// What is needed comes first.
    pub(super) fn read(mut rest: &'a [u8]) -> Self {
        let mut found = [None; KINDS];
        while let [a, b, c, d, ..] = *rest
            && let Some(attribute) = split(&mut rest, u16::from_ne_bytes([a, b]).into())
            && let Some(value) = attribute.get(4..)
        {
            // NLA_TYPE_MASK: the upper two bits are flags.
            let kind = u16::from_ne_bytes([c, d]) & 0x3fff;
            if let Some(place) = found.get_mut(usize::from(kind)) {
                *place = Some(value);
            }
        }
        Self(found)
    }

    /// The value of the attribute of that kind.
    pub(super) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0[usize::from(kind)]
    }
}

/// The 32 bits at a place, in the byte order of the machine.
pub(super) fn number_at(bytes: &[u8], start: usize) -> Result<u32, Errno> {
    let number = bytes.get(start..).and_then(|rest| rest.first_chunk());
    number.map_or(Err(Errno::EBADMSG), |number| {
        Ok(u32::from_ne_bytes(*number))
    })
}

/// Takes the first `len` bytes, whose successors start at multiples of four. `None` if there are
/// fewer, or if `len` is 0.
pub(super) fn split<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let piece = rest.get(..len).filter(|piece| !piece.is_empty())?;
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some(piece)
}
