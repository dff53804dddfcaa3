//! Buckets in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

use crate::{
    checksum::Checksum,
    ports::{
        Attributes, CopySource, Head, ListedVersion, Objects, ObjectsError, Onto, OpenUpload, Part, Silence,
        Stored, Tags, Versions,
    },
    time::Timestamp,
    upload::StorageClass,
};

/// Objects on one page of a listing.
const LISTED_MAX: usize = 1_000;

/// Every bucket, so that a copy can read one and write another.
#[derive(Debug, Clone, Default)]
pub struct Cloud(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    cut: BTreeSet<String>,
    serial: u64,
    now: Timestamp,
}

#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<Version>>,
    uploads: BTreeMap<String, Upload>,
}

#[derive(Debug, Clone)]
struct Version {
    head: Head,
    body: Bytes,
    tags: Tags,
    /// A delete marker: it hides the versions below.
    marker: bool,
}

#[derive(Debug)]
struct Upload {
    key: String,
    attributes: Attributes,
    begun: Timestamp,
    parts: BTreeMap<u32, (Part, Bytes)>,
}

impl Cloud {
    /// The bucket of this name; it is made when first used.
    pub fn bucket(&self, name: &str) -> MemoryObjects {
        MemoryObjects { cloud: self.clone(), name: name.to_owned() }
    }

    /// Makes every call to `bucket` fail, or work again.
    pub fn cut(&self, bucket: &str, cut: bool) {
        let mut state = self.lock();
        if cut {
            state.cut.insert(bucket.to_owned());
        } else {
            state.cut.remove(bucket);
        }
    }

    /// Sets the clock of the store, which starts at the epoch and stands still.
    pub fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One bucket.
#[derive(Debug, Clone)]
pub struct MemoryObjects {
    cloud: Cloud,
    name: String,
}

impl MemoryObjects {
    /// Multipart uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> usize {
        self.cloud.lock().buckets.get(&self.name).map_or(0, |b| b.uploads.len())
    }

    /// How many versions `key` has.
    pub fn versions(&self, key: &str) -> usize {
        let state = self.cloud.lock();
        let versions = state.buckets.get(&self.name).and_then(|b| b.objects.get(key));
        versions.map_or(0, |versions| versions.iter().filter(|v| !v.marker).count())
    }

    /// Hides `key` under a delete marker, as a user does who deletes it.
    pub fn delete(&self, key: &str) {
        let mut state = self.cloud.lock();
        let State { buckets, serial, .. } = &mut *state;
        let bucket = buckets.entry(self.name.clone()).or_default();
        store(bucket, serial, key, Bytes::new(), Attributes::default());
        if let Some(newest) = bucket.objects.get_mut(key).and_then(|versions| versions.last_mut()) {
            newest.marker = true;
        }
    }

    /// Flips one bit of the newest version of `key`, as a bad disk would.
    pub fn corrupt(&self, key: &str) {
        let mut state = self.cloud.lock();
        let newest = state.buckets.get_mut(&self.name).and_then(|b| b.objects.get_mut(key)?.last_mut());
        if let Some(version) = newest {
            let mut body = version.body.to_vec();
            if let Some(byte) = body.first_mut() {
                *byte ^= 1;
            }
            version.head.checksum = Some(Checksum::of(&body));
            version.body = body.into();
        }
    }

    fn with<T>(
        &self,
        act: impl FnOnce(&mut Bucket, &mut u64) -> Result<T, ObjectsError>,
    ) -> Result<T, ObjectsError> {
        let mut state = self.cloud.lock();
        if state.cut.contains(&self.name) {
            return Err(self.unreachable());
        }
        let State { buckets, serial, .. } = &mut *state;
        act(buckets.entry(self.name.clone()).or_default(), serial)
    }

    fn unreachable(&self) -> ObjectsError {
        ObjectsError::NoAnswer {
            bucket: self.name.clone(),
            how: Silence::NoConnection,
            source: "the bucket is cut off".into(),
        }
    }

    fn missing(&self, key: &str) -> ObjectsError {
        ObjectsError::Missing { bucket: self.name.clone(), key: key.to_owned() }
    }

