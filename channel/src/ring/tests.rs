use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::command::{Command, LegOpening};
use crate::identity::{Session, Tag};

fn numbered(number: u64) -> Command {
    Command::Open { tag: Tag(number + 1), legs: [LegOpening::FRESH; 2] }
}

/// What may happen to a ring.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Pop,
    Sleep,
    Wake,
    Doorbell,
    Backlog,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Push),
        3 => Just(Step::Pop),
        1 => Just(Step::Sleep),
        1 => Just(Step::Wake),
        1 => Just(Step::Doorbell),
        1 => Just(Step::Backlog),
    ]
}

proptest! {
    /// The ring does what a queue of bounded length does, and its flag what a flag does.
    #[test]
    fn behaves_as_a_bounded_queue(
        power in 1..7_u32,
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let capacity = 1_usize << power;
        let (mut producer, mut consumer) = ring::<Command>(1 << power).unwrap();
        let (mut model, mut sleeping, mut next) = (VecDeque::new(), false, 0);
        for step in steps {
            match step {
                Step::Push => {
                    let pushed = producer.push(&numbered(next));
                    if model.len() == capacity {
                        prop_assert_eq!(pushed, Err(PushError::Full));
                    } else {
                        prop_assert_eq!(pushed, Ok(()));
                        model.push_back(numbered(next));
                        next += 1;
                    }
                }
                Step::Pop => prop_assert_eq!(consumer.pop(), Ok(model.pop_front())),
                Step::Sleep => {
                    sleeping = model.is_empty();
                    prop_assert_eq!(consumer.prepare_sleep(), Ok(sleeping));
                }
                Step::Wake => {
                    consumer.wake();
                    sleeping = false;
                }
                Step::Doorbell => {
                    prop_assert_eq!(producer.doorbell_due(), sleeping);
                    sleeping = false;
                }
                Step::Backlog => prop_assert_eq!(producer.backlog(), Ok(model.len() as u64)),
            }
        }
    }

    /// No value of the peer's index is taken but those that it can have.
    #[test]
    fn any_index_of_the_peer_is_right_or_poisons(pushed in 0..8_u64, popped in 0..8_u64, found: u64) {
        let popped = popped.min(pushed);
        let (mut producer, mut consumer) = worn(pushed, popped);
        producer.shared.word(WORD_HEAD).store(found, Ordering::Relaxed);
        prop_assert_eq!(producer.backlog().is_ok(), (0..=pushed).contains(&found));
        consumer.shared.word(WORD_TAIL).store(found, Ordering::Relaxed);
        let right = (consumer.cached_tail..=popped + 8).contains(&found);
        prop_assert_eq!(consumer.prepare_sleep().is_ok(), right);
    }
}

/// A ring of 8 with a past.
fn worn(pushed: u64, popped: u64) -> (Producer<Command>, Consumer<Command>) {
    let (mut producer, mut consumer) = ring(8).unwrap();
    for number in 0..pushed {
        producer.push(&numbered(number)).unwrap();
    }
    for number in 0..popped {
        assert_eq!(consumer.pop(), Ok(Some(numbered(number))));
    }
    (producer, consumer)
}

#[test]
fn capacities_that_are_no_power_of_two_are_refused() {
    for capacity in [0, 1, 3, 6, 1000, LARGEST_CAPACITY * 2, u32::MAX] {
        assert!(
            matches!(ring::<Command>(capacity), Err(SegmentError::Parameter { what: "ring capacity", .. })),
            "{capacity}"
        );
    }
}

#[test]
fn a_tail_too_far_ahead_poisons_the_consumer_for_good() {
    for (pushed, popped, found) in [(0, 0, 9), (5, 5, 14), (5, 5, u64::MAX), (5, 5, 1 << 63)] {
        let (mut producer, mut consumer) = worn(pushed, popped);
        consumer.shared.word(WORD_TAIL).store(found, Ordering::Relaxed);
        let poisoned = Poisoned::Index { found, lowest: pushed, highest: popped + 8 };
        assert_eq!(consumer.pop(), Err(poisoned));
        // Mending the index afterwards does not help.
        producer.push(&numbered(pushed)).unwrap();
        assert_eq!(consumer.pop(), Err(poisoned));
        assert_eq!(consumer.prepare_sleep(), Err(poisoned));
    }
}

#[test]
fn a_tail_that_goes_back_poisons_the_consumer() {
    let (_producer, mut consumer) = worn(5, 5);
    consumer.shared.word(WORD_TAIL).store(4, Ordering::Relaxed);
    assert_eq!(consumer.prepare_sleep(), Err(Poisoned::Index { found: 4, lowest: 5, highest: 13 }));
    assert_eq!(consumer.shared.word(WORD_SLEEPING).load(Ordering::Relaxed), 0);
}

