//! Parameters: `;name=value;flag` as headers and URIs carry them.

use core::fmt;

use super::text::{Cursor, is_token};
use super::{Fault, ParseError};

/// A checked run of parameters, each with its semicolon.
#[derive(Clone, Copy, Default, Debug)]
pub struct Parameters<'a> {
    text: &'a str,
}

/// One parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameter<'a> {
    /// Compared without regard to case.
    pub name: &'a str,
    /// As it stands, quotes included; none for a flag.
    pub value: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// Checks parameters of a header: `*(SEMI token [EQUAL (token / host / quoted-string)])`, white space around
    /// `;` and `=` let through.
    ///
    /// # Errors
    /// [`Fault::Parameter`], [`Fault::Quote`] or [`Fault::Trailing`].
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        while cursor.eat(b';') {
            take(&mut cursor)?;
            cursor.skip_space();
        }
        cursor.finish()?;
        Ok(Self { text })
    }

    /// Wraps text whose parameters a parser has already checked.
    pub(crate) const fn checked(text: &'a str) -> Self {
        Self { text }
    }

    /// All, in their order.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        Iter { cursor: Cursor::new(self.text) }
    }

    /// The first of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Parameter<'a>> {
        self.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name))
    }

    /// The value of the first of that name, quotes included; none for a flag too.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|parameter| parameter.value)
    }

    /// Is there one of that name?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// As they stand, semicolons included.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }
}

impl fmt::Display for Parameters<'_> {
    /// Without white space around `;` and `=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for parameter in self.iter() {
            write!(f, ";{}", parameter.name)?;
            if let Some(value) = parameter.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Iterates over parameters.
#[derive(Clone)]
pub struct Iter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Parameter<'a>> {
        self.cursor.skip_space();
        if !self.cursor.eat(b';') {
            return None;
        }
        take(&mut self.cursor).ok()
    }
}

/// One parameter after its semicolon.
fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Parameter<'a>, ParseError> {
    cursor.skip_space();
    let name = cursor.take_while(is_name);
    if name.is_empty() {
        return Err(cursor.error(Fault::Parameter));
    }
    let after_name = *cursor;
    cursor.skip_space();
    if !cursor.eat(b'=') {
        *cursor = after_name;
        return Ok(Parameter { name, value: None });
    }
    cursor.skip_space();
    if cursor.peek() == Some(b'"') {
        return Ok(Parameter { name, value: Some(cursor.quoted()?) });
    }
    let value = cursor.take_while(is_value);
    if value.is_empty() {
        return Err(cursor.error(Fault::Parameter));
    }
    Ok(Parameter { name, value: Some(value) })
}

/// Octets of a name: a token's, and those that only a URI's `paramchar` adds.
const fn is_name(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' | b'(' | b')')
}

/// Octets of a value: a name's, and what the world puts there without quotes (addresses, base64).
const fn is_value(byte: u8) -> bool {
    is_name(byte) || matches!(byte, b'=' | b'@' | b'?' | b'{' | b'}' | b'|' | b'^' | b'#')
}
