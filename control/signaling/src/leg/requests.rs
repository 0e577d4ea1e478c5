//! Requests of the party within a dialog (RFC 3261 sections 8.2, 12.2.2, 14.2, 15.1.2).

use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::state::Stimulus;
use super::{Leg, Output, PARTY_TRANSACTIONS, TRANSACTIONS, info};
use crate::dialog::{ACCEPT, ALLOW, OutOfOrder, SERVED};
use crate::message::{BuildError, Builder, MediaType, Message, Method, Name, Status};
use crate::transaction::{Path, ServerId};

/// A 2xx of ours to a re-INVITE, until its ACK comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    /// Its transaction, which repeats it.
    pub(crate) server: ServerId,
    /// The number that the ACK will have.
    pub(crate) cseq: u32,
    /// Does it carry our offer, so that the ACK must carry an answer?
    pub(crate) offered: bool,
}

/// The body of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Described<'a> {
    /// No body.
    Nothing,
    /// A session description, to be read.
    Sdp(&'a [u8]),
    /// Something else, or something encoded.
    Foreign,
}

/// What kind of body a message has. A body without a type is read as a session description.
pub(crate) fn description<'a>(message: &Message<'a>) -> Described<'a> {
    if message.body().is_empty() {
        return Described::Nothing;
    }
    let is_plain =
        message.header(Name::ContentEncoding).is_none_or(|way| way.eq_ignore_ascii_case("identity"));
    match message.content_type() {
        Ok(Some(kind)) if is_plain && kind.is("application", "sdp") => Described::Sdp(message.body()),
        Ok(None) if is_plain => Described::Sdp(message.body()),
        _ => Described::Foreign,
    }
}

/// A response to a request of the party, still to be printed.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: Status,
    pub(crate) headers: Vec<(Name, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Reply {
    pub(crate) fn new(status: Status) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub(crate) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A refusal that says which methods are allowed (RFC 3261 sections 8.2.1, 21.4.6).
    pub(crate) fn not_allowed(status: Status) -> Self {
        Self::new(status).with(Name::Allow, ALLOW)
    }

    /// What we can do (RFC 3261 section 11.2).
    pub(crate) fn capabilities() -> Self {
        Self::not_allowed(Status::OK).with(Name::Accept, ACCEPT).with(Name::Supported, SERVED)
    }

    /// Prints it. `tag` becomes To's, if the request has none.
    pub(crate) fn print(
        self,
        request: &Message<'_>,
        source: core::net::SocketAddr,
        tag: &str,
    ) -> Result<Vec<u8>, BuildError> {
        let mut builder = Builder::response_to(request, source, self.status, Some(tag));
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        match self.body {
            Some(body) => builder.build_with(ACCEPT, &body),
            None => builder.build(),
        }
    }
}

/// The refusal of a method that we do not take, in a dialog or outside of one. `None` for those that we take.
pub(crate) fn refused_method(method: Method<'_>) -> Option<Reply> {
    match method {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Info
        | Method::Update => None,
        // We sent no reliable provisional response that this could acknowledge (RFC 3262 section 3), and have
        // no subscription that this could serve (RFC 6665 section 4.1.3).
        Method::Prack | Method::Notify => Some(Reply::not_allowed(Status::NO_SUCH_TRANSACTION)),
        Method::Register | Method::Subscribe | Method::Refer | Method::Message | Method::Publish => {
            Some(Reply::not_allowed(Status::METHOD_NOT_ALLOWED))
        }
        Method::Extension(_) => Some(Reply::not_allowed(Status::NOT_IMPLEMENTED)),
    }
}

/// The refusal of a request that wants an extension that we do not serve (RFC 3261 section 8.2.2.3).
pub(crate) fn refused_extension(request: &Message<'_>) -> Option<Reply> {
    let tokens = request.tokens(Name::Require).flatten();
    let wanted: Vec<&str> = tokens.filter(|option| !option.eq_ignore_ascii_case(SERVED)).collect();
    let list = wanted.join(", ");
    (!wanted.is_empty()).then(|| Reply::new(Status::BAD_EXTENSION).with(Name::Unsupported, list))
}

/// The refusal of an offer whose sender could not read the answer: its Accept lists no session description (RFC 3261
/// sections 20.1, 21.4.7).
pub(crate) fn refused_media(request: &Message<'_>) -> Option<Reply> {
    request.header(Name::Accept)?;
    let accepted = |text: &str| {
        MediaType::parse(text).is_ok_and(|range| {
            range.is("application", "sdp") || range.is("application", "*") || range.is("*", "*")
        })
    };
    let readable = request.values(Name::Accept).flatten().any(accepted);
    (!readable).then(|| Reply::new(Status::NOT_ACCEPTABLE).with(Name::Accept, ACCEPT))
}

/// Which of the leg's dialogs a request belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// That of the 2xx that came first.
    Chosen,
    /// One of those that exist before the answer.
    Early,
    /// One whose answer came too late.
    Dismissed,
    /// None.
    Nowhere,
}

