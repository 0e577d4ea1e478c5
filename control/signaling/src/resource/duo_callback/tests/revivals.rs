//! The gateway goes, and the next one comes, or does not.

use core::time::Duration;

use duogate_channel::command::{Beginning, Command, PortChoice};
use duogate_channel::event::{LegStatistics, RecordOutcome};
use duogate_channel::identity::Party::{One, Two};
use duogate_channel::identity::{LocalPort, Session};
use duogate_channel::snapshot::LegSnapshot;
use duogate_channel::srtp::{Heard, Master, MasterKeys, Suite};

use super::actions::{play, receive, send};
use super::stage::{Script, Stage};
use crate::resource::action::Parties;
use crate::resource::duo_callback::{Input, Left, LegEvent, Remains};
use crate::resource::error::ApiError;
use crate::resource::plan::RecordMode;
use crate::resource::report::{Event, Reason};
use crate::resource::view::State;

const PORTS: [LocalPort; 2] = [LocalPort::first(4000), LocalPort::first(4002)];
const NEXT: Session = Session { slot: 7, generation: 2 };

impl Stage {
    /// The gateway dies now, with a page of this moment on which both streams stand at these numbers.
    fn goes(&mut self, sequence: u16, timestamp: u32, packets_sent: u64) {
        self.goes_having_heard(sequence, timestamp, packets_sent, [None; 2]);
    }

    /// The same, with secured streams that had come so far.
    fn goes_having_heard(
        &mut self,
        sequence: u16,
        timestamp: u32,
        packets_sent: u64,
        heard: [Option<Heard>; 2],
    ) {
        let statistics = LegStatistics { packets_sent, ..LegStatistics::default() };
        let leg = LegSnapshot {
            port: PORTS[0],
            far_end: None,
            hears: duogate_channel::command::Source::Silence,
            ssrc: 0xabcd,
            sequence,
            timestamp,
            packet_samples: 160,
            heard: None,
            statistics,
        };
        let streams = [Remains::of(&leg, self.now.instant); 2];
        let left = Some(Left { streams, statistics: [statistics; 2], heard }.into());
        self.feed(Input::MediaAway { left });
    }

    fn comes(&mut self) {
        self.feed(Input::MediaBack);
        self.feed(Input::Opened { session: NEXT, ports: PORTS });
    }

    /// Where the session that was asked for last begins: ports and streams.
    fn asked(&self) -> [(PortChoice, Option<Beginning>); 2] {
        let opened = self.commands.iter().rev().find_map(|command| match command {
            Command::Open { legs, .. } => Some(legs.map(|leg| (leg.port, leg.beginning))),
            _ => None,
        });
        opened.unwrap()
    }

    fn error(&self, name: &str) -> Option<Reason> {
        let last = self.reports.iter().rev().find(|(_, event)| event.method().ends_with(name));
        let failure = match &last.unwrap().1 {
            Event::PlayCompleted { error, .. }
            | Event::SendDtmfCompleted { error, .. }
            | Event::ReceiveDtmfCompleted { error, .. } => *error,
            Event::RecordCompleted(result) => result.error,
            other => panic!("{other:?}"),
        };
        failure.map(|failure| failure.reason)
    }

    fn count(&self, name: &str) -> usize {
        self.told().iter().filter(|told| told.starts_with(name)).count()
    }
}

#[test]
fn the_next_session_has_the_ports_and_goes_on_with_the_streams() {
    let mut stage = Stage::connected(&Script::default());
    stage.goes(u16::MAX - 3, u32::MAX - 79, 50);
    assert!(stage.callback.is_away());
    stage.wait(Duration::from_millis(100));
    stage.feed(Input::MediaBack);
    for ((port, beginning), ours) in stage.asked().into_iter().zip(PORTS) {
        assert_eq!(port, PortChoice::This(ours));
        let beginning = beginning.unwrap();
        // Both wrap; 16 numbers are left out, and 100 ms of time pass.
        assert_eq!((beginning.ssrc, beginning.sequence, beginning.timestamp), (0xabcd, 12, 720));
    }
    // Refused, and asked for once more a second later: the clock has gone on, the numbers have not.
    stage.wait(Duration::from_secs(1));
    stage.feed(Input::MediaBack);
    let beginning = stage.asked()[1].1.unwrap();
    assert_eq!((beginning.sequence, beginning.timestamp), (12, 8_720));
    stage.feed(Input::Opened { session: NEXT, ports: PORTS });
    assert!(!stage.callback.is_away());
    assert!(stage.has(|command| matches!(command, Command::Join { session: NEXT })));
    assert_eq!(stage.callback.state(), State::Connected);
}

