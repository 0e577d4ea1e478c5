//! The two ways in which packets are protected, and the keys for them.

use aes::Aes128Enc;
use aes::cipher::array::Array;
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use duogate_channel::srtp::{KEY_OCTETS, Suite};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::layout::{ENCRYPTED, INDEX_OCTETS, MOST_RTCP_INDEX, RTCP_HEADER, Rtp};

/// Octets of the tag of `AES_CM_128_HMAC_SHA1_80`, for RTP and for RTCP.
const HMAC_TAG: usize = 10;
/// Octets of the tag of `AEAD_AES_128_GCM`.
const GCM_TAG: usize = 16;
/// Octets of the authentication key (RFC 3711 section 8.2).
const AUTHENTICATION_KEY: usize = 20;

/// Octets of a block of AES, and of how many blocks are encrypted in one go.
const BLOCK: usize = 16;
const BLOCKS: usize = 8;

/// Labels of the session keys (RFC 3711 section 4.3.2).
mod label {
    pub(super) const RTP_KEY: u8 = 0;
    pub(super) const RTP_AUTHENTICATION: u8 = 1;
    pub(super) const RTP_SALT: u8 = 2;
    pub(super) const RTCP_KEY: u8 = 3;
    pub(super) const RTCP_AUTHENTICATION: u8 = 4;
    pub(super) const RTCP_SALT: u8 = 5;
}

/// Session keys of one protocol in one direction, ready for use.
// The larger variant is there once a protocol and direction of a leg, and reached without another step.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Transform {
    /// RFC 3711 sections 4.1.1 and 4.2.1.
    CounterMode { cipher: Aes128Enc, salt: [u8; 14], hmac: Hmac<Sha1> },
    /// RFC 7714.
    Gcm { cipher: LessSafeKey, salt: [u8; 12] },
}

/// Session keys for RTP and for RTCP (RFC 3711 section 4.3, without a key derivation rate).
pub(crate) fn derive(suite: Suite, master: &[u8]) -> (Transform, Transform) {
    let labels = [label::RTP_KEY, label::RTP_SALT, label::RTP_AUTHENTICATION];
    let rtp = Transform::new(suite, master, labels);
    let labels = [label::RTCP_KEY, label::RTCP_SALT, label::RTCP_AUTHENTICATION];
    (rtp, Transform::new(suite, master, labels))
}

/// One session key: the keystream of the master key under the master salt, which the label is taken into.
pub(crate) fn session_key<const N: usize>(master: &[u8], label: u8) -> Zeroizing<[u8; N]> {
    let (key, salt) = master.split_at(KEY_OCTETS);
    // A shorter salt is filled up with zeros behind it (RFC 7714 section 11).
    let mut start = [0; BLOCK];
    start[..salt.len()].copy_from_slice(salt);
    start[7] ^= label;
    let mut derived = Zeroizing::new([0; N]);
    apply_keystream(&cipher(key), start, &mut derived[..]);
    start.zeroize();
    derived
}

pub(crate) fn cipher(key: &[u8]) -> Aes128Enc {
    let mut whole = [0; KEY_OCTETS];
    whole.copy_from_slice(key);
    let cipher = Aes128Enc::new(&whole.into());
    whole.zeroize();
    cipher
}

