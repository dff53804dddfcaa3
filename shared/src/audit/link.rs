//! What ties a record to the one before it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::Digest;

/// The field of a record that holds its link.
const CHAIN: &str = "chain";

/// What ties a record to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The digest of the record before; `None` for the first, and for the first after records
    /// without links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
    /// The digest of what the write left behind, where there is such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// The digest of the record itself, this field left out.
    pub hash: Digest,
}

impl Link {
    /// The link of `record` to the one of digest `prev`. A link that the record has already counts
    /// for nothing.
    ///
    /// # Errors
    /// When the record is not JSON.
    pub fn of<T: Serialize>(
        record: &T,
        prev: Option<Digest>,
        content: Option<Digest>,
    ) -> Result<Self, serde_json::Error> {
        let mut raw = as_read(record)?;
        let fields = [("prev", prev), ("content", content)];
        let chain: Value = fields.iter().filter_map(|(name, d)| Some((*name, json!((*d)?)))).collect();
        if let Some(object) = raw.as_object_mut() {
            object.insert(CHAIN.to_owned(), chain);
        }
        Ok(Self { prev, content, hash: Digest::of(&raw) })
    }

    /// The link in a record as it was read; `None` if it has none.
    pub(super) fn read(raw: &Value) -> Option<Self> {
        serde_json::from_value(raw.get(CHAIN)?.clone()).ok()
    }

    /// The digest that a record as it was read has to have.
    pub(super) fn hash_of(raw: &Value) -> Digest {
        let mut raw = raw.clone();
        if let Some(chain) = raw.get_mut(CHAIN).and_then(Value::as_object_mut) {
            chain.remove("hash");
        }
        Digest::of(&raw)
    }
}

/// The digest of what a write leaves behind.
///
/// # Errors
/// When it is not JSON.
pub fn content<T: Serialize>(left: &T) -> Result<Digest, serde_json::Error> {
    as_read(left).map(|value| Digest::of(&value))
}

/// `value` as a reader of its row gets it. Printing and parsing may change the last digit of a number.
fn as_read<T: Serialize>(value: &T) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(value)?)
}
