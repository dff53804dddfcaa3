//! What an object is: a user's own, one of several copies of an upload, a copy that
//! replication made, or Sealane's own.
//!
//! Rule: copies raise no copies. Whatever says where it came from is left alone, so
//! that no loop can start.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{checksum::Checksum, region::RegionName, upload::is_system_key};

/// Metadata of an uploaded object: the id of its upload.
pub const META_UPLOAD: &str = "sealane-upload";
/// Metadata of an uploaded object: the regions that shall hold it, home first, parted by commas.
pub const META_REGIONS: &str = "sealane-regions";
/// Metadata of an uploaded object: [`BY_RULE`] where the rule of its first region, and not the writer, says in
/// which storage class each copy is kept.
pub const META_CLASS: &str = "sealane-class";
/// The value of [`META_CLASS`].
pub const BY_RULE: &str = "rule";
/// Metadata of a server-side copy: `<region>/<version id>` of what was copied, then the epoch of the
/// claim under which it was copied and a digest of the place that it was copied to.
pub const META_ORIGIN: &str = "sealane-origin";

/// The longest upload id that is accepted, in bytes.
pub const UPLOAD_ID_LEN_MAX: usize = 64;

/// Where an object came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An upload that fed several regions itself.
    Upload {
        /// The id of the upload.
        id: String,
        /// The regions that shall hold it, home first.
        wanted: Vec<RegionName>,
    },
    /// A copy that replication made.
    Copy {
        /// The region that it was copied from.
        region: RegionName,
        /// The version that was copied.
        version_id: String,
        /// The epoch of the claim under which it was copied.
        epoch: u64,
    },
    /// An object that somebody put, without a word on regions.
    Plain,
    /// One of Sealane's own.
    System,
}

/// The metadata does not say where the object came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metadata `{name}` of `{key}` is `{value}` ({want})")]
pub struct InvalidOrigin {
    /// The object's key.
    pub key: String,
    /// The metadata's name.
    pub name: &'static str,
    /// Its value, escaped.
    pub value: String,
    /// What it should be.
    pub want: &'static str,
}

impl Origin {
    /// Reads the origin of the object `key` in region `here` from its user metadata
    /// (names in lower case, without `x-amz-meta-`).
    ///
    /// Tools that copy objects carry metadata along, so a claim to be a copy is believed only at the
    /// place that it names: of an object that came from `here` itself, or was made for another key or
    /// region, it says nothing.
    pub fn of(
        here: RegionName,
        key: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, InvalidOrigin> {
        if is_system_key(key) {
            return Ok(Self::System);
        }
        let value = |name: &'static str| metadata.get(name).map(String::as_str);
        let refuse = |name, want| {
            let value = value(name).unwrap_or_default().escape_debug().to_string();
            InvalidOrigin { key: key.escape_debug().to_string(), name, value, want }
        };
        if let Some(origin) = value(META_ORIGIN) {
            let mark = Mark::parse(origin).ok_or_else(|| {
                refuse(META_ORIGIN, "want `<region>/<version id>/<epoch>/<digest of the place>`")
            })?;
            if mark.region != here && mark.place == place(here, key) {
                let Mark { region, version_id, epoch, place: _ } = mark;
                return Ok(Self::Copy { region, version_id, epoch });
            }
        }
        let Some(id) = value(META_UPLOAD) else { return Ok(Self::Plain) };
        if !is_upload_id(id) {
            return Err(refuse(META_UPLOAD, "want 1 to 64 letters, digits, dashes and underscores"));
        }
        let wanted = value(META_REGIONS).and_then(parse_regions);
        let wanted =
            wanted.ok_or_else(|| refuse(META_REGIONS, "want region names parted by commas, home first"))?;
        Ok(Self::Upload { id: id.to_owned(), wanted })
    }
}

/// The regions that an object names of itself, if it does.
///
/// # Errors
/// When [`META_REGIONS`] holds no region names: where a misspelt object belongs is not guessed.
pub fn own_regions(
    key: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<Option<Vec<RegionName>>, InvalidOrigin> {
    let Some(value) = metadata.get(META_REGIONS) else { return Ok(None) };
    parse_regions(value).map(Some).ok_or_else(|| InvalidOrigin {
        key: key.escape_debug().to_string(),
        name: META_REGIONS,
        value: value.escape_debug().to_string(),
        want: "want region names parted by commas",
    })
}

/// The value of [`META_ORIGIN`] for the copy in `destination` of a version of `key` that lies in
/// `region`, made under a claim of this epoch.
pub fn origin_value(
    region: RegionName,
    version_id: &str,
    epoch: u64,
    destination: RegionName,
    key: &str,
) -> String {
    format!("{region}/{version_id}/{epoch}/{:016x}", place(destination, key))
}

/// What stands for a key of a region: the mark of a copy is good for one place only.
fn place(region: RegionName, key: &str) -> u64 {
    Checksum::of(format!("{region}/{key}").as_bytes()).as_u64()
}

/// A value of [`META_ORIGIN`], taken apart.
struct Mark {
    region: RegionName,
    version_id: String,
    epoch: u64,
    place: u64,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let (region, rest) = text.split_once('/')?;
        let (rest, place) = rest.rsplit_once('/')?;
        let (version_id, epoch) = rest.rsplit_once('/')?;
        let (region, epoch) = (region.parse().ok()?, epoch.parse().ok()?);
        let place = u64::from_str_radix(place, 16).ok()?;
        (!version_id.is_empty()).then(|| Self { region, version_id: version_id.to_owned(), epoch, place })
    }
}

/// The value of [`META_REGIONS`] for these regions, home first.
pub fn regions_value(wanted: impl IntoIterator<Item = RegionName>) -> String {
    wanted.into_iter().map(|region| region.to_string()).collect::<Vec<_>>().join(",")
}

fn parse_regions(text: &str) -> Option<Vec<RegionName>> {
    text.split(',').map(|name| name.trim().parse().ok()).collect()
}

fn is_upload_id(text: &str) -> bool {
    let sane = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=UPLOAD_ID_LEN_MAX).contains(&text.len()) && text.bytes().all(sane)
}

