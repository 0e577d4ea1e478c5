//! The rows of the table, one file a measurement.

pub mod cable;
pub mod delay;
pub mod files;
pub mod growth;
pub mod instructions;
pub mod memory;
pub mod overload;
pub mod prompts;
pub mod recorded;
pub mod relay;
pub mod setup;
pub mod srtp;
pub mod subject;
pub mod transcode;

/// Core of what is measured.
pub const MEASURED_CORE: usize = 0;

/// Core of the generator and everything else.
pub const GENERATOR_CORE: usize = 1;
