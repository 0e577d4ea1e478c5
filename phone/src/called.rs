//! The side of a phone that is called (RFC 3261 sections 9.2, 12.2.2, 13.3, 15.1.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use duogate_signaling::message::{Builder, Message, Method, Name, Status};

use crate::call::{Call, Own, Stage, choose, contact};
use crate::line::{Line, Output, What, description, status_of};
use crate::sdp::Direction;
use crate::tone::Tone;

impl Line {
    pub(crate) fn invited(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>, bytes: &[u8]) {
        if self.call.as_ref().is_some_and(|call| call.stage != Stage::Ended) {
            return self.simply(request, source, 486);
        }
        let from = request.header(Name::From).unwrap_or_default().to_owned();
        let uri = request.request_uri().map(ToString::to_string).unwrap_or_default();
        self.event(What::Invited { from, uri });
        let offer = match description(request) {
            Ok(Some(offer)) if choose(&self.script, &offer).is_none() => {
                return self.simply(request, source, 488);
            }
            Ok(offer) => offer,
            Err(_) => return self.simply(request, source, 488),
        };
        let (tag, description) = (self.words.word(), self.ours());
        let own = Own { tag, description, script: &self.script };
        let mut call = Call::from_invite(request, bytes, (now, source), own);
        call.offer = offer;
        self.call = Some(call);
        let trying = Builder::response_to(request, source, Status::TRYING, None);
        self.reply(request, source, trying, None);
        self.advance(now);
    }

    /// Responds to the INVITE of the call.
    fn respond(&mut self, status: u16, sdp: Option<&str>) -> Option<(Vec<u8>, SocketAddr)> {
        let call = self.call.as_ref()?;
        let (bytes, source, tag) = (call.invite.clone(), call.source, call.our_tag.clone());
        let invite = Message::parse(&bytes).ok()?;
        let builder = Builder::response_to(&invite, source, status_of(status), Some(&tag));
        let builder = if status < 300 { builder.header(Name::Contact, self.contact()) } else { builder };
        let sent = self.reply(&invite, source, builder, sdp)?;
        Some((sent, invite.via().reply_address(source)))
    }

    pub(crate) fn provisional(&mut self, status: u16, early: Option<Tone>) {
        let (Some(tone), Some((sdp, true))) = (early, self.terms()) else {
            self.respond(status, None);
            return self.event(What::Sent(status));
        };
        self.respond(status, Some(&sdp));
        self.output.push_back(Output::Speak(tone));
        self.event(What::SentEarlyMedia(status));
    }

    /// Our description for a response to the INVITE: an answer if it had an offer (second value true), else an offer.
    fn terms(&mut self) -> Option<(String, bool)> {
        let call = self.call.as_mut()?;
        let Some(offer) = call.offer.clone() else { return Some((call.our_offer(&self.script), false)) };
        let agreement = match call.agreement {
            Some(agreement) => agreement,
            None => {
                let agreement = call.agree(&self.script, &offer)?;
                self.output.push_back(Output::Agree(agreement));
                agreement
            }
        };
        Some((call.answer(&offer, agreement), true))
    }

    pub(crate) fn answer(&mut self, now: Instant) {
        let Some((sdp, _)) = self.terms() else { return };
        let voice = self.script.voice;
        self.output.push_back(Output::Speak(voice));
        let Some((bytes, to)) = self.respond(200, Some(&sdp)) else { return };
        if let Some(call) = &mut self.call {
            call.stage = Stage::Answered;
        }
        self.repeat(now, Some(bytes), to);
        self.event(What::Answered);
    }

    /// Answers with the address that is none; the real one comes with the next description.
    pub(crate) fn answer_held(&mut self, now: Instant) {
        let Some(call) = &mut self.call else { return };
        let address = call.description.address;
        let nowhere = match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        call.description.address.set_ip(nowhere);
        self.answer(now);
        if let Some(call) = &mut self.call {
            call.description.address = address;
        }
    }

