//! Memory that is fetched before it is needed.

// Unsafe: the processor is told an address.
#![allow(unsafe_code)]

use duogate_media::{Core, Path, Socket};

use crate::ports::Ports;
use crate::rings::Rings;
use crate::uring::Completion;

/// Packets before a packet's turn at which what it needs is fetched: from memory that takes as long as some packets are
/// served. Where it lies has to be fetched before.
const NEAR: usize = 8;
const FAR: usize = 16;

/// Has the processor fetch what completions a few places behind the first will need, while it serves those before them.
#[inline]
pub fn foresee<P: Path>(batch: &[Completion], core: &Core<P>, ports: &Ports, rings: &Rings) {
    if let Some(Completion::Received { place, buffer, .. }) = batch.get(FAR) {
        ports.entry(*place).into_iter().for_each(fetch);
        core.entry_of(Socket(*place)).into_iter().for_each(fetch);
        rings.address(*place, *buffer).into_iter().for_each(fetch);
    }
    if let Some(Completion::Received { place, .. }) = batch.get(NEAR) {
        core.memory_of(Socket(*place)).into_iter().flatten().for_each(fetch);
    }
}

/// Has the processor fetch the line of its cache in which this address lies, and goes on. Any address will do: one that
/// nothing lies at is left alone.
#[inline]
fn fetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that a program could see, and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _unknown = address;
}
