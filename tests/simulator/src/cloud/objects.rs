//! Buckets: versions, multipart uploads, and checksums that are checked.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use sealane::{checksum::Checksum, config::Config, ports::Attributes, region::RegionName};

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// The version's id, unique in the cloud.
    pub version_id: String,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// The bytes.
    pub body: Bytes,
    /// CRC64NVME of the bytes as they were taken in.
    pub checksum: Checksum,
    /// Type and metadata.
    pub attributes: Attributes,
    /// When it was made, since the start.
    pub at: Duration,
    /// Whether it is a delete marker, which hides the versions below.
    pub is_marker: bool,
}

/// A part of an unfinished upload.
#[derive(Debug, Clone)]
pub(super) struct PartState {
    pub(super) etag: String,
    pub(super) body: Bytes,
    pub(super) checksum: Checksum,
}

/// An unfinished upload.
#[derive(Debug)]
pub(super) struct Upload {
    key: String,
    pub(super) parts: BTreeMap<u32, PartState>,
    attributes: Attributes,
}

/// One region's bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) region: RegionName,
    objects: BTreeMap<String, Vec<Arc<ObjectState>>>,
    uploads: BTreeMap<String, Upload>,
}

/// An S3 error: its status and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct S3Error(pub(super) u16, pub(super) &'static str);

pub(super) const NO_KEY: S3Error = S3Error(404, "NoSuchKey");
const NO_VERSION: S3Error = S3Error(404, "NoSuchVersion");
const NO_UPLOAD: S3Error = S3Error(404, "NoSuchUpload");
const BAD_DIGEST: S3Error = S3Error(400, "BadDigest");
const INVALID_PART: S3Error = S3Error(400, "InvalidPart");

/// The smallest part that may not be the last.
const PART_BYTES_MIN: usize = 5 << 20;

/// A part as the caller lists it when it completes an upload.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) number: u32,
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
}

/// Every bucket, by name.
#[derive(Debug)]
pub(super) struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    serial: u64,
}

/// What stands for the bytes; equal bytes have equal tags.
fn etag(body: &[u8]) -> String {
    let hash = rapidhash::v3::rapidhash_v3(body);
    format!("\"{hash:016x}{:016x}\"", body.len())
}

/// The checksum of `body`, if it is what the caller says.
fn checked(body: &[u8], said: Option<Checksum>) -> Result<Checksum, S3Error> {
    let is = Checksum::of(body);
    if said.is_some_and(|said| said != is) { Err(BAD_DIGEST) } else { Ok(is) }
}

impl Buckets {
    pub(super) fn new(config: &Config) -> Self {
        let bucket = |region| Bucket { region, objects: BTreeMap::new(), uploads: BTreeMap::new() };
        let named = config.regions.iter().filter_map(|r| Some((r.bucket.clone()?, bucket(r.name))));
        Self { buckets: named.collect(), serial: 0 }
    }

    pub(super) fn get(&self, name: &str) -> Result<&Bucket, S3Error> {
        self.buckets.get(name).ok_or(S3Error(404, "NoSuchBucket"))
    }

    fn of(&mut self, name: &str) -> Result<&mut Bucket, S3Error> {
        self.buckets.get_mut(name).ok_or(S3Error(404, "NoSuchBucket"))
    }

    pub(super) fn in_region(&self, region: RegionName) -> Option<&Bucket> {
        self.buckets.values().find(|bucket| bucket.region == region)
    }

    fn next(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{what}{:010}", self.serial)
    }

