//! A recording of both parties, in a channel each: begun, ended, heard.

use std::path::PathBuf;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{Recording, Session};
use duogate_channel::sound::{RecordChannels, RecordFormat, RecordHold};

use crate::house::{Control, Gateway};
use crate::transcoding::{TONES, purity};

/// A recording that runs.
pub(crate) struct Tape {
    session: Session,
    recording: Recording,
    path: PathBuf,
}

impl Tape {
    pub(crate) fn begin(
        control: &mut Control,
        (gateway, session): (&Gateway, Session),
        hold: RecordHold,
    ) -> Self {
        let path = gateway.folder.path().join("tape.wav.part");
        let recording = control.recording(&path);
        let (format, channels) = (RecordFormat::Pcm16, RecordChannels::Separate);
        control.send(Command::RecordStart { session, recording, format, channels, hold });
        Self { session, recording, path }
    }

    /// Ends it: it is saved, and no packet is missing. Gives its samples, those of party 1 and 2 in turn.
    pub(crate) fn end(self, control: &mut Control) -> Vec<i16> {
        let Self { session, recording, path } = self;
        control.send(Command::RecordStop { session, recording });
        let ended = loop {
            if let Event::Recorded { outcome, missing, .. } = control.event() {
                break (outcome, missing);
            }
        };
        assert_eq!(ended, (RecordOutcome::Saved, 0));
        hound::WavReader::open(&path).unwrap().into_samples().map(Result::unwrap).collect()
    }
}

/// What one party said.
pub(crate) fn channel(samples: &[i16], channel: usize) -> Vec<i16> {
    samples.iter().skip(channel).step_by(2).copied().collect()
}

/// Each channel has its party's tone, and nothing of the other's.
pub(crate) fn demand_tones(samples: &[i16], what: &str) {
    for (number, tone) in TONES.into_iter().enumerate() {
        let said = channel(samples, number);
        // A quarter of a packet at a time: where a busy host held the talker's first packet up, the line is moved back
        // by a few samples with each packet, and every seam is a step of the tone's phase. Both tones have whole half
        // waves in 5 ms, so that the one has nothing of the other.
        let stretches = said[2_400..10_400].chunks(40);
        let pure = stretches.filter(|stretch| purity(stretch, tone) > 0.9).count();
        assert!(pure >= 120, "{what}: {pure} of 200 stretches of channel {number} are the tone");
    }
}

/// Party 1 said the loudest sample of A-law for half a second before and after it was on hold for a second.
pub(crate) fn demand_hold(samples: &[i16], hold: RecordHold) {
    let seconds = match hold {
        RecordHold::Silence => 1.9..2.5,
        RecordHold::Pause => 0.9..1.5,
    };
    let one = channel(samples, 0);
    let length = f64::from(u32::try_from(one.len()).unwrap()) / 8_000.0;
    assert!(seconds.contains(&length), "{hold:?}: {length} s");
    let said = one.iter().filter(|sample| **sample == 32_256).count();
    assert!(said.abs_diff(50 * 160) <= 4 * 160, "what it said before and after: {said}");
}
