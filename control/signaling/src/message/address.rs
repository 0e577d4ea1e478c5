//! Addresses in From, To, Contact, Route and their like (RFC 3261 section 20.10).

use core::fmt;

use super::text::{Cursor, is_token, trim};
use super::{Fault, Parameters, ParseError, Uri};

/// `["display name"] <uri>;parameters`, or `uri;parameters`.
#[derive(Clone, Copy, Debug)]
pub struct NameAddress<'a> {
    /// The display name as it stands, quotes included; none if absent.
    pub display: Option<&'a str>,
    /// The URI. Without angle brackets, it has no parameters of its own (RFC 3261 section 20).
    pub uri: Uri<'a>,
    /// The header's parameters.
    pub parameters: Parameters<'a>,
}

impl<'a> NameAddress<'a> {
    /// Parses one value (no comma-joined list).
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let display = take_display(&mut cursor)?;
        if display.is_none() && cursor.peek() != Some(b'<') {
            return Self::bare(cursor);
        }
        cursor.eat(b'<');
        let at = cursor.at();
        let inside = cursor.until(b'>').ok_or(cursor.error(Fault::Bracket))?;
        let uri = Uri::parse(inside).map_err(|error| shift(error, at))?;
        let parameters = rest_parameters(cursor)?;
        Ok(Self { display, uri, parameters })
    }

    /// `addr-spec`: everything from the first semicolon on belongs to the header. A URI with a comma or a
    /// question mark must stand in brackets.
    fn bare(mut cursor: Cursor<'a>) -> Result<Self, ParseError> {
        let at = cursor.at();
        let text = cursor.take_while(|byte| byte != b';' && byte.is_ascii_graphic());
        let uri = Uri::parse(text).map_err(|error| shift(error, at))?;
        if text.contains([',', '?']) {
            return Err(ParseError::new(Fault::Uri, at));
        }
        Ok(Self { display: None, uri, parameters: rest_parameters(cursor)? })
    }

    /// The dialog tag (RFC 3261 section 19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.parameters.value("tag")
    }

    /// `expires` of a Contact, in seconds.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        self.parameters.value("expires").and_then(|text| text.parse().ok())
    }

    /// `q` of a Contact in thousandths, 0 to 1000; 1000 if absent or not a preference.
    #[must_use]
    pub fn preference(&self) -> u16 {
        self.parameters.value("q").and_then(thousandths).unwrap_or(1000)
    }
}

impl fmt::Display for NameAddress<'_> {
    /// Always with angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = self.display {
            write!(f, "{} ", super::Unfolded(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.parameters)
    }
}

fn shift(error: ParseError, at: usize) -> ParseError {
    ParseError { at: error.at + at, ..error }
}

fn rest_parameters(cursor: Cursor<'_>) -> Result<Parameters<'_>, ParseError> {
    Parameters::parse(cursor.rest()).map_err(|error| shift(error, cursor.at()))
}

/// A quoted string, or tokens up to `<`. Leaves the cursor at `<`, or where it was if there is no display name.
fn take_display<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a str>, ParseError> {
    if cursor.peek() == Some(b'"') {
        let display = cursor.quoted()?;
        cursor.skip_space();
        return if cursor.peek() == Some(b'<') {
            Ok(Some(display))
        } else {
            Err(cursor.error(Fault::Bracket))
        };
    }
    let Some(length) = cursor.rest().bytes().position(|byte| byte == b'<') else {
        return Ok(None);
    };
    let name = &cursor.rest()[..length];
    if name.is_empty() {
        return Ok(None);
    }
    if name.contains([';', '>']) {
        return Ok(None); // the bracket belongs to a later part: the value is a bare URI
    }
    // Beyond tokens and white space, let UTF-8 names through: the world sends them unquoted.
    let good = |byte: u8| is_token(byte) || super::text::is_space(byte) || !byte.is_ascii();
    if !name.bytes().all(good) {
        return Err(cursor.error(Fault::Token));
    }
    cursor.advance(length);
    let name = trim(name);
    Ok(if name.is_empty() { None } else { Some(name) })
}

/// `0.5` → 500 (RFC 3261 section 25.1 `qvalue`).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || fraction.len() > 3 || !matches!(whole, "0" | "1") {
        return None;
    }
    let scale = [1000_u16, 100, 10, 1][fraction.len()];
    let part = fraction.parse::<u16>().unwrap_or(0) * scale;
    let value = whole.parse::<u16>().ok()? * 1000 + part;
    (value <= 1000).then_some(value)
}