/// Counter mode: the keystream that begins with this block is taken into the data. The last two octets of the block
/// count, and are zero at its beginning.
#[inline]
pub(crate) fn apply_keystream(cipher: &Aes128Enc, start: [u8; BLOCK], data: &mut [u8]) {
    let mut counter = u128::from_be_bytes(start);
    for chunk in data.chunks_mut(BLOCK * BLOCKS) {
        let mut blocks: [Block<Aes128Enc>; BLOCKS] = Default::default();
        let used = &mut blocks[..chunk.len().div_ceil(BLOCK)];
        for block in used.iter_mut() {
            block.copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(used);
        for (octet, key) in chunk.iter_mut().zip(Array::slice_as_flattened(used)) {
            *octet ^= key;
        }
    }
}

impl Transform {
    fn new(suite: Suite, master: &[u8], [key, salt, authentication]: [u8; 3]) -> Self {
        let session = session_key::<KEY_OCTETS>(master, key);
        match suite {
            Suite::AesCm128HmacSha1_80 => {
                let secret = session_key::<AUTHENTICATION_KEY>(master, authentication);
                let mut block = [0; 64];
                block[..AUTHENTICATION_KEY].copy_from_slice(&secret[..]);
                // RFC 2104 section 2: a key that is shorter than a block is filled up with zeros.
                let hmac = <Hmac<Sha1> as KeyInit>::new(&block.into());
                block.zeroize();
                Self::CounterMode { cipher: cipher(&session[..]), salt: *session_key(master, salt), hmac }
            }
            Suite::AeadAes128Gcm => {
                // The key has the length that the algorithm wants, which is all that can be wrong with it.
                let key = UnboundKey::new(&AES_128_GCM, &session[..]).expect("a key of 16 octets");
                Self::Gcm { cipher: LessSafeKey::new(key), salt: *session_key(master, salt) }
            }
        }
    }

    /// AES-GCM with session keys that come from elsewhere.
    #[cfg(test)]
    pub(crate) fn with_session_keys(key: &[u8], salt: [u8; 12]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).unwrap();
        Self::Gcm { cipher: LessSafeKey::new(key), salt }
    }

    /// Octets of the tag.
    #[inline]
    pub(crate) const fn tag_octets(&self) -> usize {
        match self {
            Self::CounterMode { .. } => HMAC_TAG,
            Self::Gcm { .. } => GCM_TAG,
        }
    }

    /// Encrypts the packet in the first `end` octets; the tag fills the rest.
    #[inline]
    pub(crate) fn seal_rtp(&self, packet: &mut [u8], end: usize, header: &Rtp, index: u64) {
        let (text, tag) = packet.split_at_mut(end);
        match self {
            Self::CounterMode { cipher, salt, hmac } => {
                let block = counter_block(salt, header.ssrc, index);
                apply_keystream(cipher, block, &mut text[header.payload..]);
                tag.copy_from_slice(&rtp_tag(hmac, text, index));
            }
            Self::Gcm { cipher, salt } => {
                let (clear, secret) = text.split_at_mut(header.payload);
                seal_gcm(cipher, rtp_nonce(salt, header.ssrc, index), clear, secret, tag);
            }
        }
    }

    /// Checks and decrypts the packet, whose tag begins at `end`. Is it authentic?
    #[inline]
    pub(crate) fn open_rtp(&self, packet: &mut [u8], end: usize, header: &Rtp, index: u64) -> bool {
        match self {
            Self::CounterMode { cipher, salt, hmac } => {
                let (text, tag) = packet.split_at_mut(end);
                let authentic = bool::from(rtp_tag(hmac, text, index)[..].ct_eq(tag));
                if authentic {
                    let block = counter_block(salt, header.ssrc, index);
                    apply_keystream(cipher, block, &mut text[header.payload..]);
                }
                authentic
            }
            Self::Gcm { cipher, salt } => {
                let (clear, secret) = packet.split_at_mut(header.payload);
                open_gcm(cipher, rtp_nonce(salt, header.ssrc, index), clear, secret)
            }
        }
    }

    /// Encrypts the RTCP packet in the first `end` octets; index and tag fill the rest, in the order of the suite.
    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], end: usize, ssrc: u32, index: u32) {
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::CounterMode { cipher, salt, hmac } => {
                let block = counter_block(salt, ssrc, u64::from(index));
                apply_keystream(cipher, block, &mut packet[RTCP_HEADER..end]);
                packet[end..end + INDEX_OCTETS].copy_from_slice(&word);
                let (text, tag) = packet.split_at_mut(end + INDEX_OCTETS);
                tag.copy_from_slice(&rtcp_tag(hmac, text));
            }
            Self::Gcm { cipher, salt } => {
                let (text, behind) = packet.split_at_mut(end);
                let (tag, place) = behind.split_at_mut(GCM_TAG);
                place.copy_from_slice(&word);
                let (clear, secret) = text.split_at_mut(RTCP_HEADER);
                let clear = rtcp_clear(clear, word);
                seal_gcm(cipher, rtcp_nonce(salt, ssrc, index), &clear, secret, tag);
            }
        }
    }

    /// The word with index and flag of an SRTCP packet.
    pub(crate) fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let rest = match self {
            Self::CounterMode { .. } => packet.len().checked_sub(HMAC_TAG)?,
            Self::Gcm { .. } => packet.len(),
        };
        packet[..rest].last_chunk().map(|word| u32::from_be_bytes(*word))
    }

    /// Checks and decrypts the SRTCP packet, behind whose `end` octets index and tag lie. Is it authentic? One that is
    /// not encrypted is refused: nobody has agreed to that.
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], end: usize, ssrc: u32, word: u32) -> bool {
        if word & ENCRYPTED == 0 {
            return false;
        }
        let index = word & MOST_RTCP_INDEX;
        match self {
            Self::CounterMode { cipher, salt, hmac } => {
                let (text, tag) = packet.split_at_mut(end + INDEX_OCTETS);
                let authentic = bool::from(rtcp_tag(hmac, text)[..].ct_eq(tag));
                if authentic {
                    let block = counter_block(salt, ssrc, u64::from(index));
                    apply_keystream(cipher, block, &mut text[RTCP_HEADER..end]);
                }
                authentic
            }
            Self::Gcm { cipher, salt } => {
                let (clear, rest) = packet.split_at_mut(RTCP_HEADER);
                let clear = rtcp_clear(clear, word.to_be_bytes());
                let secret = rest.len() - INDEX_OCTETS;
                open_gcm(cipher, rtcp_nonce(salt, ssrc, index), &clear, &mut rest[..secret])
            }
        }
    }
}

