//! Messages of every kind: what is printed is read back, rsip agrees where it reads them at all, and nothing
//! panics whatever the bytes.

use duogate_signaling::message::{
    Builder, CSeq, Challenge, Message, Method, Name, NameAddress, Quoted, Reason, StartLine, Status, Uri,
    refusal,
};
use proptest::prelude::*;
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;

/// A message in the large.
#[derive(Clone, Debug)]
struct Model {
    /// None: a response of `status`.
    request: bool,
    method: String,
    uri: String,
    status: u16,
    phrase: String,
    vias: Vec<String>,
    display: String,
    from: String,
    to: String,
    tags: [Option<String>; 2],
    call_id: String,
    number: u32,
    hops: u8,
    routes: Vec<String>,
    contact: Option<String>,
    other: Option<String>,
    body: Vec<u8>,
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,12}"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}[a-z0-9](\\.[a-z]{2,5}){0,2}",
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<[u16; 8]>().prop_map(|parts| format!("[{}]", std::net::Ipv6Addr::from(parts))),
    ]
}

fn uri() -> impl Strategy<Value = String> {
    let user = proptest::option::of("[A-Za-z0-9_.!~*'()&=+$,;?/-]{1,10}(%[0-9A-F]{2})?");
    let port = proptest::option::of(1_u16..);
    let parameters = proptest::collection::vec("[a-z]{1,6}(=[A-Za-z0-9:&+$-]{1,8})?", 0..3);
    let sip = ("(sip|sips|SIP)", user, host(), port, parameters).prop_map(
        |(scheme, user, host, port, parameters)| {
            let user = user.map_or(String::new(), |user| user + "@");
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let parameters: String = parameters.iter().map(|parameter| format!(";{parameter}")).collect();
            format!("{scheme}:{user}{host}{port}{parameters}")
        },
    );
    prop_oneof![9 => sip, 1 => "tel:\\+[0-9]{3,15}"]
}

