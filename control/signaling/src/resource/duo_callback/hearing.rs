//! What party 1 hears while party 2 is called: the ring modes, as one function of what has happened so far.

use duogate_channel::command::{Repeat, Source};
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;

use super::DuoCallback;
use super::phase::Phase;
use crate::resource::plan::{RingPlayMode, SoundSet};

/// What party 1 hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hears {
    /// Nothing.
    Silence,
    /// The prompt, over and over.
    Prompt,
    /// The prompt, once.
    PromptOnce,
    /// The local ringback tone of party 2's trunk, if there is one.
    Tone(Option<SoundSet>),
    /// Party 2: its early media, or its voice.
    Peer,
}

/// How far party 2's ringing has come in the present attempt.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Ringing {
    /// A 180 or 183 came, or early media.
    pub(super) rings: bool,
    /// A 180 came: from here on there is a tone where there is no early media.
    pub(super) alerted: bool,
    /// A session description came with one of them. That stays so: silence does not bring the tone back.
    pub(super) early_media: bool,
}

/// While party 2 is called, under a prompt's mode (none: no prompt), over a trunk with this tone.
pub(super) const fn while_calling(
    mode: Option<RingPlayMode>,
    ringing: Ringing,
    tone: Option<SoundSet>,
) -> Hears {
    let ringback = match ringing {
        Ringing { early_media: true, .. } => Hears::Peer,
        Ringing { alerted: true, .. } => Hears::Tone(tone),
        Ringing { .. } => Hears::Silence,
    };
    match mode {
        Some(RingPlayMode::FromRinging) if ringing.rings => Hears::Prompt,
        Some(RingPlayMode::FromRinging) => Hears::Silence,
        Some(RingPlayMode::FromDial) => Hears::Prompt,
        Some(RingPlayMode::UntilRinging) if !ringing.rings => Hears::Prompt,
        Some(RingPlayMode::UntilRinging | RingPlayMode::BeforeDial) | None => ringback,
    }
}

impl DuoCallback {
    /// Lets party 1 hear what it should, if that is something new.
    pub(super) fn sound(&mut self) {
        let hears = match self.phase {
            Phase::Prompting => Hears::PromptOnce,
            Phase::Calling2 => {
                let mode = self.plan.ring_play.as_ref().map(|play| play.mode);
                let called = self.call(Party::Two);
                let trunk = called.dialled.as_ref().and_then(|dialled| dialled.trunk.as_deref());
                while_calling(mode, called.ringing, self.prepared.ringback.over(trunk))
            }
            _ => return,
        };
        if core::mem::replace(&mut self.hears, hears) != hears {
            let source = self.source(hears);
            self.send_hear(Party::One, source);
        }
    }

    pub(super) fn source(&self, hears: Hears) -> Source {
        let codec = self.call(Party::One).far_end.map_or(Codec::Pcma, |far_end| far_end.codec);
        let sound = |set: Option<SoundSet>, repeat| match set.and_then(|set| set.for_codec(codec)) {
            Some(sound) => Source::Sound { sound, repeat },
            None => Source::Silence,
        };
        match hears {
            Hears::Silence => Source::Silence,
            Hears::Prompt => sound(self.prepared.ring_play, Repeat::Forever),
            Hears::PromptOnce => sound(self.prepared.ring_play, Repeat::Times(1)),
            Hears::Tone(set) => sound(set, Repeat::Forever),
            Hears::Peer => Source::Peer,
        }
    }

    /// Is there a prompt to be heard before the second call?
    pub(super) fn prompts_first(&self) -> bool {
        self.prepared.ring_play.is_some()
            && self.plan.ring_play.as_ref().is_some_and(|play| play.mode == RingPlayMode::BeforeDial)
    }
}
