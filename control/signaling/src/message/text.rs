//! The lexical ground (RFC 3261 section 25.1): tokens, white space, quoted strings, splitting.
//!
//! A folded value keeps its line ends, so CR and LF count as white space here; the header index has made sure
//! that they stand only in folds.

use super::{Fault, ParseError};

/// Which octets may stand in a token: asked for nearly every octet of a message, so it is a table.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let marks = b"-.!%*_+`'~";
        let mut mark = 0;
        while mark < marks.len() {
            table[marks[mark] as usize] = true;
            mark += 1;
        }
        table[byte as usize] |= byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// May this octet stand in a token?
pub(crate) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Has the text control characters other than tabs? Without a branch for each octet, so that the compiler can
/// look at many at once.
pub(crate) fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f))
}

/// White space, line ends of folds included.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Octets that a `word` (Call-ID) may have beside those of a token.
pub(crate) const fn is_word(byte: u8) -> bool {
    is_token(byte)
        || matches!(
            byte,
            b'(' | b')' | b'<' | b'>' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'{' | b'}'
        )
}

pub(crate) fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

/// Without white space at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8))
}

/// Offset of `part` within `whole`, of which it is a slice.
pub(crate) fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// A decimal number without sign, at most `most`.
pub(crate) fn number(text: &str, most: u64) -> Result<u64, Fault> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Number);
    }
    let mut value = 0_u64;
    for byte in text.bytes() {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(byte - b'0')));
        value = next.filter(|value| *value <= most).ok_or(Fault::Range)?;
    }
    Ok(value)
}

/// Reads a value from left to right.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) const fn error(&self, fault: Fault) -> ParseError {
        ParseError::new(fault, self.at)
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(is_space);
    }

    /// Takes the octet if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Moves on by octets that the caller has looked at, up to a character's boundary.
    pub(crate) const fn advance(&mut self, length: usize) {
        self.at += length;
    }

    /// Takes ASCII octets as long as `wanted` says so.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let bytes = &self.text.as_bytes()[self.at..];
        let length = bytes.iter().position(|byte| !(wanted(*byte) && byte.is_ascii())).unwrap_or(bytes.len());
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        taken
    }

    pub(crate) fn token(&mut self) -> Result<&'a str, ParseError> {
        let token = self.take_while(is_token);
        if token.is_empty() { Err(self.error(Fault::Token)) } else { Ok(token) }
    }

    /// A quoted string, its quotes included; the cursor stands at the opening one.
    pub(crate) fn quoted(&mut self) -> Result<&'a str, ParseError> {
        let length = quoted_length(self.rest()).ok_or(self.error(Fault::Quote))?;
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }

    /// Everything up to `end`, which is taken but not returned.
    pub(crate) fn until(&mut self, end: u8) -> Option<&'a str> {
        let length = self.rest().bytes().position(|byte| byte == end)?;
        let taken = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Some(taken)
    }

    /// Nothing but white space may follow.
    pub(crate) fn finish(mut self) -> Result<(), ParseError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error(Fault::Trailing)) }
    }
}

/// Length of the quoted string at the start of `text`, quotes included; none if it does not end.
fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Splits a value at commas that stand neither in quotes nor in angle brackets (RFC 3261 section 7.3.1).
#[derive(Clone)]
pub(crate) struct List<'a> {
    rest: Option<&'a str>,
}

impl<'a> List<'a> {
    pub(crate) const fn new(value: &'a str) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let bytes = text.as_bytes();
        let (mut at, mut in_brackets) = (0, false);
        while at < bytes.len() {
            match bytes[at] {
                b'"' if !in_brackets => match quoted_length(&text[at..]) {
                    Some(length) => at += length,
                    None => break, // the parser of the value tells what is wrong
                },
                b',' if !in_brackets => {
                    self.rest = Some(&text[at + 1..]);
                    return Some(trim(&text[..at]));
                }
                byte => {
                    in_brackets = byte == b'<' || (in_brackets && byte != b'>');
                    at += 1;
                }
            }
        }
        self.rest = None;
        Some(trim(text))
    }
}
