//! The data plane's shell: threads, sockets, io_uring and files around the pure core of `duogate-media`.
//!
//! ```text
//!   control plane ──socket──> attach ──inbox──> shard 0 … n ──tap──> recorder ──> files
//!        └────── rings, pages (shared memory) ────┘   │
//!                                          io_uring: RTP in and out
//! ```
//! `supervisor` is the main thread, `attach` takes control planes in, `worker` is a shard's thread and its loop,
//! `shard` what one turn of the loop does, `recorder` the thread that writes, `encoding` the one
//! that encodes for it. `rings` are a shard's rings; `uring` alone knows io_uring, and
//! `recorder` alone tokio-uring. `xdp` brings the fast path up, `xdp_shard` is what a shard has of it.

pub mod ahead;
pub mod attach;
pub mod buffers;
pub mod clock;
pub mod cores;
pub mod encoding;
pub mod figures;
pub mod helpers;
pub mod inbox;
pub mod limits;
pub mod load;
pub mod opus;
pub mod ports;
pub mod ready;
pub mod recorder;
pub mod rings;
pub mod schedule;
pub mod setup;
pub mod shard;
pub mod sockets;
pub mod supervisor;
pub mod tap;
pub mod timeline;
pub mod uring;
pub mod wall;
pub mod wav;
pub mod worker;
pub mod xdp;
pub mod xdp_shard;
