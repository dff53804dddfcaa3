//! CRC64NVME: the one checksum that every copy of an object is judged by.
//!
//! S3 keeps it for the whole object however the object was cut into parts, so
//! it compares across regions and part sizes, which an ETag does not. It finds
//! damage, not malice: who needs proof against an attacker adds SHA-256.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm::Crc64Nvme, Digest};
use serde::{Deserialize, Serialize};

/// A finished CRC64NVME, printed as S3 prints it: base64 of 8 big-endian bytes.
///
/// ```
/// use sealane::checksum::Checksum;
///
/// let sum = Checksum::of(b"123456789");
/// assert_eq!(sum.as_u64(), 0xAE8B_1486_0A79_9888);
/// assert_eq!(sum.to_string(), "rosUhgp5mIg=");
/// assert_eq!("rosUhgp5mIg=".parse(), Ok(sum));
/// // A composite checksum depends on part boundaries and is no value of this type.
/// assert!("rosUhgp5mIg=-3".parse::<Checksum>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(u64);

/// The text is not a full-object CRC64NVME.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a CRC64NVME (want base64 of 8 bytes, as in `rosUhgp5mIg=`)")]
pub struct InvalidChecksum(String);

impl Checksum {
    /// The checksum of no bytes at all.
    pub const EMPTY: Self = Self(0);

    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc_fast::checksum(Crc64Nvme, bytes))
    }

    /// The value with this number.
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The value as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The checksum of `a` followed by `b`, from their checksums and the length of `b` alone.
pub fn combine(a: Checksum, b: Checksum, len_b: u64) -> Checksum {
    if len_b == 0 {
        return a;
    }
    Checksum(crc_fast::checksum_combine(Crc64Nvme, a.0, b.0, len_b))
}

impl FromStr for Checksum {
    type Err = InvalidChecksum;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || InvalidChecksum(text.to_owned());
        let bytes = STANDARD.decode(text).map_err(|_| refuse())?;
        <[u8; 8]>::try_from(bytes).map(|b| Self(u64::from_be_bytes(b))).map_err(|_| refuse())
    }
}

impl TryFrom<String> for Checksum {
    type Error = InvalidChecksum;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(sum: Checksum) -> Self {
        sum.to_string()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0.to_be_bytes()))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A checksum in the making, fed as the bytes come by.
#[derive(Debug, Clone, Copy)]
pub struct Crc64(Digest);

impl Crc64 {
    /// Nothing read so far.
    pub fn new() -> Self {
        Self(Digest::new(Crc64Nvme))
    }

    /// Reads on.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Bytes read so far.
    pub fn len(&self) -> u64 {
        self.0.get_amount()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checksum of what was read so far.
    pub fn finish(&self) -> Checksum {
        Checksum(self.0.finalize())
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// Wherever the bytes are cut, the parts combine to the whole, and streaming agrees.
        #[test]
        fn any_split_combines_to_the_whole(parts in vec(vec(any::<u8>(), 0..2_000), 0..8)) {
            let whole = parts.concat();
            let mut stream = Crc64::new();
            let mut combined = Checksum::EMPTY;
            for part in &parts {
                stream.update(part);
                combined = combine(combined, Checksum::of(part), part.len() as u64);
            }
            prop_assert_eq!(combined, Checksum::of(&whole));
            prop_assert_eq!(stream.finish(), combined);
            prop_assert_eq!(stream.len(), whole.len() as u64);
        }

        /// One flipped bit anywhere is seen.
        #[test]
        fn a_flipped_bit_changes_the_checksum(mut bytes in vec(any::<u8>(), 1..3_000), at: prop::sample::Index, bit in 0..8_u32) {
            let before = Checksum::of(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Checksum::of(&bytes), before);
        }

        /// What is printed parses back, also through JSON.
        #[test]
        fn printed_checksums_parse_back(value: u64) {
            let sum = Checksum::from_u64(value);
            prop_assert_eq!(sum.to_string().parse(), Ok(sum));
            let json = serde_json::to_string(&sum).unwrap();
            prop_assert_eq!(serde_json::from_str::<Checksum>(&json).unwrap(), sum);
        }

        /// No text makes the parser panic, and what it takes is what it would print.
        #[test]
        fn odd_text_is_refused(text in "\\PC{0,24}") {
            if let Ok(sum) = text.parse::<Checksum>() {
                prop_assert_eq!(sum.to_string(), text);
            }
        }
    }

    #[test]
    fn nothing_has_the_checksum_of_nothing() {
        assert_eq!(Checksum::of(b""), Checksum::EMPTY);
        assert_eq!(Crc64::new().finish(), Checksum::EMPTY);
    }
}
