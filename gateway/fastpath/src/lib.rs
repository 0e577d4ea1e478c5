//! The fast path: an XDP program that relays the sound of connected pairs before the kernel's network stack sees
//! it, and the typed view of what it shares with the gateway.
//!
//! [`FastPath::load`] brings the program to the interfaces that carry media. A shard then programs a direction of
//! a pair with [`FlowTable::on`], takes it back with [`FlowTable::off`], looks at its numbers meanwhile with
//! [`FlowTable::read`], and drains its [`Tap`], which holds the packets of directions that are recorded.
#![deny(unsafe_code)]

mod counters;
mod entry;
mod error;
mod flow;
mod interfaces;
mod load;
mod pins;
mod program;
mod settings;
mod table;
mod tap;

pub use counters::{PassReason, PathCounters};
pub use error::{Error, Refused};
pub use flow::{Flow, FlowIndex, FlowNumbers, Order, Position};
pub use load::{Attached, FastPath, Warning};
pub use program::BARE_PROGRAM;
pub use settings::{InterfaceMode, MOST_ADDRESSES, MOST_INTERFACES, MOST_RINGS, Mode, Settings};
pub use table::FlowTable;
pub use tap::{Tap, TapRecord};
