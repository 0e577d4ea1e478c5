//! Offers and answers after the first: re-INVITE and UPDATE of the party (RFC 3261 section 14.2, RFC 3311,
//! RFC 3264 section 8).

use alloc::format;
use alloc::string::String;

use duogate_channel::command::FarEnd;
use duogate_channel::srtp::MasterKeys;
use duogate_channel::time::Instant;
use zeroize::Zeroizing;

use super::forks::Media;
use super::requests::{Described, Pending, Place, Reply, description, refused_media};
use super::state::Stimulus;
use super::{Leg, Output};
use crate::dialog::{ACCEPT, ALLOW, SERVED};
use crate::message::{Message, Name, Status};
use crate::sdp::{Negotiated, SdpError};
use crate::transaction::ServerId;

impl Leg {
    /// A re-INVITE. It is answered at once, from our own media; the other party hears nothing of it.
    pub(super) fn reinvite(
        &mut self,
        now: Instant,
        place: Place,
        server: ServerId,
        request: &Message<'_>,
    ) -> Reply {
        if place == Place::Early {
            // Our INVITE is still open (RFC 3261 section 14.2).
            return Reply::new(Status::REQUEST_PENDING);
        }
        if place != Place::Chosen || !self.state.is_talking() {
            return Reply::new(Status::NO_SUCH_TRANSACTION);
        }
        // Our offer in an earlier 2xx is unanswered. Where that 2xx carried an answer, this request says that
        // it arrived: its sender may not begin another INVITE before (RFC 3261 section 14.1, RFC 5407).
        if self.pending.is_some_and(|pending| pending.offered) || self.is_reinviting() {
            return Reply::new(Status::REQUEST_PENDING);
        }
        if let Some(reply) = refused_media(request) {
            return reply;
        }
        if let Err(reply) = self.renewal.judge(request) {
            return reply;
        }
        let (body, offered) = match description(request) {
            Described::Foreign => return unsupported_body(),
            Described::Nothing => (self.local.offer(), true),
            Described::Sdp(offer) => match self.answer(offer) {
                Ok(body) => (body, false),
                Err(reply) => return reply,
            },
        };
        if let Some(before) = self.pending.replace(Pending { server, cseq: request.cseq().number, offered }) {
            self.layer.acknowledged(now, before.server);
        }
        self.accepted(now, request, Some(body))
    }

    /// UPDATE (RFC 3311 section 5.2).
    pub(super) fn update(&mut self, now: Instant, place: Place, request: &Message<'_>) -> Reply {
        let is_open = match place {
            Place::Chosen => self.state.is_talking(),
            Place::Early => true,
            Place::Dismissed | Place::Nowhere => false,
        };
        if !is_open {
            return Reply::new(Status::NO_SUCH_TRANSACTION);
        }
        if let Err(reply) = self.renewal.judge(request) {
            return reply;
        }
        let body = match description(request) {
            Described::Foreign => return unsupported_body(),
            Described::Nothing => None,
            Described::Sdp(_) if self.has_open_offer(place, request) => {
                return Reply::new(Status::REQUEST_PENDING);
            }
            Described::Sdp(offer) => match self.answer(offer) {
                Ok(body) => Some(body),
                Err(reply) => return reply,
            },
        };
        if place == Place::Early
            && body.is_some()
            && let Some(early) = self.early.of_request(request)
        {
            let keys = self.keys.as_deref().copied();
            early.media = self.far_end.map(|far_end| Media { far_end, keys });
        }
        self.accepted(now, request, body)
    }

    /// Have we made an offer in this dialog that has no answer yet?
    fn has_open_offer(&mut self, place: Place, request: &Message<'_>) -> bool {
        match place {
            Place::Early => self.early.of_request(request).is_none_or(|early| early.media.is_none()),
            _ => self.pending.is_some_and(|pending| pending.offered) || self.is_reinviting(),
        }
    }

