//! Any value of each record, for property tests.
#![allow(dead_code, unreachable_pub)] // Each test file uses its own part of this.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use duogate_channel::command::{Beginning, Command, FarEnd, LegOpening, PortChoice, Repeat, Rtcp, Source};
use duogate_channel::digits::{Key, Keys};
use duogate_channel::event::{
    ActionOutcome, Event, LegStatistics, PlayOutcome, RecordOutcome, Refusal, Track,
};
use duogate_channel::identity::{
    Action, LocalPort, MOST_ADDRESSES, Party, Recording, Session, Shard, Sound, Tag,
};
use duogate_channel::message::{FileRefusal, Rejection, ShardDescription, ToControl, ToGateway};
use duogate_channel::quality::{Fault, Quality, Scores};
use duogate_channel::snapshot::{LegSnapshot, SessionState, Snapshot};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::srtp::{Heard, MOST_INDEX, Master, MasterKeys, Suite};
use duogate_channel::time::Instant;
use proptest::prelude::*;

pub fn party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::One), Just(Party::Two)]
}

pub fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

fn tag() -> impl Strategy<Value = Tag> {
    (1..=u64::MAX).prop_map(Tag)
}

fn recording() -> impl Strategy<Value = Recording> {
    (1..=u64::MAX).prop_map(Recording)
}

fn sound() -> impl Strategy<Value = Sound> {
    any::<u32>().prop_map(Sound)
}

fn session() -> impl Strategy<Value = Session> {
    any::<(u32, u32)>().prop_map(|(slot, generation)| Session { slot, generation })
}

fn instant() -> impl Strategy<Value = Instant> {
    any::<u64>().prop_map(Instant::from_nanoseconds)
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddrV4::new(Ipv4Addr::from(ip), port).into()),
        any::<([u8; 16], u16, u32, u32)>().prop_map(|(ip, port, flow, scope)| {
            SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into()
        }),
    ]
}

pub fn far_end() -> impl Strategy<Value = FarEnd> {
    let rtcp = prop_oneof![Just(Rtcp::Off), Just(Rtcp::Muxed), any::<u16>().prop_map(Rtcp::Port)];
    let flags = any::<(bool, bool, bool)>();
    let other = || proptest::option::of(0..128_u8);
    (address(), codec(), 0..128_u8, (other(), other()), flags, rtcp).prop_map(
        |(address, codec, payload_type, (telephone_event, comfort_noise), (send, receive, in_band), rtcp)| {
            FarEnd {
                address,
                codec,
                payload_type,
                telephone_event,
                comfort_noise,
                send,
                receive,
                rtcp,
                in_band,
            }
        },
    )
}

fn track() -> impl Strategy<Value = Track> {
    any::<(u32, u32, u32)>().prop_map(|(lost, gaps, silent_milliseconds)| Track {
        lost,
        gaps,
        silent_milliseconds,
    })
}

pub fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Silence),
        Just(Source::Peer),
        sound().prop_map(|sound| Source::Sound { sound, repeat: Repeat::Forever }),
        (sound(), 1..=u16::MAX)
            .prop_map(|(sound, times)| Source::Sound { sound, repeat: Repeat::Times(times) }),
    ]
}

fn local_port() -> impl Strategy<Value = LocalPort> {
    (0..MOST_ADDRESSES, any::<u16>()).prop_map(|(address, port)| LocalPort { address, port })
}

fn leg_opening() -> impl Strategy<Value = LegOpening> {
    let port = prop_oneof![
        (1..=u8::MAX).prop_map(|addresses| PortChoice::Any { addresses }),
        local_port().prop_map(PortChoice::This),
    ];
    let stream = any::<(u32, u16, u32)>().prop_map(|(ssrc, sequence, timestamp)| Beginning {
        ssrc,
        sequence,
        timestamp,
    });
    (port, proptest::option::of(stream)).prop_map(|(port, beginning)| LegOpening { port, beginning })
}

fn repeat() -> impl Strategy<Value = Repeat> {
    prop_oneof![Just(Repeat::Forever), (1..=u16::MAX).prop_map(Repeat::Times)]
}

fn action() -> impl Strategy<Value = Action> {
    any::<u32>().prop_map(Action)
}

fn key() -> impl Strategy<Value = Key> {
    (0..16_u8).prop_filter_map("sixteen keys", Key::from_code)
}

fn keys() -> impl Strategy<Value = Keys> {
    proptest::collection::vec(key(), 1..=Keys::MOST).prop_map(|list| {
        let mut keys = Keys::NONE;
        assert!(list.into_iter().all(|key| keys.push(key)));
        keys
    })
}

pub fn secret() -> impl Strategy<Value = MasterKeys> {
    let suite = prop_oneof![Just(Suite::AesCm128HmacSha1_80), Just(Suite::AeadAes128Gcm)];
    (suite, any::<[u8; 30]>(), any::<[u8; 30]>()).prop_filter_map("keys", |(suite, ours, theirs)| {
        let master = |octets: &[u8; 30]| Master::new(suite, &octets[..suite.master_octets()]);
        Some(MasterKeys { suite, ours: master(&ours)?, theirs: master(&theirs)? })
    })
}

