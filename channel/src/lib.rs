//! The wall between Duogate's two processes: all that they share, and nothing more.
//!
//! The vocabulary (commands, events, names, time) is `no_std` and pure, for the cores on both sides. The
//! shared memory that carries it needs the `std` feature.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod command;
pub mod counters;
pub mod digits;
pub mod event;
pub mod g711;
pub mod identity;
pub mod message;
pub mod ogg;
pub mod quality;
pub mod record;
pub mod snapshot;
pub mod sound;
pub mod srtp;
pub mod time;

#[cfg(feature = "std")]
pub mod descriptors;
#[cfg(feature = "std")]
pub mod handover;
#[cfg(feature = "std")]
pub mod page;
#[cfg(feature = "std")]
pub mod ring;
#[cfg(feature = "std")]
pub mod segment;
#[cfg(feature = "std")]
pub mod sides;
