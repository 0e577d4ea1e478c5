//! Our side of a leg's session.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::command::{FarEnd, Rtcp};
use duogate_channel::sound::{Codec, OFFERED_TELEPHONE_EVENT, OFFERED_WIDE_EVENT};
use duogate_channel::srtp::MasterKeys;
use sdp_types::{Media, Session, Time};

use super::SdpError;
use super::crypto::{self, OwnKeys, Saying};
use super::printing::{Line, Others, Refused, print};
use super::reading::{Stream, is_sound, session, stream};

/// Which way sound flows, as the side that says it sees it (RFC 3264 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Both ways.
    SendReceive,
    /// It only sends.
    SendOnly,
    /// It only receives.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// As the other side sees it (RFC 3264 section 6.1).
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::SendReceive => Self::SendReceive,
            Self::SendOnly => Self::ReceiveOnly,
            Self::ReceiveOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    /// Does the side that says it send?
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Does the side that says it receive?
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }
}

/// How the keys that a party presses are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum KeyWay {
    /// By telephone-events (RFC 4733), which are offered, or SIP INFO.
    #[default]
    Any,
    /// By telephone-events alone.
    Events,
    /// By SIP INFO alone.
    Info,
    /// By their tones in the sound.
    Tones,
}

impl KeyWay {
    /// Are telephone-events offered and taken?
    #[must_use]
    pub const fn takes_events(self) -> bool {
        matches!(self, Self::Any | Self::Events)
    }

    /// Are keys taken from SIP INFO?
    #[must_use]
    pub const fn takes_info(self) -> bool {
        matches!(self, Self::Any | Self::Info)
    }
}

/// What offer and answer came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// For the gateway.
    pub far_end: FarEnd,
    /// As the far end says it; `far_end.send` and `far_end.receive` follow from it.
    pub direction: Direction,
    /// Are we on hold (`sendonly`, `inactive`, or the old form `0.0.0.0`)? Then `far_end.send` is false, and with
    /// the old form its address is unspecified.
    pub hold: bool,
    /// The packet time that the far end asks for, in milliseconds.
    pub packet_time: Option<u8>,
    /// How packets are secured; none: they are plain RTP.
    pub keys: Option<MasterKeys>,
}

/// What we say of ourselves on one leg, over the life of its session: address and codecs stay, the version of
/// `o=` counts what changed (RFC 3264 section 8).
#[derive(Clone, Debug)]
pub struct LocalDescription {
    session: u64,
    version: u64,
    address: SocketAddr,
    codecs: Vec<(Codec, u8)>,
    keys: KeyWay,
    /// The numbers of telephone-event at 8 and at 48 kHz: ours, or the far end's once it has offered.
    telephone_events: [u8; 2],
    /// Media lines once there have been several; none stands for our sound stream. They stay for the life of the
    /// session (RFC 3264 section 8).
    lines: Vec<Option<Refused>>,
    /// Our keys, if media may be secured.
    own_keys: Option<OwnKeys>,
    /// What was said last.
    last: Option<Vec<u8>>,
}

impl LocalDescription {
    /// For one leg. `session` names it in `o=` (RFC 8866 section 5.2; its topmost bit is not used, RFC 3264
    /// section 5), `address` is where we receive RTP, and `codecs` are in order of preference; telephone-event is
    /// offered beside them, until [`LocalDescription::with_keys`] says otherwise.
    #[must_use]
    pub fn new(session: u64, address: SocketAddr, codecs: &[Codec]) -> Self {
        Self {
            session: session & (u64::MAX >> 1),
            version: 1,
            address,
            codecs: codecs.iter().map(|codec| (*codec, codec.payload_type())).collect(),
            keys: KeyWay::Any,
            telephone_events: [OFFERED_TELEPHONE_EVENT, OFFERED_WIDE_EVENT],
            lines: vec![None],
            own_keys: None,
            last: None,
        }
    }

    /// The same, with media that may or must be secured.
    #[must_use]
    pub fn with_own_keys(self, own_keys: Option<OwnKeys>) -> Self {
        Self { own_keys, ..self }
    }

    /// The same, for a party whose keys are told in this way.
    #[must_use]
    pub fn with_keys(self, keys: KeyWay) -> Self {
        Self { keys, ..self }
    }

    /// How the party's keys are told.
    #[must_use]
    pub const fn keys(&self) -> KeyWay {
        self.keys
    }

