//! What must hold after every step, and at the end of the world.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::identity::Party;
use duogate_channel::time::Instant;
use duogate_signaling::resource::action::Method;
use duogate_signaling::resource::report::{Event, Failure, Reason, RecordResult, Report};

use crate::acting::Acts;
use crate::text::Text;

/// A promise that was broken, in words.
pub(crate) type Broken = String;

/// What one resource has reported.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) since: Instant,
    pub(crate) recording: bool,
    seq: u32,
    dialled: [bool; 2],
    started2: bool,
    connected: bool,
    pub(crate) released: bool,
    recorded: bool,
    channels: [bool; 2],
    /// Both parties answer in time, nobody interferes and nothing is lost on the way: the two must come to talk.
    pub(crate) must_connect: bool,
    error: Option<Reason>,
    pub(crate) acts: Acts,
    /// Forgotten before it was noted: no event may ever come.
    pub(crate) unnoted: bool,
    /// A party has died, and so long its session holds at most.
    pub(crate) ends_before: Option<Instant>,
    /// Neither party can be lost behind a server that died.
    pub(crate) lives: bool,
}

/// One INVITE of ours, as the wire has seen it.
#[derive(Default, Debug)]
struct Attempt {
    provisional: bool,
    refused: bool,
    acknowledged: bool,
}

/// One call of ours.
#[derive(Default, Debug)]
struct Invite {
    /// The INVITEs that began it: the first, and those with what the one before lacked; by their number.
    attempts: BTreeMap<u32, Attempt>,
    /// Tags of the 200s that reached us.
    answered: Vec<String>,
    /// Tags of those that got ACK.
    acknowledged: Vec<String>,
    /// Tags for which a BYE has gone out or come in.
    ended: Vec<String>,
    cancelled: bool,
    /// How often an INVITE that begins it was sent.
    sent: u32,
    /// INVITEs in mid-call that were answered, and those that got ACK.
    renewed: BTreeSet<u32>,
    renewals: BTreeSet<u32>,
    place: Option<usize>,
    /// When each INVITE that began it was sent first.
    began: BTreeMap<u32, Instant>,
}

/// An INVITE without any response is given up then (RFC 3261 section 17.1.1.2).
const TIMER_B: Duration = Duration::from_secs(32);

#[derive(Default)]
pub(crate) struct Audit {
    pub(crate) accounts: BTreeMap<String, Account>,
    invites: BTreeMap<String, Invite>,
    pub(crate) reports: u64,
    pub(crate) packets: u64,
    pub(crate) connected: u64,
    pub(crate) acts: u64,
    pub(crate) acts_refused: u64,
    /// Calls whose party died and that ended in time.
    pub(crate) expired: u64,
    /// INVITEs and UPDATEs of ours in mid-call.
    pub(crate) refreshes: u64,
}

impl Account {
    /// A callback that begins now.
    pub(crate) fn new(since: Instant, recording: bool, must_connect: bool, lives: bool) -> Self {
        Self {
            since,
            recording,
            seq: 0,
            dialled: [false; 2],
            started2: false,
            connected: false,
            released: false,
            recorded: false,
            channels: [false; 2],
            must_connect,
            error: None,
            acts: Acts::default(),
            unnoted: false,
            ends_before: None,
            lives,
        }
    }

    pub(crate) fn still_dials(&self, leg: usize) -> bool {
        !self.released && !self.dialled[leg]
    }
}

impl Audit {
    pub(crate) fn constructed(&mut self, res_id: &str, account: Account) {
        self.accounts.insert(res_id.into(), account);
    }

    /// A call of a party.
    pub(crate) fn dials(&mut self, text: &Text, place: usize, now: Instant) {
        if let Some(invite) = self.invites.get_mut(text.call_id()) {
            invite.place = Some(place);
            invite.began.entry(text.cseq().0).or_insert(now);
        }
    }

    pub(crate) fn place(&self, call: &str) -> Option<usize> {
        self.invites.get(call)?.place
    }

    /// Has nothing been heard of this INVITE, or of one before it in the same call? It may be a repetition.
    pub(crate) fn is_new(&self, text: &Text) -> bool {
        self.invites.get(text.call_id()).is_some_and(|invite| invite.sent == 1)
    }

    /// Does the call wait for a final response, so far as the wire tells? One that was rung is waited for; of
    /// another, nobody wants to hear when 64·T1 are over.
    pub(crate) fn waits(&self, call: &str, now: Instant) -> bool {
        let Some(invite) = self.invites.get(call) else { return false };
        let Some((cseq, last)) = invite.attempts.last_key_value() else { return false };
        let young = invite.began.get(cseq).is_some_and(|began| now.since(*began) < TIMER_B);
        invite.answered.is_empty() && !last.refused && (last.provisional || young)
    }

    /// Is this a BYE of ours to a dialog that lost?
    pub(crate) fn is_fork(&self, text: &Text) -> bool {
        let invite = self.invites.get(text.call_id());
        invite.is_some_and(|invite| invite.answered.first().is_some_and(|first| first != text.tag_of_to()))
    }

