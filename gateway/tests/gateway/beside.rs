//! Calls on the fast path, between two network namespaces: off it and on it again without a listener's noticing, and
//! on it when the gateway is killed.

use std::time::{Duration, Instant};

use duogate_channel::command::{Beginning, Command, FarEnd, LegOpening, PortChoice, Repeat, Rtcp, Source};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::identity::{LocalPort, Party, Session, Tag};
use duogate_channel::quality::Fault;
use duogate_channel::sound::{Codec, RecordHold};
use duogate_media::rtcp::{Block, Report};
use rustix::process::{Signal, kill_process};

use crate::house::{Control, Gateway, until};
use crate::party::{Packet, Phone, paced, warm_up};
use crate::spaces::{GATEWAY, PARTIES, STRANGER, Spaces};
use crate::tape::{Tape, channel, demand_hold};

/// A call between the two parties, both ears open. Fields are dropped in this order.
pub(crate) struct Call {
    pub(crate) control: Control,
    pub(crate) gateway: Gateway,
    pub(crate) session: Session,
    ports: [u16; 2],
    pub(crate) phones: [Phone; 2],
    ears: [Option<Packet>; 2],
    pub(crate) spaces: Spaces,
}

impl Call {
    /// `None`, with a word about it, where there can be no fast path.
    fn new() -> Option<Self> {
        Self::between(GATEWAY, PARTIES)
    }

    /// The same with these addresses.
    pub(crate) fn between(address: &str, parties: [&str; 2]) -> Option<Self> {
        Self::reporting(address, parties, Rtcp::Off)
    }

    /// The same with RTCP so; the gateway's own reports come late.
    pub(crate) fn reporting(address: &str, parties: [&str; 2], rtcp: Rtcp) -> Option<Self> {
        let spaces = Spaces::new()?;
        let pin = spaces.pin();
        let gateway = Gateway::start(&format!(
            "address = \"{address}\"\nrtcp_seconds = 60\n[gateway]\nfast_path = \"native\"\npin = \"{}\"",
            pin.display()
        ));
        let mut control = gateway.attach();
        let loaded = until("the gateway says whether it has a fast path", || {
            let figure = |counter| control.attachment.shards[0].page.get(counter);
            match (figure(Counter::PathLoaded), figure(Counter::PathMissing)) {
                (0, 0) => None,
                (loaded, _) => Some(loaded == 1),
            }
        });
        if !loaded {
            eprintln!("skipped: {}", gateway.terminate().1);
            return None;
        }
        let (session, ports) = control.open();
        let phones = [0, 1].map(|party| {
            let mut phone = Phone::new(Codec::Pcma);
            phone.socket = spaces.socket(parties[party]);
            phone.gateway = (address.parse::<std::net::IpAddr>().unwrap(), ports[party]).into();
            phone.rtcp = rtcp;
            phone.ssrc = 0x1000 + u32::try_from(party).unwrap();
            phone
        });
        let mut call = Self { control, gateway, session, ports, phones, ears: [None, None], spaces };
        call.far_ends();
        call.control.join(session);
        call.warm_up();
        Some(call)
    }

    /// Both speak until both are heard, and are on the path.
    pub(crate) fn warm_up(&mut self) {
        let [one, two] = &mut self.phones;
        self.ears[1] = Some(warm_up(one, two).1);
        self.ears[0] = Some(warm_up(two, one).1);
        self.wait_for(Counter::PathDirections, 2);
    }

    pub(crate) fn far_ends(&mut self) {
        for party in Party::BOTH {
            self.control.far_end(self.session, party, self.phones[party.index()].far_end());
        }
    }

    pub(crate) fn figure(&self, counter: Counter) -> u64 {
        self.control.attachment.shards[0].page.get(counter)
    }

    pub(crate) fn wait_for(&self, counter: Counter, at_least: u64) {
        until(counter.name(), || (self.figure(counter) >= at_least).then_some(()));
    }

    /// What one says the other hears: the next packet of its stream, `step` samples on; any number for `None`.
    pub(crate) fn hears(&mut self, party: usize, step: Option<u32>) -> Packet {
        let heard = self.phones[party].hear();
        if let Some(last) = &self.ears[party] {
            assert_eq!(heard.ssrc, last.ssrc, "one stream");
            assert_eq!(heard.sequence, last.sequence.wrapping_add(1), "no gap and no repeat");
            let went = heard.timestamp.wrapping_sub(last.timestamp);
            assert!(step.map_or(went < 80_000, |step| step == went), "the clock went {went} on");
        }
        self.ears[party] = Some(heard.clone());
        heard
    }

