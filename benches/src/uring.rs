//! The barest io_uring forwarder: multishot receives into provided buffers, sends without completions from the same
//! buffers, and waits that gather completions. No look at the packets at all.
#![allow(unsafe_code)] // io_uring takes addresses of buffers.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use io_uring::types::{BufRingEntry, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

/// Receive buffers, a power of two: enough for a burst from every socket of 2,000 pairs.
const BUFFERS: u16 = 8192;

/// Length of a buffer; an RTP packet fits.
const LENGTH: usize = 256;

/// Completions that a wait gathers.
const GATHER: usize = 256;

/// How long a wait gathers, in nanoseconds: for the least cost, and for a delay of half a millisecond at most.
pub(crate) const PATIENT: u32 = 500_000;
pub(crate) const PROMPT: u32 = 200_000;

/// How long it waits for the first packet after a pause: it costs others nothing while it has nothing to do.
const IDLE_NANOSECONDS: u32 = 100_000_000;

/// Tells sends apart from receives, should one of them fail.
const SEND: u64 = 1 << 63;

/// Receive buffers and the ring that offers them to the kernel.
struct Buffers {
    ring: memmap2::MmapMut,
    bytes: Vec<u8>,
    tail: u16,
}

impl Buffers {
    fn new() -> io::Result<Self> {
        let ring = memmap2::MmapMut::map_anon(usize::from(BUFFERS) * size_of::<BufRingEntry>())?;
        Ok(Self { ring, bytes: vec![0; usize::from(BUFFERS) * LENGTH], tail: 0 })
    }

    const fn address(&self, buffer: u16) -> *const u8 {
        // SAFETY: buffer numbers come from `give`, all below BUFFERS, so the address is within `bytes`.
        unsafe { self.bytes.as_ptr().add(buffer as usize * LENGTH) }
    }

    /// Offers a buffer; seen by the kernel after `publish`.
    fn give(&mut self, buffer: u16) {
        let place = usize::from(self.tail & (BUFFERS - 1));
        let address = self.address(buffer) as u64;
        let base: *mut BufRingEntry = self.ring.as_mut_ptr().cast();
        // SAFETY: the mapping is page-aligned and holds BUFFERS entries; `place` is below that.
        let entry = unsafe { &mut *base.add(place) };
        entry.set_addr(address);
        entry.set_len(u32::try_from(LENGTH).unwrap_or(0));
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies within the first entry, which lives as long as the mapping; both sides use it
        // atomically.
        unsafe {
            let tail = BufRingEntry::tail(self.ring.as_ptr().cast()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

fn receive(socket: u32) -> squeue::Entry {
    opcode::RecvMulti::new(Fixed(socket), 0).build().user_data(u64::from(socket))
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: receives name no memory of ours but the provided buffers, sends a buffer that is given back only
    // after it was sent; all of them outlive the ring's use.
    while unsafe { ring.submission().push(entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// Forwards between neighbors in `sockets` (0 and 1, 2 and 3, ...) until `duration` is over.
pub(crate) fn forward(sockets: &[OwnedFd], patience: u32, duration: Duration) -> io::Result<()> {
    let mut buffers = Buffers::new()?;
    let mut ring: IoUring =
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_cqsize(16_384).build(4096)?;
    let files: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&files)?;
    (0..BUFFERS).for_each(|buffer| buffers.give(buffer));
    buffers.publish();
    // SAFETY: the mapping holds BUFFERS entries and outlives the ring.
    unsafe {
        ring.submitter().register_buf_ring_with_flags(buffers.ring.as_ptr() as u64, BUFFERS, 0, 0)?;
    }
    for socket in 0..u32::try_from(sockets.len()).unwrap_or(0) {
        push(&mut ring, &receive(socket))?;
    }
    let patience = Timespec::new().nsec(patience);
    let end = Instant::now() + duration;
    let mut used = Vec::with_capacity(usize::from(BUFFERS));
    let mut batch: Vec<cqueue::Entry> = Vec::with_capacity(usize::from(BUFFERS));
    let idle = Timespec::new().nsec(IDLE_NANOSECONDS);
    let mut rests = true;
    while Instant::now() < end {
        let (wanted, patience) = if rests { (1, &idle) } else { (GATHER, &patience) };
        match ring.submitter().submit_with_args(wanted, &SubmitArgs::new().timespec(patience)) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
            Err(error) => return Err(error),
        }
        // What was submitted has been sent; its buffers can take packets again.
        used.drain(..).for_each(|buffer| buffers.give(buffer));
        buffers.publish();
        batch.extend(ring.completion());
        rests = batch.is_empty();
        for completion in batch.drain(..) {
            serve(&mut ring, &buffers, &completion, &mut used)?;
        }
    }
    Ok(())
}

/// Sends on what was received, and receives again where the kernel has stopped to.
fn serve(
    ring: &mut IoUring,
    buffers: &Buffers,
    completion: &cqueue::Entry,
    used: &mut Vec<u16>,
) -> io::Result<()> {
    if completion.user_data() & SEND != 0 {
        return Ok(());
    }
    let socket = u32::try_from(completion.user_data()).unwrap_or(0);
    if let (Some(buffer), Ok(length)) =
        (cqueue::buffer_select(completion.flags()), u32::try_from(completion.result()))
    {
        let send = opcode::Send::new(Fixed(socket ^ 1), buffers.address(buffer), length)
            .flags(libc::MSG_DONTWAIT)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(SEND);
        push(ring, &send)?;
        used.push(buffer);
    }
    if !cqueue::more(completion.flags()) {
        push(ring, &receive(socket))?;
    }
    Ok(())
}