    /// Our offer: all codecs in order, telephone-event where it is taken, `sendrecv`, RTCP on the port of RTP (RFC
    /// 5761); streams that were refused before stay so. The
    /// version counts up if it differs from what we said last.
    #[must_use]
    pub fn offer(&mut self) -> Vec<u8> {
        let codecs = self.codecs.clone();
        let events = self.keys.takes_events();
        let offered = |ticks| events && codecs.iter().any(|(codec, _)| codec.ticks() == ticks);
        let [narrow, wide] = self.telephone_events;
        let others = Others {
            narrow_event: offered(1).then_some(narrow),
            wide_event: offered(6).then_some(wide),
            comfort_noise: None,
        };
        self.say(&[Time::new(0, 0)], &codecs, others, (Direction::SendReceive, true, Saying::Offer))
    }

    /// What was said last, word for word, as an offer that changes nothing (RFC 4028 section 7.4).
    #[must_use]
    pub fn repeated(&mut self) -> Vec<u8> {
        match &self.last {
            Some(last) => last.clone(),
            None => self.offer(),
        }
    }

    /// What was said last, for the journal; nothing where keys stand in it.
    #[must_use]
    pub fn plainly_said(&self) -> String {
        let last = self.last.as_ref().filter(|_| self.own_keys.is_none());
        last.map_or_else(String::new, |last| String::from_utf8_lossy(last).into_owned())
    }

