//! Calls that a former process left behind: ended as a living one would have ended them.

use alloc::boxed::Box;
use core::net::SocketAddr;

use duogate_channel::identity::{LocalPort, Party};
use rand_core::Rng;

use super::Endpoint;
use super::check::redirected;
use super::legs::call_id_of;
use super::output::{Listener, Place};
use super::slots::LegSlot;
use crate::clock::Now;
use crate::digest::Login;
use crate::leg::{Assertion, Dial, Identity, Input, Kept, Leg, MediaOffer};
use crate::message::UriBuf;
use crate::resource::note::LegNote;
use crate::sdp::KeyWay;
use crate::transaction::Path;

/// The serial number of no resource: what such a leg says, nobody needs to hear.
const NOBODY: u64 = 0;

/// What the journal says cannot be made into a call: it was never placed, or the row is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotACall;

impl Endpoint {
    /// Ends a call of a former process by what its journal says: BYE if it was answered, CANCEL if it was not.
    /// `port` is the RTP port that was offered, `cause` goes into the Reason header (RFC 3326).
    ///
    /// Not for an unanswered call that the party may have forgotten: to it, the INVITE would be a new one.
    ///
    /// # Errors
    /// The row does not describe a call.
    pub fn end_orphan(
        &mut self,
        now: Now,
        row: &LegNote,
        port: LocalPort,
        cause: u16,
    ) -> Result<(), NotACall> {
        let mut identity = identity(row)?;
        let dial = self.dial_again(row, port)?;
        if self.legs.contains_key(&identity.call_id) {
            return Err(NotACall);
        }
        let dial = Dial { login: self.login_of(row), ..dial };
        let leg = if row.answered {
            identity.branch = Identity::draw(&mut self.random).branch;
            Leg::adopt(dial, identity, kept(row)?)
        } else {
            Leg::dial_again(now.instant, dial, identity, row.local_sequence)
        };
        let listener = Listener(row.listener);
        let address = row.address.ok_or(NotACall)?;
        let slot = LegSlot {
            leg: Box::new(leg),
            place: Place { transport: self.transport_of(listener), address },
            began: now.instant,
            rang: false,
            revision: 0,
            serial: NOBODY,
            party: Party::One,
            attempt: 0,
            trunk: None,
            deadline: None,
        };
        self.legs.insert(identity.call_id, slot);
        self.handle_leg(now, identity.call_id, Input::Release { cause });
        self.work_off(now);
        Ok(())
    }

    /// Who we are to the trunk that serves the party's host: its proxy may want to know of BYE, too.
    pub(super) fn login_of(&mut self, row: &LegNote) -> Option<Login> {
        let name = redirected(&self.settings, &row.remote_uri)?.trunk?;
        let credentials = self.trunk(&name)?.credentials.clone()?;
        Some(Login { credentials, seed: self.random.next_u64() })
    }

    pub(super) fn dial_again(&self, row: &LegNote, port: LocalPort) -> Result<Dial, NotACall> {
        let address: SocketAddr = row.address.ok_or(NotACall)?;
        let listener = Listener(row.listener);
        let local = self.settings.listeners.get(usize::from(row.listener)).ok_or(NotACall)?;
        Ok(Dial {
            target: uri(&row.remote_uri)?,
            path: Path { listener, transport: local.transport, address },
            wide: None,
            exits: self.exits.clone(),
            caller: uri(&row.local_uri)?,
            local: local.address,
            offer: MediaOffer {
                // Only to repeat the INVITE: an address that is no longer ours changes nothing for the CANCEL.
                address: self.media_address(port).unwrap_or(SocketAddr::from(([0; 4], 0))),
                codecs: self.settings.codecs.clone(),
                keys: KeyWay::Any,
                own_keys: None,
            },
            user_agent: self.settings.user_agent.clone(),
            login: None,
            assertion: Assertion::default(),
            session: None,
            timers: self.settings.timers,
        })
    }
}

pub(super) fn identity(row: &LegNote) -> Result<Identity, NotACall> {
    let call_id = call_id_of(&row.call_id).ok_or(NotACall)?;
    let tag = u64::from_str_radix(&row.local_tag, 16).map_err(|_| NotACall)?;
    if row.branch == 0 {
        return Err(NotACall);
    }
    Ok(Identity { call_id, tag, branch: row.branch })
}

fn uri(text: &str) -> Result<UriBuf, NotACall> {
    UriBuf::parse(text).map_err(|_| NotACall)
}

pub(super) fn kept(row: &LegNote) -> Result<Kept, NotACall> {
    Ok(Kept {
        remote_tag: row.remote_tag.clone(),
        remote_target: uri(&row.remote_target)?,
        routes: row.routes.clone(),
        local_sequence: row.local_sequence,
        remote_sequence: row.remote_sequence,
    })
}
