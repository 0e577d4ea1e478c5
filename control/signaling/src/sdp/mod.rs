//! SDP offers and answers (RFC 3264, RFC 8866) for one sound stream.
//!
//! Reading and printing of lines is `sdp-types`' (which needs `std` of its own; this crate stays `no_std`).
//! Everything that it lets through is checked here.

mod crypto;
mod error;
mod local;
mod printing;
mod reading;

pub use crypto::{OwnKeys, Security};
pub use error::SdpError;
pub use local::{Direction, KeyWay, LocalDescription, Negotiated};