    /// Goes on from what another process said last: its name and version, its streams, and the numbers of its codecs
    /// (RFC 3264 section 8).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn go_on(&mut self, last: &[u8]) -> Result<(), SdpError> {
        let said = session(last)?;
        let origin = &said.origin;
        let number = origin.sess_id.parse().map_err(|_| SdpError::Syntax)?;
        let ours = said.medias.iter().position(|media| media.port != 0).ok_or(SdpError::NoAudio)?;
        let stream = stream(&said, &said.medias[ours])?;
        for (codec, number) in &mut self.codecs {
            if let Some((_, said)) = stream.codecs.iter().find(|(said, _)| said == codec) {
                *number = *said;
            }
        }
        let events = [stream.others.narrow_event, stream.others.wide_event];
        for (ours, said) in self.telephone_events.iter_mut().zip(events) {
            *ours = said.unwrap_or(*ours);
        }
        let medias = said.medias.iter().enumerate();
        self.lines = medias.map(|(at, media)| (at != ours).then(|| refusal(media))).collect();
        (self.session, self.version) = (number, origin.sess_version);
        self.last = Some(last.to_vec());
        Ok(())
    }

    /// Reads the answer to [`LocalDescription::offer`] (RFC 3264 section 7).
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn accept(&self, answer: &[u8]) -> Result<Negotiated, SdpError> {
        let session = session(answer)?;
        let (ours, rest) = self.match_lines(&session)?;
        // A line too many is tolerated as long as nothing is to flow.
        if rest.iter().any(|media| media.port != 0) || !is_sound(ours) {
            return Err(SdpError::MediaMismatch);
        }
        if ours.port == 0 {
            return Err(SdpError::Refused);
        }
        let stream = stream(&session, ours)?;
        let keys = crypto::accepted(self.own_keys.as_ref(), ours)?;
        self.negotiate(&stream, keys)
    }

    /// The answer's line for our stream, and those beyond what we offered.
    fn match_lines<'s>(&self, session: &'s Session) -> Result<(&'s Media, &'s [Media]), SdpError> {
        let place = self.lines.iter().position(Option::is_none).unwrap_or(0);
        let rest = session.medias.get(self.lines.len()..).ok_or(SdpError::MediaMismatch)?;
        let ours = session.medias.get(place).ok_or(SdpError::MediaMismatch)?;
        Ok((ours, rest))
    }

    /// Answers an offer of the far end (re-INVITE, UPDATE; RFC 3264 sections 6, 8): its media lines in its
    /// order, the first sound stream that we can serve accepted, all others refused with port 0.
    ///
    /// An empty one is [`SdpError::Missing`]: a delayed offer, which [`LocalDescription::offer`] in the 200 and
    /// [`LocalDescription::accept`] with the ACK's body would serve.
    ///
    /// # Errors
    /// Why it cannot be accepted; nothing has changed then.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
        let session = session(offer)?;
        let mut chosen = Err(SdpError::NoAudio);
        for (place, media) in session.medias.iter().enumerate() {
            if !is_sound(media) || media.port == 0 {
                continue;
            }
            let outcome =
                self.choose(&session, media).map(|(negotiated, saying)| (place, negotiated, saying));
            // The first that can be served, or the first that can be secured.
            let better = |(_, negotiated, _): &(usize, Negotiated, Saying)| negotiated.keys.is_some();
            if chosen.is_err() || outcome.as_ref().is_ok_and(better) && !chosen.as_ref().is_ok_and(better) {
                chosen = outcome;
            }
        }
        let (place, negotiated, saying) = chosen?;
        let far_end = negotiated.far_end;
        let medias = session.medias.iter().enumerate();
        self.lines = medias.map(|(at, media)| (at != place).then(|| refusal(media))).collect();
        let codec = (far_end.codec, far_end.payload_type);
        let others = self.adopt(&far_end);
        // RFC 5761 section 5.1.1: in an answer only where it stood in the offer.
        let way = (negotiated.direction.reversed(), far_end.rtcp == Rtcp::Muxed, saying);
        let text = self.say(&session.times, &[codec], others, way);
        Ok((text, negotiated))
    }

    /// Numbers that the far end has given stay for the life of the session (RFC 3264 section 8.3.2). Returns those
    /// that the answer names.
    fn adopt(&mut self, far_end: &FarEnd) -> Others {
        for (codec, number) in &mut self.codecs {
            if *codec == far_end.codec && *codec == Codec::Opus {
                *number = far_end.payload_type;
            }
        }
        let wide = far_end.codec.ticks() > 1;
        if let Some(number) = far_end.telephone_event {
            self.telephone_events[usize::from(wide)] = number;
        }
        Others {
            narrow_event: far_end.telephone_event.filter(|_| !wide),
            wide_event: far_end.telephone_event.filter(|_| wide),
            comfort_noise: far_end.comfort_noise,
        }
    }

    /// What one media line of an offer comes to.
    fn choose(&self, session: &Session, media: &Media) -> Result<(Negotiated, Saying), SdpError> {
        let (keys, saying) = crypto::chosen(self.own_keys.as_ref(), media)?;
        Ok((self.negotiate(&stream(session, media)?, keys)?, saying))
    }

    /// The first codec of the far end's order that is ours too (RFC 3264 sections 6.1, 7).
    fn negotiate(&self, stream: &Stream, keys: Option<MasterKeys>) -> Result<Negotiated, SdpError> {
        let address = stream.address;
        if address.is_ipv4() != self.address.is_ipv4() {
            return Err(SdpError::Address);
        }
        let known = |codec: &Codec| self.codecs.iter().any(|(ours, _)| ours == codec);
        let mut common = stream.codecs.iter().filter(|(codec, _)| known(codec));
        let (codec, payload_type) = *common.next().ok_or(SdpError::NoCodec)?;
        let wide = codec.ticks() > 1;
        let event = if wide { stream.others.wide_event } else { stream.others.narrow_event };
        let (nowhere, direction) = (address.ip().is_unspecified(), stream.direction);
        let far_end = FarEnd {
            address,
            codec,
            payload_type,
            telephone_event: event.filter(|_| self.keys.takes_events()),
            // Its clock is 8 kHz (RFC 3389 section 5).
            comfort_noise: stream.others.comfort_noise.filter(|_| !wide),
            send: direction.receives() && !nowhere,
            receive: direction.sends(),
            rtcp: stream.rtcp,
            in_band: self.keys == KeyWay::Tones,
        };
        Ok(Negotiated { far_end, direction, hold: !far_end.send, packet_time: stream.packet_time, keys })
    }

    /// Prints, and counts the version up if there is something new to say (RFC 3264 section 8).
    fn say(
        &mut self,
        times: &[Time],
        codecs: &[(Codec, u8)],
        others: Others,
        (direction, muxed, saying): (Direction, bool, Saying),
    ) -> Vec<u8> {
        let security = crypto::said(self.own_keys.as_ref(), saying);
        let print_as = |version: u64, lines: &[Option<Refused>]| {
            let lines = lines.iter().map(|line| match line {
                Some(refused) => Line::Refused(refused),
                None => Line::Sound { codecs, others, direction, muxed, security: &security },
            });
            print((self.session, version), self.address, times, lines)
        };
        let mut text = print_as(self.version, &self.lines);
        if self.last.as_ref().is_some_and(|last| *last != text) {
            let version = self.version + 1;
            text = print_as(version, &self.lines);
            self.version = version;
        }
        self.last = Some(text.clone());
        text
    }
}

fn refusal(media: &Media) -> Refused {
    let [media, proto, formats] = [&media.media, &media.proto, &media.fmt].map(String::clone);
    Refused { media, proto, formats }
}
