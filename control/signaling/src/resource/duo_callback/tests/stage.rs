//! A stage for one callback: its wishes are granted at once, and all that it reports is kept.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use duogate_channel::command::{Command, FarEnd, Repeat, Source};
use duogate_channel::event::{LegStatistics, RecordOutcome};
use duogate_channel::identity::{LocalPort, Party, Recording, Session, Shard, Sound, Tag};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::{Instant, UnixTime};

use crate::clock::Now;
use crate::resource::duo_callback::{Dialled, DuoCallback, Input, LegEvent, MediaPlace, Output};
use crate::resource::plan::{
    PartyPlan, Plan, Prepared, RecordMode, RecordPlan, RingPlay, RingPlayMode, Ringbacks, SoundSet, Target,
    Waits,
};
use crate::resource::report::Event;
use crate::resource::view::State;

pub(super) const SESSION: Session = Session { slot: 3, generation: 1 };
pub(super) const PROMPT: Sound = Sound(1);
pub(super) const TONE: Sound = Sound(2);
pub(super) const TONE_ABROAD: Sound = Sound(3);
pub(super) const RECORDING: Recording = Recording(9);

/// What a callback under test is made of.
#[derive(Clone, Default, Debug)]
pub(super) struct Script {
    pub(super) ring: Option<RingPlayMode>,
    pub(super) record: Option<RecordMode>,
    /// More URIs for each party than the one.
    pub(super) more: [usize; 2],
    /// The trunks of party 2's URIs; beyond them: none.
    pub(super) trunks: &'static [&'static str],
    /// The endpoint skips the first URI of party 1.
    pub(super) skip_first: bool,
}

impl Script {
    pub(super) fn plan(&self) -> Plan {
        let party = |name: &str, more: usize, trunks: &[&str]| PartyPlan {
            from: None,
            to: (0..=more)
                .map(|at| Target {
                    given: alloc::format!("{name}-{at}@h"),
                    uri: alloc::format!("sip:{name}-{at}@h"),
                    host: "h".into(),
                    port: None,
                    transport: None,
                    trunk: trunks.get(at).map(|name| Arc::from(*name)),
                })
                .collect(),
        };
        Plan {
            parties: [party("one", self.more[0], &[]), party("two", self.more[1], self.trunks)],
            max_answer: Duration::from_secs(7200),
            max_ring: Duration::from_secs(50),
            ring_play: self.ring.map(|mode| RingPlay { file: "p.wav".into(), mode }),
            record: self.record.map(|mode| RecordPlan {
                file: "r.wav".into(),
                mode,
                format: RecordFormat::Alaw,
                channels: RecordChannels::Separate,
                hold: RecordHold::Silence,
            }),
            codecs: Vec::new(),
            user_data: None,
            callback_url: None,
            request_id: None,
        }
    }

    fn prepared(&self) -> Prepared {
        let set = |sound| SoundSet { pcma: Some(sound), ..SoundSet::default() };
        Prepared {
            ring_play: self.ring.map(|_| set(PROMPT)),
            ringback: Arc::new(Ringbacks {
                node: Some(set(TONE)),
                trunks: vec![("abroad".into(), set(TONE_ABROAD))],
            }),
            recording: self.record.map(|_| RECORDING),
        }
    }
}

pub(super) struct Stage {
    pub(super) callback: DuoCallback,
    pub(super) now: Now,
    pub(super) reports: Vec<(u32, Event)>,
    pub(super) commands: Vec<Command>,
    pub(super) hang_ups: Vec<(Party, u16)>,
    pub(super) dials: Vec<(Party, usize)>,
    pub(super) legs: [u16; 2],
    pub(super) over: bool,
    skip: bool,
}

pub(super) fn far_end(party: Party, port: u16) -> FarEnd {
    FarEnd::new(SocketAddr::from((Ipv4Addr::new(192, 0, 2, party.number()), port)), Codec::Pcma)
}

impl Stage {
    pub(super) fn new(script: &Script) -> Self {
        let now = Now {
            instant: Instant::from_nanoseconds(1_000_000_000),
            unix: UnixTime::from_milliseconds(1_000_000),
        };
        let callback = DuoCallback::new(
            now,
            "n-ext.duo_callback-1".into(),
            script.plan(),
            script.prepared(),
            Waits::default(),
            MediaPlace { shard: Shard(0), tag: Tag(1), addresses: [u8::MAX; 2] },
        );
        let mut stage = Self {
            callback,
            now,
            reports: vec![],
            commands: vec![],
            hang_ups: vec![],
            dials: vec![],
            legs: [0, 0],
            over: false,
            skip: script.skip_first,
        };
        stage.drain();
        stage
    }

    /// One whose row is noted and whose session is open: party 1 is being called.
    pub(super) fn calling1(script: &Script) -> Self {
        let mut stage = Self::new(script);
        stage.feed(Input::Noted);
        stage.feed(Input::Opened {
            session: SESSION,
            ports: [LocalPort::first(4000), LocalPort::first(4002)],
        });
        stage
    }

    pub(super) fn calling2(script: &Script) -> Self {
        let mut stage = Self::calling1(script);
        stage.answer(Party::One);
        stage
    }

    pub(super) fn joining(script: &Script) -> Self {
        let mut stage = Self::calling2(script);
        stage.answer(Party::Two);
        stage
    }

