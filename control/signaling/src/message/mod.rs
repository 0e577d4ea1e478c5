//! SIP messages (RFC 3261 sections 7, 20, 25): a strict borrowed parser and a printer.
//!
//! [`Message::parse`] reads one datagram without copying it, checks the framing and those headers without which
//! no message can be handled (Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length), and indexes the rest;
//! every other header is checked when its accessor is called. [`Builder`] prints, and lets nothing through that
//! would break out of its line.
//!
//! Not rsip: it refuses a third of what is valid (IPv6, compact forms, folds), and copies.

mod accessors;
mod address;
mod builder;
mod error;
mod escape;
mod host;
mod method;
mod name;
mod parameters;
mod reading;
mod reply;
mod status;
mod text;
mod uri;
mod uri_equality;
mod uri_parts;
mod uri_short;
mod values;
mod via;

pub use accessors::{Addresses, Tokens, Values, Vias};
pub use address::NameAddress;
pub use builder::{BuildError, Builder};
pub use error::{Fault, ParseError};
pub use escape::{Escaped, Quoted, Unfolded};
pub use host::Host;
pub use method::Method;
pub use name::Name;
pub use parameters::{Parameter, Parameters};
pub use reading::{Header, Limits, Message, StartLine};
pub use reply::refusal;
pub use status::Status;
pub use uri::{Scheme, Uri, UriBuf};
pub use uri_short::{Destination, ShortError};
pub use values::{CSeq, Challenge, MAX_CSEQ, MediaType, RAck, Reason, Refresher, SessionExpires};
pub use via::{MAGIC_COOKIE, Via};
