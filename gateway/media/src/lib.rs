//! The data plane's core: one shard's sessions, as values in and values out.
//!
//! A [`Core`] holds the sessions of one shard. It is pure: it has no clock, makes no system call, and takes no
//! memory after [`Core::new`]. The shell that owns sockets, buffers and rings tells it what happens and does
//! what it says:
//!
//! ```text
//!  commands ──> command()  ┐                    ┌ poll_action()  Bind, Connect, Release
//!  bind done ─> bound()    │                    │ event() / event_taken()  to the control plane
//!  datagram ──> receive() ─┼──>   Core   ──────>┤ Verdict::Forward  send the same buffer from that socket
//!  helper ────> helped() ──┤                    │ Verdict::Help     to a helper that knows the codecs
//!  time ──────> advance() ─┘                    │ Outlet            paced packets of prompts and tones
//!  file done ─> recorded()                      └ Tap               blocks of recordings, to the writer
//! ```
//!
//! After every input, or at least after every batch of completions, the shell drains `poll_action` until it is
//! empty, and hands over events while its ring has room. It sleeps no longer than [`Core::next_deadline`].
//! Time is one reading of the monotonic clock per batch, and never goes back.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod dtmf;
pub mod emodel;
pub mod noise;
pub mod rtcp;
pub mod rtp;

mod action;
mod acts;
mod ahead;
mod apart;
mod arrival;
mod block;
mod comfort;
mod commands;
mod core;
mod counters;
mod dialer;
mod drift;
mod events;
mod guard;
mod help;
mod learning;
mod length;
mod limits;
mod offload;
mod opening;
mod outlet;
mod pacing;
mod path;
mod player;
mod presses;
mod recordings;
mod reel;
mod relay;
mod reports;
mod snapshot;
mod sockets;
mod stream;
mod table;
mod tones;
mod verdict;
mod vigil;
mod wheel;

pub use crate::action::{Action, BindError, Socket};
pub use crate::block::{BLOCK_SAMPLES, Block, NoTap, Take, Tap};
pub use crate::commands::session_of;
pub use crate::core::{Core, ROOM};
pub use crate::counters::Counters;
pub use crate::help::{Job, Made};
pub use crate::limits::{Limits, LimitsError};
pub use crate::outlet::{MAXIMUM_PACED, NoOutlet, NoSounds, Outlet, Ready, SoundStore, SoundView};
pub use crate::path::{Flow, FlowCounts, FlowNumbers, NoPath, Path, Standing, Tapped};
pub use crate::snapshot::{LegSnapshot, Phase, Snapshot};
pub use crate::verdict::{DropReason, Origin, Verdict};
