//! The control plane: SIP, resources, HTTP.

mod clock;
mod events;
mod json;
mod media;
mod metrics;
mod names;
mod network;
mod store;
mod switchboard;
mod webhooks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
