//! RTCP packets (RFC 3550 section 6): compound packets as they come, checked whole before anything of them is believed,
//! and as they are sent.

use thiserror::Error;

/// Packet types (RFC 3550 section 12.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// Octets of a report block (section 6.4.1).
const BLOCK_BYTES: usize = 24;

/// Octets of the header and of one SSRC.
const HEADER_BYTES: usize = 4;
const SSRC_BYTES: usize = 4;

/// Octets of the sender's part of a sender report.
const SENDER_BYTES: usize = 20;

/// Characters of a CNAME of ours (RFC 7022 section 4.2: 96 bits in base64).
pub const CNAME_BYTES: usize = 16;

/// The longest compound packet of ours: sender report with a block, SDES, and BYE.
pub const MAXIMUM_REPORT: usize = 8 + SENDER_BYTES + BLOCK_BYTES + 8 + 2 + CNAME_BYTES + 2 + 8;

/// Could this be RTCP and not RTP, where both share a port (RFC 5761 section 4)?
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 2 && datagram[1] >> 5 == 6
}

/// Why some bytes are not a compound RTCP packet (RFC 3550 appendix A.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// A packet of it is longer than what is left, or not of whole words.
    #[error("lengths do not add up")]
    Length,
    /// A version other than 2.
    #[error("not RTP version 2")]
    Version,
    /// Padding in a packet that is not the last, or an impossible amount of it.
    #[error("impossible padding")]
    Padding,
    /// It does not begin with a sender or receiver report (section 6.1).
    #[error("does not begin with a report")]
    Beginning,
    /// A report or BYE is shorter than its count of blocks or sources.
    #[error("shorter than its count")]
    Count,
}

/// What a sender says of its stream (section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// Wall clock, 32.32 fixed-point seconds since 1900.
    pub ntp: u64,
    /// RTP timestamp of the same instant.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of payload in them.
    pub octets: u32,
}

/// What a receiver says of one stream (section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Block {
    /// Of whom.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction: u8,
    /// Lost since the beginning; 24 bits.
    pub lost: i32,
    /// The highest sequence number, with how often it went round.
    pub highest: u32,
    /// Interarrival jitter, in timestamp units.
    pub jitter: u32,
    /// The middle of the NTP timestamp of the newest sender report; 0: none came.
    pub last_report: u32,
    /// How long ago that came, in 1/65536 s.
    pub delay: u32,
}

impl Block {
    fn read(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self {
            ssrc: word(0),
            fraction: bytes[4],
            // 24 bits, two's complement.
            lost: (word(4) << 8).cast_signed() >> 8,
            highest: word(8),
            jitter: word(12),
            last_report: word(16),
            delay: word(20),
        }
    }
}

/// One statement of a compound packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement {
    /// A sender report's own part.
    Sender {
        /// Whose stream.
        ssrc: u32,
        /// What it says.
        info: SenderInfo,
    },
    /// A report block.
    Block(Block),
    /// This source leaves (section 6.6).
    Bye(u32),
}

/// A compound packet whose lengths have all been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

/// One packet of a compound one, its length checked.
struct Part<'a> {
    kind: u8,
    count: usize,
    /// What follows the header, without padding.
    body: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Looks at a datagram.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it is to be believed then.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let mut first = true;
        while !rest.is_empty() {
            let (part, behind) = split(rest)?;
            if first && !matches!(part.kind, SENDER_REPORT | RECEIVER_REPORT) {
                return Err(Malformed::Beginning);
            }
            let least = match part.kind {
                SENDER_REPORT => SSRC_BYTES + SENDER_BYTES + part.count * BLOCK_BYTES,
                RECEIVER_REPORT => SSRC_BYTES + part.count * BLOCK_BYTES,
                BYE => part.count * SSRC_BYTES,
                _ => 0,
            };
            if part.body.len() < least {
                return Err(Malformed::Count);
            }
            (rest, first) = (behind, false);
        }
        if first { Err(Malformed::Length) } else { Ok(Self { bytes }) }
    }

    /// All that it says of streams; source descriptions, application packets, feedback and extended reports say
    /// nothing here.
    pub fn statements(&self, mut each: impl FnMut(Statement)) {
        let mut rest = self.bytes;
        while let Ok((part, behind)) = split(rest) {
            part.statements(&mut each);
            rest = behind;
        }
    }
}

impl Part<'_> {
    fn statements(&self, each: &mut impl FnMut(Statement)) {
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
        let blocks = match (self.kind, self.body.split_at_checked(SSRC_BYTES)) {
            (SENDER_REPORT, Some((ssrc, rest))) => {
                let Some((info, blocks)) = rest.split_first_chunk::<SENDER_BYTES>() else { return };
                let info = SenderInfo {
                    ntp: u64::from(word(&info[0..])) << 32 | u64::from(word(&info[4..])),
                    timestamp: word(&info[8..]),
                    packets: word(&info[12..]),
                    octets: word(&info[16..]),
                };
                each(Statement::Sender { ssrc: word(ssrc), info });
                blocks
            }
            (RECEIVER_REPORT, Some((_, blocks))) => blocks,
            (BYE, _) => {
                let (sources, _) = self.body.as_chunks::<SSRC_BYTES>();
                sources.iter().take(self.count).for_each(|ssrc| each(Statement::Bye(word(ssrc))));
                return;
            }
            _ => return,
        };
        let (blocks, _) = blocks.as_chunks::<BLOCK_BYTES>();
        blocks.iter().take(self.count).for_each(|block| each(Statement::Block(Block::read(block))));
    }
}

