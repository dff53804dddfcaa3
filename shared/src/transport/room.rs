//! The buffers of an upload: so many bytes and no more, used over and over.
//!
//! A buffer that comes back is warm and its pages are there; a new one of a part's size would be
//! mapped, zeroed and given back to the system for every part. And what is bounded here bounds the
//! upload: whoever reads waits until a block that was sent everywhere gives its buffer back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::units::ByteSize;

/// Blocks that a reading needs at least: one is filled while another is sent.
const BLOCKS_MIN: u64 = 2;

/// The buffers of all readings of an upload, which have its memory in equal shares.
#[derive(Debug)]
pub(super) struct Rooms {
    memory: ByteSize,
    rooms: Mutex<Vec<(Room, Reading)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    UnderWay,
    /// What was read may still be on its way.
    Ended,
}

impl Rooms {
    /// Buffers of `memory` bytes in all.
    pub(super) const fn of(memory: ByteSize) -> Self {
        Self { memory, rooms: Mutex::new(Vec::new()) }
    }

    /// Room for one more reading.
    pub(super) fn open(&self) -> Room {
        let room = Room::of(self.memory);
        lock(&self.rooms).push((room.clone(), Reading::UnderWay));
        self.share_out();
        room
    }

    /// The reading in `room` has ended.
    pub(super) fn close(&self, room: &Room) {
        for (open, reading) in lock(&self.rooms).iter_mut() {
            if Arc::ptr_eq(&open.0, &room.0) {
                *reading = Reading::Ended;
            }
        }
        self.share_out();
    }

    /// Shares the memory out anew among those that hold or will hold some of it.
    pub(super) fn share_out(&self) {
        let mut rooms = lock(&self.rooms);
        rooms.retain(|(room, reading)| *reading == Reading::UnderWay || room.is_in_use());
        let share = ByteSize(self.memory.0 / (rooms.len() as u64).max(1));
        rooms.iter().for_each(|(room, _)| room.limit_to(share));
    }
}

/// Buffers of a bounded number of bytes. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    back: Condvar,
}

#[derive(Debug)]
struct State {
    /// Buffers of one size that wait to be used again.
    idle: Vec<Box<[u8]>>,
    /// Bytes in all buffers, idle ones too.
    made: u64,
    /// Buffers that somebody holds.
    out: u64,
    /// Bytes that may be made, but for [`BLOCKS_MIN`] buffers.
    limit: u64,
    /// Whether somebody waits for a buffer to come back.
    waited_for: bool,
}

impl State {
    /// A buffer of `size` bytes, if there is one or room for it.
    fn take(&mut self, size: usize) -> Option<Box<[u8]>> {
        while self.made.saturating_add(size as u64) > self.limit
            && self.idle.last().is_some_and(|idle| idle.len() != size)
        {
            self.made -= self.idle.pop().map_or(0, |freed| freed.len() as u64);
        }
        let fits = self.made.saturating_add(size as u64) <= self.limit || self.out < BLOCKS_MIN;
        let taken = match self.idle.iter().rposition(|idle| idle.len() == size) {
            Some(place) => Some(self.idle.swap_remove(place)),
            None if fits => {
                self.made += size as u64;
                Some(vec![0; size].into_boxed_slice())
            }
            None => None,
        };
        self.out += u64::from(taken.is_some());
        taken
    }

    /// A buffer comes back; it is kept if it is within the limit.
    fn put_back(&mut self, bytes: Box<[u8]>) {
        self.out -= 1;
        if self.made > self.limit {
            self.made -= bytes.len() as u64;
        } else {
            self.idle.push(bytes);
        }
    }
}

impl Room {
    /// Room for blocks of `memory` bytes together, and for two blocks at least.
    pub(super) fn of(memory: ByteSize) -> Self {
        let state = State { idle: Vec::new(), made: 0, out: 0, limit: memory.0, waited_for: false };
        Self(Arc::new(Shared { state: Mutex::new(state), back: Condvar::new() }))
    }

