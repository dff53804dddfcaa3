//! The parts of an object as their sender promised them: how long each is, and its CRC64NVME.
//!
//! What was promised is signed into each URL and compared with what the store has. A row holds
//! ten thousand parts in less than 260 KB: sizes in runs, checksums as one text.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    checksum::{Checksum, combine},
    ports,
    units::ByteSize,
    upload::{OBJECT_MAX, PART_MAX, PART_MIN, PARTS_MAX},
};

/// One promised part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub size: ByteSize,
    /// Their checksum.
    pub checksum: Checksum,
}

/// All parts of an object, in order; at least one, within the limits of S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
pub struct Pieces(Vec<Piece>);

/// The parts cannot be those of one object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPieces {
    /// There is none, or there are too many.
    #[error("`parts` has {0} entries (want 1 to {PARTS_MAX}; make the parts larger if there are more)")]
    Count(usize),
    /// A part before the last is too small, or one is too large.
    #[error("`parts[{place}].size_bytes` is {size} (want {least} to {most}; only the last may be smaller)", size = .size.0, least = PART_MIN.0, most = PART_MAX.0)]
    Size {
        /// Its place, from 0.
        place: usize,
        /// Its size.
        size: ByteSize,
    },
    /// The last part of several is empty.
    #[error("`parts[{0}].size_bytes` is 0 (leave the part out; only an empty object has an empty part)")]
    Empty(usize),
    /// The object is larger than S3 keeps.
    #[error("the parts have {size} bytes in all (want at most {most}; ship several objects)", size = .0.0, most = OBJECT_MAX.0)]
    Object(ByteSize),
    /// What was kept is no list of parts.
    #[error("the kept parts are not readable: {0} sizes for {1} bytes of checksums")]
    Kept(u64, usize),
}

impl Pieces {
    /// The parts of one object.
    ///
    /// # Errors
    /// When S3 would not join them.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, InvalidPieces> {
        let count = pieces.len();
        if count == 0 || count as u64 > PARTS_MAX {
            return Err(InvalidPieces::Count(count));
        }
        for (place, Piece { size, .. }) in pieces.iter().enumerate() {
            let is_last = place + 1 == count;
            if *size > PART_MAX || !is_last && *size < PART_MIN {
                return Err(InvalidPieces::Size { place, size: *size });
            }
            if is_last && count > 1 && size.0 == 0 {
                return Err(InvalidPieces::Empty(place));
            }
        }
        let made = Self(pieces);
        let size = made.size();
        if size > OBJECT_MAX { Err(InvalidPieces::Object(size)) } else { Ok(made) }
    }

    /// How many there are, which is the number of the last.
    pub fn count(&self) -> u32 {
        // `new` keeps the count within PARTS_MAX.
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The part of this number, counted from 1.
    pub fn get(&self, number: u32) -> Option<Piece> {
        self.0.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }

    /// The size of the object.
    pub fn size(&self) -> ByteSize {
        ByteSize(self.0.iter().map(|piece| piece.size.0).sum())
    }

    /// The checksum of the object, from those of its parts.
    pub fn checksum(&self) -> Checksum {
        let join = |whole, piece: &Piece| combine(whole, piece.checksum, piece.size.0);
        self.0.iter().fold(Checksum::EMPTY, join)
    }

    /// The parts to join, with the tags of the store, if it has all as they were promised.
    ///
    /// # Errors
    /// The numbers of those that it lacks, or has otherwise. A checksum that the store does not tell
    /// is left to the one of the whole.
    pub fn joined(&self, stored: &[ports::Part]) -> Result<Vec<ports::Part>, Spans> {
        let mut lacking = Spans::default();
        let mut joined = Vec::with_capacity(self.0.len());
        let mut found = stored.iter().peekable();
        for (number, piece) in (1..).zip(&self.0) {
            while found.next_if(|part| part.number < number).is_some() {}
            let is_it = |part: &&ports::Part| {
                part.number == number
                    && part.size_bytes == piece.size.0
                    && part.checksum.is_none_or(|sum| sum == piece.checksum)
            };
            match found.peek().copied().filter(is_it) {
                Some(part) => joined.push(ports::Part { checksum: Some(piece.checksum), ..part.clone() }),
                None => lacking.push(number),
            }
        }
        if lacking.is_empty() { Ok(joined) } else { Err(lacking) }
    }
}

/// Numbers of parts in runs, each from its first to its last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(Vec<(u32, u32)>);

impl Spans {
    /// Runs that are printed; of more it is said that there are more.
    const SHOWN_MAX: usize = 8;

    /// Adds a number above all before.
    pub fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => self.0.push((number, number)),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for Spans {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut spans = Self::default();
        numbers.into_iter().for_each(|number| spans.push(number));
        spans
    }
}

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().take(Self::SHOWN_MAX).enumerate() {
            let joint = if i == 0 { "" } else { ", " };
            match first == last {
                true => write!(f, "{joint}{first}")?,
                false => write!(f, "{joint}{first}-{last}")?,
            }
        }
        let more = self.0.len().saturating_sub(Self::SHOWN_MAX);
        if more > 0 { write!(f, " and {more} runs more") } else { Ok(()) }
    }
}

/// The parts as a row holds them.
#[derive(Serialize, Deserialize)]
struct Packed {
    /// How many parts in a row have which size.
    sizes: Vec<(u32, ByteSize)>,
    /// The checksums one after the other, 8 bytes each, in base64.
    sums: String,
}

impl From<Pieces> for Packed {
    fn from(pieces: Pieces) -> Self {
        let mut sizes: Vec<(u32, ByteSize)> = Vec::new();
        for piece in &pieces.0 {
            match sizes.last_mut() {
                Some((count, size)) if *size == piece.size => *count += 1,
                Some(_) | None => sizes.push((1, piece.size)),
            }
        }
        let sums: Vec<u8> = pieces.0.iter().flat_map(|piece| piece.checksum.as_u64().to_be_bytes()).collect();
        Self { sizes, sums: STANDARD.encode(sums) }
    }
}

impl TryFrom<Packed> for Pieces {
    type Error = InvalidPieces;

    fn try_from(packed: Packed) -> Result<Self, InvalidPieces> {
        let count = packed.sizes.iter().map(|(count, _)| u64::from(*count)).sum();
        let sums = STANDARD.decode(&packed.sums).unwrap_or_default();
        let (eights, rest) = sums.as_chunks::<8>();
        if count != eights.len() as u64 || !rest.is_empty() {
            return Err(InvalidPieces::Kept(count, sums.len()));
        }
        let sizes = packed.sizes.iter().flat_map(|(count, size)| (0..*count).map(|_| *size));
        let sums = eights.iter().map(|eight| Checksum::from_u64(u64::from_be_bytes(*eight)));
        Self::new(sizes.zip(sums).map(|(size, checksum)| Piece { size, checksum }).collect())
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
