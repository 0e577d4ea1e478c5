//! Taking a URI apart.

use super::text::Cursor;
use super::uri::take_scheme;
use super::{Fault, Host, Parameters, ParseError, Scheme, Uri};

/// The longest URI that is taken in, in octets.
pub(super) const MAX_URI: usize = 2048;

pub(super) fn parse(text: &str) -> Result<Uri<'_>, ParseError> {
    if text.len() > MAX_URI {
        return Err(ParseError::new(Fault::HeaderTooLong, MAX_URI));
    }
    let mut cursor = Cursor::new(text);
    let scheme = take_scheme(&mut cursor)?;
    match scheme {
        Scheme::Sip | Scheme::Sips => sip(text, scheme, cursor),
        Scheme::Tel => tel(text, cursor),
        Scheme::Other => other(text, cursor),
    }
}

/// `[user[:password]@]host[:port]*(;parameter)[?headers]`
fn sip<'a>(text: &'a str, scheme: Scheme, mut cursor: Cursor<'a>) -> Result<Uri<'a>, ParseError> {
    let (mut user, mut password) = (None, None);
    // The first @ ends the user part: nothing in a URI but that separator is an unescaped @.
    if let Some(length) = cursor.rest().bytes().position(|byte| byte == b'@') {
        let start = cursor;
        let userinfo = &cursor.rest()[..length];
        let (name, secret) = userinfo.split_once(':').map_or((userinfo, None), |(a, b)| (a, Some(b)));
        if name.is_empty() {
            return Err(start.error(Fault::Uri));
        }
        check(name, is_user, start)?;
        check(secret.unwrap_or_default(), is_password, start)?;
        (user, password) = (Some(name), secret);
        cursor.until(b'@');
    }
    let host = Host::take(&mut cursor)?;
    let port = Host::take_port(&mut cursor, false)?;
    let (parameters, headers) = tail(&mut cursor)?;
    Ok(Uri { text, scheme, user, password, host: Some(host), port, parameters, headers })
}

/// Parameters and headers after host and port.
fn tail<'a>(cursor: &mut Cursor<'a>) -> Result<(Parameters<'a>, &'a str), ParseError> {
    let start = *cursor;
    let rest = cursor.rest();
    let (parameters, headers) = rest.split_once('?').unwrap_or((rest, ""));
    check_parameters(parameters, start)?;
    if rest.len() > parameters.len() {
        let fields_good = headers.split('&').all(|field| field.find('=').is_some_and(|at| at > 0));
        if !fields_good {
            return Err(start.error(Fault::Uri));
        }
        check(headers, is_header, start)?;
    }
    Ok((Parameters::checked(parameters), headers))
}

fn check_parameters(text: &str, start: Cursor<'_>) -> Result<(), ParseError> {
    if text.is_empty() {
        return Ok(());
    }
    let Some(list) = text.strip_prefix(';') else {
        return Err(start.error(Fault::Trailing));
    };
    for parameter in list.split(';') {
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(a, b)| (a, Some(b)));
        if name.is_empty() || value == Some("") {
            return Err(start.error(Fault::Parameter));
        }
        check(name, is_parameter, start)?;
        check(value.unwrap_or_default(), is_parameter, start)?;
    }
    Ok(())
}

/// `number *(;parameter)`; global numbers begin with `+`, local ones need a context that we do not ask for.
fn tel<'a>(text: &'a str, mut cursor: Cursor<'a>) -> Result<Uri<'a>, ParseError> {
    let start = cursor;
    let number = cursor.take_while(is_telephone);
    let digits = number.strip_prefix('+').unwrap_or(number);
    let dialable = digits.bytes().any(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'#'));
    if !dialable || digits.contains('+') {
        return Err(start.error(Fault::Uri));
    }
    let rest = cursor.rest();
    check_parameters(rest, cursor)?;
    let parameters = Parameters::checked(rest);
    Ok(Uri {
        text,
        scheme: Scheme::Tel,
        user: Some(number),
        password: None,
        host: None,
        port: None,
        parameters,
        headers: "",
    })
}

fn other<'a>(text: &'a str, cursor: Cursor<'a>) -> Result<Uri<'a>, ParseError> {
    if cursor.rest().is_empty() {
        return Err(cursor.error(Fault::Uri));
    }
    check(cursor.rest(), |byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'), cursor)?;
    Ok(Uri {
        text,
        scheme: Scheme::Other,
        user: None,
        password: None,
        host: None,
        port: None,
        parameters: Parameters::default(),
        headers: "",
    })
}

/// Every octet is wanted, or part of an escape `%HH`.
fn check(text: &str, wanted: impl Fn(u8) -> bool, start: Cursor<'_>) -> Result<(), ParseError> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let hexadecimal =
                bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
            if !hexadecimal {
                return Err(start.error(Fault::Escape));
            }
            at += 3;
        } else if wanted(byte) {
            at += 1;
        } else {
            return Err(start.error(Fault::Uri));
        }
    }
    Ok(())
}

/// `unreserved` of RFC 3261 section 25.1.
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

/// Beside the grammar's, `#`, which telephones send unescaped.
pub(super) const fn is_user(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'#')
}

const fn is_password(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',')
}

const fn is_parameter(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

const fn is_header(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$' | b'=' | b'&')
}

/// `phonedigit-hex`, visual separators and the sign (RFC 3966 section 3).
const fn is_telephone(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'*' | b'#' | b'-' | b'.' | b'(' | b')')
}