fn heard() -> impl Strategy<Value = Heard> {
    (any::<u32>(), 0..=MOST_INDEX).prop_map(|(ssrc, index)| Heard { ssrc, index })
}

pub fn command() -> impl Strategy<Value = Command> {
    let format = prop_oneof![
        Just(RecordFormat::Alaw),
        Just(RecordFormat::Ulaw),
        Just(RecordFormat::Pcm16),
        Just(RecordFormat::Opus)
    ];
    let hold = prop_oneof![Just(RecordHold::Silence), Just(RecordHold::Pause)];
    let channels = prop_oneof![Just(RecordChannels::Mixed), Just(RecordChannels::Separate)];
    prop_oneof![
        (tag(), [leg_opening(), leg_opening()]).prop_map(|(tag, legs)| Command::Open { tag, legs }),
        (session(), party(), far_end()).prop_map(|(session, party, far_end)| Command::FarEnd {
            session,
            party,
            far_end
        }),
        (session(), party(), source()).prop_map(|(session, party, source)| Command::Hear {
            session,
            party,
            source
        }),
        (session(), party(), proptest::option::of(secret()), proptest::option::of(heard()))
            .prop_map(|(session, party, keys, heard)| Command::Secure { session, party, keys, heard }),
        (session(), party(), address()).prop_map(|(session, party, address)| Command::Learn {
            session,
            party,
            signaling: address.ip(),
        }),
        session().prop_map(|session| Command::Join { session }),
        (session(), recording(), format, channels, hold).prop_map(
            |(session, recording, format, channels, hold)| Command::RecordStart {
                session,
                recording,
                format,
                channels,
                hold
            }
        ),
        (session(), recording()).prop_map(|(session, recording)| Command::RecordStop { session, recording }),
        (session(), party(), action(), sound(), repeat()).prop_map(
            |(session, party, action, sound, repeat)| Command::Play { session, party, action, sound, repeat }
        ),
        (session(), party(), action()).prop_map(|(session, party, action)| Command::PlayStop {
            session,
            party,
            action
        }),
        (session(), party(), action(), keys()).prop_map(|(session, party, action, keys)| Command::SendKeys {
            session,
            party,
            action,
            keys
        }),
        session().prop_map(|session| Command::Close { session }),
    ]
}

pub fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![Just(None), Just(Some(Fault::Absent)), Just(Some(Fault::Mute))]
}

fn quality() -> impl Strategy<Value = Quality> {
    let scores = || any::<[u16; 3]>().prop_map(|[last, average, worst]| Scores { last, average, worst });
    let told = any::<(i32, u8, u32)>();
    (any::<[u32; 5]>(), told, [scores(), scores()], any::<[u16; 2]>(), fault(), any::<bool>()).prop_map(
        |(
            figures,
            (heard_lost, heard_fraction, heard_jitter_microseconds),
            [sent, heard],
            loss,
            fault,
            bye,
        )| {
            Quality {
                reports_sent: figures[0],
                reports_received: figures[1],
                round_trip_microseconds: figures[2],
                heard_lost,
                heard_fraction,
                heard_jitter_microseconds,
                sent,
                heard,
                interval_loss: loss[0],
                burst_ratio: loss[1],
                absent_milliseconds: figures[3],
                mute_milliseconds: figures[4],
                fault,
                bye,
            }
        },
    )
}

pub fn statistics() -> impl Strategy<Value = LegStatistics> {
    (any::<[u64; 5]>(), any::<i64>(), any::<[u32; 2]>(), instant(), instant(), quality()).prop_map(
        |(counts, packets_lost, jitter, first_packet, last_packet, quality)| LegStatistics {
            packets_received: counts[0],
            octets_received: counts[1],
            packets_sent: counts[2],
            octets_sent: counts[3],
            packets_refused: counts[4],
            packets_lost,
            jitter_microseconds: jitter[0],
            worst_jitter_microseconds: jitter[1],
            first_packet,
            last_packet,
            quality,
        },
    )
}