    /// Makes a version.
    pub(super) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        body: Bytes,
        said: Option<Checksum>,
        attributes: Attributes,
        at: Duration,
    ) -> Result<Arc<ObjectState>, S3Error> {
        let checksum = checked(&body, said)?;
        let version_id = self.next("v");
        let made =
            ObjectState { version_id, etag: etag(&body), body, checksum, attributes, at, is_marker: false };
        let made = Arc::new(made);
        self.of(bucket)?.objects.entry(key.to_owned()).or_default().push(Arc::clone(&made));
        Ok(made)
    }

    pub(super) fn begin(
        &mut self,
        bucket: &str,
        key: &str,
        attributes: Attributes,
    ) -> Result<String, S3Error> {
        let id = self.next("upload");
        let upload = Upload { key: key.to_owned(), parts: BTreeMap::new(), attributes };
        self.of(bucket)?.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    pub(super) fn put_part(
        &mut self,
        bucket: &str,
        (key, id): (&str, &str),
        number: u32,
        body: Bytes,
        said: Option<Checksum>,
    ) -> Result<PartState, S3Error> {
        let upload = self.of(bucket)?.upload(key, id)?;
        let checksum = checked(&body, said)?;
        let part = PartState { etag: etag(&body), body, checksum };
        upload.parts.insert(number, part.clone());
        Ok(part)
    }

    pub(super) fn complete(
        &mut self,
        bucket: &str,
        (key, id): (&str, &str),
        claimed: &[Claimed],
        said: Option<Checksum>,
        at: Duration,
    ) -> Result<Arc<ObjectState>, S3Error> {
        let upload = self.of(bucket)?.upload(key, id)?;
        if claimed.is_empty() {
            return Err(S3Error(400, "MalformedXML"));
        }
        if claimed.windows(2).any(|pair| matches!(pair, [a, b] if a.number >= b.number)) {
            return Err(S3Error(400, "InvalidPartOrder"));
        }
        let mut whole = BytesMut::new();
        for (place, claim) in claimed.iter().enumerate() {
            let part = upload.parts.get(&claim.number).ok_or(INVALID_PART)?;
            if part.etag != claim.etag || claim.checksum.is_some_and(|c| c != part.checksum) {
                return Err(INVALID_PART);
            }
            if place + 1 < claimed.len() && part.body.len() < PART_BYTES_MIN {
                return Err(S3Error(400, "EntityTooSmall"));
            }
            whole.extend_from_slice(&part.body);
        }
        let attributes = upload.attributes.clone();
        let made = self.put(bucket, key, whole.freeze(), said, attributes, at)?;
        self.of(bucket)?.uploads.remove(id);
        Ok(made)
    }

    pub(super) fn abort(&mut self, bucket: &str, key: &str, id: &str) -> Result<(), S3Error> {
        let bucket = self.of(bucket)?;
        bucket.upload(key, id)?;
        bucket.uploads.remove(id);
        Ok(())
    }

    /// Hides a key under a delete marker.
    pub(super) fn hide(&mut self, region: RegionName, key: &str, at: Duration) {
        let version_id = self.next("v");
        let Some(bucket) = self.buckets.values_mut().find(|bucket| bucket.region == region) else { return };
        let (body, attributes) = (Bytes::new(), Attributes::default());
        let (etag, checksum) = (String::new(), Checksum::of(&[]));
        let marker = ObjectState { version_id, etag, body, checksum, attributes, at, is_marker: true };
        bucket.objects.entry(key.to_owned()).or_default().push(Arc::new(marker));
    }

    /// Removes a version for good.
    pub(super) fn remove(&mut self, bucket: &str, key: &str, version: &str) -> Result<(), S3Error> {
        if let Some(versions) = self.of(bucket)?.objects.get_mut(key) {
            versions.retain(|v| v.version_id != version);
        }
        Ok(())
    }

    /// The version that a copy reads, if it is the one that is meant.
    pub(super) fn source(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        pinned: Option<&str>,
    ) -> Result<(RegionName, Arc<ObjectState>), S3Error> {
        let bucket = self.get(bucket)?;
        let found = bucket.object(key, version)?;
        if pinned.is_some_and(|etag| etag.trim_matches('"') != found.etag.trim_matches('"')) {
            return Err(S3Error(412, "PreconditionFailed"));
        }
        Ok((bucket.region, Arc::clone(found)))
    }

    /// Flips a bit of the newest version, as a failing disk might; its checksum stays as it was.
    pub(super) fn damage(&mut self, region: RegionName, key: &str) -> bool {
        let bucket = self.buckets.values_mut().find(|bucket| bucket.region == region);
        let Some(last) = bucket.and_then(|b| b.objects.get_mut(key)).and_then(|v| v.last_mut()) else {
            return false;
        };
        let mut bytes = last.body.to_vec();
        let Some(first) = bytes.first_mut() else { return false };
        *first ^= 1;
        *last = Arc::new(ObjectState { body: bytes.into(), ..ObjectState::clone(last) });
        true
    }
}

impl Bucket {
    fn upload(&mut self, key: &str, id: &str) -> Result<&mut Upload, S3Error> {
        self.uploads.get_mut(id).filter(|upload| upload.key == key).ok_or(NO_UPLOAD)
    }

    pub(super) fn parts(&self, key: &str, id: &str) -> Result<&BTreeMap<u32, PartState>, S3Error> {
        self.uploads.get(id).filter(|u| u.key == key).map(|u| &u.parts).ok_or(NO_UPLOAD)
    }

    /// A version, by default the newest.
    pub(super) fn object(&self, key: &str, version: Option<&str>) -> Result<&Arc<ObjectState>, S3Error> {
        let versions = self.objects.get(key).ok_or(NO_KEY)?;
        match version {
            None => versions.last().filter(|newest| !newest.is_marker).ok_or(NO_KEY),
            Some(id) => versions.iter().find(|v| v.version_id == id).ok_or(NO_VERSION),
        }
    }

    pub(super) fn all(&self) -> &BTreeMap<String, Vec<Arc<ObjectState>>> {
        &self.objects
    }

    /// Key and id of each upload that is not finished, of keys that begin with `prefix`, by key.
    pub(super) fn open(&self, prefix: &str) -> Vec<(&str, &str)> {
        let open = self.uploads.iter().map(|(id, upload)| (upload.key.as_str(), id.as_str()));
        let mut open: Vec<_> = open.filter(|(key, _)| key.starts_with(prefix)).collect();
        open.sort_unstable();
        open
    }

    /// Keys of uploads that are not finished.
    pub(super) fn unfinished(&self) -> Vec<String> {
        self.uploads.values().map(|upload| upload.key.clone()).collect()
    }
}

impl ObjectState {
    /// The bytes of a range that starts within the object.
    pub(super) fn slice(&self, range: &Range<u64>) -> Result<Bytes, S3Error> {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (from, to) = (size(range.start), size(range.end).min(self.body.len()));
        if from >= to {
            return Err(S3Error(416, "InvalidRange"));
        }
        Ok(self.body.slice(from..to))
    }
}
