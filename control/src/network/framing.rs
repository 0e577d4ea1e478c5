//! Where a message ends in a stream (RFC 3261 sections 7.5, 18.3; keep-alives of RFC 5626 section 4.4.1).

/// Octets of one message, its body included.
pub(super) const LONGEST_MESSAGE: usize = 65_535;

/// What a stream begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Less than can be judged.
    Partial,
    /// Empty lines of that many octets; `ping`: two of them, which want one as an answer.
    Empty {
        /// How much to take off.
        octets: usize,
        /// Is it a keep-alive that is to be answered?
        ping: bool,
    },
    /// A message of that many octets.
    Message(usize),
    /// Nothing from which one could find the next message.
    Broken,
}

/// Looks at the beginning of a stream.
pub(super) fn look(stream: &[u8]) -> Frame {
    if stream.starts_with(b"\r\n\r\n") {
        return Frame::Empty { octets: 4, ping: true };
    }
    match stream {
        [] | b"\r" | b"\r\n" | b"\r\n\r" => return Frame::Partial,
        [b'\r', b'\n', ..] => return Frame::Empty { octets: 2, ping: false },
        [b'\r' | b'\n' | 0, ..] => return Frame::Broken,
        _ => {}
    }
    let Some(head) = stream.windows(4).position(|octets| octets == b"\r\n\r\n") else {
        return if stream.len() >= LONGEST_MESSAGE { Frame::Broken } else { Frame::Partial };
    };
    match content_length(&stream[..head + 2]) {
        Some(body) if head + 4 + body > LONGEST_MESSAGE => Frame::Broken,
        Some(body) if head + 4 + body > stream.len() => Frame::Partial,
        Some(body) => Frame::Message(head + 4 + body),
        None => Frame::Broken,
    }
}

/// The one Content-Length of a head whose lines all end with CR LF. None where there is none, or several that differ.
fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n").skip(1).peekable();
    let mut found = None;
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.trim_end();
        if !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("l") {
            continue;
        }
        // A fold (RFC 3261 section 7.3.1).
        let folded = lines.peek().filter(|next| next.starts_with([' ', '\t'])).copied();
        let digits = match (value.trim(), folded) {
            ("", Some(next)) => next.trim(),
            (digits, None) => digits,
            _ => return None,
        };
        // Five digits say 65,535; more would be refused all the same.
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let length = digits.parse::<usize>().ok()?;
        if found.is_some_and(|other| other != length) {
            return None;
        }
        found = Some(length);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn rfc3261_18_3_content_length_says_where_a_message_ends() {
        let message = b"OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\nContent-Length : 3\r\n\r\nabcBYE";
        assert_eq!(look(message), Frame::Message(message.len() - 3));
        for end in 0..message.len() - 3 {
            assert_eq!(look(&message[..end]), Frame::Partial, "{end}");
        }
        assert_eq!(look(b"A\r\nl:\r\n 0\r\n\r\n"), Frame::Message(13));
    }

    #[test]
    fn rfc3261_18_3_a_stream_without_it_has_no_further_message() {
        for head in [
            "A\r\nB: 1\r\n\r\n",
            "A\r\nContent-Length: -1\r\n\r\n",
            "A\r\nContent-Length: 1\r\nl: 2\r\n\r\n",
            "A\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "A\r\nContent-Length: 70000\r\n\r\n",
            "A\r\nContent-Length: 1\r\n 2\r\n\r\n",
        ] {
            assert_eq!(look(head.as_bytes()), Frame::Broken, "{head:?}");
        }
        assert_eq!(look(&[b'a'; LONGEST_MESSAGE]), Frame::Broken);
    }

    #[test]
    fn rfc5626_4_4_1_keep_alives_stand_between_messages() {
        assert_eq!(look(b"\r\n\r\n"), Frame::Empty { octets: 4, ping: true });
        assert_eq!(look(b"\r\nB"), Frame::Empty { octets: 2, ping: false });
        assert_eq!(look(b"\r\n"), Frame::Partial);
    }

    proptest! {
        #[test]
        fn any_stream_is_judged_and_never_beyond_its_end(stream in proptest::collection::vec(any::<u8>(), 0..300)) {
            match look(&stream) {
                Frame::Message(octets) | Frame::Empty { octets, .. } => {
                    prop_assert!(octets > 0 && octets <= stream.len());
                }
                Frame::Partial | Frame::Broken => {}
            }
        }
    }
}