    /// Both talk, and each hears every packet of the other.
    pub(crate) fn talk(&mut self, packets: u8) {
        for number in 0..packets {
            for (speaker, listener) in [(0, 1), (1, 0)] {
                let said = self.phones[speaker].say(&[number; 160]);
                assert_eq!(self.hears(listener, Some(160)).payload, said.payload);
            }
        }
    }

    /// The first packet after something else was heard.
    fn talk_anew(&mut self, speaker: usize) {
        let said = self.phones[speaker].say(&[7; 160]);
        let heard = self.hears(1 - speaker, None);
        assert_eq!((heard.marker, heard.payload), (true, said.payload));
    }

    /// Waits until what was commanded has happened: commands are obeyed in order.
    pub(crate) fn settle(&mut self) {
        let tag = Tag(u64::from(self.control.number()));
        self.control.send(Command::Open { tag, legs: [LegOpening::FRESH; 2] });
        let other = loop {
            match self.control.event() {
                Event::Opened { tag: opened, session, .. } if opened == tag => break session,
                _ => {}
            }
        };
        self.control.close(other);
    }
}

#[test]
fn a_call_leaves_the_path_and_returns_without_a_gap() {
    let Some(mut call) = Call::new() else { return };
    let by_socket = call.figure(Counter::PacketsForwarded);
    call.talk(200);
    call.wait_for(Counter::PathForwarded, 400);
    assert!(call.figure(Counter::PacketsForwarded) <= by_socket + 4, "XDP forwarded them");

    // A digit goes through the socket, among sound that does not.
    for _ in 0..3 {
        let mut digit = call.phones[0].next(&[5, 10, 0, 160]);
        digit.payload_type = 101;
        call.phones[0].send(&digit);
        assert_eq!(call.hears(1, Some(160)).payload_type, 101);
        call.talk(10);
    }

    let sound = call.control.sound(Codec::Pcma, &[0x5a; 800]);
    call.control.play(call.session, Party::Two, sound, Repeat::Times(1));
    for _ in 0..5 {
        assert_eq!(call.hears(1, None).payload, [0x5a; 160]);
    }
    let source = Source::Peer;
    call.control.send(Command::Hear { session: call.session, party: Party::Two, source });
    call.settle();
    call.talk_anew(0);
    call.talk(20);

    let held = FarEnd { send: false, receive: false, ..call.phones[0].far_end() };
    call.control.far_end(call.session, Party::One, held);
    call.settle();
    call.phones[1].say(&[1; 160]);
    assert_eq!(call.phones[0].hear_within(Duration::from_millis(100)), None, "on hold");
    call.far_ends();
    call.settle();
    call.talk_anew(0);
    call.talk_anew(1);
    call.talk(100);
    call.wait_for(Counter::PathForwarded, 640);
    assert!(call.figure(Counter::PathMoves) >= 8, "{}", call.figure(Counter::PathMoves));

    let Event::Closed { statistics, .. } = call.control.close(call.session) else { panic!("closed") };
    let said = call.phones[0].sequence.wrapping_sub(65_530);
    assert_eq!(
        statistics[0].packets_received,
        u64::from(said),
        "every packet counted, whichever way it went"
    );
    assert_eq!(statistics.map(|leg| leg.packets_lost), [0, 0]);
    let pin = call.spaces.pin();
    assert!(pin.exists());
    let (status, log) = call.gateway.terminate();
    assert!(status.success() && log.contains("fast path: XDP"), "{log}");
    assert!(!pin.exists(), "nothing stays behind");
}

#[test]
fn a_stranger_is_not_forwarded_by_the_path_either() {
    let Some(mut call) = Call::new() else { return };
    call.talk(10);
    let stranger = call.spaces.socket(STRANGER);
    let neighbor = call.spaces.socket(PARTIES[0]);
    for number in 0..200 {
        for port in 0..2 {
            // As like the party's own next packet as can be.
            let phone = &mut call.phones[port];
            let mut packet = phone.next(&[0x66; 160]);
            packet.sequence = packet.sequence.wrapping_add(number);
            (phone.sequence, phone.timestamp) =
                (phone.sequence.wrapping_sub(1), phone.timestamp.wrapping_sub(160));
            for socket in [&stranger, &neighbor] {
                socket.send_to(&packet.octets(), phone.gateway).unwrap();
            }
        }
    }
    call.talk(20);
    for phone in &call.phones {
        assert_eq!(phone.hear_within(Duration::from_millis(50)), None, "nothing but what the party said");
    }
    call.wait_for(Counter::PathPassedStranger, 800);
}

