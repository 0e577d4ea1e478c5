//! How long a payload sounds.

use duogate_channel::sound::Codec;

/// Ticks of its codec's clock that a payload lasts; saturating, which no packet comes near.
pub(crate) fn ticks(codec: Codec, payload: &[u8]) -> u16 {
    match codec {
        Codec::Pcma | Codec::Pcmu | Codec::G722 => u16::try_from(payload.len()).unwrap_or(u16::MAX),
        Codec::Opus => opus_ticks(payload),
    }
}

/// RFC 6716 section 3.1: the first octet tells how long a frame is and how many there are, the second one if there are
/// more than two. At least one tick, for there is something.
fn opus_ticks(payload: &[u8]) -> u16 {
    const SILK: [u16; 4] = [480, 960, 1920, 2880];
    const HYBRID: [u16; 2] = [480, 960];
    const CELT: [u16; 4] = [120, 240, 480, 960];
    let Some(first) = payload.first() else { return 0 };
    let configuration = usize::from(first >> 3);
    let frame = match configuration {
        0..12 => SILK[configuration % 4],
        12..16 => HYBRID[configuration % 2],
        _ => CELT[configuration % 4],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(1, |second| u16::from(second & 0x3f)),
    };
    frame.saturating_mul(frames).max(1)
}

/// Octets of 20 ms of a sound that is played in this codec.
pub(crate) const fn frame_octets(codec: Codec) -> usize {
    match codec {
        Codec::Pcma | Codec::Pcmu | Codec::G722 => 160,
        Codec::Opus => duogate_channel::sound::OPUS_FRAME_OCTETS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_octet_is_a_tick_where_the_clock_counts_8000() {
        for codec in [Codec::Pcma, Codec::Pcmu, Codec::G722] {
            assert_eq!(ticks(codec, &[0; 240]), 240);
        }
    }

    #[test]
    fn rfc6716_3_1_the_first_octets_of_opus_tell_its_length() {
        // SILK 20 ms once, SILK 60 ms twice, hybrid 10 ms, CELT 2.5 ms in two, CELT 20 ms five times.
        let packets: [(&[u8], u16); 6] = [
            (&[1 << 3, 7], 960),
            (&[3 << 3 | 1, 7], 5760),
            (&[12 << 3, 7], 480),
            (&[16 << 3 | 2, 7], 240),
            (&[31 << 3 | 3, 5, 7], 4800),
            (&[], 0),
        ];
        for (packet, length) in packets {
            assert_eq!(ticks(Codec::Opus, packet), length, "{packet:?}");
        }
    }
}