/// The first block of a packet's keystream (RFC 3711 section 4.1.1).
#[inline]
fn counter_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..14].copy_from_slice(salt);
    let packet = u128::from(ssrc) << 64 | u128::from(index) << 16;
    (u128::from_be_bytes(block) ^ packet).to_be_bytes()
}

/// The tag of an RTP packet, which the rollover counter goes into (RFC 3711 section 4.2).
#[inline]
fn rtp_tag(hmac: &Hmac<Sha1>, text: &[u8], index: u64) -> [u8; HMAC_TAG] {
    let rollovers = index >> 16;
    let [.., a, b, c, d] = rollovers.to_be_bytes();
    shortened(hmac.clone().chain_update(text).chain_update([a, b, c, d]))
}

/// The tag of an RTCP packet with its index.
fn rtcp_tag(hmac: &Hmac<Sha1>, text: &[u8]) -> [u8; HMAC_TAG] {
    shortened(hmac.clone().chain_update(text))
}

#[inline]
fn shortened(hmac: Hmac<Sha1>) -> [u8; HMAC_TAG] {
    let whole: [u8; 20] = hmac.finalize().into_bytes().into();
    let mut tag = [0; HMAC_TAG];
    tag.copy_from_slice(&whole[..HMAC_TAG]);
    tag
}

/// RFC 7714 section 8.1: SSRC, rollover counter and sequence number under the salt.
#[inline]
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    salted(salt, nonce)
}

/// RFC 7714 section 9.1.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    salted(salt, nonce)
}

#[inline]
fn salted(salt: &[u8; 12], mut nonce: [u8; 12]) -> [u8; 12] {
    nonce.iter_mut().zip(salt).for_each(|(octet, salt)| *octet ^= salt);
    nonce
}

/// What of an RTCP packet is authenticated and not encrypted: its header and the word with the index (RFC 7714
/// section 9.2).
fn rtcp_clear(header: &[u8], word: [u8; INDEX_OCTETS]) -> [u8; RTCP_HEADER + INDEX_OCTETS] {
    let mut clear = [0; RTCP_HEADER + INDEX_OCTETS];
    clear[..RTCP_HEADER].copy_from_slice(header);
    clear[RTCP_HEADER..].copy_from_slice(&word);
    clear
}

#[inline]
fn seal_gcm(key: &LessSafeKey, nonce: [u8; 12], clear: &[u8], secret: &mut [u8], place: &mut [u8]) {
    let nonce = Nonce::assume_unique_for_key(nonce);
    match key.seal_in_place_separate_tag(nonce, Aad::from(clear), secret) {
        Ok(tag) => place.copy_from_slice(tag.as_ref()),
        // Only for more than 64 GiB. What goes out then nobody takes for authentic, nor can it be read.
        Err(_) => {
            secret.fill(0);
            place.fill(0);
        }
    }
}

/// `secret` ends with the tag.
#[inline]
fn open_gcm(key: &LessSafeKey, nonce: [u8; 12], clear: &[u8], secret: &mut [u8]) -> bool {
    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(clear), secret).is_ok()
}
