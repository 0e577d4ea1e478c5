//! Keys in session descriptions (`a=crypto`, RFC 4568), for our offers and answers and of the far end's.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use base64::{Engine, alphabet};
use duogate_channel::srtp::{MOST_MASTER_OCTETS, Master, MasterKeys, Suite};
use sdp_types::Media;
use zeroize::Zeroize;

use super::SdpError;

/// Secured RTP (RFC 3711 section 12).
pub(super) const SECURED: &str = "RTP/SAVP";
/// Plain RTP.
pub(super) const PLAIN: &str = "RTP/AVP";

/// Does a leg want its media secured?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Security {
    /// Plain RTP alone.
    #[default]
    Off,
    /// Keys are offered beside plain RTP (RFC 8643); the party takes them or leaves them.
    Optional,
    /// Secured RTP alone.
    Required,
}

/// Our keys for one leg, one for each suite, the suite liked best first. They are its own, and stay as long as it does.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnKeys {
    /// Is there a call without them?
    pub required: bool,
    /// The keys. Never empty.
    pub keys: Vec<(Suite, Master)>,
}

impl OwnKeys {
    fn of(&self, suite: Suite) -> Option<&Master> {
        self.keys.iter().find(|(ours, _)| *ours == suite).map(|(_, master)| master)
    }
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnKeys({} suites, required: {})", self.keys.len(), self.required)
    }
}

impl Drop for OwnKeys {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(|(_, master)| master.zeroize());
    }
}

/// What one description of ours says of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saying {
    /// Nothing.
    Nothing,
    /// All our keys, tagged from 1 on in their order.
    Offer,
    /// The key for this suite, under the tag of the offer, and its profile.
    Answer { tag: u32, suite: Suite, secured: bool },
}

/// Profile and `a=crypto` values of our stream.
pub(super) fn said(ours: Option<&OwnKeys>, saying: Saying) -> (&'static str, Vec<String>) {
    let line = |tag, suite: Suite, master: &Master| {
        format!("{tag} {} inline:{}", suite.name(), STANDARD.encode(master.expose(suite)))
    };
    match (ours, saying) {
        (None, _) | (_, Saying::Nothing) => (PLAIN, Vec::new()),
        (Some(ours), Saying::Offer) => {
            let lines = (1..).zip(&ours.keys).map(|(tag, (suite, master))| line(tag, *suite, master));
            (if ours.required { SECURED } else { PLAIN }, lines.collect())
        }
        (Some(ours), Saying::Answer { tag, suite, secured }) => {
            let lines = ours.of(suite).map(|master| line(tag, suite, master));
            (if secured { SECURED } else { PLAIN }, lines.into_iter().collect())
        }
    }
}

/// A line of the far end that we can serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    tag: u32,
    suite: Suite,
    master: Master,
}

/// Is its profile the secured one?
pub(super) fn is_secured(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case(SECURED)
}

/// The keys that the answer to our offer comes to, none for plain RTP (RFC 4568 section 5.1.3, RFC 8643 section 3.3).
///
/// # Errors
/// It secures what we did not offer so, or not what we do not want otherwise.
pub(super) fn accepted(ours: Option<&OwnKeys>, media: &Media) -> Result<Option<MasterKeys>, SdpError> {
    let Some(own) = ours else {
        return if is_secured(media) { Err(SdpError::MediaMismatch) } else { Ok(None) };
    };
    let values = values(media);
    if values.is_empty() && !own.required && !is_secured(media) {
        return Ok(None);
    }
    if own.required && !is_secured(media) {
        return Err(SdpError::Insecure);
    }
    // One line, with tag and suite of one of ours.
    let line = match values.as_slice() {
        [value] => parse(value).ok_or(SdpError::Crypto)?,
        _ => return Err(SdpError::Crypto),
    };
    let place = usize::try_from(line.tag).ok().and_then(|tag| own.keys.get(tag.checked_sub(1)?));
    match place {
        Some((suite, master)) if *suite == line.suite => {
            Ok(Some(MasterKeys { suite: *suite, ours: *master, theirs: line.master }))
        }
        _ => Err(SdpError::Crypto),
    }
}

/// What an offer of the far end comes to: its keys and what our answer says (RFC 4568 section 5.1.2).
///
/// # Errors
/// It cannot be secured, and must be: for us or for the far end.
pub(super) fn chosen(
    ours: Option<&OwnKeys>,
    media: &Media,
) -> Result<(Option<MasterKeys>, Saying), SdpError> {
    let secured = is_secured(media);
    let Some(own) = ours else {
        return if secured { Err(SdpError::NoAudio) } else { Ok((None, Saying::Nothing)) };
    };
    let lines = values(media);
    let mut served = lines.iter().filter_map(|value| {
        let line = parse(value)?;
        Some((line, *own.of(line.suite)?))
    });
    match served.next() {
        Some((Line { tag, suite, master: theirs }, ours)) => {
            Ok((Some(MasterKeys { suite, ours, theirs }), Saying::Answer { tag, suite, secured }))
        }
        None if secured => Err(SdpError::Crypto),
        None if own.required => Err(SdpError::Insecure),
        None => Ok((None, Saying::Nothing)),
    }
}

