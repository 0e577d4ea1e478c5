//! The media core from outside: a file per behavior.
#![allow(clippy::unwrap_used)] // In a test a failed unwrap is a failed assertion.

mod acts;
mod ahead;
mod alignment;
mod apart;
mod comfort;
mod continuity;
mod emodel;
mod faults;
mod holding;
mod learning;
mod offload;
mod packets;
mod playing;
mod ports;
mod pressure;
mod random;
mod recording;
mod relaying;
mod reports;
mod rtcp;
mod searching;
mod silence;
mod support;
mod twins;
