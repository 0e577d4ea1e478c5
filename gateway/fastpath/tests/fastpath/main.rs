//! The fast path on the kernel that the tests run on. Without root, or without the right to load BPF programs, each
//! test says so and passes.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod cost;
mod frames;
mod host;
mod judgement;
mod model;
mod restart;
mod wire;
