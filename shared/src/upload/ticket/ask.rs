//! From what a caller sent to an upload that can be begun.
//!
//! All problems are reported at once, each with the remedy, so that a caller mends a request in one
//! round. The key that was sent is put below the tenant's own prefix: no caller can name another's.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidPieces, Piece, Pieces};
use crate::{
    checksum::Checksum,
    region::RegionName,
    units::ByteSize,
    upload::{ObjectKey, StorageClass},
    workset::{Problem, Tenant},
};

/// Most residency tags of one request.
const TAGS_MAX: usize = 16;

/// An upload, as sent: nothing in it is trusted yet.
///
/// `{"key": "run-0042.tar.zst", "size_bytes": 9, "parts": [{"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="}]}`
/// is enough; the rest has defaults. The tenant is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// The name of the object below the tenant's prefix.
    pub key: Option<String>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// Its parts, in order.
    pub parts: Vec<AskedPart>,
    /// Its media type.
    pub content_type: Option<String>,
    /// In which storage class S3 keeps it.
    pub storage_class: Option<String>,
    /// How many regions shall hold it in the end; as many as the configuration says, if not said.
    pub copies: Option<usize>,
    /// Tags that every region which holds it must have.
    pub residency: Vec<String>,
    /// The region that the bytes are sent from, for `cost`.
    pub data_in: Option<String>,
}

/// One part, as sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedPart {
    /// Its bytes.
    pub size_bytes: u64,
    /// Their CRC64NVME in base64.
    pub crc64nvme: String,
}

/// An upload that may be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The key of the object in every region.
    pub key: ObjectKey,
    /// Its parts.
    pub pieces: Pieces,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// In which storage class S3 keeps it; `None`: the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
    /// How many regions shall hold it; `None`: as many as the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<usize>,
    /// Tags that every region which holds it must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residency: Vec<String>,
    /// The region that the bytes are sent from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_in: Option<RegionName>,
}

impl Ask {
    /// The upload that is asked for, with its key below `tenant`.
    ///
    /// # Errors
    /// Every problem of the request.
    pub fn read(self, tenant: &Tenant) -> Result<Wanted, Vec<Problem>> {
        let mut problems = Vec::new();
        let key = self.key.as_deref().map_or_else(
            || Err("it is missing (add the name of the object, as in `run-0042.tar.zst`)".to_owned()),
            |name| below(tenant, name),
        );
        let key = kept("key", key, &mut problems);
        let pieces = kept("parts", pieces(&self.parts), &mut problems);
        if let Some(problem) = pieces.as_ref().and_then(|pieces| size_differs(self.size_bytes, pieces.size()))
        {
            problems.push(Problem { field: "size_bytes", problem });
        }
        let content_type = self.content_type.map(media_type).transpose();
        let content_type = kept("content_type", content_type, &mut problems);
        let storage_class = kept("storage_class", parsed(self.storage_class.as_deref()), &mut problems);
        let data_in = kept("data_in", parsed(self.data_in.as_deref()), &mut problems);
        if self.copies == Some(0) {
            problems.push(Problem { field: "copies", problem: "it is 0 (want at least 1)".to_owned() });
        }
        if self.residency.len() > TAGS_MAX
            || self.residency.iter().any(|tag| !(1..=64).contains(&tag.chars().count()))
        {
            let problem = format!("want at most {TAGS_MAX} tags of 1 to 64 characters, as in `eu`");
            problems.push(Problem { field: "residency", problem });
        }
        match (key, pieces, content_type, storage_class, data_in) {
            (Some(key), Some(pieces), Some(content_type), Some(storage_class), Some(data_in))
                if problems.is_empty() =>
            {
                let (copies, residency) = (self.copies, self.residency);
                Ok(Wanted { key, pieces, content_type, storage_class, copies, residency, data_in })
            }
            _ => Err(problems),
        }
    }
}

fn kept<T>(field: &'static str, read: Result<T, String>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|problem| problems.push(Problem { field, problem })).ok()
}

fn parsed<T: FromStr<Err: ToString>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| text.parse().map_err(|error: T::Err| error.to_string())).transpose()
}

