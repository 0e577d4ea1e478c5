//! CTI actions at random moments: each that starts ends in one event, and one that is refused leaves no trace.

use std::collections::BTreeSet;

use duogate_channel::identity::{Party, Recording};
use duogate_signaling::resource::action::{ActionParameters, Method, Order, Parties, Prepared};
use duogate_signaling::resource::error::ApiError;
use duogate_signaling::resource::plan::SoundSet;

use crate::audit::Broken;
use crate::gateway::ACTED;
use crate::model::World;

/// Recordings on demand are numbered from here on.
const DEMANDED: u64 = 1_000;

/// What a party may hear because an action let it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Acted {
    pub(crate) played: bool,
    pub(crate) keyed: bool,
}

/// What runs on one callback, as its events tell.
#[derive(Default, Debug)]
pub(crate) struct Acts {
    parties: [BTreeSet<&'static str>; 2],
    recordings: BTreeSet<u64>,
}

impl Acts {
    /// Something begins. False if one of its kind runs.
    fn begin(&mut self, order: &Order, recording: Option<Recording>) -> bool {
        match order {
            Order::Play { parties, .. } | Order::Send { parties, .. } | Order::Receive { parties, .. } => {
                parties.iter().all(|party| self.parties[party.index()].insert(order.method().name()))
            }
            Order::Record(_) => {
                self.recordings.is_empty()
                    && recording.is_some_and(|recording| self.recordings.insert(recording.0))
            }
        }
    }

    /// An event says that one has ended. False if none ran.
    pub(crate) fn end(&mut self, method: Method, party: Party) -> bool {
        self.parties[party.index()].remove(method.name())
    }

    /// The same of a recording.
    pub(crate) fn end_recording(&mut self, recording: Recording) -> bool {
        self.recordings.remove(&recording.0)
    }

    fn runs(&self, method: Method, parties: Parties) -> bool {
        match method {
            Method::Record => !self.recordings.is_empty(),
            _ => parties.iter().any(|party| self.parties[party.index()].contains(method.name())),
        }
    }

    pub(crate) fn none_at_a_party(&self) -> bool {
        self.parties.iter().all(BTreeSet::is_empty)
    }

    pub(crate) fn none(&self) -> bool {
        self.none_at_a_party() && self.recordings.is_empty()
    }
}

impl World {
    /// The application starts or stops something, whether it may or not.
    pub(crate) fn act(&mut self, call: usize) -> Result<(), Broken> {
        let Some(name) = self.calls[call].clone() else { return Ok(()) };
        let before = self.endpoint.get(&name).ok();
        let outcome = if self.random.chance(70) { self.start(call, &name)? } else { self.stop(&name)? };
        let Err(error) = outcome else {
            self.audit.acts += 1;
            return Ok(());
        };
        self.audit.acts_refused += 1;
        let after = self.endpoint.get(&name).ok();
        if before != after {
            return Err(format!("{name}: refused ({error:?}), and yet {before:?} became {after:?}"));
        }
        match self.endpoint.poll_output() {
            Some(output) => Err(format!("{name}: refused ({error:?}), and yet {output:?}")),
            None => Ok(()),
        }
    }

    fn start(&mut self, call: usize, name: &str) -> Result<Result<(), ApiError>, Broken> {
        let method =
            self.random.one_of(&[Method::Play, Method::Record, Method::SendDtmf, Method::ReceiveDtmf]);
        let parameters = self.action_parameters();
        let order = match self.endpoint.check_action(name, method, &parameters) {
            Ok(order) => order,
            Err(error) => return Ok(Err(error)),
        };
        // Now and then the shell has prepared nothing.
        let able = !self.random.chance(5);
        let sound = (able && order.content().is_some()).then_some(SoundSet {
            pcma: Some(ACTED[0]),
            pcmu: Some(ACTED[1]),
            ..SoundSet::default()
        });
        let recording = (able && method == Method::Record).then_some(Recording(DEMANDED + self.audit.acts));
        let prepared = Prepared { sound, recording };
        let outcome = self.endpoint.start_action(self.clock(), name, order.clone(), prepared);
        self.tell(&format!("start {method:?} of {call}: {outcome:?}"));
        if outcome.is_ok() {
            self.note_acted(call, &order);
            let account = self.audit.accounts.get_mut(name).ok_or("an action of nobody")?;
            if !account.acts.begin(&order, recording) {
                return Err(format!("{name}: a second {method:?} was started: {:?}", account.acts));
            }
        }
        Ok(outcome)
    }

    fn note_acted(&mut self, call: usize, order: &Order) {
        let (Order::Play { parties, .. } | Order::Send { parties, .. } | Order::Receive { parties, .. }) =
            order
        else {
            return;
        };
        for party in parties.iter() {
            let acted = &mut self.acted[call * 2 + party.index()];
            acted.played |= order.content().is_some();
            acted.keyed |= order.method() == Method::SendDtmf;
        }
    }

    fn stop(&mut self, name: &str) -> Result<Result<(), ApiError>, Broken> {
        let method = self.random.one_of(&[Method::Play, Method::Record, Method::ReceiveDtmf]);
        let (text, parties) = self.random.one_of(&[
            ("1", Parties::One(Party::One)),
            ("2", Parties::One(Party::Two)),
            ("both", Parties::Both),
        ]);
        let parameters = ActionParameters { party: Some(text.into()), ..ActionParameters::default() };
        let account = self.audit.accounts.get(name).ok_or("an action of nobody")?;
        let runs = account.acts.runs(method, parties) && !account.released;
        let outcome = self.endpoint.stop_action(self.clock(), name, method, &parameters);
        self.tell(&format!("stop {method:?} of {name}: {outcome:?}"));
        if outcome.is_ok() == runs {
            return Ok(outcome);
        }
        Err(format!("{name}: {method:?} of {text} runs: {runs}, and stopping it: {outcome:?}"))
    }

    fn action_parameters(&mut self) -> ActionParameters {
        let random = &mut self.random;
        let mut number = |low, high| Some(i64::try_from(random.between(low, high)).expect("small"));
        let (max_seconds, max_keys) = (number(1, 5), number(1, 4));
        let (first_key_timeout, continues_keys_timeout) = (number(1, 5), number(1, 3));
        let [repeat, play_repeat] = [number(0, 3), number(0, 3)].map(|times| times.map(|times| times - 1));
        let file = || Some(vec!["said.wav".to_owned()]);
        ActionParameters {
            party: Some(random.one_of(&["1", "2", "both"]).into()),
            content: file(),
            repeat,
            finish_keys: random.chance(50).then(|| "#".into()),
            record_file: Some("demanded.wav".into()),
            max_seconds,
            keys: Some("19#".into()),
            max_keys,
            first_key_timeout,
            continues_keys_timeout,
            play_content: if random.chance(50) { file() } else { None },
            play_repeat,
            breaking_on_key: Some(random.chance(50)),
            ..ActionParameters::default()
        }
    }
}
