//! What the attach thread tells a shard, beside the command ring.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use duogate_channel::command::{Command, Source};
use duogate_channel::descriptors::Doorbell;
use duogate_channel::identity::Sound;
use duogate_channel::segment::SealedBytes;
use duogate_channel::sides::GatewaySide;
use duogate_channel::sound::Codec;
use duogate_media::{LegSnapshot, Ready, SoundStore, SoundView};

use crate::ready::ReadySounds;

/// Notices that may wait: far more than a control plane can cause between two turns of a loop, as each of them
/// costs it a message and an answer.
const NOTICES: usize = 1024;

/// One sound, mapped.
pub struct StoredSound {
    /// What the octets mean.
    pub codec: Codec,
    /// The octets, which nobody can change.
    pub octets: SealedBytes,
}

/// One notice.
pub enum Notice {
    /// A control plane has attached.
    Attach(Box<GatewaySide>, Arc<Attachment>),
    /// It has gone.
    Detach,
    /// A sound can be played.
    Sound(Sound, Arc<StoredSound>),
    /// A sound will not be asked for again.
    Forget(Sound),
    /// End all sessions, then the thread.
    Stop,
}

/// One control plane's stay, as shards and the attach thread share it.
pub struct Attachment {
    broken: AtomicBool,
    bell: Doorbell,
}

impl Attachment {
    /// A healthy one; `bell` wakes the attach thread.
    #[must_use]
    pub const fn new(bell: Doorbell) -> Self {
        Self { broken: AtomicBool::new(false), bell }
    }

    /// A shard has found the rings poisoned: the control plane must go.
    pub fn condemn(&self) {
        self.broken.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Has a shard found its rings poisoned?
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// A shard's inbox. Many write, the shard reads.
pub struct Inbox {
    notices: ArrayQueue<Notice>,
    bell: Doorbell,
}

impl Inbox {
    /// An empty one.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> rustix::io::Result<Self> {
        Ok(Self { notices: ArrayQueue::new(NOTICES), bell: Doorbell::blocking()? })
    }

    /// Leaves a notice and wakes the shard.
    ///
    /// # Errors
    /// The notice, if the inbox is full.
    pub fn leave(&self, notice: Notice) -> Result<(), Notice> {
        let outcome = self.notices.push(notice);
        self.bell.ring();
        outcome
    }

    /// The oldest notice.
    pub fn take(&self) -> Option<Notice> {
        self.notices.pop()
    }

    /// Wakes the shard; also for the recorder, which has a queue of its own.
    #[must_use]
    pub const fn bell(&self) -> &Doorbell {
        &self.bell
    }
}

/// The sounds that a shard can play.
pub struct Sounds {
    ready: ReadySounds,
    sounds: HashMap<Sound, Arc<StoredSound>>,
    retired: HashMap<Sound, bool>,
}

impl Sounds {
    /// None but what the gateway makes itself.
    #[must_use]
    pub fn new(ready: ReadySounds) -> Self {
        Self { ready, sounds: HashMap::new(), retired: HashMap::new() }
    }

    /// A party may speak another codec than G.711 from this command on: what it may have to hear is made ready.
    pub fn heed(&self, command: &Command) {
        if matches!(command, Command::FarEnd { far_end, .. } if !far_end.codec.is_g711()) {
            self.ready.begin();
        }
    }

    /// Takes one in; it replaces one of the same name.
    pub fn keep(&mut self, sound: Sound, stored: Arc<StoredSound>) {
        self.retired.remove(&sound);
        self.sounds.insert(sound, stored);
    }

    /// It will not be asked for again: it goes when nobody hears it any more.
    pub fn retire(&mut self, sound: Sound) {
        if self.sounds.contains_key(&sound) {
            self.retired.insert(sound, true);
        }
    }

    /// All of them: their control plane has gone.
    pub fn retire_all(&mut self) {
        self.retired.extend(self.sounds.keys().map(|sound| (*sound, true)));
    }

    /// A walk over all sessions begins.
    pub fn begin_walk(&mut self) {
        self.retired.values_mut().for_each(|heard| *heard = false);
    }

    /// On that walk, what this leg hears is still needed.
    pub fn heard_by(&mut self, leg: &LegSnapshot) {
        let source = match leg.hears {
            Source::Sound { sound, .. } => Some(sound),
            Source::Peer | Source::Silence => None,
        };
        for sound in source.into_iter().chain(leg.plays) {
            if let Some(heard) = self.retired.get_mut(&sound) {
                *heard = true;
            }
        }
    }

    /// The walk is over: retired sounds that nobody hears go.
    pub fn end_walk(&mut self) {
        for (sound, _) in self.retired.extract_if(|_, heard| !*heard) {
            self.sounds.remove(&sound);
        }
    }
}

impl SoundStore for Sounds {
    fn sound(&self, sound: Sound) -> Option<SoundView<'_>> {
        self.sounds.get(&sound).map(|stored| SoundView { codec: stored.codec, bytes: &stored.octets })
    }

    fn ready(&self, what: Ready, codec: Codec, step: u8) -> Option<&[u8]> {
        self.ready.step(what, codec, step)
    }
}
