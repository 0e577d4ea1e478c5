//! Paths, as far as they can be judged without looking: what is on the disk is the shell's to check.

use alloc::format;
use alloc::string::String;

use crate::resource::error::ApiError;

/// The longest name of one file; leaves room for the `.part` of a recording in the 255 that file systems have.
const MAX_NAME: usize = 250;

/// A path that does not climb out of its root, or none. Absolute ones are the shell's to hold against the root.
pub(super) fn check(
    parameter: &'static str,
    given: Option<&String>,
    max_bytes: usize,
) -> Result<Option<String>, ApiError> {
    let Some(path) = given.filter(|path| !path.is_empty()) else { return Ok(None) };
    let fault = if path.len() > max_bytes {
        Some(format!("is longer than {max_bytes} bytes"))
    } else if path.chars().any(char::is_control) {
        Some("has control characters".into())
    } else if path.split('/').any(|name| name == "..") {
        Some("leaves its root".into())
    } else if path.split('/').any(|name| name.len() > MAX_NAME) {
        Some(format!("has a name longer than {MAX_NAME} bytes"))
    } else if path.rsplit('/').next().is_none_or(|name| matches!(name, "" | ".")) {
        Some("names no file".into())
    } else {
        None
    };
    match fault {
        Some(fault) => Err(ApiError::invalid(parameter, fault)),
        None => Ok(Some(path.clone())),
    }
}
