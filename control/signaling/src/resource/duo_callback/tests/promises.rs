//! Whatever comes, in whatever order: the promises of the events hold.

use alloc::vec;
use core::time::Duration;

use duogate_channel::digits::Key;
use duogate_channel::event::{ActionOutcome, LegStatistics, RecordOutcome};
use duogate_channel::identity::{Action, LocalPort, Party};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::actions;
use super::stage::{PROMPT, SESSION, Script, Stage, far_end};
use crate::resource::action::{Method, Order, Parties, Stop};
use crate::resource::duo_callback::{Input, LegEvent};
use crate::resource::plan::{RecordMode, RingPlayMode};
use crate::resource::report::Event;
use crate::resource::view::State;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Input(Input),
    Leg(Party, LegEvent),
    Wait(u64),
    Start(Order),
}

fn party() -> impl Strategy<Value = Party> {
    any::<bool>().prop_map(|one| if one { Party::One } else { Party::Two })
}

fn leg_event() -> impl Strategy<Value = LegEvent> {
    let early = |party| Some(far_end(party, 6000));
    prop_oneof![
        (180..184_u16, any::<bool>()).prop_map(move |(status, media)| LegEvent::Provisional {
            status,
            early_media: if media { early(Party::Two) } else { None },
        }),
        Just(LegEvent::Answered { far_end: far_end(Party::One, 7000) }),
        (300..700_u16).prop_map(|status| LegEvent::Failed { status, unusable: None }),
        Just(LegEvent::FarEnd { far_end: far_end(Party::Two, 7002) }),
        Just(LegEvent::Ended { cause: 200 }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let input = prop_oneof![
        4 => Just(Input::Noted),
        4 => Just(Input::Opened { session: SESSION, ports: [LocalPort::first(4000), LocalPort::first(4002)] }),
        1 => Just(Input::Refused),
        4 => Just(Input::Joined),
        2 => party().prop_map(|party| Input::Played { party, sound: PROMPT }),
        1 => party().prop_map(|party| Input::Silent { party }),
        1 => Just(Input::Recorded {
            recording: super::stage::RECORDING,
            outcome: RecordOutcome::Saved, duration: Duration::from_secs(1), bytes: 1, missing: 0,
            tracks: [duogate_channel::event::Track::default(); 2],
        }),
        1 => Just(Input::Closed { statistics: [LegStatistics::default(); 2] }),
        1 => Just(Input::MediaLost),
        1 => Just(Input::Cancel),
        1 => Just(Input::Drop { cause: 603 }),
        1 => Just(Input::Shutdown),
        1 => party().prop_map(|party| Input::LegGone { party }),
        4 => (party(), 1..6_u32, any::<bool>()).prop_map(|(party, action, stopped)| Input::ActionEnded {
            party,
            action: Action(action),
            outcome: if stopped { ActionOutcome::Stopped } else { ActionOutcome::Finished },
        }),
        4 => (party(), 0..16_u8).prop_map(|(party, code)| Input::Pressed {
            party,
            key: Key::from_code(code).unwrap(),
            milliseconds: 100,
        }),
        1 => party().prop_map(|party| Input::Stop(Stop::Play(Parties::One(party)))),
        1 => party().prop_map(|party| Input::Stop(Stop::Receive(Parties::One(party)))),
        1 => Just(Input::Stop(Stop::Record)),
    ];
    prop_oneof![
        4 => input.prop_map(Happening::Input),
        6 => (party(), leg_event()).prop_map(|(party, event)| Happening::Leg(party, event)),
        1 => (0..100_u64).prop_map(Happening::Wait),
        3 => (party(), 0..5_u8).prop_map(|(party, what)| Happening::Start(match what {
            0 => actions::play(Parties::One(party)),
            1 => actions::send(Parties::One(party)),
            2 => actions::receive(Parties::One(party), false),
            3 => actions::receive(Parties::One(party), true),
            _ => actions::record(),
        })),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    (0..5_usize, 0..4_usize, 0..3_usize, 0..3_usize, any::<bool>()).prop_map(
        |(ring, record, one, two, skip)| {
            let rings = [
                RingPlayMode::FromRinging,
                RingPlayMode::FromDial,
                RingPlayMode::UntilRinging,
                RingPlayMode::BeforeDial,
            ];
            let records = [RecordMode::FromConnected, RecordMode::FromFirstCall, RecordMode::FromSecondCall];
            Script {
                ring: rings.get(ring).copied(),
                record: records.get(record).copied(),
                more: [one, two],
                trunks: &[],
                skip_first: skip,
            }
        },
    )
}

/// How many actions of each kind were started.
type Started = [usize; 4];

fn check(script: &Script, stage: &Stage, started: Started) {
    let count =
        |wanted: &dyn Fn(&Event) -> bool| stage.reports.iter().filter(|(_, event)| wanted(event)).count();
    for (place, (seq, _)) in stage.reports.iter().enumerate() {
        assert_eq!(usize::try_from(*seq).unwrap(), place + 1, "seq has no holes");
    }
    assert_eq!(count(&|event| matches!(event, Event::Released(_))), 1);
    assert_eq!(
        count(&|event| matches!(event, Event::RecordCompleted(_))),
        usize::from(script.record.is_some()) + started[3]
    );
    assert_eq!(count(&|event| matches!(event, Event::PlayCompleted { .. })), started[0]);
    assert_eq!(count(&|event| matches!(event, Event::SendDtmfCompleted { .. })), started[1]);
    assert_eq!(count(&|event| matches!(event, Event::ReceiveDtmfCompleted { .. })), started[2]);
    let dialled = |party| {
        count(&move |event| matches!(event, Event::DialCompleted { party: who, .. } if *who == party))
    };
    assert_eq!(dialled(Party::One), 1);
    assert_eq!(dialled(Party::Two), count(&|event| matches!(event, Event::Dial2Started { .. })));
    for party in Party::BOTH {
        let records = count(&|event| matches!(event, Event::ChannelClosed(record) if record.party == party));
        assert_eq!(records, usize::from(stage.legs[party.index()] > 0), "a record for each leg dialled");
    }
    assert!(stage.over, "nothing is left");
}

proptest! {
    #[test]
    fn the_promises_hold(
        script in script(),
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let mut stage = Stage::new(&script);
        let mut started = [0; 4];
        for happening in happenings {
            match happening {
                Happening::Input(input) => stage.feed(input),
                Happening::Leg(party, event) => stage.leg(party, event),
                Happening::Start(order) => {
                    if stage.callback.may_start(&order).is_ok() {
                        started[match order.method() {
                            Method::Play => 0,
                            Method::SendDtmf => 1,
                            Method::ReceiveDtmf => 2,
                            Method::Record => 3,
                        }] += 1;
                    }
                    stage.feed(Input::Start { order: order.into(), prepared: actions::prepared() });
                }
                Happening::Wait(seconds) => stage.wait(Duration::from_secs(seconds)),
            }
        }
        stage.finish();
        assert_eq!(stage.callback.state(), State::Released);
        // What the gateway owes beyond that is given up in time.
        for _ in 0..4 {
            stage.wait(Duration::from_secs(30));
        }
        check(&script, &stage, started);
    }
}
