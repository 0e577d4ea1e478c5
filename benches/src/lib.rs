//! What the rig is made of: a load, its opponents, and the measures.

pub mod application;
pub mod awake;
pub mod bencode;
pub mod clock;
pub mod datagrams;
pub mod disk;
pub mod floor;
pub mod gateway;
pub mod generator;
pub mod leavings;
pub mod live;
pub mod metrics;
pub mod namespace;
pub mod plot;
pub mod process;
pub mod program;
pub mod recorded;
pub mod rows;
pub mod rtp;
pub mod rtpengine;
pub mod shard;
pub mod stalls;
pub mod table;
pub mod timer;
mod uring;
pub mod veth;
pub mod wire;
