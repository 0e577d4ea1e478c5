//! Keys of a telephone: what is pressed, and what is sent.

use core::fmt;

/// One of the sixteen keys, by its event code (RFC 4733 section 3.2): 0 to 9, then `*`, `#`, A to D.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(u8);

/// The keys in the order of their event codes.
const SIGNS: [u8; 16] = *b"0123456789*#ABCD";

impl Key {
    /// The key of an event code; none above 15: what follows there are no keys.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    /// The key with this sign; letters may be small.
    #[must_use]
    pub fn from_char(sign: char) -> Option<Self> {
        let sign = sign.to_ascii_uppercase();
        let code = SIGNS.iter().position(|known| char::from(*known) == sign)?;
        u8::try_from(code).ok().map(Self)
    }

    /// Its event code, 0 to 15.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Its sign.
    #[must_use]
    pub const fn sign(self) -> char {
        SIGNS[(self.0 & 15) as usize] as char
    }
}

impl fmt::Display for Key {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(to, self.sign())
    }
}

/// Keys to be sent one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keys {
    /// Two keys an octet, the first in the lower half; zero behind the last.
    packed: [u8; Self::MOST / 2],
    count: u8,
}

impl Keys {
    /// The most that can be sent at once: a card's number, its code, and some to spare.
    pub const MOST: usize = 64;

    /// No key.
    pub const NONE: Self = Self { packed: [0; Self::MOST / 2], count: 0 };

    /// Adds one; false if there is no room.
    pub fn push(&mut self, key: Key) -> bool {
        let at = self.len();
        let Some(pair) = self.packed.get_mut(at / 2) else { return false };
        *pair |= key.0 << (at % 2 * 4);
        self.count += 1;
        true
    }

    /// The key at a place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Key> {
        let pair = self.packed.get(at / 2).filter(|_| at < self.len())?;
        Some(Key(pair >> (at % 2 * 4) & 15))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Is there none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// The keys of a text; none if it is empty, too long, or has a sign that is no key.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut keys = Self::NONE;
        for sign in text.chars() {
            if !keys.push(Key::from_char(sign)?) {
                return None;
            }
        }
        (!keys.is_empty()).then_some(keys)
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|key| key.fmt(to))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Keys({self})")
    }
}