    /// Room without an end, for whoever holds on to what it reads.
    pub(super) fn endless() -> Self {
        Self::of(ByteSize(u64::MAX))
    }

    /// Makes no more than `memory` bytes from now on. What is held beyond is freed when it comes back.
    pub(super) fn limit_to(&self, memory: ByteSize) {
        let mut state = self.0.lock();
        state.limit = memory.0;
        while state.made > state.limit {
            let Some(freed) = state.idle.pop() else { break };
            state.made -= freed.len() as u64;
        }
        drop(state);
        self.0.back.notify_all();
    }

    /// How many bytes it holds at most, of blocks that are not large.
    pub(super) fn limit(&self) -> ByteSize {
        ByteSize(self.0.lock().limit)
    }

    fn is_in_use(&self) -> bool {
        self.0.lock().out > 0
    }

    /// A buffer of `size` bytes; waits for one that comes back.
    pub(super) fn take(&self, size: usize) -> Buffer {
        let mut state = self.0.lock();
        loop {
            if let Some(bytes) = state.take(size) {
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
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer and how much of it is filled; goes back to its room when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    home: Arc<Shared>,
}

impl Buffer {
    /// Whether no more bytes fit in.
    pub(super) fn is_full(&self) -> bool {
        self.len == self.bytes.len()
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
        self.home.lock().put_back(std::mem::take(&mut self.bytes));
        self.home.back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// However sizes and limits change, no more is made than the limit, but for two blocks, and
        /// for what was held when the limit fell.
        #[test]
        fn no_more_is_held_than_the_limit(steps in vec((1..60_usize, 20..200_u64, any::<bool>()), 1..60)) {
            let (room, mut held): (_, Vec<Buffer>) = (Room::of(ByteSize(100)), Vec::new());
            for (size, limit, back) in steps {
                if back {
                    held.clear();
                    room.limit_to(ByteSize(limit));
                }
                let free = room.0.lock().limit >= held.iter().map(|b| b.bytes.len() as u64).sum::<u64>() + size as u64;
                if free || held.len() < 2 {
                    held.push(room.take(size));
                }
                let out: u64 = held.iter().map(|buffer| buffer.bytes.len() as u64).sum();
                let state = room.0.lock();
                prop_assert_eq!(state.made, out + state.idle.iter().map(|idle| idle.len() as u64).sum::<u64>());
                prop_assert!(state.made <= state.limit || held.len() <= 2, "{:?}", state);
            }
        }
    }

    #[test]
    fn a_buffer_that_comes_back_is_the_next_one() {
        let room = Room::of(ByteSize(25));
        let (first, second) = (room.take(10), room.take(10));
        let place = first.bytes.as_ptr();
        let waiting = room.clone();
        let taker = std::thread::spawn(move || waiting.take(10).bytes.as_ptr() as usize);
        while !room.is_waited_for() {
            std::thread::yield_now();
        }
        drop(first);
        assert_eq!(taker.join().unwrap(), place as usize);
        assert_eq!(second.len, 0);
        assert!(!room.is_waited_for());
    }

    #[test]
    fn there_is_room_for_two_blocks_however_large() {
        let room = Room::of(ByteSize(1));
        let both = (room.take(1 << 20), room.take(1 << 20));
        assert_eq!(both.0.bytes.len() + both.1.bytes.len(), 2 << 20);
        assert!(room.0.lock().take(1).is_none());
    }

    #[test]
    fn readings_share_the_memory_while_they_last() {
        let rooms = Rooms::of(ByteSize(100));
        let first = rooms.open();
        let held = first.take(10);
        let second = rooms.open();
        assert_eq!([first.limit(), second.limit()], [ByteSize(50); 2]);
        rooms.close(&first);
        assert_eq!(second.limit(), ByteSize(50), "the first reading's block is still on its way");
        drop(held);
        rooms.share_out();
        assert_eq!(second.limit(), ByteSize(100));
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
