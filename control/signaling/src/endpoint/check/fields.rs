//! Numbers and texts.

use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;

use crate::resource::error::ApiError;

/// The longest idempotency key.
const MAX_KEY: usize = 255;

/// A number in its range.
pub(super) fn within(
    parameter: &'static str,
    given: Option<i64>,
    range: RangeInclusive<i64>,
    default: i64,
) -> Result<i64, ApiError> {
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(ApiError::invalid(parameter, format!("is not in {}..{}", range.start(), range.end())))
    }
}

/// A whole number of seconds in its range.
pub(super) fn seconds(
    parameter: &'static str,
    given: Option<i64>,
    range: RangeInclusive<i64>,
    default: i64,
) -> Result<u64, ApiError> {
    within(parameter, given, range, default).map(i64::unsigned_abs)
}

/// A text of bounded length; what is in it is the application's business.
pub(super) fn text(
    parameter: &'static str,
    given: Option<&String>,
    max_bytes: usize,
) -> Result<Option<String>, ApiError> {
    match given {
        Some(text) if text.len() > max_bytes => {
            Err(ApiError::invalid(parameter, format!("is longer than {max_bytes} bytes")))
        }
        text => Ok(text.cloned()),
    }
}

/// An idempotency key: something, and printable.
pub(super) fn key(parameter: &'static str, given: Option<&String>) -> Result<Option<String>, ApiError> {
    let Some(key) = text(parameter, given, MAX_KEY)? else { return Ok(None) };
    if key.is_empty() || key.chars().any(char::is_control) {
        return Err(ApiError::invalid(parameter, "is empty or has control characters"));
    }
    Ok(Some(key))
}