fn via() -> impl Strategy<Value = String> {
    let rport = prop_oneof![Just(""), Just(";rport"), Just(";rport=5099")];
    ("(UDP|TCP|TLS|WS)", host(), proptest::option::of(1_u16..), "[A-Za-z0-9.]{1,16}", rport).prop_map(
        |(transport, host, port, branch, rport)| {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            format!("SIP/2.0/{transport} {host}{port};branch=z9hG4bK{branch}{rport}")
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let method = prop_oneof![
        4 => "(INVITE|ACK|BYE|CANCEL|OPTIONS|INFO|UPDATE|PRACK)",
        1 => token(),
    ];
    let start = (any::<bool>(), method, uri(), 100_u16..700, "[ -~äöü张]{0,20}");
    let address = ("[ -~é]{0,12}", uri(), uri(), proptest::array::uniform2(proptest::option::of(token())));
    let rest = (
        proptest::collection::vec(via(), 1..4),
        "[A-Za-z0-9.!%*_+`'~()<>:\\\\\"/\\[\\]?{}-]{1,20}(@[a-z0-9.]{1,10})?",
        0_u32..(1 << 31),
        any::<u8>(),
        proptest::collection::vec(uri(), 0..3),
        proptest::option::of(uri()),
        proptest::option::of("[!-~]([ -~]{0,30}[!-~])?"),
        proptest::collection::vec(any::<u8>(), 0..60),
    );
    (start, address, rest).prop_map(|(start, address, rest)| {
        let (request, method, uri, status, phrase) = start;
        let (display, from, to, tags) = address;
        let (vias, call_id, number, hops, routes, contact, other, body) = rest;
        let phrase = phrase.trim().to_owned();
        Model {
            request,
            method,
            uri,
            status,
            phrase,
            vias,
            display,
            from,
            to,
            tags,
            call_id,
            number,
            hops,
            routes,
            contact,
            other,
            body,
        }
    })
}

fn tagged(address: &str, tag: Option<&String>) -> String {
    tag.map_or(address.to_owned(), |tag| format!("{address};tag={tag}"))
}

impl Model {
    fn print(&self) -> Vec<u8> {
        let method = Method::from_token(&self.method);
        let mut builder = match self.request {
            true => Builder::request(method, &self.uri),
            false => Builder::response(Status::new(self.status).expect("in range"), &self.phrase),
        };
        for via in &self.vias {
            builder = builder.header(Name::Via, via);
        }
        for route in &self.routes {
            builder = builder.header(Name::RecordRoute, format_args!("<{route}>"));
        }
        let from = format!("{} <{}>", Quoted(&self.display), self.from);
        let builder = builder
            .header(Name::MaxForwards, self.hops)
            .header(Name::From, tagged(&from, self.tags[0].as_ref()))
            .header(Name::To, tagged(&format!("<{}>", self.to), self.tags[1].as_ref()))
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{} {method}", self.number))
            .optional(Name::Contact, self.contact.as_ref().map(|uri| format!("<{uri}>")));
        let builder = match &self.other {
            Some(value) => builder.extension("X-Other", value),
            None => builder,
        };
        builder.build_with("application/octet-stream", &self.body).expect("good")
    }

    fn check(&self, message: &Message<'_>) -> Result<(), TestCaseError> {
        match message.start() {
            StartLine::Request { method, uri } => {
                prop_assert!(self.request);
                prop_assert_eq!(method.as_str(), &self.method);
                prop_assert_eq!(uri.as_str(), &self.uri);
            }
            StartLine::Response { status, reason } => {
                prop_assert!(!self.request);
                prop_assert_eq!((status.code(), *reason), (self.status, self.phrase.as_str()));
            }
        }
        let vias: Result<Vec<_>, _> = message.vias().map(|via| via.map(|via| via.to_string())).collect();
        prop_assert_eq!(vias.as_ref(), Ok(&self.vias));
        prop_assert_eq!(message.from().uri.as_str(), &self.from);
        prop_assert_eq!(message.to().uri.as_str(), &self.to);
        prop_assert_eq!(message.from().tag(), self.tags[0].as_deref());
        prop_assert_eq!(message.to().tag(), self.tags[1].as_deref());
        prop_assert_eq!(message.from().display, Some(&*Quoted(&self.display).to_string()));
        prop_assert_eq!(message.call_id(), &self.call_id);
        prop_assert_eq!(
            message.cseq(),
            CSeq { number: self.number, method: Method::from_token(&self.method) }
        );
        prop_assert_eq!(message.max_forwards(), Some(self.hops));
        let routes: Result<Vec<_>, _> =
            message.record_routes().map(|route| route.map(|route| route.uri.as_str().to_owned())).collect();
        prop_assert_eq!(routes.as_ref(), Ok(&self.routes));
        let contact = message.contacts().next().map(|contact| contact.map(|c| c.uri.as_str().to_owned()));
        prop_assert_eq!(contact, self.contact.clone().map(Ok));
        prop_assert_eq!(message.header_spelled("x-other"), self.other.as_deref());
        prop_assert_eq!(message.body(), &self.body[..]);
        Ok(())
    }
}

/// Prints a parsed message again, line by line.
fn reprint(message: &Message<'_>) -> Vec<u8> {
    let mut builder = match message.start() {
        StartLine::Request { method, uri } => Builder::request(*method, uri),
        StartLine::Response { status, reason } => Builder::response(*status, reason),
    };
    for header in message.headers() {
        builder = match header.name {
            Name::Other => builder.extension(header.spelling, header.value),
            Name::ContentLength | Name::ContentType => builder,
            name => builder.header(name, header.value),
        };
    }
    let media_type = message.header(Name::ContentType).unwrap_or_default();
    builder.build_with(media_type, message.body()).expect("good")
}

/// The same message as others would write it: compact, in another case, folded, with white space.
fn respell(bytes: &[u8], choices: u64) -> Vec<u8> {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..split]).expect("text");
    let mut lines = head.split("\r\n");
    let mut out = lines.next().expect("a start line").to_owned();
    for (place, line) in lines.enumerate() {
        let choice = choices.rotate_right(u32::try_from(place * 3).expect("few")) & 7;
        let (name, value) = line.split_once(": ").expect("a header");
        let compact = Name::from_spelling(name).compact();
        out += "\r\n";
        out += &match choice {
            0 => format!("{}:{value}", compact.unwrap_or(name)),
            1 => format!("{} \t: {value}  ", name.to_ascii_uppercase()),
            2 => format!("{}:\r\n {value}", name.to_ascii_lowercase()),
            3 => format!("{}:\t{value}\r\n\t ", compact.unwrap_or(name).to_ascii_uppercase()),
            _ => line.to_owned(),
        };
    }
    let mut out = out.into_bytes();
    out.extend_from_slice(&bytes[split..]);
    out
}

