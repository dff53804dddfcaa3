//! The buffers of an upload: so many and no more, used over and over.
//!
//! A buffer that comes back is warm and its pages are there; a new one of a part's size would be
//! mapped, zeroed and given back to the system for every part. And what is bounded here bounds the
//! upload: whoever reads waits until a block that was sent everywhere gives its buffer back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::units::ByteSize;

/// Blocks that an upload needs at least: one is filled while another is sent.
const BLOCKS_MIN: u64 = 2;

/// A bounded number of buffers. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    back: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<Box<[u8]>>,
    /// Buffers that may still be made.
    unmade: u64,
    /// Whether somebody waits for a buffer to come back.
    waited_for: bool,
}

impl Room {
    /// Room for as many blocks of `block_size` as `memory` holds, and for two at least.
    pub(super) fn of(memory: ByteSize, block_size: ByteSize) -> Self {
        let unmade = (memory.0 / block_size.0.max(1)).max(BLOCKS_MIN);
        let state = Mutex::new(State { idle: Vec::new(), unmade, waited_for: false });
        Self(Arc::new(Shared { state, back: Condvar::new() }))
    }

    /// Room without an end, for whoever holds on to what it reads.
    pub(super) fn endless() -> Self {
        Self::of(ByteSize(u64::MAX), ByteSize(1))
    }

    /// A buffer of `size` bytes, which is the same each time; waits for one that comes back.
    pub(super) fn take(&self, size: usize) -> Buffer {
        let mut state = self.0.lock();
        loop {
            if let Some(bytes) = state.idle.pop() {
                return Buffer { bytes, len: 0, home: Arc::clone(&self.0) };
            }
            if state.unmade > 0 {
                state.unmade -= 1;
                drop(state);
                let bytes = vec![0; size].into_boxed_slice();
                return Buffer { bytes, len: 0, home: Arc::clone(&self.0) };
            }
            state.waited_for = true;
            state = self.0.back.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waited_for = false;
        }
    }

    /// Whether nothing is read because every buffer is held, and not because reading takes its time.
    pub(super) fn is_waited_for(&self) -> bool {
        self.0.lock().waited_for
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer and how much of it is filled; goes back to its room when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    home: Arc<Shared>,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The next `most` bytes that are not filled, or as many as there are.
    pub(super) fn space(&mut self, most: usize) -> &mut [u8] {
        let end = self.bytes.len().min(self.len.saturating_add(most));
        &mut self.bytes[self.len..end]
    }

    /// Counts `n` more bytes as filled and gives them back to look at.
    pub(super) fn fill(&mut self, n: usize) -> &[u8] {
        let from = self.len;
        self.len = self.bytes.len().min(from + n);
        &self.bytes[from..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.lock().idle.push(std::mem::take(&mut self.bytes));
        self.home.back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_comes_back_is_the_next_one() {
        let room = Room::of(ByteSize(25), ByteSize(10));
        let (first, second) = (room.take(10), room.take(10));
        let place = first.bytes.as_ptr();
        let waiting = room.clone();
        let taker = std::thread::spawn(move || waiting.take(10).bytes.as_ptr() as usize);
        while !room.is_waited_for() {
            std::thread::yield_now();
        }
        drop(first);
        assert_eq!(taker.join().unwrap(), place as usize);
        assert_eq!(second.len(), 0);
        assert!(!room.is_waited_for());
    }

    #[test]
    fn there_is_room_for_two_blocks_however_large() {
        let room = Room::of(ByteSize(1), ByteSize(1 << 20));
        let both = (room.take(1 << 20), room.take(1 << 20));
        assert_eq!(both.0.bytes.len() + both.1.bytes.len(), 2 << 20);
        assert_eq!(room.0.lock().unmade, 0);
    }

    #[test]
    fn only_what_is_filled_is_given() {
        let mut buffer = Room::endless().take(4);
        buffer.space(3).copy_from_slice(b"abc");
        assert_eq!(buffer.fill(2), b"ab");
        assert_eq!(buffer.space(9).len(), 2);
        assert_eq!(buffer.as_ref(), b"ab");
    }
}
