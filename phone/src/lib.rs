//! A small SIP and RTP telephone, for demonstrations and tests.
//!
//! It speaks over real sockets, follows a script (ring, early media, answer, refuse, hang up), sends a tone,
//! checks every packet that it receives against the rules of RTP, and tells which tones it heard when. It knows
//! nothing of Duogate but the way to read a SIP message, and its G.722 and Opus.

mod call;
mod called;
mod client;
pub mod codec;
pub mod ear;
pub mod g711;
pub mod judge;
mod line;
pub mod phone;
pub mod rtcp;
pub mod rtp;
pub mod script;
pub mod sdp;
mod sound;
pub mod talker;
pub mod tone;
pub mod violation;
pub mod wave;

pub use line::What;
pub use script::{Script, Step};