    /// Nobody's call outlives the session that its dead party no longer refreshes.
    pub(crate) fn nobody_outlives(&self, now: Instant) -> Result<(), Broken> {
        let late = |account: &Account| {
            !account.released && !account.unnoted && account.ends_before.is_some_and(|until| until < now)
        };
        match self.accounts.iter().find(|(_, account)| late(account)) {
            Some((name, account)) => Err(format!("{name}: goes on with a dead party: {account:?}")),
            None => Ok(()),
        }
    }

    /// Invariants 1, 3 (in part) and 4, at every event.
    /// `welcome`: the parties that take our credentials.
    pub(crate) fn report(&mut self, report: &Report, welcome: [bool; 2]) -> Result<(), Broken> {
        self.reports += 1;
        let name = &report.res_id;
        let account = self.accounts.get_mut(&**name).ok_or(format!("{name} was never constructed"))?;
        let broken = |what: &str| Err(format!("{name} seq {}: {what}: {:?}", report.seq, report.event));
        if account.unnoted {
            return broken("an event of a resource that was never noted");
        }
        if report.seq != account.seq + 1 {
            return broken("seq has a hole or a repeat");
        }
        account.seq = report.seq;
        let once = |flag: &mut bool| !core::mem::replace(flag, true);
        let fine = match &report.event {
            Event::Ringing { .. } => !account.released,
            Event::Dial2Started { .. } => !account.released && once(&mut account.started2),
            Event::DialCompleted { party, error: Some(Failure { code: 401 | 407, .. }), .. }
                if welcome[party.index()] =>
            {
                return broken("the party would have taken our credentials");
            }
            Event::DialCompleted { party, .. } => {
                let begun = *party == Party::One || account.started2;
                begun && !account.released && once(&mut account.dialled[party.index()])
            }
            Event::Connected { .. } => {
                self.connected += 1;
                account.dialled == [true; 2] && !account.released && once(&mut account.connected)
            }
            Event::Released(release) => {
                account.error = release.error.map(|failure| failure.reason);
                self.expired += u64::from(account.ends_before.is_some());
                let given_up = release.cause == 408 && release.error.is_none();
                if account.connected && given_up && account.ends_before.is_none() && account.lives {
                    return broken("a party that lives was given up");
                }
                account.dialled[0]
                    && account.dialled[1] == account.started2
                    && account.acts.none_at_a_party()
                    && once(&mut account.released)
            }
            Event::Dtmf { .. } => !account.released,
            Event::PlayCompleted { party, .. } => account.acts.end(Method::Play, *party),
            Event::SendDtmfCompleted { party, .. } => account.acts.end(Method::SendDtmf, *party),
            Event::ReceiveDtmfCompleted { party, .. } => account.acts.end(Method::ReceiveDtmf, *party),
            Event::RecordCompleted(result) if account.acts.end_recording(result.recording) => {
                in_length(result)
            }
            Event::RecordCompleted(result) => {
                account.recording && in_length(result) && once(&mut account.recorded)
            }
            Event::ChannelClosed(record) => {
                account.released
                    && account.recorded == account.recording
                    && once(&mut account.channels[record.party.index()])
            }
        };
        if fine { Ok(()) } else { broken("out of place, or a second time") }
    }

    /// A datagram of ours leaves.
    pub(crate) fn sent(&mut self, text: &Text) -> Result<(), Broken> {
        let call = text.call_id().to_owned();
        let (cseq, tag) = (text.cseq().0, text.tag_of_to().to_owned());
        match text.method() {
            "INVITE" if text.is_first_invite() => {
                let invite = self.invites.entry(call).or_default();
                invite.sent += 1;
                invite.attempts.entry(cseq).or_default();
            }
            "INVITE" | "UPDATE" => self.refreshes += 1,
            "CANCEL" => {
                let invite = self.invites.get_mut(&call).ok_or("CANCEL without INVITE")?;
                let heard = invite.attempts.get(&cseq).is_none_or(|attempt| attempt.provisional);
                if !heard {
                    return Err(format!("{call}: CANCEL before any provisional response (section 9.1)"));
                }
                invite.cancelled = true;
            }
            "ACK" => {
                let invite = self.invites.get_mut(&call).ok_or("ACK without INVITE")?;
                match invite.attempts.get_mut(&cseq) {
                    Some(attempt) => {
                        attempt.acknowledged = true;
                        invite.acknowledged.push(tag);
                    }
                    None => {
                        invite.renewals.insert(cseq);
                    }
                }
            }
            "BYE" => self.invites.get_mut(&call).ok_or("BYE without INVITE")?.ended.push(tag),
            _ => {}
        }
        Ok(())
    }

    /// A datagram reaches us.
    pub(crate) fn received(&mut self, text: &Text) {
        let Some(invite) = self.invites.get_mut(text.call_id()) else { return };
        let status = text.status();
        let (cseq, method) = text.cseq();
        if text.method() == "BYE" {
            return invite.ended.push(text.tag_of_from().to_owned());
        }
        if !text.method().is_empty() || method != "INVITE" {
            return;
        }
        match (invite.attempts.get_mut(&cseq), status) {
            (Some(attempt), ..200) => attempt.provisional = true,
            (Some(_), ..300) => {
                let tag = text.tag_of_to().to_owned();
                if !invite.answered.contains(&tag) {
                    invite.answered.push(tag);
                }
            }
            (Some(attempt), _) => attempt.refused = true,
            (None, 200..) => {
                invite.renewed.insert(cseq);
            }
            (None, _) => {}
        }
    }

