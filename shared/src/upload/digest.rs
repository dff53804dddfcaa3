//! The SHA-256 of what is shipped, for those who compare with what other tools say.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Metadata of a copy that says the SHA-256 of its bytes.
pub const META_SHA256: &str = "sealane-sha256";

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// The text is no SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 (want 64 hexadecimal digits)")]
pub struct InvalidSha256(String);

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = InvalidSha256;

    fn try_from(text: String) -> Result<Self, InvalidSha256> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(InvalidSha256(text))?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

impl From<Sha256> for String {
    fn from(sum: Sha256) -> Self {
        sum.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is written is read back, in whichever case.
        #[test]
        fn a_sum_reads_back(bytes: [u8; 32]) {
            let sum = Sha256::from(bytes);
            prop_assert_eq!(Sha256::try_from(sum.to_string()), Ok(sum));
            prop_assert_eq!(Sha256::try_from(sum.to_string().to_uppercase()), Ok(sum));
        }

        /// Nothing else is a sum.
        #[test]
        fn other_texts_are_refused(text in "[0-9a-g]{0,63}|[g-z]{64}|\\PC{65,70}") {
            prop_assert!(Sha256::try_from(text).is_err());
        }
    }
}
