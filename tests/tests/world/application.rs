//! The application of the world, the operator's settings, and a stranger who means no good.

use std::sync::Arc;
use std::time::Duration;

use duogate_channel::identity::Recording;
use duogate_channel::sound::Codec;
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::settings::{Credentials, Ping, Registration, SessionInterval};
use duogate_signaling::endpoint::{Admission, Endpoint, Limits, Listener, Local, Policy, Settings, Trunk};
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::{Prepared, Ringbacks, SoundSet, Waits};

use crate::audit::{Account, packet};
use crate::digesting::{PASSWORD, USER};
use crate::duties::REDIRECTS;
use crate::gateway::{FIRST_PORT, PROMPT, TONE};
use crate::model::{ON_TRUNK_ONE, World, stranger, us};
use crate::mutation::Mutation;
use crate::network::{Deed, Occurrence};
use crate::party::Party;
use crate::random::Random;

impl World {
    /// A stranger tries every kind of thing.
    pub(crate) fn stranger(&mut self) {
        for _ in 0..8 {
            let port = FIRST_PORT + u16::try_from(self.random.between(0, 59)).expect("small") * 2;
            let mut bytes = packet(1, 8, 0x6666);
            if self.random.chance(30) {
                let cut = self.random.between(0, 171);
                bytes.truncate(usize::try_from(cut).expect("small"));
            }
            self.schedule.at(self.now, Occurrence::RtpToUs { from: stranger(), port, bytes });
        }
        let invite = "INVITE sip:us@10.255.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bKx\r\n\
                      From: <sip:x@y>;tag=1\r\nTo: <sip:us@10.255.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
                      Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
        let junk = [invite.as_bytes(), b"\r\n\r\n", b"\0\xff\xfe", b"INVITE sip:", b"hello world\r\n\r\n"];
        for bytes in junk {
            self.endpoint.receive(self.clock(), Listener(0), stranger(), bytes);
        }
    }

    pub(crate) fn application(&mut self, call: usize, deed: Deed) {
        let now = self.clock();
        let name = self.calls[call].clone().unwrap_or_default();
        match deed {
            Deed::Construct => self.construct(call),
            Deed::Noted { durable: true } => self.endpoint.noted(now, &name),
            Deed::Noted { durable: false } => {
                if let Some(account) = self.audit.accounts.get_mut(&name) {
                    account.unnoted = true;
                }
                self.endpoint.unnoted(&name);
            }
            Deed::Cancel => {
                let outcome = self.endpoint.cancel(now, &name);
                self.tell(&format!("cancel {call}: {outcome:?}"));
            }
            Deed::Drop => {
                let outcome = self.endpoint.drop_call(now, &name, None);
                self.tell(&format!("drop {call}: {outcome:?}"));
            }
            Deed::Look => {
                let _ = (self.endpoint.get(&name), self.endpoint.list(None, None, Some(3)));
            }
        }
    }

    fn construct(&mut self, call: usize) {
        let now = self.clock();
        let parameters = self.parameters(call);
        let Ok(plan) = self.endpoint.check(now, &parameters) else { return };
        let set =
            |sounds: [_; 2]| SoundSet { pcma: Some(sounds[0]), pcmu: Some(sounds[1]), ..SoundSet::default() };
        let prepared = Prepared {
            ring_play: plan.ring_play.is_some().then(|| set(PROMPT)),
            ringback: Arc::new(Ringbacks { node: Some(set(TONE)), trunks: Vec::new() }),
            recording: plan.record.is_some().then_some(Recording(call as u64 + 1)),
        };
        let recording = plan.record.is_some();
        let Ok(view) = self.endpoint.construct(now, plan, prepared) else { return };
        self.tell(&format!("constructed {call}: {}", view.res_id));
        let must_connect = self.must_connect(call, &parameters);
        let lives = self.parties[call * 2..call * 2 + 2].iter().all(|party| !party.manners.is_far());
        let account = Account::new(self.now, recording, must_connect, lives);
        self.audit.constructed(&view.res_id, account);
        self.calls[call] = Some(view.res_id.to_string());
        let durable = !self.random.chance(2);
        let when = self.now + Duration::from_micros(self.random.between(100, 9_000));
        self.schedule.at(when, Occurrence::Application { call, deed: Deed::Noted { durable } });
    }

