//! Integers with a range that an error can name.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// Reads an integer of at least `MIN` and at most `MAX`.
pub(crate) fn within<'de, D, const MIN: u32, const MAX: u32>(deserializer: D) -> Result<u32, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_i64(Within { min: MIN, max: MAX })
}

/// [`within`] for values of at most 255.
pub(crate) fn within_u8<'de, D, const MIN: u8, const MAX: u8>(deserializer: D) -> Result<u8, D::Error>
where
    D: Deserializer<'de>,
{
    let value = deserializer.deserialize_i64(Within { min: u32::from(MIN), max: u32::from(MAX) })?;
    u8::try_from(value).map_err(D::Error::custom)
}

struct Within {
    min: u32,
    max: u32,
}

impl Within {
    fn check<E: Error>(&self, value: i128) -> Result<u32, E> {
        u32::try_from(value)
            .ok()
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| E::custom(format!("{value} is out of range, expected {self}")))
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from {} to {}", self.min, self.max)
    }
}

impl Visitor<'_> for Within {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u32, E> {
        self.check(i128::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u32, E> {
        self.check(i128::from(value))
    }
}