#[test]
fn a_head_beyond_the_tail_poisons_the_producer_for_good() {
    let (mut producer, mut consumer) = worn(8, 0);
    producer.shared.word(WORD_HEAD).store(9, Ordering::Relaxed);
    let poisoned = Poisoned::Index { found: 9, lowest: 0, highest: 8 };
    assert_eq!(producer.push(&numbered(8)), Err(PushError::Poisoned(poisoned)));
    assert_eq!(consumer.pop(), Ok(Some(numbered(0))));
    assert_eq!(producer.push(&numbered(8)), Err(PushError::Poisoned(poisoned)));
    assert_eq!(producer.room(), Err(poisoned));
    assert_eq!(producer.backlog(), Err(poisoned));
}

#[test]
fn a_head_that_goes_back_poisons_the_producer() {
    let (mut producer, mut consumer) = worn(8, 3);
    assert_eq!(producer.backlog(), Ok(5));
    assert_eq!(consumer.pop(), Ok(Some(numbered(3))));
    producer.shared.word(WORD_HEAD).store(2, Ordering::Relaxed);
    assert_eq!(producer.backlog(), Err(Poisoned::Index { found: 2, lowest: 3, highest: 8 }));
}

#[test]
fn a_slot_that_holds_no_record_poisons_the_consumer_for_good() {
    let (mut producer, mut consumer) = worn(4, 2);
    producer.shared.slot(2)[0].store(0xFF, Ordering::Relaxed);
    let poisoned = Poisoned::Record(RecordError::UnknownKind { record: "command", kind: 0xFF });
    assert_eq!(consumer.pop(), Err(poisoned));
    assert_eq!(consumer.pop(), Err(poisoned));
    // What stands behind it is not believed either.
    producer.push(&Command::Close { session: Session { slot: 0, generation: 1 } }).unwrap();
    assert_eq!(consumer.pop(), Err(poisoned));
}

#[test]
fn a_peer_that_writes_into_our_own_index_changes_nothing() {
    let (mut producer, mut consumer) = worn(4, 2);
    // The peer puts back our head: the producer may only be misled about how much room there is.
    consumer.shared.word(WORD_HEAD).store(u64::MAX, Ordering::Relaxed);
    assert_eq!(consumer.pop(), Ok(Some(numbered(2))));
    producer.shared.word(WORD_TAIL).store(u64::MAX, Ordering::Relaxed);
    producer.push(&numbered(4)).unwrap();
    assert_eq!(consumer.pop(), Ok(Some(numbered(3))));
    assert_eq!(consumer.pop(), Ok(Some(numbered(4))));
    assert_eq!(consumer.pop(), Ok(None));
}

#[test]
fn a_garbled_sleeping_flag_costs_one_doorbell() {
    let (mut producer, _consumer) = worn(1, 0);
    producer.shared.word(WORD_SLEEPING).store(u64::MAX, Ordering::Relaxed);
    assert!(producer.doorbell_due());
    assert!(!producer.doorbell_due());
}

#[test]
fn two_rings_in_one_segment_do_not_touch() {
    let words = Place::words::<Command>(4).unwrap();
    let header = SegmentHeader { kind: SegmentKind::Rings, epoch: 0, parameters: [0; 4] };
    let segment = Arc::new(Segment::create(&header, words * 2).unwrap().0);
    let places = [HEADER_WORDS, HEADER_WORDS + words].map(|base| Place { base, capacity: 4 });
    let [mut first, mut second] = places.map(|place| Producer::<Command>::new(Arc::clone(&segment), place));
    let [mut from_first, mut from_second] =
        places.map(|place| Consumer::<Command>::new(Arc::clone(&segment), place));
    for number in 0..4 {
        first.push(&numbered(number)).unwrap();
        second.push(&numbered(number + 10)).unwrap();
    }
    for number in 0..4 {
        assert_eq!(from_first.pop(), Ok(Some(numbered(number))));
        assert_eq!(from_second.pop(), Ok(Some(numbered(number + 10))));
    }
}

#[test]
fn keys_do_not_stay_in_the_ring() {
    use crate::identity::Party;
    use crate::srtp::{Master, MasterKeys, Suite};
    let master = Master::new(Suite::AesCm128HmacSha1_80, &[0xa5; 30]).unwrap();
    let keys = Some(MasterKeys { suite: Suite::AesCm128HmacSha1_80, ours: master, theirs: master });
    let session = Session { slot: 1, generation: 1 };
    let secure = Command::Secure { session, party: Party::One, keys, heard: None };
    let (mut producer, mut consumer) = ring::<Command>(4).unwrap();
    let words = |consumer: &Consumer<Command>| {
        consumer.shared.slot(0).iter().any(|word| word.load(Ordering::Relaxed) == 0xa5a5_a5a5_a5a5_a5a5)
    };
    producer.push(&secure).unwrap();
    assert!(words(&consumer));
    assert_eq!(consumer.pop(), Ok(Some(secure)));
    assert!(!words(&consumer));
}
