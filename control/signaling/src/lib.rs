//! Duogate's signaling core: SIP and SDP as pure values and state machines.
//!
//! Bytes, time and commands go in; bytes, events and the next deadline come out. No clock, no I/O, no thread.
//! Imports go one way only: endpoint → resource → leg → dialog → transaction → message.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod clock;
mod dialog;
pub mod digest;
pub mod endpoint;
pub mod leg;
pub mod message;
pub mod peer;
pub mod resource;
pub mod sdp;
pub mod transaction;
