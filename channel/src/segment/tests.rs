use std::os::unix::fs::FileExt;

use super::*;

const HEADER: SegmentHeader = SegmentHeader { kind: SegmentKind::Rings, epoch: 9, parameters: [1, 2, 3, 4] };

fn refusal(file: &OwnedFd, kind: SegmentKind, epoch: u64) -> SegmentError {
    Segment::open(file.as_fd(), kind, epoch).map(|_| ()).unwrap_err()
}

/// A rings segment with one header word changed, sealed as it should be.
fn forged(word: usize, value: u64) -> OwnedFd {
    let (segment, _file) = Segment::create(&HEADER, 8).unwrap();
    let mut bytes: Vec<u8> =
        segment.words().iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    bytes[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
    sealed(&bytes, SegmentKind::Rings.seals())
}

fn sealed(bytes: &[u8], seals: SealFlags) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let file = std::fs::File::from(file);
    file.write_all_at(bytes, 0).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file.into()
}

#[test]
fn both_sides_see_the_same_words() {
    let (ours, file) = Segment::create(&HEADER, 8).unwrap();
    let (theirs, parameters) = Segment::open(file.as_fd(), SegmentKind::Rings, 9).unwrap();
    assert_eq!(parameters, HEADER.parameters);
    assert_eq!(theirs.expect_payload(8), Ok(()));
    assert_eq!(theirs.expect_payload(9), Err(SegmentError::Size { found: 192, expected: 200 }));
    theirs.words()[HEADER_WORDS + 7].store(42, Ordering::Relaxed);
    assert_eq!(ours.words()[HEADER_WORDS + 7].load(Ordering::Relaxed), 42);
    assert_eq!(ours.words().len(), HEADER_WORDS + 8);
}

#[test]
fn the_file_can_neither_shrink_nor_grow_nor_be_unsealed() {
    let (_segment, file) = Segment::create(&HEADER, 8).unwrap();
    assert!(ftruncate(&file, 0).is_err());
    assert!(ftruncate(&file, 1 << 20).is_err());
    assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err());
}

#[test]
fn a_page_can_be_read_and_not_written_by_its_receiver() {
    let header = SegmentHeader { kind: SegmentKind::Page, ..HEADER };
    let (ours, file) = Segment::create(&header, 8).unwrap();
    let (theirs, _) = Segment::open(file.as_fd(), SegmentKind::Page, 9).unwrap();
    ours.words()[HEADER_WORDS].store(42, Ordering::Relaxed);
    assert_eq!(theirs.words()[HEADER_WORDS].load(Ordering::Relaxed), 42);
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    assert!(MmapOptions::new().len(8).map_raw(descriptor).is_err(), "mapped for writing");
    assert!(std::fs::File::from(file).write_all_at(&[1], 200).is_err(), "written as a file");
}

#[test]
fn every_seal_that_is_missing_is_a_refusal() {
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL, SealFlags::FUTURE_WRITE] {
        let seals = SegmentKind::Page.seals().difference(missing);
        let file = sealed(&[0; 4096], seals);
        let wanted = SegmentKind::Page.seals().bits();
        let expected = SegmentError::Unsealed { found: seals.bits(), wanted };
        assert_eq!(refusal(&file, SegmentKind::Page, 9), expected);
    }
}

#[test]
fn what_is_no_memory_file_is_refused() {
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    assert!(matches!(refusal(&reader, SegmentKind::Rings, 9), SegmentError::System(_)));
}

#[test]
fn every_word_of_the_header_is_checked() {
    let abi = u64::from(ABI_VERSION);
    let rings = 1 << 32;
    assert!(Segment::open(forged(WORD_EPOCH, 9).as_fd(), SegmentKind::Rings, 9).is_ok());
    let cases = [
        (WORD_MAGIC, 0, SegmentError::Magic),
        (WORD_MAGIC, MAGIC + 1, SegmentError::Magic),
        (
            WORD_ABI_AND_KIND,
            (abi + 1) | rings,
            SegmentError::Abi { theirs: ABI_VERSION + 1, ours: ABI_VERSION },
        ),
        (WORD_ABI_AND_KIND, abi | 2 << 32, SegmentError::Kind { found: 2 }),
        (WORD_EPOCH, 8, SegmentError::Epoch { found: 8, expected: 9 }),
        (WORD_SIZE, 4096, SegmentError::Size { found: 192, expected: 4096 }),
    ];
    for (word, value, expected) in cases {
        assert_eq!(refusal(&forged(word, value), SegmentKind::Rings, 9), expected);
    }
}

#[test]
fn a_file_too_small_for_a_header_or_with_half_a_word_is_refused() {
    for length in [0, 8, 127, 196] {
        let file = sealed(&vec![0; length], SegmentKind::Rings.seals());
        assert!(matches!(refusal(&file, SegmentKind::Rings, 9), SegmentError::Size { .. }), "{length}");
    }
}

#[test]
fn a_segment_beyond_all_reason_is_not_made() {
    assert!(matches!(
        Segment::create(&HEADER, usize::MAX),
        Err(SegmentError::Parameter { what: "size", .. })
    ));
    assert!(Segment::create(&HEADER, 1 << 40).is_err());
}

#[test]
fn sealed_bytes_are_what_was_sealed() {
    let file = SealedBytes::create(b"ring ring").unwrap();
    assert_eq!(&*SealedBytes::open(file.as_fd(), 9).unwrap(), b"ring ring");
    assert!(matches!(SealedBytes::open(file.as_fd(), 8), Err(SegmentError::Size { found: 9, expected: 8 })));
    assert!(std::fs::File::from(file).write_all_at(b"x", 0).is_err());
}

#[test]
fn bytes_that_can_change_or_are_none_are_refused_as_sealed_bytes() {
    let unsealed = sealed(b"ring", SegmentKind::Rings.seals());
    assert!(matches!(SealedBytes::open(unsealed.as_fd(), 4), Err(SegmentError::Unsealed { .. })));
    let empty = SealedBytes::create(b"").unwrap();
    assert!(matches!(SealedBytes::open(empty.as_fd(), 0), Err(SegmentError::Size { .. })));
}
