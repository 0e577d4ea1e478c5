//! SIP: any bytes are a message or are refused; a message can be asked everything, can be answered, and its
//! answer is a message.
#![no_main]

use duogate_channel::time::Instant;
use duogate_signaling::message::{
    Builder, Challenge, Message, Name, NameAddress, Reason, Status, Uri, refusal,
};
use duogate_signaling::transaction::{Delivery, Layer, Listener, Path, Settings, Transport};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(source) = "192.0.2.99:5060".parse() else { return };
    let message = match Message::parse(input) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.at <= input.len());
            if let Some(answer) = refusal(input, &error, source) {
                assert!(answer.len() <= input.len() + 250, "no amplification");
            }
            return;
        }
    };
    ask(&message);
    let response = Builder::response_to(&message, source, Status::RINGING, Some("tag")).build();
    // Only its length can stand in the way of an answer.
    if let Ok(response) = response {
        assert!(Message::parse(&response).is_ok());
    }
    let path = Path { listener: Listener(0), transport: Transport::Udp, address: source };
    let mut layer = Layer::new(Settings::default());
    if layer.receive(Instant::ZERO, &message) == Delivery::Request
        && layer.accept(Instant::ZERO, path, &message).is_ok()
    {
        assert_eq!(layer.receive(Instant::ZERO, &message), Delivery::Absorbed);
    }
});

fn ask(message: &Message<'_>) {
    for name in Name::ALL {
        for value in message.values(*name).flatten() {
            let _ = (NameAddress::parse(value), Challenge::parse(value), Reason::parse(value));
            if let Ok(uri) = Uri::parse(value) {
                assert!(uri == uri);
            }
            let _ = Uri::parse_short(value);
        }
        let _ = message.tokens(*name).count();
    }
    let _ = message.vias().count() + message.contacts().count() + message.routes().count();
    let _ =
        (message.content_type(), message.expires(), message.retry_after(), message.rseq(), message.rack());
    let _ = (message.session_expires(), message.min_se(), message.reason("SIP"));
}
