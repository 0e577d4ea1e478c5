//! Behavior of the callback, with fake legs and a fake gateway.

extern crate std;

mod actions;
mod exits;
mod matrix;
mod promises;
mod recordings;
mod revivals;
mod rings;
mod stage;