    pub(crate) fn refuse(&mut self, now: Instant, status: u16, what: What) {
        if let Some((bytes, to)) = self.respond(status, None) {
            self.repeat(now, Some(bytes), to);
        }
        self.over(what);
    }

    /// The call has ended.
    pub(crate) fn over(&mut self, what: What) {
        if let Some(call) = &mut self.call {
            call.stage = Stage::Ended;
            call.steps.clear();
        }
        self.output.push_back(Output::Stop);
        self.event(what);
    }

    pub(crate) fn acknowledged(&mut self, request: &Message<'_>) {
        let Some(call) = self.call.as_mut().filter(|call| call.id == request.call_id()) else { return };
        if call.repeat.take().is_none() || call.stage == Stage::Ended {
            return;
        }
        let first = call.stage == Stage::Answered;
        call.stage = Stage::Confirmed;
        // The answer to an offer that we made in the 200.
        if let Ok(Some(answer)) = description(request)
            && let Some(agreement) = call.take_answer(&self.script, &answer)
        {
            let voice = self.script.voice;
            self.agreed(agreement, Some(voice));
        }
        if first {
            self.event(What::Acknowledged);
        }
    }

    pub(crate) fn canceled(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>) {
        let branch = request.via().branch();
        let bytes = self.call.as_ref().map(|call| call.invite.clone()).unwrap_or_default();
        let same = Message::parse(&bytes).is_ok_and(|invite| invite.via().branch() == branch);
        if !same {
            return self.simply(request, source, 481);
        }
        self.simply(request, source, 200);
        if self.call.as_ref().is_some_and(|call| call.stage == Stage::Invited) {
            self.refuse(now, 487, What::Canceled);
        }
    }

    pub(crate) fn ended(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>) {
        let stage = self.call.as_ref().filter(|call| call.owns(request)).map(|call| call.stage);
        match stage {
            None | Some(Stage::Calling) => self.simply(request, source, 481),
            Some(Stage::Ended) => self.simply(request, source, 200),
            Some(Stage::Invited) => {
                self.simply(request, source, 200);
                self.refuse(now, 487, What::Ended);
            }
            Some(Stage::Answered | Stage::Confirmed) => {
                self.simply(request, source, 200);
                if let Some(call) = &mut self.call {
                    call.repeat = None;
                }
                self.over(What::Ended);
            }
        }
    }

    /// A re-INVITE, or an UPDATE.
    pub(crate) fn changed(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>) {
        let Some(call) = self.call.as_mut().filter(|call| call.owns(request) && call.stage != Stage::Ended)
        else {
            return self.simply(request, source, 481);
        };
        if request.cseq().number <= call.their_cseq {
            return self.simply(request, source, 500);
        }
        call.their_cseq = request.cseq().number;
        let ours_pending = self.clients.iter().any(|client| client.is(Method::Invite));
        if call.stage == Stage::Answered || ours_pending {
            return self.simply(request, source, 491);
        }
        if let Some(target) = contact(request) {
            call.target = target;
        }
        call.description.version += 1;
        let (sdp, direction) = match description(request) {
            Ok(None) if request.method() == Method::Update => (None, None),
            Ok(None) => (Some(call.our_offer(&self.script)), None),
            Ok(Some(offer)) => match call.agree(&self.script, &offer) {
                Some(agreement) => {
                    let sdp = call.answer(&offer, agreement);
                    self.agreed(agreement, None);
                    (Some(sdp), Some(offer.direction))
                }
                None => return self.simply(request, source, 488),
            },
            Err(_) => return self.simply(request, source, 488),
        };
        self.accept_change(now, source, request, sdp.as_deref());
        self.event(What::Changed(direction.unwrap_or(Direction::BOTH)));
    }

    fn accept_change(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>, sdp: Option<&str>) {
        let builder =
            Builder::response_to(request, source, Status::OK, None).header(Name::Contact, self.contact());
        let sent = self.reply(request, source, builder, sdp);
        if request.method() == Method::Invite {
            self.repeat(now, sent, request.via().reply_address(source));
        }
    }
}