    /// The ACK of our 2xx to a re-INVITE.
    pub(super) fn acknowledged(&mut self, now: Instant, ack: &Message<'_>) {
        let is_chosen = self.chosen.as_ref().is_some_and(|chosen| chosen.dialog.matches(ack));
        let cseq = ack.cseq().number;
        let Some(pending) = self.pending.take_if(|pending| is_chosen && pending.cseq == cseq) else {
            return;
        };
        self.layer.acknowledged(now, pending.server);
        if !pending.offered {
            return;
        }
        match description(ack) {
            // Without the answer that is due, all stays as it was: nobody is served by the end of the call.
            Described::Nothing => {}
            Described::Foreign => self.step(now, Stimulus::Lost),
            Described::Sdp(answer) => match self.local.accept(answer) {
                Ok(answer) => self.agreed(&answer),
                Err(_) => self.step(now, Stimulus::Lost),
            },
        }
    }

    /// The answer to an offer of the party, or the refusal (RFC 3261 section 14.2: the session stays as it was).
    fn answer(&mut self, offer: &[u8]) -> Result<alloc::vec::Vec<u8>, Reply> {
        match self.local.answer(offer) {
            Ok((body, answer)) => {
                self.agreed(&answer);
                Ok(body)
            }
            Err(error) => Err(refused_offer(error)),
        }
    }

    /// The 2xx to a target refresh request.
    fn accepted(&mut self, now: Instant, request: &Message<'_>, body: Option<alloc::vec::Vec<u8>>) -> Reply {
        let dialog = match &mut self.chosen {
            Some(chosen) => Some(&mut chosen.dialog),
            None => self.early.of_request(request).map(|early| &mut early.dialog),
        };
        dialog.into_iter().for_each(|dialog| dialog.refresh(request));
        self.ask_for_chosen();
        // Target, description or interval may have changed.
        self.revision = self.revision.wrapping_add(1);
        let reply = Reply::new(Status::OK).with(Name::Contact, self.call.contact()).with(Name::Allow, ALLOW);
        let mut reply = Reply { body, ..reply.with(Name::Supported, SERVED) };
        // Before the answer, there is no session to expire (RFC 4028 section 7).
        if self.chosen.is_some() {
            reply.headers.extend(self.renewal.answer(now, request));
        }
        reply
    }

    /// The party's media and its keys from now on.
    pub(super) fn agreed(&mut self, answer: &Negotiated) {
        self.secure(answer.keys);
        self.moved(answer.far_end);
    }

    /// How the party's media is secured from now on; told before the media itself.
    pub(super) fn secure(&mut self, keys: Option<MasterKeys>) {
        if self.keys.as_deref() != keys.as_ref() {
            self.keys = keys.map(Zeroizing::new);
            self.outputs.push_back(Output::Secured { keys });
        }
    }

    /// The party's media from now on. With the old form of hold, `0.0.0.0`, the address is not a place; the old
    /// one is kept, where nothing is sent (RFC 3264 section 8.4).
    pub(super) fn moved(&mut self, mut far_end: FarEnd) {
        if let Some(before) = self.far_end.filter(|_| far_end.address.ip().is_unspecified()) {
            far_end.address = before.address;
        }
        if self.far_end != Some(far_end) {
            self.far_end = Some(far_end);
            self.outputs.push_back(Output::FarEnd { far_end });
        }
    }
}

fn unsupported_body() -> Reply {
    Reply::new(Status::UNSUPPORTED_MEDIA_TYPE).with(Name::Accept, ACCEPT)
}

/// RFC 3261 sections 13.3.1.3, 20.43: what is wrong with an offer, in a Warning.
fn refused_offer(error: SdpError) -> Reply {
    if error.is_malformed() {
        return Reply::new(Status::BAD_REQUEST).with(Name::Warning, warning(399, error));
    }
    let code = match error {
        SdpError::NoCodec | SdpError::PayloadType => 305,
        SdpError::NoAudio | SdpError::Refused | SdpError::Insecure | SdpError::Crypto => 304,
        SdpError::NoAddress | SdpError::Address => 301,
        _ => 399,
    };
    Reply::new(Status::NOT_ACCEPTABLE_HERE).with(Name::Warning, warning(code, error))
}

fn warning(code: u16, error: SdpError) -> String {
    format!("{code} duogate \"{error}\"")
}
