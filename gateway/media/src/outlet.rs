//! Where paced packets go and where their sound comes from.

use duogate_channel::digits::Key;
use duogate_channel::identity::Sound;
use duogate_channel::sound::Codec;

use crate::action::Socket;

/// Takes paced packets; the shell's send buffers stand behind it.
pub trait Outlet {
    /// Sends one datagram of `length` bytes (at most [`MAXIMUM_PACED`]) from the connected `socket`. `fill`
    /// writes every byte of the slice that it is given, which must be `length` long. False if there is no buffer:
    /// then `fill` was not called, and the packet is treated as if it had never been due, with time passing.
    fn send(&mut self, socket: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool;
}

/// The largest packet that the core makes: RTP header and 60 ms of G.711 or G.722, which a helper made of as much Opus.
/// Prompts and tones come in 20 ms.
pub const MAXIMUM_PACED: usize = 12 + 480;

/// One sound as it lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoundView<'a> {
    /// What the bytes mean.
    pub codec: Codec,
    /// 8,000 bytes a second; in Opus packets of 20 ms, each [`duogate_channel::sound::OPUS_FRAME_OCTETS`] long.
    pub bytes: &'a [u8],
}

/// What the core lets a party hear of its own accord. In G.711 it makes that itself; in other codecs it lies ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    /// A key: 100 ms of its tones, and 100 ms of silence.
    Key(Key),
    /// Noise of this level in −dBov, without end.
    Noise(u8),
}

/// The sounds that the control plane has handed over. A sound that is forgotten while it plays ends there, with
/// `PlayOutcome::Missing`.
pub trait SoundStore {
    /// Looks one up, once for every paced packet: must be quick.
    fn sound(&self, sound: Sound) -> Option<SoundView<'_>>;

    /// 20 ms of what the core wants to be heard, in a codec other than G.711: so many times 20 ms from its beginning.
    /// `None` if there is none, or not yet.
    fn ready(&self, _what: Ready, _codec: Codec, _step: u8) -> Option<&[u8]> {
        None
    }
}

/// A store without sounds.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoSounds;

impl SoundStore for NoSounds {
    fn sound(&self, _: Sound) -> Option<SoundView<'_>> {
        None
    }
}

/// An outlet that never has a buffer.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoOutlet;

impl Outlet for NoOutlet {
    fn send(&mut self, _: Socket, _: usize, _: impl FnOnce(&mut [u8])) -> bool {
        false
    }
}
