//! Cutting a stream into blocks, each summed while its bytes are hot.

use std::{
    io::{self, Write},
    mem,
    ops::ControlFlow,
};

use bytes::Bytes;

use super::room::{Buffer, Room};
use crate::{
    checksum::{Checksum, Crc64, combine},
    units::ByteSize,
};

/// One piece of what is shipped: a part of a multipart upload, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Counted from 1.
    pub number: u32,
    /// Its bytes; empty only in the one block of an empty source.
    pub bytes: Bytes,
    /// Their checksum.
    pub checksum: Checksum,
    /// Whether no other follows.
    pub last: bool,
}

/// What a source turned out to be when it was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Bytes in all blocks together.
    pub size: ByteSize,
    /// Their checksum, combined from those of the blocks.
    pub checksum: Checksum,
    /// Files in it.
    pub files: u64,
}

/// Takes bytes and hands on blocks of one size; only the last may be shorter.
///
/// A full block is kept back until a further byte comes, so that the last one
/// is known when it is handed on.
#[derive(Debug)]
pub(super) struct Blocks<E> {
    emit: E,
    block_size: usize,
    room: Room,
    /// The block that is being filled, once it has a byte.
    filling: Option<Buffer>,
    sum: Crc64,
    number: u32,
    size: u64,
    whole: Checksum,
    stopped: bool,
}

impl<E: FnMut(Block) -> ControlFlow<()>> Blocks<E> {
    /// Blocks of `block_size` bytes, in buffers of `room`, from a stream of at most about `expected` bytes.
    pub(super) fn new(block_size: ByteSize, expected: ByteSize, room: Room, emit: E) -> Self {
        let bytes = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
        Self {
            emit,
            block_size: bytes(block_size).min(bytes(expected)).max(1),
            room,
            filling: None,
            sum: Crc64::new(),
            number: 0,
            size: 0,
            whole: Checksum::EMPTY,
            stopped: false,
        }
    }

    /// Whether the receiver wants no more.
    pub(super) const fn stopped(&self) -> bool {
        self.stopped
    }

    /// Where the next bytes go, at most `most` and at least one; a block that is full is handed on first.
    ///
    /// What is put there counts only once it is [`filled`](Self::filled).
    pub(super) fn space(&mut self, most: usize) -> io::Result<&mut [u8]> {
        if self.filling.as_ref().is_some_and(Buffer::is_full) {
            self.hand_on(false)?;
        }
        let (room, size) = (&self.room, self.block_size);
        Ok(self.filling.get_or_insert_with(|| room.take(size)).space(most))
    }

    /// Counts `n` bytes of the [`space`](Self::space), and sums them while they are hot.
    pub(super) fn filled(&mut self, n: usize) {
        if let Some(block) = &mut self.filling {
            self.sum.update(block.fill(n));
        }
    }

    /// Hands on the last block; `None` if the receiver wanted no more.
    pub(super) fn finish(mut self, files: u64) -> Option<Whole> {
        self.hand_on(true).ok()?;
        Some(Whole { size: ByteSize(self.size), checksum: self.whole, files })
    }

    fn hand_on(&mut self, last: bool) -> io::Result<()> {
        let bytes = self.filling.take().map(Bytes::from_owner).unwrap_or_default();
        let checksum = mem::take(&mut self.sum).finish();
        let len = bytes.len() as u64;
        self.whole = combine(self.whole, checksum, len);
        self.size += len;
        self.number += 1;
        if (self.emit)(Block { number: self.number, bytes, checksum, last }).is_break() {
            self.stopped = true;
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes the blocks any more"));
        }
        Ok(())
    }
}

impl<E: FnMut(Block) -> ControlFlow<()>> Write for Blocks<E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let space = self.space(bytes.len())?;
        let taken = space.len();
        space.copy_from_slice(&bytes[..taken]);
        self.filled(taken);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn cut(block_size: u64, writes: &[Vec<u8>]) -> (Vec<Block>, Whole) {
        let mut taken = Vec::new();
        let mut blocks = Blocks::new(ByteSize(block_size), ByteSize(10_000), Room::endless(), |block| {
            taken.push(block);
            ControlFlow::Continue(())
        });
        for bytes in writes {
            blocks.write_all(bytes).unwrap();
        }
        let whole = blocks.finish(1).unwrap();
        (taken, whole)
    }

    proptest! {
        /// However bytes arrive, the blocks lie end to end, are full but for the last, say
        /// which is the last, and sum to the whole.
        #[test]
        fn blocks_tile_the_stream(block_size in 1..40_u64, writes in vec(vec(any::<u8>(), 0..90), 0..8)) {
            let (blocks, whole) = cut(block_size, &writes);
            let stream = writes.concat();
            let joined: Vec<u8> = blocks.iter().flat_map(|b| b.bytes.iter().copied()).collect();
            prop_assert_eq!(&joined, &stream);
            prop_assert_eq!(whole, Whole { size: ByteSize(stream.len() as u64), checksum: Checksum::of(&stream), files: 1 });
            let (last, full) = blocks.split_last().unwrap();
            prop_assert!(full.iter().all(|b| b.bytes.len() as u64 == block_size && !b.last));
            prop_assert!(last.last && (!last.bytes.is_empty() || stream.is_empty()));
            for (i, block) in blocks.iter().enumerate() {
                prop_assert_eq!(block.number as usize, i + 1);
                prop_assert_eq!(block.checksum, Checksum::of(&block.bytes));
            }
        }
    }

    #[test]
    fn a_receiver_that_wants_no_more_stops_the_stream() {
        let mut blocks = Blocks::new(ByteSize(2), ByteSize(9), Room::endless(), |_| ControlFlow::Break(()));
        assert!(blocks.write_all(b"abc").is_err());
        assert!(blocks.stopped());
        assert!(blocks.finish(1).is_none());
    }
}
