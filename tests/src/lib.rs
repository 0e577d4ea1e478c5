//! The harness of Duogate's tests: the two real processes, real parties, and an application that drives them.
//!
//! Everything here stays on loopback, chooses free ports, keeps its files in a folder of its own, waits with a
//! deadline instead of sleeping, and ends its processes by their own ids.

pub mod application;
pub mod baresip;
pub mod capture;
pub mod certificates;
pub mod duogate;
pub mod judged;
pub mod kamailio;
pub mod observer;
pub mod patience;
pub mod ports;
pub mod private;
pub mod process;
pub mod receiver;
pub mod scene;
pub mod secured;
pub mod sipp;
pub mod story;
pub mod talk;
pub mod wav;
