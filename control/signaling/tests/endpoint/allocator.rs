//! Counts what is allocated, for each thread by itself, so that tests beside each other do not disturb the count.

// Unsafe: an allocator can be written in no other way.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator and a count.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Allocations since the thread began, and octets held.
    static COUNT: Cell<(usize, isize)> = const { Cell::new((0, 0)) };
}

fn count(allocations: usize, octets: isize) {
    // A thread that ends has no count any more.
    let _ = COUNT.try_with(|cell| {
        let (before, held) = cell.get();
        cell.set((before + allocations, held + octets));
    });
}

fn signed(octets: usize) -> isize {
    isize::try_from(octets).unwrap_or(isize::MAX)
}

// SAFETY: every call goes on to the system's allocator unchanged; counting touches a cell of this thread alone and
// allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Allocations of this thread while `work` ran, and what it held in octets more at the end.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, usize, isize) {
    let (before, held) = COUNT.with(Cell::get);
    let done = work();
    let (after, still) = COUNT.with(Cell::get);
    (done, after - before, still - held)
}
