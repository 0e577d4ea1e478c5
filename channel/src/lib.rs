//! The wall between Duogate's two processes: all that they share, and nothing more.
//!
//! The vocabulary (commands, events, names, time) is `no_std` and pure, for the cores on both sides. The
//! shared memory that carries it needs the `std` feature.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod command;
pub mod event;
pub mod identity;
pub mod sound;
pub mod time;