#[test]
fn a_party_that_falls_mute_is_told_of_within_5_seconds_and_its_call_stays_on_the_path() {
    let Some(mut call) = Call::new() else { return };
    let (by_socket, moves) = (call.figure(Counter::PacketsForwarded), call.figure(Counter::PathMoves));
    let say = |call: &mut Call, packets: u32, octets: [u8; 2]| {
        paced(0..packets, |_| {
            for (phone, octet) in call.phones.iter_mut().zip(octets) {
                phone.say(&[octet; 160]);
            }
            let _ = (call.hears(0, Some(160)), call.hears(1, Some(160)));
        });
    };
    say(&mut call, 100, [0x11, 0x11]);
    // Silence, as a telephone sends whose microphone is off.
    let mute = Instant::now();
    let told = loop {
        say(&mut call, 5, [0x11, 0xd5]);
        match call.control.event_within(Duration::ZERO) {
            Some(Event::Fault { party, fault, .. }) => break (party, fault),
            Some(other) => panic!("{other:?}"),
            None => assert!(mute.elapsed() < Duration::from_secs(8), "nobody tells"),
        }
    };
    assert_eq!(told, (Party::Two, Some(Fault::Mute)));
    assert!((3..=5).contains(&mute.elapsed().as_secs()), "{:?}", mute.elapsed());
    say(&mut call, 80, [0x11, 0x11]);
    let Event::Fault { party: Party::Two, fault: None, .. } = call.control.event() else { panic!("over") };
    assert_eq!(call.figure(Counter::PathMoves), moves, "it never left the path");
    assert_eq!(call.figure(Counter::PacketsForwarded), by_socket, "XDP forwarded all");
    assert_eq!(call.figure(Counter::PathDirections), 2);
}

#[test]
fn the_quality_of_a_call_on_the_path_is_told_as_of_any_other() {
    let Some(mut call) = Call::reporting(GATEWAY, PARTIES, Rtcp::Muxed) else { return };
    let moves = call.figure(Counter::PathMoves);
    paced(0..330, |number: u32| {
        // Every twentieth of party 1 is lost, alone.
        if number % 20 == 7 {
            let _ = call.phones[0].next(&[0x11; 160]);
            call.ears[1].as_mut().unwrap().sequence += 1;
        } else {
            call.phones[0].say(&[0x11; 160]);
            let _ = call.hears(1, None);
        }
        call.phones[1].say(&[0x11; 160]);
        let _ = call.hears(0, Some(160));
    });
    // And what party 2 says that it has heard.
    let about = call.ears[1].as_ref().unwrap().ssrc;
    let block = Block { ssrc: about, lost: 17, fraction: 13, jitter: 16, ..Block::default() };
    let report = Report { ssrc: 1, sender: None, block: Some(block), cname: [b'x'; 16], bye: false };
    let mut octets = vec![0; report.length()];
    report.emit(&mut octets);
    call.phones[1].socket.send_to(&octets, call.phones[1].gateway).unwrap();
    call.wait_for(Counter::ReportsReceived, 1);
    assert_eq!(call.figure(Counter::PathMoves), moves, "nothing of that takes it off the path");
    let Event::Closed { statistics: [one, two], .. } = call.control.close(call.session) else {
        panic!("closed")
    };
    assert_eq!((one.packets_lost, two.packets_lost), (17, 0));
    let (worse, better) = (one.quality, two.quality);
    assert!(worse.sent.average < better.sent.average && better.sent.average > 400, "{worse:?}, {better:?}");
    assert!((300..=800).contains(&worse.interval_loss) && better.interval_loss == 0, "{worse:?}, {better:?}");
    assert!((95..=105).contains(&worse.burst_ratio), "single losses: {worse:?}");
    assert!(better.heard.last < 438 && better.heard_lost == 17 && worse.heard.last == 0, "{better:?}");
    assert_eq!((worse.fault, better.fault), (None, None));
}