/// The first packet, and what follows it.
fn split(bytes: &[u8]) -> Result<(Part<'_>, &[u8]), Malformed> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed::Length)?;
    if header[0] >> 6 != 2 {
        return Err(Malformed::Version);
    }
    let length = HEADER_BYTES + usize::from(u16::from_be_bytes([header[2], header[3]])) * 4;
    let (part, behind) = bytes.split_at_checked(length).ok_or(Malformed::Length)?;
    let mut body = &part[HEADER_BYTES..];
    if header[0] & 0x20 != 0 {
        // Only the last packet is padded, in whole words (section 6.4.1).
        let padding = body.last().map_or(0, |count| usize::from(*count));
        if !behind.is_empty() || padding == 0 || !padding.is_multiple_of(4) || padding > body.len() {
            return Err(Malformed::Padding);
        }
        body = &body[..body.len() - padding];
    }
    Ok((Part { kind: header[1], count: usize::from(header[0] & 0x1f), body }, behind))
}

/// A compound packet of ours (section 6.1): a report, who we are, and maybe that we leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Our stream.
    pub ssrc: u32,
    /// What it carried, if we have sent of late: a sender report. Otherwise it is a receiver report.
    pub sender: Option<SenderInfo>,
    /// What came from the party, if anything did.
    pub block: Option<Block>,
    /// The canonical name of our stream.
    pub cname: [u8; CNAME_BYTES],
    /// We leave.
    pub bye: bool,
}

impl Report {
    /// Octets that [`Report::emit`] writes: at most [`MAXIMUM_REPORT`].
    #[must_use]
    pub const fn length(&self) -> usize {
        let report = self.report_bytes();
        report + self.description_bytes() + if self.bye { HEADER_BYTES + SSRC_BYTES } else { 0 }
    }

    const fn report_bytes(&self) -> usize {
        HEADER_BYTES
            + SSRC_BYTES
            + if self.sender.is_some() { SENDER_BYTES } else { 0 }
            + if self.block.is_some() { BLOCK_BYTES } else { 0 }
    }

    /// Header, source, the item's kind and length, the name, and zeros up to a whole word, at least one.
    const fn description_bytes(&self) -> usize {
        HEADER_BYTES + SSRC_BYTES + (2 + self.cname.len() + 1).next_multiple_of(4)
    }

    /// Writes it into `bytes`, which are [`Report::length`] long.
    pub fn emit(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        let mut w = Writer { rest: bytes };
        let kind = if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        w.header(u8::from(self.block.is_some()), kind, self.report_bytes()).word(self.ssrc);
        if let Some(info) = &self.sender {
            w.put(info.ntp.to_be_bytes()).word(info.timestamp).word(info.packets).word(info.octets);
        }
        if let Some(block) = &self.block {
            let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
            w.word(block.ssrc).word(u32::from(block.fraction) << 24 | lost).word(block.highest);
            w.word(block.jitter).word(block.last_report).word(block.delay);
        }
        // One item: CNAME is 1 (section 6.5.1).
        w.header(1, SOURCE_DESCRIPTION, self.description_bytes()).word(self.ssrc);
        w.put([1, CNAME_LENGTH]).put(self.cname);
        w.skip(self.description_bytes() - HEADER_BYTES - SSRC_BYTES - 2 - self.cname.len());
        if self.bye {
            w.header(1, BYE, HEADER_BYTES + SSRC_BYTES).word(self.ssrc);
        }
    }
}

/// The length of a CNAME as it is written.
#[allow(clippy::cast_possible_truncation, reason = "16")]
const CNAME_LENGTH: u8 = CNAME_BYTES as u8;

/// Writes words one after the other, as far as there is room.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        if let Some((place, rest)) = ::core::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            *place = bytes;
            self.rest = rest;
        }
        self
    }

    fn word(&mut self, word: u32) -> &mut Self {
        self.put(word.to_be_bytes())
    }

    /// `length` in octets, header included; the field counts words without the first.
    fn header(&mut self, count: u8, kind: u8, length: usize) -> &mut Self {
        let words = u16::try_from(length / 4 - 1).unwrap_or(0).to_be_bytes();
        self.put([0x80 | count, kind, words[0], words[1]])
    }

    fn skip(&mut self, octets: usize) {
        let rest = ::core::mem::take(&mut self.rest);
        self.rest = rest.get_mut(octets..).unwrap_or_default();
    }
}
