//! Digests of JSON, whatever the order of its fields.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a record; 64 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a digest (want 64 hexadecimal digits)")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of a value.
    pub fn of(value: &Value) -> Self {
        let mut text = String::new();
        print(value, &mut text);
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

/// Adds `value` without blanks, the fields of objects in the order of their names.
fn print(value: &Value, text: &mut String) {
    let parted = |first: &mut bool, text: &mut String| {
        if !std::mem::take(first) {
            text.push(',');
        }
    };
    let mut first = true;
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                parted(&mut first, text);
                print(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                parted(&mut first, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                print(value, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|_| fits).ok_or(InvalidDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidDigest)?;
        }
        if fits { Ok(Self(bytes)) } else { Err(InvalidDigest) }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The form is settled: digests that were kept years ago still have to fit.
    #[test]
    fn the_digest_is_that_of_the_sorted_text() {
        let mut text = String::new();
        print(&json!({"b": [1, null, "x\n"], "a": {"d": 1.5, "c": true}}), &mut text);
        assert_eq!(text, r#"{"a":{"c":true,"d":1.5},"b":[1,null,"x\n"]}"#);
        let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(Digest::of(&json!({})).to_string(), empty);
    }

    proptest! {
        #[test]
        fn a_digest_reads_back_and_nothing_else_is_one(n: u64, text in "[0-9a-g]{62,66}") {
            let digest = Digest::of(&json!(n));
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            let fits = text.len() == 64 && !text.contains('g');
            prop_assert_eq!(text.parse::<Digest>().is_ok(), fits);
        }
    }
}
