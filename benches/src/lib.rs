//! What the rig is made of: a load, its opponents, and the measures.

pub mod application;
pub mod bencode;
pub mod clock;
pub mod datagrams;
pub mod disk;
pub mod floor;
pub mod gateway;
pub mod generator;
pub mod metrics;
pub mod process;
pub mod rows;
pub mod rtp;
pub mod rtpengine;
pub mod shard;
pub mod table;
pub mod timer;
mod uring;
pub mod wire;