    fn mismatch(&self, key: &str, why: &'static str) -> ObjectsError {
        ObjectsError::Mismatch { bucket: self.name.clone(), key: key.to_owned(), source: why.into() }
    }

    /// What is archived has to be restored before it is read.
    fn readable<'a>(&self, key: &str, version: &'a Version) -> Result<&'a Version, ObjectsError> {
        let class = version.head.attributes.storage_class.as_deref().and_then(|class| class.parse().ok());
        if class.is_none_or(StorageClass::reads_at_once) {
            return Ok(version);
        }
        let source = "the operation is not valid for the object's storage class".into();
        Err(ObjectsError::Refused { bucket: self.name.clone(), key: key.to_owned(), source })
    }

    /// The bytes that a copy reads, if its pins hold.
    fn source(&self, source: &CopySource) -> Result<Bytes, ObjectsError> {
        let from = self.cloud.bucket(&source.bucket);
        let version = from.with(|bucket, _| {
            let found = find(bucket, &source.key, source.version_id.as_deref());
            from.readable(&source.key, found.ok_or_else(|| from.missing(&source.key))?).cloned()
        })?;
        let pinned = source.etag.is_none() || source.etag == version.head.etag;
        pinned.then_some(version.body).ok_or_else(|| self.mismatch(&source.key, "the entity tag differs"))
    }
}

fn find<'a>(bucket: &'a Bucket, key: &str, version_id: Option<&str>) -> Option<&'a Version> {
    let versions = bucket.objects.get(key)?;
    match version_id {
        None => versions.last().filter(|newest| !newest.marker),
        Some(id) => versions.iter().find(|v| v.head.version_id.as_deref() == Some(id)),
    }
}

/// Whether `key` holds what something is to be written on top of.
fn lies(bucket: &Bucket, key: &str, onto: &Onto) -> bool {
    let held = find(bucket, key, None).map(|v| v.head.etag.as_deref());
    match onto {
        Onto::Anything => true,
        Onto::Nothing => held.is_none(),
        Onto::Tag(tag) => held == Some(Some(tag)),
    }
}

fn store(
    bucket: &mut Bucket,
    serial: &mut u64,
    key: &str,
    body: Bytes,
    mut attributes: Attributes,
) -> Stored {
    *serial += 1;
    let tags = std::mem::take(&mut attributes.tags);
    let checksum = Some(Checksum::of(&body));
    let (version_id, etag) = (Some(format!("v{serial}")), Some(format!("\"{serial}\"")));
    let stored = Stored { version_id, etag, checksum };
    let head = Head {
        version_id: stored.version_id.clone(),
        etag: stored.etag.clone(),
        size_bytes: body.len() as u64,
        checksum,
        attributes,
        tags: u32::try_from(tags.len()).unwrap_or(u32::MAX),
    };
    let version = Version { head, body, tags, marker: false };
    bucket.objects.entry(key.to_owned()).or_default().push(version);
    stored
}

/// The part of `body` in `range`, cut short at its end.
fn slice(body: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(body.len());
    body.slice(at(range.start)..at(range.end))
}

