//! What a party does after an INVITE came, step by step.

use std::time::Duration;

use crate::manners::Manners;
use crate::random::Random;

/// One thing that a party does after the INVITE came, and how long it waits before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A provisional response; `tag` and `media` tell dialogs and media addresses apart.
    Provisional { status: u16, tag: u8, media: Option<u8> },
    /// A 200.
    Answer { tag: u8, media: u8 },
    /// A second 200 from another branch of a fork.
    AlsoAnswer { tag: u8 },
    /// A final refusal.
    Refuse { status: u16 },
    /// BYE, if it was answered.
    HangUp,
    /// A re-INVITE or UPDATE that says the same again, or holds.
    Offer { hold: bool, update: bool },
    /// It hears and says nothing more, but for its sound.
    Die,
}

/// What a party does when CANCEL comes before its final response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnCancel {
    /// 200 to the CANCEL, 487 to the INVITE.
    Obey,
    /// 200 to the CANCEL, and 200 to the INVITE that had crossed it.
    Cross,
    /// The same, and another branch of the fork had answered too.
    CrossTwice,
    /// 487 from one branch, and after it the 200 of another that had crossed.
    Late,
    /// Nothing.
    Ignore,
}

/// All that a party does.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) on_cancel: OnCancel,
    /// It never answers to anything.
    pub(crate) dead: bool,
    pub(crate) codec: u8,
    /// It presses keys, and takes telephone-events.
    pub(crate) keys: bool,
}

impl Script {
    /// When it answers, after the INVITE came; none if it does not.
    pub(crate) fn answers_after(&self) -> Option<Duration> {
        let place = self.steps.iter().position(|(_, step)| matches!(step, Step::Answer { .. }))?;
        (!self.dead).then(|| self.steps[..=place].iter().map(|(after, _)| *after).sum())
    }

    pub(crate) fn hangs_up(&self) -> bool {
        self.steps.iter().any(|(_, step)| *step == Step::HangUp)
    }
}

/// How it rings and answers.
fn answering(random: &mut Random, spans: [Duration; 3], reliable: bool) -> Vec<(Duration, Step)> {
    let [a, b, c] = spans;
    let ring = |status, media| Step::Provisional { status, tag: 1, media };
    let other = |status, tag, media| Step::Provisional { status, tag, media };
    let answer = Step::Answer { tag: 1, media: 0 };
    match random.between(0, 25) {
        0 => vec![(a, answer)],
        1..=4 | 16..=21 => vec![(a, ring(180, None)), (b, answer)],
        5 => vec![(a, ring(183, Some(0))), (b, answer)],
        6 => vec![(a, ring(180, None)), (b, ring(183, Some(0))), (c, answer)],
        7 => vec![(a, ring(183, Some(0))), (b, ring(180, None)), (c, answer)],
        8 => vec![(a, ring(183, Some(0))), (b, ring(183, Some(1))), (c, Step::Answer { tag: 1, media: 1 })],
        9 => {
            vec![(a, ring(183, Some(0))), (b, other(183, 2, Some(2))), (c, Step::Answer { tag: 2, media: 2 })]
        }
        10 => vec![(a, other(183, 2, Some(2))), (b, answer), (a, Step::AlsoAnswer { tag: 3 })],
        11 => vec![(a, Step::Refuse { status: random.one_of(&[486, 404, 403, 503]) })],
        12 => vec![(a, ring(180, None)), (b, Step::Refuse { status: random.one_of(&[480, 603, 600]) })],
        13 => vec![(a, ring(180, None))],
        14 => vec![],
        22 | 23 => {
            // A proxy that tries many branches. Where each wants PRACK, no more than Duogate remembers: the
            // oldest would be forgotten, and taken for new.
            let branches = u8::try_from(random.between(2, if reliable { 8 } else { 11 })).expect("small");
            let media = |tag| random.clone().chance(50).then_some(tag);
            let mut steps: Vec<_> =
                (1..=branches).map(|tag| (a / u32::from(branches), other(183, tag, media(tag)))).collect();
            let tag = u8::try_from(random.between(1, branches.into())).expect("small");
            steps.push((b, Step::Answer { tag, media: tag }));
            steps
        }
        24 => vec![
            (a, ring(180, None)),
            (b, answer),
            (Duration::ZERO, Step::AlsoAnswer { tag: 2 }),
            (a, Step::AlsoAnswer { tag: 3 }),
        ],
        _ => vec![(a, ring(100, None)), (b, answer)],
    }
}

/// A script by chance: every answer pattern, with its own times.
pub(crate) fn script(random: &mut Random, codec: u8, manners: &Manners) -> Script {
    let short = |random: &mut Random| Duration::from_millis(random.between(0, 400));
    let long = |random: &mut Random| Duration::from_millis(random.between(200, 3000));
    let spans = [short(random), long(random), long(random)];
    let mut steps = answering(random, spans, manners.reliable);
    for _ in 0..random.one_of(&[0, 0, 0, 0, 0, 0, 1, 2, 3]) {
        let step = Step::Offer { hold: random.chance(50), update: random.chance(40) };
        let when = if random.chance(20) { Duration::ZERO } else { long(random) };
        steps.push((when, step));
    }
    let most = if manners.is_lasting() { 300_000 } else { 9_000 };
    if let Some(after) = manners.dies {
        steps.push((after, Step::Die));
    } else if random.chance(50) {
        let talk = Duration::from_millis(random.between(100, most));
        steps.push((talk, Step::HangUp));
    }
    let on_cancel = random.one_of(&[
        OnCancel::Obey,
        OnCancel::Obey,
        OnCancel::Cross,
        OnCancel::CrossTwice,
        OnCancel::Late,
        OnCancel::Ignore,
    ]);
    Script { steps, on_cancel, dead: random.chance(2), codec, keys: random.chance(60) }
}