pub fn event() -> impl Strategy<Value = Event> {
    let refusal = prop_oneof![Just(Refusal::NoSlot), Just(Refusal::NoPort), Just(Refusal::NoSocket)];
    let played =
        prop_oneof![Just(PlayOutcome::Finished), Just(PlayOutcome::Replaced), Just(PlayOutcome::Missing)];
    let ended = prop_oneof![
        Just(ActionOutcome::Finished),
        Just(ActionOutcome::Stopped),
        Just(ActionOutcome::Replaced),
        Just(ActionOutcome::Missing),
        Just(ActionOutcome::Held),
    ];
    let recorded = prop_oneof![
        Just(RecordOutcome::Saved),
        any::<i32>().prop_map(|errno| RecordOutcome::WriteFailed { errno }),
        Just(RecordOutcome::Overrun),
        Just(RecordOutcome::Missing),
    ];
    let duration = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
    prop_oneof![
        (tag(), session(), [local_port(), local_port()]).prop_map(|(tag, session, ports)| Event::Opened {
            tag,
            session,
            ports
        }),
        (tag(), refusal).prop_map(|(tag, reason)| Event::Refused { tag, reason }),
        session().prop_map(|session| Event::Joined { session }),
        (session(), party(), sound(), played).prop_map(|(session, party, sound, outcome)| Event::Played {
            session,
            party,
            sound,
            outcome
        }),
        (session(), party(), action(), ended).prop_map(|(session, party, action, outcome)| {
            Event::ActionEnded { session, party, action, outcome }
        }),
        (session(), party(), key(), any::<u16>()).prop_map(|(session, party, key, milliseconds)| {
            Event::Pressed { session, party, key, milliseconds }
        }),
        (session(), party()).prop_map(|(session, party)| Event::Silent { session, party }),
        (session(), party(), fault()).prop_map(|(session, party, fault)| Event::Fault {
            session,
            party,
            fault
        }),
        (session(), party()).prop_map(|(session, party)| Event::Unauthentic { session, party }),
        (session(), recording(), recorded, duration, any::<u64>(), any::<u32>(), [track(), track()])
            .prop_map(|(session, recording, outcome, duration, bytes, missing, tracks)| Event::Recorded {
                session,
                recording,
                outcome,
                duration,
                bytes,
                missing,
                tracks
            }),
        (session(), tag(), [statistics(), statistics()])
            .prop_map(|(session, tag, statistics)| Event::Closed { session, tag, statistics }),
    ]
}

fn file_refusal() -> impl Strategy<Value = FileRefusal> {
    prop_oneof![
        Just(FileRefusal::Unsealed),
        Just(FileRefusal::Size),
        Just(FileRefusal::Unusable),
        Just(FileRefusal::InUse),
        Just(FileRefusal::TooMany),
    ]
}

pub fn to_gateway() -> impl Strategy<Value = ToGateway> {
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(abi, pid)| ToGateway::Hello { abi, pid }),
        (sound(), codec(), any::<u64>()).prop_map(|(sound, codec, bytes)| ToGateway::Sound {
            sound,
            codec,
            bytes
        }),
        sound().prop_map(|sound| ToGateway::ForgetSound { sound }),
        recording().prop_map(|recording| ToGateway::Recording { recording }),
        recording().prop_map(|recording| ToGateway::ForgetRecording { recording }),
    ]
}

pub fn to_control() -> impl Strategy<Value = ToControl> {
    let rejection = prop_oneof![
        any::<(u32, u32)>().prop_map(|(theirs, ours)| Rejection::AbiMismatch { theirs, ours }),
        Just(Rejection::AlreadyAttached),
        Just(Rejection::NoHello),
        Just(Rejection::NoMemory),
    ];
    prop_oneof![
        any::<(u32, u64, u16)>().prop_map(|(abi, epoch, shards)| ToControl::Welcome { abi, epoch, shards }),
        rejection.prop_map(ToControl::Reject),
        any::<([u16; 4], u8, u32)>().prop_map(
            |([shard, core, first_port, last_port], addresses, sessions)| {
                let shard = Shard(shard);
                ToControl::Shard(ShardDescription { shard, core, addresses, first_port, last_port, sessions })
            }
        ),
        sound().prop_map(|sound| ToControl::SoundReady { sound }),
        (sound(), file_refusal()).prop_map(|(sound, reason)| ToControl::SoundRefused { sound, reason }),
        recording().prop_map(|recording| ToControl::RecordingReady { recording }),
        (recording(), file_refusal())
            .prop_map(|(recording, reason)| ToControl::RecordingRefused { recording, reason }),
    ]
}

fn leg() -> impl Strategy<Value = LegSnapshot> {
    let stream = any::<(u32, u16, u32, u16)>();
    let heard = proptest::option::of(heard());
    (local_port(), proptest::option::of(far_end()), source(), stream, heard, statistics()).prop_map(
        |(port, far_end, hears, (ssrc, sequence, timestamp, packet_samples), heard, statistics)| {
            LegSnapshot { port, far_end, hears, ssrc, sequence, timestamp, packet_samples, heard, statistics }
        },
    )
}

pub fn snapshot() -> impl Strategy<Value = Snapshot> {
    let state = prop_oneof![
        Just(SessionState::Opening),
        Just(SessionState::Open),
        Just(SessionState::Joined),
        Just(SessionState::Closing),
    ];
    (tag(), session(), instant(), state, [leg(), leg()])
        .prop_map(|(tag, session, taken_at, state, legs)| Snapshot { tag, session, taken_at, state, legs })
}
