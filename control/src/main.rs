//! The control plane: SIP, resources, HTTP.

mod media;
mod metrics;
mod store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
