//! Bencoding, as rtpengine's NG protocol wants it: strings and dictionaries of strings.

/// A dictionary of strings, its keys in order.
#[must_use]
pub fn dictionary(entries: &[(&str, &str)]) -> String {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    let body: String =
        sorted.iter().map(|(key, value)| format!("{}:{key}{}:{value}", key.len(), value.len())).collect();
    format!("d{body}e")
}

/// A list of strings.
#[must_use]
pub fn list(entries: &[&str]) -> String {
    let body: String = entries.iter().map(|entry| format!("{}:{entry}", entry.len())).collect();
    format!("l{body}e")
}

/// A dictionary with an entry more, that is bencoded already.
#[must_use]
pub fn with(dictionary: &str, key: &str, value: &str) -> String {
    let body = dictionary.strip_suffix('e').unwrap_or(dictionary);
    format!("{body}{}:{key}{value}e", key.len())
}

/// The string under `key` in a bencoded dictionary, wherever it stands first.
#[must_use]
pub fn string<'a>(encoded: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = encoded.split_once(&format!("{}:{key}", key.len()))?;
    let (length, rest) = rest.split_once(':')?;
    rest.get(..length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let text = dictionary(&[("command", "offer"), ("call-id", "7")]);
        assert_eq!(text, "d7:call-id1:77:command5:offere");
        assert_eq!(string(&text, "command"), Some("offer"));
        assert_eq!(string(&text, "sdp"), None);
        assert_eq!(string("d3:sdp9:ae", "sdp"), None);
    }
}