    /// Is there nothing that keeps these two apart? With room for looking up a name and for a prompt, and for two
    /// places that say nothing.
    fn must_connect(&self, call: usize, parameters: &Parameters) -> bool {
        let both = || self.parties[call * 2..call * 2 + 2].iter();
        let ring = Duration::from_secs(parameters.max_ring_seconds.unwrap_or(50).unsigned_abs());
        let room = |party: &Party| if party.manners.is_far() { 70 } else { 4 };
        let in_time = |party: &Party| {
            let answers = party.script.answers_after();
            answers.is_some_and(|after| after * 2 + Duration::from_secs(room(party)) < ring)
        };
        self.calm
            && !self.disturbed[call]
            && !self.parties[call * 2].script.hangs_up()
            && both().all(|party| party.manners.is_reachable() && in_time(party))
    }

    /// May the two talk for minutes?
    pub(crate) fn lasts(&self, call: usize) -> bool {
        self.parties[call * 2..call * 2 + 2].iter().any(|party| party.manners.is_lasting())
    }

    fn parameters(&mut self, call: usize) -> Parameters {
        let uris = |world: &Self, place: usize| {
            let party = &world.parties[place];
            party.manners.uris(place, party.address)
        };
        let far = self.parties[call * 2..call * 2 + 2].iter().any(|party| party.manners.is_far());
        let talk = if self.lasts(call) { (60, 300) } else { (1, 12) };
        let ring = if far { (10, 150) } else { (1, 40) };
        let mut parameters = Parameters {
            to1_uri: uris(self, call * 2),
            to2_uri: uris(self, call * 2 + 1),
            max_answer_seconds: Some(i64::try_from(self.random.between(talk.0, talk.1)).expect("small")),
            max_ring_seconds: Some(i64::try_from(self.random.between(ring.0, ring.1)).expect("small")),
            ring_play_mode: Some(i64::try_from(self.random.between(0, 3)).expect("small")),
            record_mode: Some(i64::try_from(self.random.between(0, 2)).expect("small")),
            ..Parameters::default()
        };
        // A host that is not to be found comes first in some lists.
        if self.random.chance(10) {
            parameters.to2_uri.insert(0, "sip:gone@nowhere.example".into());
        }
        if self.random.chance(50) {
            parameters.ring_play_file = Some("prompt.wav".into());
        }
        if self.random.chance(50) {
            parameters.record_file = Some(format!("{call}.wav"));
        }
        parameters
    }
}

/// The trunks: one with room for a single call, one that wants to know who we are, and two that lead to the same
/// parties.
fn trunks(mutation: Mutation) -> Vec<Trunk> {
    let ping = Some(Ping { every: Duration::from_secs(2), failures: 2, successes: 2 });
    let trunk = |name: &str| Trunk {
        name: name.into(),
        hosts: vec![format!("{name}.example")],
        caller_id: Some("sip:4711@duogate.example".into()),
        ping,
        ..Trunk::default()
    };
    let one = Trunk {
        hosts: ON_TRUNK_ONE.map(|place| format!("10.1.0.{place}")).to_vec(),
        max_calls: Some(1),
        ping: None,
        ..trunk("one")
    };
    let password = if mutation == Mutation::WrongPassword { "open barley" } else { PASSWORD };
    let credentials = Credentials { username: USER.into(), password: password.into(), realm: None };
    let keyed = Trunk {
        address: Some("10.2.0.1".into()),
        credentials: Some(Arc::new(credentials)),
        registration: Some(Registration {
            aor: "sip:duogate@keyed.example".into(),
            expires: Duration::from_secs(60),
            retry: Duration::from_secs(5),
        }),
        ..trunk("keyed")
    };
    let east = Trunk { address: Some("10.2.0.2".into()), ..trunk("east") };
    vec![one, keyed, east, trunk("west")]
}

/// The control plane under test.
pub(crate) fn endpoint(seed: u64, mutation: Mutation, reign: u32, now: Now) -> Endpoint {
    let session = Random::new(seed).one_of(&[None, Some(90), Some(100), Some(180)]);
    let endless = mutation == Mutation::EndlessRedirects;
    let settings = Settings {
        node: "world".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp(us())],
        media_addresses: vec![us().ip()],
        record_hold: duogate_channel::sound::RecordHold::Silence,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        limits: Limits {
            admission: Admission { max_calls: 100, calls_per_second: 50.0, burst: 10 },
            ..Limits::default()
        },
        trunks: trunks(mutation),
        policy: Policy { allow_any_destination: true, default_trunk: None, webhook_hosts: vec![] },
        waits: Waits::default(),
        session: session.map(|seconds| SessionInterval { seconds }),
        max_redirects: if endless { 9 } else { REDIRECTS },
        timers: duogate_signaling::transaction::Settings::default(),
    };
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&reign.to_le_bytes());
    Endpoint::new(settings, bytes, now)
}