fn values(media: &Media) -> Vec<&str> {
    let all = media.attributes.iter().filter(|attribute| attribute.attribute.eq_ignore_ascii_case("crypto"));
    all.map(|attribute| attribute.value.as_deref().unwrap_or_default()).collect()
}

/// `tag suite inline:KEY [parameters]` (RFC 4568 section 9.1); none if it is anything that we do not serve: another
/// suite, several keys, a master key identifier, parameters that change how packets look.
fn parse(value: &str) -> Option<Line> {
    let mut words = value.split_ascii_whitespace();
    let (tag, suite, keys) = (words.next()?, Suite::from_name(words.next()?)?, words.next()?);
    if tag.len() > 9 || tag.starts_with('0') || !tag.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if !words.all(is_harmless) {
        return None;
    }
    let method = keys.get(.."inline:".len()).filter(|method| method.eq_ignore_ascii_case("inline:"))?;
    let mut parts = keys[method.len()..].split('|');
    let key = parts.next()?;
    // Behind it a lifetime may stand, which is the sender's own affair; an identifier would stand in every packet.
    match (parts.next(), parts.next()) {
        (None, _) => {}
        (Some(lifetime), None) if is_lifetime(lifetime) => {}
        _ => return None,
    }
    let mut octets = [0; MOST_MASTER_OCTETS];
    let length = unbase64(key, &mut octets)?;
    let master = Master::new(suite, &octets[..length]);
    octets.zeroize();
    Some(Line { tag: tag.parse().ok()?, suite, master: master? })
}

/// Session parameters that change nothing for who reads the packets (RFC 4568 section 6.3): a hint of the window, and
/// no key derivation rate. What begins with `-` may be ignored.
fn is_harmless(parameter: &str) -> bool {
    let upper =
        |prefix: &str| parameter.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    parameter.starts_with('-') || upper("WSH=") || parameter.eq_ignore_ascii_case("KDR=0")
}

/// A number, or a power of two.
fn is_lifetime(text: &str) -> bool {
    let digits = text.strip_prefix("2^").unwrap_or(text);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Keys as RFC 4648 section 4 writes them, but for their padding, which may be missing, and for bits behind the last
/// octet.
const UNPADDED: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// The octets of a text, into the place; how many they are. With or without padding.
fn unbase64(text: &str, place: &mut [u8]) -> Option<usize> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    UNPADDED.decode_slice(digits, place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn rfc4568_9_1_lines_are_read() {
        for (value, served) in [
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), true),
            (format!("1 aes_cm_128_hmac_sha1_80 INLINE:{KEY}"), true),
            (format!("999999999 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"), true),
            (format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576 WSH=128"), true),
            (format!("7 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=0 -x=y"), true),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=3"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"), false),
            (format!("1 AEAD_AES_128_GCM inline:{KEY}"), false),
            (format!("01 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), false),
            (format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), false),
            (format!("-1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &KEY[1..]), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA"), false),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"), false),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:".into(), false),
            ("1 AES_CM_128_HMAC_SHA1_80".into(), false),
            ("1".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(parse(&value).is_some(), served, "{value}");
        }
        let line = parse(&format!("42 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        assert_eq!(line.tag, 42);
        assert_eq!(line.master.expose(line.suite), b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#");
    }

    #[test]
    fn rfc4648_10_base64() {
        for (octets, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(STANDARD.encode(octets), text);
            let mut place = [0; 30];
            let length = unbase64(text, &mut place).unwrap();
            assert_eq!(&place[..length], octets.as_bytes());
        }
        for wrong in ["A", "Zg===", "Z!==", "Zm9v Zg", "ÄÖ"] {
            assert_eq!(unbase64(wrong, &mut [0; 30]), None, "{wrong}");
        }
    }

    #[test]
    fn every_key_survives_print_and_reading() {
        for suite in Suite::ALL {
            for seed in 0..=255_u8 {
                let octets: Vec<u8> =
                    (0..30_u8).take(suite.master_octets()).map(|at| seed.wrapping_mul(at ^ 91)).collect();
                let master = Master::new(suite, &octets).unwrap();
                let ours = OwnKeys { required: true, keys: alloc::vec![(suite, master)] };
                let (profile, lines) = said(Some(&ours), Saying::Offer);
                assert_eq!((profile, lines.len()), (SECURED, 1));
                assert_eq!(parse(&lines[0]), Some(Line { tag: 1, suite, master }));
            }
        }
    }

    #[test]
    fn keys_do_not_print() {
        let master = Master::new(Suite::AeadAes128Gcm, &[77; 28]).unwrap();
        let ours = OwnKeys { required: true, keys: alloc::vec![(Suite::AeadAes128Gcm, master)] };
        assert_eq!(format!("{ours:?}"), "OwnKeys(1 suites, required: true)");
    }
}
