//! JSON that callers attach to a workset, bounded so that a row stays a row.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::units::ByteSize;

/// The largest document, printed as compact JSON. A workset has two (metadata
/// and metrics), so its row stays well below DynamoDB's 400 KB.
pub const SIZE_MAX: ByteSize = ByteSize::kib(64);

/// The deepest nesting of objects and arrays in a document, itself included.
pub const DEPTH_MAX: usize = 16;

/// A JSON object of at most [`SIZE_MAX`] and [`DEPTH_MAX`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Document(Map<String, Value>);

/// What a workset holds: a [`Document`] whose `samples`, where given, is an
/// array of at least one.
///
/// The smallest registration (id, bucket, prefix) has no metadata and is
/// accepted. Metadata without samples is not: it says that there is nothing
/// to work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Metadata(Document);

/// Why JSON cannot be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It is an array, a text, a number, a boolean or null.
    #[error("it is not a JSON object (want `{{…}}`)")]
    NotAnObject,
    /// It is larger than [`SIZE_MAX`].
    #[error("it is {size} of JSON (want at most {SIZE_MAX}; put the rest under the workset's prefix)")]
    TooLarge {
        /// Its size as compact JSON.
        size: ByteSize,
    },
    /// It nests deeper than [`DEPTH_MAX`].
    #[error("it nests deeper than {DEPTH_MAX} levels (want a flatter object)")]
    TooDeep,
    /// `samples` is missing, empty or not an array.
    #[error("`samples` is not an array of at least one (name the samples, or leave `metadata` out)")]
    NoSamples,
}

impl Document {
    /// The object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl TryFrom<Value> for Document {
    type Error = InvalidDocument;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        if is_deeper(&value, DEPTH_MAX) {
            return Err(InvalidDocument::TooDeep);
        }
        let size = ByteSize(value.to_string().len() as u64);
        match value {
            Value::Object(_) if size > SIZE_MAX => Err(InvalidDocument::TooLarge { size }),
            Value::Object(map) => Ok(Self(map)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(InvalidDocument::NotAnObject)
            }
        }
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        Self::Object(document.0)
    }
}

impl Metadata {
    /// The samples. Never empty.
    pub fn samples(&self) -> &[Value] {
        self.0.0.get("samples").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The whole document.
    pub fn document(&self) -> &Document {
        &self.0
    }
}

impl TryFrom<Value> for Metadata {
    type Error = InvalidDocument;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let metadata = Self(value.try_into()?);
        if metadata.samples().is_empty() { Err(InvalidDocument::NoSamples) } else { Ok(metadata) }
    }
}

impl From<Metadata> for Value {
    fn from(metadata: Metadata) -> Self {
        metadata.0.into()
    }
}

/// Whether `value` nests containers deeper than `levels`. Looks no further
/// down than that, so the depth of the input cannot exhaust the stack.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return value.is_object() || value.is_array();
    };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        Value::Object(map) => map.values().any(|item| is_deeper(item, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
    }

    proptest! {
        /// Depth is refused one level beyond the bound and never before.
        #[test]
        fn depth_is_bounded(levels in 1..60_usize) {
            prop_assert_eq!(Document::try_from(nested(levels)).is_ok(), levels <= DEPTH_MAX);
        }

        /// Size is refused one byte beyond the bound and never before.
        #[test]
        fn size_is_bounded(over in -3..4_i64) {
            // `{"a":"…"}` is eight bytes around the text.
            let len = usize::try_from(65_536 - 8 + over).unwrap();
            prop_assert_eq!(Document::try_from(json!({ "a": "x".repeat(len) })).is_ok(), over <= 0);
        }
    }

    #[test]
    fn metadata_names_at_least_one_sample() {
        let refused = [json!({}), json!({"samples": []}), json!({"samples": "s1"}), json!({"samples": null})];
        for value in refused {
            assert_eq!(Metadata::try_from(value), Err(InvalidDocument::NoSamples));
        }
        assert_eq!(Metadata::try_from(json!({"samples": ["s1"]})).unwrap().samples().len(), 1);
    }

    #[test]
    fn only_objects_are_documents() {
        for value in [json!(null), json!([1]), json!("x"), json!(1), json!(true)] {
            assert_eq!(Document::try_from(value), Err(InvalidDocument::NotAnObject));
        }
    }
}