/// The name of one object across regions: the partition key of its ledger rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(String);

impl ObjectId {
    /// The object of an upload: the same in every region that the upload fed itself.
    pub fn of_upload(id: &str) -> Self {
        Self(format!("upload#{id}"))
    }

    /// One version of one key in the region that it was put into.
    ///
    /// A bucket without versions calls every version `null`; there the ETag tells them apart.
    pub fn of_version(region: RegionName, key: &str, version_id: Option<&str>, etag: &str) -> Self {
        match version_id.filter(|version| *version != "null") {
            Some(version) => Self(format!("version#{region}#{version}#{key}")),
            None => Self(format!("etag#{region}#{etag}#{key}")),
        }
    }

    /// The identity read back from a row.
    pub const fn from_row(text: String) -> Self {
        Self(text)
    }

    /// The region and the version that were written first, if the identity names a version.
    pub fn origin(&self) -> Option<(RegionName, &str)> {
        let mut fields = self.0.strip_prefix("version#")?.splitn(3, '#');
        let (region, version) = (fields.next()?.parse().ok()?, fields.next()?);
        fields.next().map(|_| (region, version))
    }

    /// Whether this is the object of an upload.
    pub fn is_upload(&self) -> bool {
        self.0.starts_with("upload#")
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region(i: usize) -> RegionName {
        format!("us-west-{i}").parse().unwrap()
    }

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    proptest! {
        /// No metadata makes the reader panic, and what lies under Sealane's own prefix is
        /// never anything else.
        #[test]
        fn odd_metadata_never_panics(key in "(\\.sealane/)?\\PC{0,20}", upload in "\\PC{0,20}", regions in "[a-z0-9, -]{0,40}", origin in "[a-z0-9/-]{0,30}") {
            let meta = metadata(&[(META_UPLOAD, &upload), (META_REGIONS, &regions), (META_ORIGIN, &origin)]);
            let read = Origin::of(region(1), &key, &meta);
            prop_assert_eq!(read == Ok(Origin::System), is_system_key(&key));
        }

        /// What an upload and a copy write is what is read.
        #[test]
        fn written_metadata_reads_back(id in "[a-zA-Z0-9_-]{1,64}", picks in proptest::collection::vec(0..9_usize, 1..6), version in "[!-~]{1,32}", epoch in any::<u64>(), key in "[a-z/]{1,9}") {
            let wanted: Vec<_> = picks.into_iter().map(region).collect();
            let regions = regions_value(wanted.iter().copied());
            let mut meta = metadata(&[(META_UPLOAD, &id), (META_REGIONS, &regions)]);
            let upload = Origin::Upload { id, wanted };
            prop_assert_eq!(Origin::of(region(1), &key, &meta), Ok(upload.clone()));
            // A server-side copy carries the source's metadata along; its own origin comes first.
            meta.insert(META_ORIGIN.to_owned(), origin_value(region(2), &version, epoch, region(1), &key));
            prop_assert_eq!(Origin::of(region(1), &key, &meta), Ok(Origin::Copy { region: region(2), version_id: version, epoch }));
            // Carried along to another key or to another region, the mark says nothing.
            prop_assert_eq!(Origin::of(region(1), "other", &meta), Ok(upload.clone()));
            prop_assert_eq!(Origin::of(region(3), &key, &meta), Ok(upload));
        }
    }

    #[test]
    fn a_claim_to_be_a_copy_of_the_same_region_is_not_believed() {
        let meta = metadata(&[(META_ORIGIN, &origin_value(region(1), "v1", 1, region(1), "k"))]);
        assert_eq!(Origin::of(region(1), "k", &meta), Ok(Origin::Plain));
    }

    #[test]
    fn an_upload_without_its_regions_is_refused_by_name() {
        let error = Origin::of(region(1), "k", &metadata(&[(META_UPLOAD, "u1")])).unwrap_err();
        assert!(error.to_string().contains("`sealane-regions`"), "{error}");
    }

    #[test]
    fn an_object_that_names_its_regions_badly_belongs_nowhere() {
        let named = |value: &str| own_regions("k", &metadata(&[(META_REGIONS, value)]));
        assert_eq!(named("us-west-1, us-west-2"), Ok(Some(vec![region(1), region(2)])));
        assert_eq!(own_regions("k", &BTreeMap::new()), Ok(None));
        let error = named("everywhere").unwrap_err().to_string();
        assert!(error.contains("`sealane-regions` of `k` is `everywhere` (want region names"), "{error}");
    }

    #[test]
    fn versions_of_a_bucket_without_versions_differ_by_etag() {
        let id = |version, etag| ObjectId::of_version(region(1), "k", version, etag);
        assert_ne!(id(Some("null"), "a"), id(Some("null"), "b"));
        assert_eq!(id(Some("null"), "a"), id(None, "a"));
        assert_eq!(id(Some("v"), "a"), id(Some("v"), "b"));
        assert_ne!(id(Some("v"), "a"), id(Some("w"), "a"));
        assert_eq!(id(Some("v"), "a").origin(), Some((region(1), "v")));
        assert_eq!(id(None, "a").origin(), None);
        assert_eq!(ObjectId::of_upload("version#us-west-1#v#k").origin(), None);
    }
}
