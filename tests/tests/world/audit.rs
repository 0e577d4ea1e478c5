//! What must hold after every step, and at the end of the world.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use duogate_channel::identity::Party;
use duogate_signaling::resource::action::Method;
use duogate_signaling::resource::report::{Event, Reason, RecordResult, Report};

use crate::acting::Acts;
use crate::text::Text;

/// A promise that was broken, in words.
pub(crate) type Broken = String;

/// What one resource has reported.
#[derive(Default, Debug)]
pub(crate) struct Account {
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
}

/// One INVITE of ours, as the wire has seen it.
#[derive(Default, Debug)]
struct Invite {
    provisional: bool,
    /// Tags of the 200s that reached us.
    answered: Vec<String>,
    refused: bool,
    acknowledged: Vec<String>,
    /// Tags for which a BYE has gone out or come in.
    ended: Vec<String>,
    cancelled: bool,
}

#[derive(Default)]
pub(crate) struct Audit {
    pub(crate) accounts: BTreeMap<String, Account>,
    invites: BTreeMap<String, Invite>,
    pub(crate) reports: u64,
    pub(crate) packets: u64,
    pub(crate) connected: u64,
    pub(crate) acts: u64,
    pub(crate) acts_refused: u64,
}

impl Audit {
    pub(crate) fn constructed(&mut self, res_id: &str, recording: bool, must_connect: bool) {
        let account = Account { recording, must_connect, ..Account::default() };
        self.accounts.insert(res_id.into(), account);
    }

    /// Invariants 1, 3 (in part) and 4, at every event.
    pub(crate) fn report(&mut self, report: &Report) -> Result<(), Broken> {
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
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let text = Text::read(bytes);
        let call = text.call_id().to_owned();
        match text.method() {
            "INVITE" => {
                self.invites.entry(call).or_default();
            }
            "CANCEL" => {
                let invite = self.invites.get_mut(&call).ok_or("CANCEL without INVITE")?;
                if !invite.provisional {
                    return Err(format!("{call}: CANCEL before any provisional response (section 9.1)"));
                }
                invite.cancelled = true;
            }
            "ACK" | "BYE" => {
                let invite = self.invites.get_mut(&call).ok_or("ACK or BYE without INVITE")?;
                let tag = text.tag_of_to().to_owned();
                let list = if text.method() == "ACK" { &mut invite.acknowledged } else { &mut invite.ended };
                list.push(tag);
            }
            _ => {}
        }
        Ok(())
    }

    /// A datagram reaches us.
    pub(crate) fn received(&mut self, text: &Text) {
        let Some(invite) = self.invites.get_mut(text.call_id()) else { return };
        let status = text.status();
        match (text.method(), text.cseq()) {
            ("BYE", _) => invite.ended.push(text.tag_of_from().to_owned()),
            ("", (1, "INVITE")) if status < 200 => invite.provisional = true,
            ("", (1, "INVITE")) if status < 300 => {
                let tag = text.tag_of_to().to_owned();
                if !invite.answered.contains(&tag) {
                    invite.answered.push(tag);
                }
            }
            ("", (1, "INVITE")) => invite.refused = true,
            _ => {}
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
            let ended = !invite.answered.is_empty() || invite.refused || invite.cancelled;
            if invite.provisional && !ended {
                return Err(format!("{call}: rang, and was neither answered, refused nor cancelled"));
            }
            if invite.refused && invite.acknowledged.is_empty() {
                return Err(format!("{call}: the refusal was never acknowledged"));
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