#[test]
fn a_recorded_call_stays_on_the_path() {
    let Some(mut call) = Call::new() else { return };
    let tape = Tape::begin(&mut call.control, (&call.gateway, call.session), RecordHold::Silence);
    call.settle();
    let by_socket = call.figure(Counter::PacketsForwarded);
    paced(0..100, |_| {
        for (phone, octet) in call.phones.iter_mut().zip([0xaa, 0x2a]) {
            phone.say(&[octet; 160]);
        }
        let _ = (call.hears(0, Some(160)), call.hears(1, Some(160)));
    });
    let samples = tape.end(&mut call.control);
    for (number, value) in [(0, 32_256), (1, -32_256)] {
        let count = channel(&samples, number).into_iter().filter(|sample| *sample == value).count();
        // A sender whose packets come later than its first one is put right by a few samples.
        let off = count.abs_diff(100 * 160);
        assert!(off <= 80, "all that party {} said, and nothing twice: {count}", number + 1);
    }
    assert!((31_900..36_000).contains(&samples.len()), "two seconds: {}", samples.len());
    call.talk(10);
    call.wait_for(Counter::PathTapped, 200);
    assert!(call.figure(Counter::PacketsForwarded) <= by_socket + 2, "no packet came through a socket");
}

#[test]
fn a_recording_of_a_call_on_the_path_has_silence_or_a_pause_for_a_hold() {
    for hold in RecordHold::ALL {
        let Some(mut call) = Call::new() else { return };
        let tape = Tape::begin(&mut call.control, (&call.gateway, call.session), hold);
        call.settle();
        let say = |call: &mut Call, packets: u32| {
            paced(0..packets, |_| {
                for (phone, octet) in call.phones.iter_mut().zip([0xaa, 0x2a]) {
                    phone.say(&[octet; 160]);
                }
            });
        };
        say(&mut call, 25);
        let held = FarEnd { send: false, receive: false, ..call.phones[0].far_end() };
        call.control.far_end(call.session, Party::One, held);
        say(&mut call, 50);
        call.far_ends();
        say(&mut call, 25);
        call.wait_for(Counter::PathTapped, 2 * 40);
        demand_hold(&tape.end(&mut call.control), hold);
    }
}

#[test]
fn a_killed_gateway_leaves_the_call_talking_and_the_next_one_takes_it_over() {
    let Some(mut call) = Call::new() else { return };
    call.talk(50);
    kill_process(call.gateway.pid(), Signal::KILL).unwrap();
    call.talk(100);
    let Call { gateway, phones, ears, spaces, ports, .. } = call;
    let gateway = gateway.restart_after(Signal::KILL);
    let mut control = gateway.attach();
    // As a control plane would, from the page of the gateway that died; what was said since is in the table.
    let legs = [0, 1].map(|party: usize| {
        let heard = ears[party].as_ref().unwrap();
        LegOpening {
            port: PortChoice::This(LocalPort { address: 0, port: ports[party] }),
            beginning: Some(Beginning { ssrc: heard.ssrc, sequence: 0, timestamp: 0 }),
        }
    });
    control.send(Command::Open { tag: Tag(1), legs });
    let Event::Opened { session, .. } = control.event() else { panic!("opened") };
    let mut call = Call { control, gateway, session, ports, phones, ears, spaces };
    call.talk(10);
    call.far_ends();
    call.talk(10);
    call.control.join(session);
    call.talk(10);
    call.wait_for(Counter::PathInherited, 2);
    assert_eq!(call.figure(Counter::PathDirections), 2);
    let mut digit = call.phones[0].next(&[5, 10, 0, 160]);
    digit.payload_type = 101;
    call.phones[0].send(&digit);
    call.hears(1, Some(160));
    call.talk(20);
}

#[test]
fn a_gateway_without_the_path_takes_down_what_a_killed_one_left() {
    for (setting, instead) in [
        ("fast_path = \"native\"", "fast_path = \"off\""),
        ("fast_path = \"native\"", "fast_path = \"native\"\ninterfaces = [\"nowhere\"]"),
    ] {
        let Some(mut call) = Call::new() else { return };
        kill_process(call.gateway.pid(), Signal::KILL).unwrap();
        call.talk(10);
        let Call { gateway, mut phones, spaces, .. } = call;
        let file = gateway.folder.path().join("duogate.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(setting));
        std::fs::write(&file, text.replace(setting, instead)).unwrap();
        let gateway = gateway.restart_after(Signal::KILL);
        until("the pins are gone", || (!spaces.pin().exists()).then_some(()));
        let [one, two] = &mut phones;
        // The kernel detaches the program a moment after its pin is gone.
        until("nobody relays the call", || {
            one.say(&[3; 160]);
            two.hear_within(Duration::from_millis(50)).is_none().then_some(())
        });
        gateway.attach();
        let (status, log) = gateway.terminate();
        assert!(status.success() && log.contains("was taken down"), "{log}");
    }
}
