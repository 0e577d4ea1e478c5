//! Where the memory lies that a packet will need.
//!
//! With thousands of pairs next to nothing of it is in the processor's nearer caches, and a packet that waits for each piece
//! of it in turn waits longer than it is worked on. Who knows which packets come next can have it fetched while others are
//! served. These are addresses to be fetched and nothing else: nobody reads through them.

use core::ptr::from_ref;

use crate::action::Socket;
use crate::core::Core;
use crate::path::Path;
use crate::table::LINE;

impl<P: Path> Core<P> {
    /// A port's own entry, which [`Core::memory_of`] reads.
    #[inline]
    #[must_use]
    pub fn entry_of(&self, socket: Socket) -> Option<*const u8> {
        self.sockets.entry(socket).map(<*const _>::cast)
    }

    /// The lines of the cache that forwarding a packet from this socket takes; `None` if it has no leg.
    #[inline]
    #[must_use]
    pub fn memory_of(&self, socket: Socket) -> Option<[*const u8; 6]> {
        let name = self.sockets.user(socket).ok()?;
        let slot = &self.table.slots[name as usize / 2];
        let [speaker, listener] =
            [0, 1].map(|other| from_ref(&slot.legs[(name as usize % 2) ^ other]).cast::<u8>());
        Some([
            speaker.wrapping_add(LINE),
            speaker.wrapping_add(2 * LINE),
            speaker.wrapping_add(3 * LINE),
            from_ref(&slot.recordings).cast(),
            listener,
            listener.wrapping_add(LINE),
        ])
    }
}
