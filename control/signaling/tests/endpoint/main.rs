//! The endpoint as a whole: whatever comes in, nothing panics, and work, answers and memory stay bounded.

mod allocations;
mod allocator;
mod strangers;
mod words;
mod world;
