//! The gateway as a process: driven through the real channel by a tiny control plane, with real RTP sockets.

#![allow(clippy::unwrap_used, reason = "tests")]

mod attaching;
mod beside;
mod besieged;
mod beyond;
mod house;
mod learning;
mod party;
mod pauses;
mod playing;
mod recording;
mod relaying;
mod reporting;
mod secured;
mod six;
mod sources;
mod spaces;
mod spray;
mod starting;
mod starving;
mod tape;
mod transcoding;
