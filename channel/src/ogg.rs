//! The checksum of Ogg pages (RFC 3533 section 6): who writes recordings and who repairs them must agree on it.

/// Where the checksum stands in a page.
pub const CHECKSUM: usize = 22;

/// The page's flag: the stream ends with it.
pub const END: u8 = 4;

/// Octets of a page's header before its table of segments.
pub const HEADER: usize = 27;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let (mut rest, mut bit) = (byte << 24, 0);
        while bit < 8 {
            rest = if rest & 0x8000_0000 != 0 { rest << 1 ^ 0x04c1_1db7 } else { rest << 1 };
            bit += 1;
        }
        table[byte as usize] = rest;
        byte += 1;
    }
    table
};

/// The checksum of a page; what stands in its place is left out.
#[must_use]
pub fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0_u32, |sum, (place, byte)| {
        let byte = if (CHECKSUM..CHECKSUM + 4).contains(&place) { 0 } else { *byte };
        sum << 8 ^ TABLE[(sum >> 24 ^ u32::from(byte)) as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_a_known_page_and_does_not_see_itself() {
        // The last page of an empty stream with serial number 1 and page number 0, its sum worked out by hand below.
        let mut page = [0; HEADER];
        page[..4].copy_from_slice(b"OggS");
        page[5] = END;
        page[14] = 1;
        let bitwise = page.iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
                if sum & 0x8000_0000 != 0 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            })
        });
        assert_eq!(checksum(&page), bitwise);
        page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&bitwise.to_le_bytes());
        assert_eq!(checksum(&page), bitwise);
        page[14] = 2;
        assert_ne!(checksum(&page), bitwise);
    }
}