/// The key `name` of `tenant`. Both have to be keys: what is no name by itself is none below a prefix.
fn below(tenant: &Tenant, name: &str) -> Result<ObjectKey, String> {
    let name: ObjectKey = name.parse().map_err(|error: crate::upload::InvalidKey| error.to_string())?;
    format!("{tenant}/{name}").parse().map_err(|error: crate::upload::InvalidKey| error.to_string())
}

fn pieces(parts: &[AskedPart]) -> Result<Pieces, String> {
    let piece = |(place, part): (usize, &AskedPart)| {
        let checksum: Result<Checksum, _> = part.crc64nvme.chars().take(40).collect::<String>().parse();
        let checksum = checksum.map_err(|error| format!("`parts[{place}].crc64nvme`: {error}"))?;
        Ok(Piece { size: ByteSize(part.size_bytes), checksum })
    };
    let pieces = parts.iter().enumerate().map(piece).collect::<Result<_, String>>()?;
    Pieces::new(pieces).map_err(|error: InvalidPieces| error.to_string())
}

fn size_differs(said: Option<u64>, found: ByteSize) -> Option<String> {
    match said {
        None => Some("it is missing (add the size of the object in bytes)".to_owned()),
        Some(said) if said == found.0 => None,
        Some(said) => Some(format!("it is {said}, and the parts have {} bytes (mend one of both)", found.0)),
    }
}

/// A media type that is safe in a header: `type/subtype`, with parameters or without.
fn media_type(text: String) -> Result<String, String> {
    let sane = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && text.len() <= 256;
    let halves = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if halves && sane(&text) && text.trim() == text {
        return Ok(text);
    }
    Err("it is no media type (want up to 256 ASCII characters, as in `application/zstd`)".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant() -> Tenant {
        "lab".parse().unwrap()
    }

    fn ask(key: &str) -> Ask {
        let part = AskedPart { size_bytes: 9, crc64nvme: "rosUhgp5mIg=".to_owned() };
        Ask { key: Some(key.to_owned()), size_bytes: Some(9), parts: vec![part], ..Ask::default() }
    }

    proptest! {
        /// Whatever name is sent, the key lies below the tenant's own prefix, and no step leads out of it.
        #[test]
        fn a_key_lies_below_the_prefix_of_its_tenant(name in "(\\.\\./|/|\\./|[a-z]/|other/){0,4}\\PC{0,12}") {
            if let Ok(wanted) = ask(&name).read(&tenant()) {
                let key = wanted.key.as_str();
                prop_assert_eq!(key, format!("lab/{name}"));
                prop_assert!(key.split('/').all(|step| step != ".." && step != "."));
            }
        }

        /// No text in any field makes the reader panic.
        #[test]
        fn odd_fields_are_refused_by_name(text in "\\PC{0,40}", size in any::<u64>()) {
            let part = AskedPart { size_bytes: size, crc64nvme: text.clone() };
            let odd = || Some(text.clone());
            let ask = Ask {
                key: odd(), size_bytes: Some(size), parts: vec![part], content_type: odd(),
                storage_class: odd(), data_in: odd(), copies: Some(0), residency: vec![text.clone()],
            };
            let problems = ask.read(&tenant()).unwrap_err();
            let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
            prop_assert!(["parts", "storage_class", "data_in", "copies"].iter().all(|f| fields.contains(f)));
        }
    }

    #[test]
    fn the_least_is_a_key_and_a_part() {
        let wanted = ask("run/a.txt").read(&tenant()).unwrap();
        assert_eq!((wanted.key.as_str(), wanted.pieces.count()), ("lab/run/a.txt", 1));
        assert_eq!(wanted.pieces.checksum(), Checksum::of(b"123456789"));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = Ask::default().read(&tenant()).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.field).collect::<Vec<_>>(), ["key", "parts"]);
        let wrong = Ask { size_bytes: Some(10), content_type: Some("text".to_owned()), ..ask(".sealane/x") };
        let problems = wrong.read(&tenant()).unwrap_err();
        assert_eq!(
            problems.iter().map(|p| p.field).collect::<Vec<_>>(),
            ["key", "size_bytes", "content_type"]
        );
        assert!(problems[1].problem.contains("it is 10, and the parts have 9 bytes"), "{problems:?}");
    }
}
