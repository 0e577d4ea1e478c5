//! Resources of the application interface: what an application builds, watches and ends.

pub mod action;
pub mod duo_callback;
pub mod error;
pub mod note;
pub mod parameters;
pub mod plan;
pub mod report;
pub mod view;