#[test]
fn a_secured_party_gets_its_keys_again_and_a_stream_whose_numbers_no_key_has_seen() {
    let suite = Suite::AesCm128HmacSha1_80;
    let master = |octet: u8| Master::new(suite, &[octet; 30]).unwrap();
    let secret = MasterKeys { suite, ours: master(1), theirs: master(2) };
    let mut stage = Stage::connected(&Script::default());
    stage.feed(Input::Leg { party: One, attempt: 1, event: LegEvent::Secured { keys: Some(secret) } });
    let came = Heard { ssrc: 9, index: 70_000 };
    stage.goes_having_heard(100, 0, 50, [Some(came), None]);
    stage.comes();
    // With the old SSRC, numbers that the dead gateway has sent under the same key might come twice.
    assert!(stage.asked()[0].1.is_none());
    assert_eq!(stage.asked()[1].1.unwrap().ssrc, 0xabcd);
    let last = |wanted: &dyn Fn(&Command) -> bool| stage.commands.iter().rposition(wanted).unwrap();
    let secured = last(&|command| {
        matches!(command, Command::Secure { session: NEXT, party: One, keys: Some(keys), heard: Some(heard) }
            if *keys == secret && *heard == came)
    });
    let told = last(&|command| matches!(command, Command::FarEnd { session: NEXT, party: One, .. }));
    assert!(secured < told, "nothing is sent in plain meanwhile");
}

#[test]
fn a_gateway_that_leaves_no_word_may_have_sent_since_it_was_last_known_of() {
    let mut stage = Stage::connected(&Script::default());
    stage.goes(100, 0, 50);
    stage.comes();
    stage.wait(Duration::from_secs(2));
    stage.feed(Input::MediaAway { left: None });
    stage.feed(Input::MediaBack);
    let beginning = stage.asked()[0].1.unwrap();
    // Twice 16 to spare, and 100 packets in 2 s.
    assert_eq!((beginning.sequence, beginning.timestamp), (232, 16_000));
    // However long it took, a listener still takes it for the same sender (RFC 3550 appendix A.1).
    stage.wait(Duration::from_secs(3600));
    stage.feed(Input::MediaAway { left: None });
    stage.feed(Input::MediaBack);
    assert_eq!(stage.asked()[0].1.unwrap().sequence, 232 + 2_800);
}

#[test]
fn the_figures_of_all_gateways_are_added_up() {
    let mut stage = Stage::connected(&Script::default());
    stage.goes(1, 0, 50);
    stage.comes();
    stage.goes(200, 0, 30);
    stage.comes();
    stage.feed(Input::Drop { cause: 603 });
    let last = LegStatistics { packets_sent: 7, ..LegStatistics::default() };
    stage.feed(Input::Closed { statistics: [last; 2] });
    let release = stage.reports.iter().find_map(|(_, event)| match event {
        Event::Released(release) => Some(release.clone()),
        _ => None,
    });
    let quality = release.unwrap().quality;
    assert_eq!(quality.map(|leg| leg.unwrap().packets_sent), [87, 87]);
}

#[test]
fn what_runs_when_the_gateway_dies_ends_at_once_and_the_call_goes_on() {
    let mut stage =
        Stage::connected(&Script { record: Some(RecordMode::FromConnected), ..Script::default() });
    for order in [play(Parties::One(One)), send(Parties::One(Two)), receive(Parties::One(Two), false)] {
        stage.callback.may_start(&order).unwrap();
        stage.feed(Input::Start { order: order.into(), prepared: super::actions::prepared() });
    }
    stage.goes(1, 0, 50);
    let names = ["on_play_completed", "on_send_dtmf_completed", "on_receive_dtmf_completed"];
    for name in names.into_iter().chain(["on_record_completed"]) {
        assert_eq!((stage.count(name), stage.error(name)), (1, Some(Reason::MediaLost)), "{name}");
    }
    assert!(matches!(stage.callback.may_start(&play(Parties::One(One))), Err(ApiError::NoMedia)));
    stage.comes();
    assert_eq!(stage.callback.state(), State::Connected);
    assert!(stage.callback.may_start(&play(Parties::One(One))).is_ok());
    stage.finish();
    for name in names.into_iter().chain(["on_record_completed", "on_released"]) {
        assert_eq!(stage.count(name), 1, "{name}");
    }
}

#[test]
fn a_recording_that_falls_due_without_a_gateway_begins_with_the_next() {
    let script = Script { record: Some(RecordMode::FromConnected), ..Script::default() };
    let mut stage = Stage::joining(&script);
    stage.goes(1, 0, 0);
    stage.feed(Input::Joined);
    let began = |stage: &Stage| stage.has(|command| matches!(command, Command::RecordStart { .. }));
    stage.wait(Duration::from_secs(1));
    stage.comes();
    // The file is still being handed over.
    assert!(!began(&stage));
    stage.wait(Duration::from_secs(1));
    stage.feed(Input::Furnished);
    assert!(began(&stage));
    let resumed = stage.now.unix;
    stage.recorded(RecordOutcome::Saved);
    let result = stage.reports.iter().find_map(|(_, event)| match event {
        Event::RecordCompleted(result) => Some(result.clone()),
        _ => None,
    });
    assert_eq!(result.unwrap().begin_time, Some(resumed));
}

#[test]
fn one_that_was_due_when_all_is_given_up_never_began() {
    let script = Script { record: Some(RecordMode::FromConnected), ..Script::default() };
    let mut stage = Stage::joining(&script);
    stage.goes(1, 0, 0);
    stage.feed(Input::Joined);
    stage.feed(Input::MediaLost);
    assert_eq!(stage.callback.state(), State::Released);
    assert_eq!(
        (stage.count("on_record_completed"), stage.error("on_record_completed")),
        (1, Some(Reason::NeverBegan))
    );
}