impl Leg {
    /// A new request of the party.
    pub(super) fn request(&mut self, now: Instant, path: Path, request: &Message<'_>) {
        // Our own requests must find room in the table, however many the party sends.
        if self.layer.len() >= TRANSACTIONS.min(self.own_transactions() + PARTY_TRANSACTIONS) {
            return;
        }
        let Ok(server) = self.layer.accept(now, path, request) else {
            return;
        };
        let place = self.place_of(request);
        let reply = self.judge(now, place, server, request);
        let printed = reply.print(request, path.address, &self.call.tag);
        // What cannot be printed is too long to be sent; the party will time out.
        if let Ok(bytes) = printed {
            // The transaction is new and unanswered: it takes the response.
            let _ = self.layer.respond(now, server, bytes);
        }
        // The response to BYE goes before what the end of the call brings.
        self.flush(now);
        if request.method() == Method::Bye && place == Place::Chosen {
            self.hung_up(now, request);
        }
    }

    fn own_transactions(&self) -> usize {
        let open = [self.invite, self.bye].into_iter().flatten().count() + self.errands.len();
        // Those of INVITEs that were refused run out beside the last one.
        open + 1 + self.dismissed.len() + (self.invite_cseq - super::INVITE_CSEQ) as usize
    }

    fn place_of(&mut self, request: &Message<'_>) -> Place {
        if request.to().tag() != Some(self.call.tag.as_str()) {
            return Place::Nowhere;
        }
        if self.chosen.as_ref().is_some_and(|chosen| chosen.dialog.matches(request)) {
            Place::Chosen
        } else if self.early.of_request(request).is_some() {
            Place::Early
        } else if self.dismissed.iter().any(|dismissed| dismissed.dialog.matches(request)) {
            Place::Dismissed
        } else {
            Place::Nowhere
        }
    }

    /// The order of the checks is that of RFC 3261 sections 12.2.2 and 8.2.
    fn judge(&mut self, now: Instant, place: Place, server: ServerId, request: &Message<'_>) -> Reply {
        let ordered = match place {
            Place::Chosen => self.chosen.as_mut().map(|chosen| &mut chosen.dialog),
            Place::Early => self.early.of_request(request).map(|early| &mut early.dialog),
            Place::Dismissed => {
                let mut all = self.dismissed.iter_mut().map(|dismissed| &mut dismissed.dialog);
                all.find(|dialog| dialog.matches(request))
            }
            Place::Nowhere => None,
        };
        let Some(dialog) = ordered else {
            return Reply::new(Status::NO_SUCH_TRANSACTION);
        };
        if let Err(OutOfOrder) = dialog.order(request.cseq().number) {
            return Reply::new(Status::SERVER_INTERNAL_ERROR);
        }
        let refused = refused_method(request.method()).or_else(|| refused_extension(request));
        refused.unwrap_or_else(|| self.serve(now, place, server, request))
    }

    fn serve(&mut self, now: Instant, place: Place, server: ServerId, request: &Message<'_>) -> Reply {
        match request.method() {
            Method::Bye => {
                if place == Place::Early {
                    self.early.forget(request);
                }
                Reply::new(Status::OK)
            }
            Method::Options => Reply::capabilities(),
            Method::Info => {
                let taken = self.local.keys().takes_info();
                if taken
                    && place == Place::Chosen
                    && self.state.is_talking()
                    && let Some((key, milliseconds)) = info::key(request)
                {
                    self.outputs.push_back(Output::Pressed { key, milliseconds });
                }
                info::answer(request, taken)
            }
            Method::Invite => self.reinvite(now, place, server, request),
            Method::Update => self.update(now, place, request),
            // Those that the checks before have refused, and those that never come here.
            _ => Reply::new(Status::NO_SUCH_TRANSACTION),
        }
    }

    /// The party's BYE is answered; what waited for it is over.
    fn hung_up(&mut self, now: Instant, request: &Message<'_>) {
        if let Some(pending) = self.pending.take() {
            self.layer.acknowledged(now, pending.server);
        }
        self.hangup_cause = request.reason("SIP").and_then(|reason| reason.cause).unwrap_or(200);
        self.step(now, Stimulus::Hangup);
    }

    /// A CANCEL of a re-INVITE comes too late always, since re-INVITEs are answered at once; it gets its 200
    /// (RFC 3261 section 9.2).
    pub(super) fn cancel_of_reinvite(&mut self, now: Instant, path: Path, request: &Message<'_>) {
        if let Ok(server) = self.layer.accept(now, path, request)
            && let Ok(bytes) = Reply::new(Status::OK).print(request, path.address, &self.call.tag)
        {
            let _ = self.layer.respond(now, server, bytes);
        }
    }
}
