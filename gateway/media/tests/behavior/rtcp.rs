//! RTCP packets, from bytes and to bytes.

use duogate_media::rtcp::{
    Block, Compound, MAXIMUM_REPORT, Malformed, Report, SenderInfo, Statement, is_rtcp,
};
use proptest::prelude::*;

fn statements(bytes: &[u8]) -> Result<Vec<Statement>, Malformed> {
    let mut all = Vec::new();
    Compound::new_checked(bytes)?.statements(|statement| all.push(statement));
    Ok(all)
}

fn emitted(report: &Report) -> Vec<u8> {
    let mut bytes = vec![0xee; report.length()];
    report.emit(&mut bytes);
    bytes
}

const BLOCK: Block = Block {
    ssrc: 9,
    fraction: 25,
    lost: -3,
    highest: 0x1_0007,
    jitter: 40,
    last_report: 0x1234_5678,
    delay: 99,
};

const INFO: SenderInfo = SenderInfo { ntp: 0x1122_3344_5566_7788, timestamp: 160, packets: 7, octets: 1120 };

const REPORT: Report = Report {
    ssrc: 0x0102_0304,
    sender: Some(INFO),
    block: Some(BLOCK),
    cname: *b"0123456789abcdef",
    bye: true,
};

#[test]
fn rfc3550_6_4_1_a_sender_report_in_bytes() {
    let bytes = emitted(&REPORT);
    #[rustfmt::skip]
    let expected: &[u8] = &[
        0x81, 200, 0, 12, 1, 2, 3, 4,
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 0, 0, 160, 0, 0, 0, 7, 0, 0, 4, 0x60,
        0, 0, 0, 9, 25, 0xff, 0xff, 0xfd, 0, 1, 0, 7, 0, 0, 0, 40, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 99,
        0x81, 202, 0, 6, 1, 2, 3, 4, 1, 16, b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9',
        b'a', b'b', b'c', b'd', b'e', b'f', 0, 0,
        0x81, 203, 0, 1, 1, 2, 3, 4,
    ];
    assert_eq!(bytes, expected);
    assert_eq!(bytes.len(), MAXIMUM_REPORT);
    let said = [
        Statement::Sender { ssrc: REPORT.ssrc, info: INFO },
        Statement::Block(BLOCK),
        Statement::Bye(REPORT.ssrc),
    ];
    assert_eq!(statements(&bytes).unwrap(), said);
    assert!(is_rtcp(&bytes));
}

#[test]
fn rfc3550_6_4_2_who_has_not_sent_gives_a_receiver_report() {
    let report = Report { sender: None, block: None, bye: false, ..REPORT };
    let bytes = emitted(&report);
    assert_eq!(bytes[..8], [0x80, 201, 0, 1, 1, 2, 3, 4]);
    assert_eq!(statements(&bytes).unwrap(), []);
    let report = Report { block: Some(BLOCK), ..report };
    assert_eq!(statements(&emitted(&report)).unwrap(), [Statement::Block(BLOCK)]);
}

#[test]
fn rfc3550_a_2_what_is_no_compound_packet_is_not_believed() {
    let good = emitted(&REPORT);
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        statements(&bytes)
    };
    assert_eq!(statements(&[]), Err(Malformed::Length));
    assert_eq!(statements(&good[..good.len() - 1]), Err(Malformed::Length));
    assert_eq!(statements(&[&good[..], &[0x80]].concat()), Err(Malformed::Length));
    assert_eq!(with(0, 0x41), Err(Malformed::Version));
    assert_eq!(with(52, 0x41), Err(Malformed::Version), "of each of its packets");
    assert_eq!(with(1, 202), Err(Malformed::Beginning), "RFC 3550 section 6.1: a report comes first");
    assert_eq!(with(1, 203), Err(Malformed::Beginning));
    assert_eq!(with(0, 0x82), Err(Malformed::Count), "two blocks are said to be there");
    assert_eq!(with(80, 0x82), Err(Malformed::Count), "two sources leave, one is there");
    assert_eq!(with(0, 0xa1), Err(Malformed::Padding), "not in the first of several");
    // Kinds that are not known, feedback and extended reports are skipped.
    for kind in [192, 195, 204, 205, 206, 207, 223] {
        assert!(with(53, kind).is_ok(), "{kind}");
    }
}

#[test]
fn the_last_packet_may_be_padded() {
    let report = Report { sender: None, block: None, bye: false, ..REPORT };
    let mut bytes = emitted(&report);
    bytes.extend([0xa1, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4]);
    assert_eq!(statements(&bytes).unwrap(), [Statement::Bye(7)]);
    for padding in [0, 3, 9, 12, 255] {
        *bytes.last_mut().unwrap() = padding;
        assert_eq!(statements(&bytes), Err(Malformed::Padding), "{padding}");
    }
}

fn block() -> impl Strategy<Value = Block> {
    (any::<[u32; 5]>(), any::<u8>(), -0x80_0000..0x7f_ffff_i32).prop_map(|(words, fraction, lost)| Block {
        ssrc: words[0],
        fraction,
        lost,
        highest: words[1],
        jitter: words[2],
        last_report: words[3],
        delay: words[4],
    })
}

fn report() -> impl Strategy<Value = Report> {
    let info = any::<(u64, [u32; 3])>().prop_map(|(ntp, [timestamp, packets, octets])| SenderInfo {
        ntp,
        timestamp,
        packets,
        octets,
    });
    let (sender, block) = (proptest::option::of(info), proptest::option::of(block()));
    (any::<u32>(), sender, block, any::<[u8; 16]>(), any::<bool>())
        .prop_map(|(ssrc, sender, block, cname, bye)| Report { ssrc, sender, block, cname, bye })
}

proptest! {
    #[test]
    fn what_is_sent_can_be_read(report in report()) {
        let bytes = emitted(&report);
        prop_assert!(bytes.len() <= MAXIMUM_REPORT && bytes.len().is_multiple_of(4));
        let sender = report.sender.map(|info| Statement::Sender { ssrc: report.ssrc, info });
        let bye = report.bye.then_some(Statement::Bye(report.ssrc));
        let said: Vec<Statement> =
            [sender, report.block.map(Statement::Block), bye].into_iter().flatten().collect();
        prop_assert_eq!(statements(&bytes).unwrap(), said);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        // No panic, and no more statements than there is room for.
        if let Ok(said) = statements(&bytes) {
            prop_assert!(said.len() <= bytes.len() / 4);
        }
    }

    #[test]
    fn a_garbled_report_is_read_or_refused(
        report in report(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        cut in any::<usize>(),
    ) {
        let mut bytes = emitted(&report);
        for (place, byte) in changes {
            let length = bytes.len();
            bytes[place % length] = byte;
        }
        bytes.truncate(bytes.len() - cut % 9);
        if let Ok(said) = statements(&bytes) {
            prop_assert!(said.len() <= bytes.len() / 4);
        }
    }
}