    pub(super) fn connected(script: &Script) -> Self {
        let mut stage = Self::joining(script);
        stage.feed(Input::Joined);
        assert_eq!(stage.callback.state(), State::Connected);
        stage
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.callback.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.callback.poll_output() {
            match output {
                Output::Dial { party, target, .. } => self.dial(party, target),
                Output::HangUp { party, cause } => self.hang_ups.push((party, cause)),
                Output::Media { command, .. } => self.commands.push(command),
                Output::Report { seq, event, .. } => self.reports.push((seq, *event)),
                Output::Over => self.over = true,
                Output::State { .. } | Output::Note | Output::Measured(_) => {}
            }
        }
    }

    fn dial(&mut self, party: Party, target: usize) {
        self.dials.push((party, target));
        if core::mem::take(&mut self.skip) {
            return self.feed(Input::Skipped { party });
        }
        self.legs[party.index()] += 1;
        let trunk = self.callback.plan().parties[party.index()].to[target].trunk.clone();
        self.dialled(party, trunk);
    }

    pub(super) fn dialled(&mut self, party: Party, trunk: Option<Arc<str>>) {
        let dialled = Dialled {
            call_id: "c".into(),
            local_tag: "t".into(),
            from_uri: "sip:me@h".into(),
            trunk,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)),
            listener: 0,
            nat: false,
        };
        self.feed(Input::Dialled { party, dialled });
    }

    pub(super) fn leg(&mut self, party: Party, event: LegEvent) {
        let attempts = self.dials.iter().filter(|(who, _)| *who == party).count();
        let attempt = u16::try_from(attempts).unwrap();
        self.feed(Input::Leg { party, attempt, event });
    }

    pub(super) fn answer(&mut self, party: Party) {
        self.leg(party, LegEvent::Answered { far_end: far_end(party, 7000) });
    }

    pub(super) fn fail(&mut self, party: Party, status: u16) {
        self.leg(party, LegEvent::Failed { status, unusable: None });
    }

    pub(super) fn ring(&mut self, party: Party, status: u16, early: bool) {
        let early_media = early.then(|| far_end(party, 6000));
        self.leg(party, LegEvent::Provisional { status, early_media });
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now.instant = self.now.instant + duration;
        let milliseconds = i64::try_from(duration.as_millis()).unwrap();
        self.now.unix = UnixTime::from_milliseconds(self.now.unix.milliseconds() + milliseconds);
        self.feed(Input::Tick);
    }

    /// The gateway and the network do all that is still expected of them.
    pub(super) fn finish(&mut self) {
        if self.callback.state() != State::Released {
            self.feed(Input::Drop { cause: 603 });
        }
        if self.has(|command| matches!(command, Command::RecordStart { .. })) {
            self.recorded(RecordOutcome::Saved);
        }
        self.feed(Input::Closed { statistics: [LegStatistics::default(); 2] });
        for party in Party::BOTH {
            for _ in 0..self.legs[party.index()] {
                self.feed(Input::LegGone { party });
            }
        }
    }

    pub(super) fn recorded(&mut self, outcome: RecordOutcome) {
        self.feed(Input::Recorded {
            recording: RECORDING,
            outcome,
            duration: Duration::from_secs(3),
            bytes: 48_000,
            missing: 0,
            tracks: [duogate_channel::event::Track::default(); 2],
        });
    }

    pub(super) fn has(&self, wanted: impl Fn(&Command) -> bool) -> bool {
        self.commands.iter().any(wanted)
    }

    /// Everything that was reported, in short.
    pub(super) fn told(&self) -> Vec<String> {
        self.reports.iter().map(|(_, event)| short(event)).collect()
    }

    /// What party 1 was last told to listen to.
    pub(super) fn hears(&self) -> &'static str {
        let last = self.commands.iter().rev().find_map(|command| match command {
            Command::Hear { party: Party::One, source, .. } => Some(*source),
            Command::Join { .. } => Some(Source::Peer),
            _ => None,
        });
        match last {
            None | Some(Source::Silence) => "silence",
            Some(Source::Peer) => "peer",
            Some(Source::Sound { sound: PROMPT, repeat: Repeat::Forever }) => "prompt",
            Some(Source::Sound { sound: PROMPT, repeat: Repeat::Times(1) }) => "prompt once",
            Some(Source::Sound { sound: TONE, repeat: Repeat::Forever }) => "tone",
            Some(Source::Sound { sound: TONE_ABROAD, repeat: Repeat::Forever }) => "tone abroad",
            Some(Source::Sound { .. }) => "something else",
        }
    }
}

fn short(event: &Event) -> String {
    let name = event.method().rsplit('.').next().unwrap_or_default();
    let error = match event {
        Event::DialCompleted { error, .. } => *error,
        Event::RecordCompleted(result) => result.error,
        Event::Released(release) => release.error,
        Event::ChannelClosed(record) => {
            return alloc::format!("{name} {} {}", record.party.number(), record.cause);
        }
        _ => None,
    };
    match (event, error) {
        (Event::Released(release), None) => {
            alloc::format!("{name} {} by {}", release.cause, release.released_by)
        }
        (Event::Released(release), Some(failure)) => {
            alloc::format!("{name} {} by {} {}", release.cause, release.released_by, failure.reason)
        }
        (_, Some(failure)) => alloc::format!("{name} {} {}", failure.code, failure.reason),
        (_, None) => name.into(),
    }
}
