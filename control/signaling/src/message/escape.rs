//! Text from elsewhere, made safe for a header or a URI.

use core::fmt;

use super::text::is_space;

/// Prints a display name or another text as a quoted string (RFC 3261 section 25.1). Control characters, which no
/// quoting makes valid, are left to the builder to refuse.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut rest = self.0;
        while let Some(at) = rest.find(['"', '\\']) {
            write!(f, "{}\\{}", &rest[..at], &rest[at..=at])?;
            rest = &rest[at + 1..];
        }
        write!(f, "{rest}\"")
    }
}

/// Prints text as the user part of a URI: what may not stand there is escaped (RFC 3261 section 19.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if super::uri_parts::is_user(byte) && byte != b'#' {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// Prints a value as it was received, with each fold (RFC 3261 section 7.3.1) turned into one space.
#[derive(Clone, Copy, Debug)]
pub struct Unfolded<'a>(pub &'a str);

impl fmt::Display for Unfolded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\r', '\n']) {
            let before = rest[..at].trim_end_matches([' ', '\t']);
            write!(f, "{before} ")?;
            rest = rest[at..].trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
        }
        f.write_str(rest)
    }
}
