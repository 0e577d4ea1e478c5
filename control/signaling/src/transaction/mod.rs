//! SIP transactions (RFC 3261 section 17, RFC 6026): requests that arrive, responses that match.
//!
//! [`Layer`] owns all of them, in bounded number. Bytes to send and what time brought about are fetched with
//! [`Layer::poll_output`] after every call; what a message means for the user is the call's result.

mod client;
mod face;
mod invite_client;
mod invite_server;
mod key;
mod layer;
mod machine;
#[cfg(test)]
mod matrix;
mod server;
mod settings;
mod table;
mod timer;

pub use face::{CancelError, ClientId, Delivery, Output, RequestError, RespondError, ServerId};
pub use layer::Layer;
pub use settings::{Listener, Local, Path, Place, Question, Settings, Transport, Way};