/// Everything that a message can be asked.
fn ask_all(message: &Message<'_>) {
    let _ = message.vias().count() + message.contacts().count() + message.record_routes().count();
    let _ = message.routes().count() + message.asserted_identities().count();
    for name in Name::ALL {
        let _ = message.tokens(*name).count();
        for value in message.values(*name).flatten() {
            let _ =
                (NameAddress::parse(value), Challenge::parse(value), Reason::parse(value), Uri::parse(value));
        }
    }
    let _ =
        (message.content_type(), message.expires(), message.retry_after(), message.rseq(), message.rack());
    let _ = (message.session_expires(), message.min_se(), message.reason("SIP"));
    let source = "192.0.2.99:5060".parse().expect("an address");
    let response =
        Builder::response_to(message, source, Status::OK, Some("tag")).build().expect("answerable");
    assert!(Message::parse(&response).is_ok(), "an answer to a good message is good");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_is_read_back_and_printed_again(model in model()) {
        let bytes = model.print();
        let message = Message::parse(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        model.check(&message)?;
        prop_assert_eq!(&reprint(&message), &bytes);
        ask_all(&message);
    }

    #[test]
    fn rfc3261_7_3_1_spelling_does_not_matter(model in model(), choices: u64) {
        let bytes = respell(&model.print(), choices);
        let message = Message::parse(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        model.check(&message)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = Message::parse(&bytes) {
            prop_assert!(error.at <= bytes.len());
        }
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
        model in model(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let mut bytes = model.print();
        for (place, byte, kind) in damage {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        let source = "192.0.2.99:5060".parse().expect("an address");
        match Message::parse(&bytes) {
            Ok(message) => ask_all(&message),
            Err(error) => {
                prop_assert!(error.at <= bytes.len(), "{error}");
                let answer = refusal(&bytes, &error, source);
                prop_assert!(answer.is_none_or(|answer| answer.len() <= bytes.len() + 200));
            }
        }
    }

    #[test]
    fn any_text_is_a_uri_or_none(text in "\\PC{0,40}", short in "(sip:|tel:|sips:)?[ -~]{0,30}") {
        for text in [text, short] {
            if let Ok(uri) = Uri::parse(&text) {
                prop_assert_eq!(uri, uri);
                prop_assert_eq!(uri.to_string(), text.clone());
            }
            let _ = Uri::parse_short(&text);
        }
    }

    #[test]
    fn rsip_agrees_where_it_reads_the_message_at_all(model in model()) {
        let bytes = model.print();
        let message = Message::parse(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        if let Ok(theirs) = rsip::SipMessage::try_from(&bytes[..]) {
            agree(&message, &theirs)?;
        }
    }
}

/// Everything in which rsip can be asked, and is known not to lose or change what it reads.
fn agree(ours: &Message<'_>, theirs: &rsip::SipMessage) -> Result<(), TestCaseError> {
    match theirs {
        rsip::SipMessage::Request(request) => {
            prop_assert_eq!(request.method.to_string(), ours.method().to_string());
            let uri = ours.request_uri().expect("a request");
            // rsip loses user parts that begin with a mark.
            if let Some(user) = request.uri.user() {
                prop_assert_eq!(Some(user), uri.user());
            }
        }
        rsip::SipMessage::Response(response) => {
            prop_assert_eq!(Some(u16::from(response.status_code.clone())), ours.status().map(Status::code));
        }
    }
    if let Ok(call_id) = theirs.call_id_header() {
        prop_assert_eq!(call_id.value(), ours.call_id());
    }
    if let Ok(cseq) = theirs.cseq_header().and_then(ToTypedHeader::typed) {
        prop_assert_eq!((cseq.seq, cseq.method.to_string()), (ours.cseq().number, ours.method().to_string()));
    }
    if let Ok(tag) = theirs.from_header().and_then(|from| from.tag()) {
        prop_assert_eq!(tag.map(|tag| tag.to_string()), ours.from().tag().map(str::to_owned));
    }
    if let Ok(via) = theirs.via_header().and_then(ToTypedHeader::typed) {
        let branch = via.branch().map(ToString::to_string);
        prop_assert_eq!(branch, ours.via().branch().map(str::to_owned));
    }
    Ok(())
}

#[test]
fn the_oracle_reads_a_plain_message() {
    // Lest the comparison above compares nothing.
    let bytes = crate::message("INVITE sip:b@192.0.2.2 SIP/2.0", "", "v=0\n");
    let theirs = rsip::SipMessage::try_from(&bytes[..]).expect("valid for rsip too");
    agree(&Message::parse(&bytes).expect("valid"), &theirs).expect("agreed");
}