impl Objects for MemoryObjects {
    fn bucket(&self) -> &str {
        &self.name
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        checksum: Checksum,
        attributes: &Attributes,
    ) -> Result<Stored, ObjectsError> {
        if Checksum::of(&body) != checksum {
            return Err(self.mismatch(key, "the checksum differs"));
        }
        let body = Bytes::copy_from_slice(&body);
        self.with(|bucket, serial| Ok(store(bucket, serial, key, body, attributes.clone())))
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        let begun = self.cloud.lock().now;
        self.with(|bucket, serial| {
            *serial += 1;
            let id = format!("u{serial}");
            let (key, attributes) = (key.to_owned(), attributes.clone());
            let upload = Upload { key, attributes, begun, parts: BTreeMap::new() };
            bucket.uploads.insert(id.clone(), upload);
            Ok(id)
        })
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
        checksum: Checksum,
    ) -> Result<Part, ObjectsError> {
        if Checksum::of(&body) != checksum {
            return Err(self.mismatch(key, "the checksum differs"));
        }
        self.with(|bucket, serial| {
            let open = bucket.uploads.get_mut(upload).ok_or_else(|| self.missing(key))?;
            *serial += 1;
            let size_bytes = body.len() as u64;
            let part = Part { number, etag: format!("\"{serial}\""), size_bytes, checksum: Some(checksum) };
            // A store does not hold on to the buffers of whoever sends to it.
            open.parts.insert(number, (part.clone(), Bytes::copy_from_slice(&body)));
            Ok(part)
        })
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        self.with(|bucket, _| {
            let open = bucket.uploads.get(upload).ok_or_else(|| self.missing(key))?;
            Ok(open.parts.values().map(|(part, _)| part.clone()).collect())
        })
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.with(|bucket, serial| {
            let open =
                bucket.uploads.get(upload).filter(|u| u.key == key).ok_or_else(|| self.missing(key))?;
            if !lies(bucket, key, onto) {
                return Err(self.mismatch(key, "it holds something else"));
            }
            let mut body = BytesMut::new();
            for part in parts {
                let (_, bytes) = open
                    .parts
                    .get(&part.number)
                    .filter(|(held, _)| held.etag == part.etag)
                    .ok_or_else(|| self.mismatch(key, "a part is missing or was replaced"))?;
                body.extend_from_slice(bytes);
            }
            if checksum.is_some_and(|c| c != Checksum::of(&body)) {
                return Err(self.mismatch(key, "the checksum differs"));
            }
            let attributes = open.attributes.clone();
            bucket.uploads.remove(upload);
            Ok(store(bucket, serial, key, body.freeze(), attributes))
        })
    }

    async fn abort(&self, _key: &str, upload: &str) -> Result<(), ObjectsError> {
        self.with(|bucket, _| {
            bucket.uploads.remove(upload);
            Ok(())
        })
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, ObjectsError> {
        self.with(|bucket, _| {
            let open = bucket.uploads.iter().filter(|(_, open)| open.key.starts_with(prefix));
            let listed = |(id, open): (&String, &Upload)| {
                let (key, upload) = (open.key.clone(), id.clone());
                OpenUpload { key, upload, begun: open.begun }
            };
            let mut open: Vec<OpenUpload> = open.map(listed).collect();
            open.sort_by(|a, b| (&a.key, a.begun).cmp(&(&b.key, b.begun)));
            Ok(open)
        })
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        self.with(|bucket, _| Ok(find(bucket, key, version_id).map(|v| v.head.clone())))
    }

    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError> {
        self.with(|bucket, _| {
            let version = find(bucket, key, version_id).ok_or_else(|| self.missing(key))?;
            Ok(version.tags.clone())
        })
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError> {
        let most = usize::from(most).min(LISTED_MAX);
        self.with(|bucket, _| {
            let shown = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
            let keys = bucket.objects.iter().filter(|(key, _)| shown(key));
            let listed = |key: &str, v: &Version| ListedVersion {
                key: key.to_owned(),
                version_id: v.head.version_id.clone().unwrap_or_else(|| "null".to_owned()),
                size_bytes: v.head.size_bytes,
                is_marker: v.marker,
            };
            let all = keys.flat_map(|(key, versions)| versions.iter().rev().map(|v| listed(key, v)));
            let mut entries: Vec<_> = all.take(most + 1).collect();
            let more = entries.len() > most;
            entries.truncate(most);
            Ok(Versions { entries, more })
        })
    }

    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError> {
        self.with(|bucket, _| {
            if let Some(versions) = bucket.objects.get_mut(key) {
                versions.retain(|v| v.head.version_id.as_deref() != Some(version_id));
            }
            Ok(())
        })
    }

    async fn read(
        &self,
        key: &str,
        version_id: Option<&str>,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        self.with(|bucket, _| {
            let version = find(bucket, key, version_id).ok_or_else(|| self.missing(key))?;
            Ok(slice(&self.readable(key, version)?.body, &range))
        })
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        let body = self.source(source)?;
        self.with(|bucket, serial| {
            if !lies(bucket, key, onto) {
                return Err(self.mismatch(key, "it holds something else"));
            }
            Ok(store(bucket, serial, key, body, attributes.clone()))
        })
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        number: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        let body = slice(&self.source(source)?, &range);
        let checksum = Checksum::of(&body);
        self.put_part(key, upload, number, body, checksum).await
    }
}