    /// Invariant 2, when all is over.
    pub(crate) fn invites_ended(&self) -> Result<(), Broken> {
        for (call, invite) in &self.invites {
            for tag in &invite.answered {
                if !invite.acknowledged.contains(tag) {
                    return Err(format!("{call}: the 200 of {tag} was never acknowledged"));
                }
                if !invite.ended.contains(tag) {
                    return Err(format!("{call}: nobody said BYE to the dialog of {tag}"));
                }
            }
            if !invite.renewed.is_subset(&invite.renewals) {
                return Err(format!("{call}: a re-INVITE of ours has no ACK: {invite:?}"));
            }
            for attempt in invite.attempts.values() {
                let ended = !invite.answered.is_empty() || attempt.refused || invite.cancelled;
                if attempt.provisional && !ended {
                    return Err(format!("{call}: rang, and was neither answered, refused nor cancelled"));
                }
                if attempt.refused && !attempt.acknowledged {
                    return Err(format!("{call}: the refusal was never acknowledged"));
                }
            }
        }
        Ok(())
    }

    /// Invariant 1, when all is over.
    pub(crate) fn accounts_closed(&self) -> Result<(), Broken> {
        for (name, account) in self.accounts.iter().filter(|(_, account)| !account.unnoted) {
            if !account.released {
                return Err(format!("{name} was never released"));
            }
            if account.recording && !account.recorded {
                return Err(format!("{name}: the recording was never completed"));
            }
            if !account.acts.none() {
                return Err(format!("{name}: an action never ended: {:?}", account.acts));
            }
            // The gateway may have no port to give, and one trunk takes one call at a time.
            let excused = matches!(account.error, Some(Reason::MediaRefused | Reason::NoRoute));
            if account.must_connect && !account.connected && !excused {
                return Err(format!("{name} should have been connected: {account:?}"));
            }
            if account.connected && account.channels != [true; 2] {
                return Err(format!("{name}: a leg has no record"));
            }
        }
        Ok(())
    }
}

/// Invariant 3: does a saved file cover the time from begin to end? The writer may take 50 ms after the end.
fn in_length(result: &RecordResult) -> bool {
    let (Some(begin), None) = (result.begin_time, result.error) else { return true };
    let passed = result.end_time.milliseconds() - begin.milliseconds();
    let covered = i64::try_from(result.duration.as_millis()).unwrap_or(i64::MAX);
    (-20..=70).contains(&(passed - covered))
}

/// What a party's packets say: who it is, in every byte after the first 12.
pub(crate) fn packet(sequence: u16, payload_type: u8, who: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    bytes.extend_from_slice(&(0x4000_0000 + u32::from(who)).to_be_bytes());
    for _ in 0..80 {
        bytes.extend_from_slice(&who.to_be_bytes());
    }
    bytes
}

/// The payload type of telephone-events, with everybody.
pub(crate) const EVENT: u8 = 101;

/// A key that is pressed for 60 ms, as telephone-events tell it (RFC 4733).
pub(crate) fn press(sequence: &mut u16, key: u8, who: u16) -> Vec<Vec<u8>> {
    let began = sequence.wrapping_add(1);
    [(160, 0), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)]
        .map(|(duration, end)| {
            *sequence = sequence.wrapping_add(1);
            let mut bytes = packet(began, EVENT, who);
            bytes[1] |= if *sequence == began { 0x80 } else { 0 };
            bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
            bytes.truncate(12);
            bytes.extend_from_slice(&[key, end | 10]);
            bytes.extend_from_slice(&u16::to_be_bytes(duration));
            bytes
        })
        .into()
}

/// Is this no party's sound, which says the same two bytes again and again, or silence in either codec?
pub(crate) fn is_tone(payload: &[u8]) -> bool {
    let silence = |byte: u8| payload.iter().all(|heard| *heard == byte);
    silence(0xd5) || silence(0xff) || payload.chunks(2).any(|pair| pair != &payload[..2])
}

/// Invariant 5: who is heard in a packet that a party got? `None` for our own sounds.
pub(crate) fn speaker(bytes: &[u8], own: &[u8]) -> Result<Option<u16>, Broken> {
    let payload = bytes.get(12..).filter(|payload| !payload.is_empty()).ok_or("an empty packet")?;
    if own.iter().any(|byte| payload.iter().all(|heard| heard == byte)) {
        return Ok(None);
    }
    let first = [payload[0], payload[1]];
    if payload.chunks(2).any(|pair| pair != first) {
        return Err("a packet of mixed sounds".into());
    }
    Ok(Some(u16::from_be_bytes(first)))
}

/// For messages about packets.
pub(crate) fn path(port: u16, to: SocketAddr) -> String {
    format!("from our port {port} to {to}")
}
