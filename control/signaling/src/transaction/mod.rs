//! SIP transactions (RFC 3261 section 17, RFC 6026): requests that arrive, responses that match.
//!
//! [`Layer`] owns all of them, in bounded number. Bytes to send and what time brought about are fetched with
//! [`Layer::poll_output`] after every call; what a message means for the user is the call's result.

mod layer;
mod settings;

pub use layer::{CancelError, ClientId, Delivery, Layer, Output, RequestError, RespondError, ServerId};
pub use settings::{Listener, Path, Settings, Transport};
