//! The real control plane over its real interfaces, against a gateway and parties that only say their lines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod construct_input;
mod events;
mod framing;
mod gateway;
mod lifecycle;
mod node;
mod operators;
mod party;
mod prompts;
