//! What must hold of what is sent and received in the newer patterns: each reliable response gets its PRACK, each
//! redirection is followed as it says, and credentials go to their trunk alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::audit::Broken;
use crate::manners::Manners;
use crate::party::stage;
use crate::servers::{KEYED, server_at};
use crate::text::Text;

/// Redirections that one attempt follows.
pub(crate) const REDIRECTS: u8 = 3;

/// A reliable response: its call, its dialog, its number and that of the INVITE.
type Reliable = (String, String, u32, u32);

/// All of it.
#[derive(Default)]
pub(crate) struct Duties {
    /// The last RSeq that was in order, by call and dialog.
    last: BTreeMap<(String, String), u32>,
    /// PRACKs that must be sent in this step.
    owed: BTreeSet<Reliable>,
    done: BTreeSet<Reliable>,
    /// Which users of a party have been asked, by place; each with its call.
    asked: BTreeMap<usize, Vec<(u8, String)>>,
    pub(crate) pracks: u64,
    pub(crate) redirects: u64,
    pub(crate) logins: u64,
}

impl Duties {
    /// A provisional response reaches a leg, which `waits` for its final one, or may have given up.
    pub(crate) fn rings(&mut self, text: &Text, waits: bool) {
        let Ok(rseq) = text.header("rseq").parse::<u32>() else { return };
        let dialog = (text.call_id().to_owned(), text.tag_of_to().to_owned());
        let in_order = self.last.get(&dialog).is_none_or(|last| last + 1 == rseq);
        if in_order && text.lists("require", "100rel") {
            self.last.insert(dialog.clone(), rseq);
            let list = if waits { &mut self.owed } else { &mut self.done };
            list.insert((dialog.0, dialog.1, rseq, text.cseq().0));
        }
    }

    /// PRACK leaves.
    pub(crate) fn pracks(&mut self, text: &Text) -> Result<(), Broken> {
        let mut rack = text.header("rack").split(' ').map(|part| part.parse().unwrap_or(0));
        let (rseq, cseq) = (rack.next().unwrap_or(0), rack.next().unwrap_or(0));
        let this = (text.call_id().to_owned(), text.tag_of_to().to_owned(), rseq, cseq);
        if self.owed.remove(&this) {
            self.pracks += 1;
            self.done.insert(this);
        } else if !self.done.contains(&this) {
            return Err(format!("{}: PRACK of what never came in order: {this:?}", text.call_id()));
        }
        Ok(())
    }

    /// After each step.
    pub(crate) fn are_done(&self) -> Result<(), Broken> {
        match self.owed.first() {
            Some(owed) => Err(format!("{}: no PRACK for {owed:?} (RFC 3262 section 4)", owed.0)),
            None => Ok(()),
        }
    }

    /// An INVITE that begins a call leaves for a party.
    pub(crate) fn invites(&mut self, place: usize, manners: &Manners, text: &Text) -> Result<(), Broken> {
        let (user, _) = text.user_and_host();
        let (stage, call) = (stage(user), text.call_id().to_owned());
        let asked = self.asked.entry(place).or_default();
        if asked.iter().any(|(_, known)| *known == call) || manners.detour.turn(0).is_here() {
            return Ok(());
        }
        let before: Vec<u8> = asked.iter().map(|(stage, _)| *stage).collect();
        if !manners.detour.may_ask(stage, &before, REDIRECTS) {
            return Err(format!("{call}: {user} is asked after {before:?} ({:?})", manners.detour));
        }
        self.redirects += u64::from(stage > 0);
        asked.push((stage, call));
        Ok(())
    }

    /// Credentials leave.
    pub(crate) fn shows(&mut self, to: SocketAddr, text: &Text) -> Result<(), Broken> {
        let shown = text.headers("authorization").chain(text.headers("proxy-authorization")).count();
        self.logins += u64::from(shown > 0);
        if shown > 0 && server_at(to) != Some(KEYED) {
            return Err(format!("{}: credentials for {to}", text.call_id()));
        }
        Ok(())
    }
}
