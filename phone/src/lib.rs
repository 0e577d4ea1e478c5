//! A small SIP and RTP telephone, for demonstrations and tests.
//!
//! It speaks over real sockets, follows a script (ring, early media, answer, refuse, hang up), sends a tone,
//! checks every packet that it receives against the rules of RTP, and tells which tones it heard when. It knows
//! nothing of Duogate but the way to read a SIP message.

pub mod ear;
pub mod g711;
pub mod rtp;
pub mod talker;
pub mod tone;
pub mod violation;
pub mod wave;
