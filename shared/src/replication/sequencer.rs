//! The order of two events of one key.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest sequencer that is accepted, in digits.
const LEN_MAX: usize = 256;

/// The place of an S3 event among those of the same key: the greater, the later.
///
/// Sequencers differ in length and are compared after padding the shorter with zeros on
/// the right. Kept without its trailing zeros and in one case, so that text
/// order is that order. Of two keys it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequencer(String);

/// The text is not a sequencer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sequencer (want 1 to 256 hexadecimal digits)")]
pub struct InvalidSequencer(String);

impl FromStr for Sequencer {
    type Err = InvalidSequencer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > LEN_MAX || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidSequencer(
                text.chars().take(LEN_MAX).collect::<String>().escape_debug().to_string(),
            ));
        }
        Ok(Self(text.trim_end_matches('0').to_ascii_uppercase()))
    }
}

impl TryFrom<String> for Sequencer {
    type Error = InvalidSequencer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The sequencer of zeros alone is kept as nothing at all.
        if text.is_empty() { Ok(Self(text)) } else { text.parse() }
    }
}

impl From<Sequencer> for String {
    fn from(sequencer: Sequencer) -> Self {
        sequencer.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The order is that of the texts padded with zeros, whatever their case and length.
        #[test]
        fn order_is_that_of_the_padded_text(a in "[0-9a-fA-F]{1,20}|[01aA]{1,3}0{0,3}", b in "[0-9a-fA-F]{1,20}|[01aA]{1,3}0{0,3}") {
            let padded = |s: &str| format!("{s:0<20}").to_ascii_uppercase();
            let (x, y): (Sequencer, Sequencer) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(x.cmp(&y), padded(&a).cmp(&padded(&b)));
        }

        /// Odd text is refused, and what is kept in a row reads back.
        #[test]
        fn sequencers_round_trip(text in "[0-9a-fA-F]{1,20}|\\PC{0,20}") {
            if let Ok(sequencer) = text.parse::<Sequencer>() {
                let json = serde_json::to_string(&sequencer).unwrap();
                prop_assert_eq!(serde_json::from_str::<Sequencer>(&json).unwrap(), sequencer);
            }
        }
    }
}
