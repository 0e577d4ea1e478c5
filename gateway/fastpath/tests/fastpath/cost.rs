//! What a packet costs, beside a program that does as little as a relay can. The frames are such that what comes out
//! is what is expected next, so that the kernel can run the program on them any number of times.

use std::net::SocketAddr;

use aya::maps::HashMap;
use aya::programs::{TestRunOptions, Xdp};
use aya::{EbpfLoader, TestRun as _};
use duogate_fastpath::{BARE_PROGRAM, FastPath, Flow, FlowIndex, FlowTable, Settings, Tap};

use crate::frames::{frame, rtp};
use crate::host::{Family, GATEWAY, Host, INTERFACE, LEGS, PARTIES, flow};

/// Runs of which the mean is taken, and how many means.
const REPEAT: u32 = 200_000;
const ROUNDS: u32 = 5;

/// Nanoseconds of one run, the mean of many.
fn once(program: &Xdp, sent: &[u8], action: u32) -> u64 {
    let length = u32::try_from(sent.len()).unwrap();
    let context: Vec<u8> = [0, length, 0, INTERFACE, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut options = TestRunOptions::new();
    options.data_in = Some(sent);
    options.ctx_in = Some(&context);
    options.repeat = REPEAT;
    let result = program.test_run(options).unwrap();
    assert_eq!(result.return_value, action, "the last packet met this fate");
    u64::try_from(result.duration.as_nanos()).unwrap()
}

/// The least of several means: what the host does besides only adds.
fn least(program: &Xdp, sent: &[u8], action: u32) -> u64 {
    (0..ROUNDS).map(|_| once(program, sent, action)).min().unwrap()
}

fn endless(family: Family) -> (Flow, SocketAddr, SocketAddr) {
    let address = |text: &str| text.parse().unwrap();
    let source = SocketAddr::new(address(GATEWAY[family as usize]), LEGS[1]);
    let destination = SocketAddr::new(address(PARTIES[0][family as usize]), LEGS[0]);
    let flow = Flow {
        source,
        from: FlowIndex { address: 0, port: LEGS[1] },
        destination,
        out_ssrc: flow(family).ssrc,
        out_payload_type: 8,
        sequence_offset: 1,
        timestamp_offset: 160,
        ticks: 1,
        ..flow(family)
    };
    (flow, source, destination)
}

#[test]
fn a_packet_costs_little_more_than_the_least() {
    let Some(host) = Host::new() else { return };
    let mut figures = Vec::new();
    for family in [Family::Four, Family::Six] {
        let (flow, source, destination) = endless(family);
        // The destination is taken for an address of the gateway, so that what goes to it is expected there too.
        let settings = Settings {
            interfaces: vec!["g0".to_owned()],
            addresses: vec![source.ip(), destination.ip()],
            ring_octets: 1 << 26,
            ..host.settings()
        };
        let Some(mut path) = host.load(&settings) else { return };
        let table = path.table().clone();
        let mut ring = path.take_tap(0).unwrap();
        let index = FlowIndex { address: 1, port: LEGS[0] };
        let sent = frame(source, destination, &rtp(8, 1000, 50_000, flow.ssrc, &[0xd5; 160]));
        for tap in [None, Some(0)] {
            let begin = Flow { tap, ..flow };
            figures.push((
                format!("{family:?}, tap {tap:?}"),
                relayed(&path, &mut ring, &table, index, &begin, &sent),
            ));
        }
        assert!(path.counters().unwrap().forwarded > 0);
    }
    let (bare, nothing) = bare();
    eprintln!("ns per packet: {figures:?}, bare {bare}, nothing {nothing}");
    assert!(figures[0].1 < 10 * bare, "{figures:?} against {bare}");
}

/// The least mean of the fast path; each round begins where the flow begins, as the frame does.
fn relayed(
    path: &FastPath,
    ring: &mut Tap,
    table: &FlowTable,
    index: FlowIndex,
    flow: &Flow,
    sent: &[u8],
) -> u64 {
    let mut round = |_| {
        table.on(index, flow).unwrap();
        let mean = once(path.program().unwrap(), sent, 3);
        let numbers = table.off(index).unwrap();
        assert!(numbers.forwarded() >= REPEAT && numbers.tap_full == 0, "{numbers:?}");
        while ring.drain(1000, |_| ()) != 0 {}
        mean
    };
    (0..ROUNDS).map(&mut round).min().unwrap()
}

/// The program that does the least, and the run of a program that does nothing.
fn bare() -> (u64, u64) {
    let mut ebpf = EbpfLoader::new().load(BARE_PROGRAM).unwrap();
    let mut targets = HashMap::<_, u16, [u32; 6]>::try_from(ebpf.map_mut("targets").unwrap()).unwrap();
    let four = |text: &str| u32::from_ne_bytes(text.parse::<std::net::Ipv4Addr>().unwrap().octets());
    let ports = u32::from(LEGS[1].to_be()) | u32::from(LEGS[0].to_be()) << 16;
    let target = [four(GATEWAY[0]), four(PARTIES[0][0]), ports, 1, 2, 3];
    targets.insert(LEGS[0].to_be(), target, 0).unwrap();
    let program: &mut Xdp = ebpf.program_mut("bare").unwrap().try_into().unwrap();
    program.load().unwrap();
    let (_, source, destination) = endless(Family::Four);
    let sent = frame(source, destination, &rtp(8, 1000, 50_000, 1, &[0xd5; 160]));
    let mut other = sent.clone();
    other[13] = 6;
    (least(program, &sent, 3), least(program, &other, 2))
}
