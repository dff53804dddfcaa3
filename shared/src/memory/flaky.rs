//! A bucket with one fault, for tests of what is done about it.

use std::{
    future::pending,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use bytes::Bytes;

use super::MemoryObjects;
use crate::{
    checksum::Checksum,
    ports::{
        Attributes, CopySource, Head, Objects, ObjectsError, Onto, OpenUpload, Part, Silence, Stored, Tags,
        Versions,
    },
};

/// What is wrong with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After this many parts no call is carried out or answered: each fails at once.
    CutAfter(u32),
    /// After this many calls no call is carried out or answered: each fails at once.
    CutAfterCalls(u32),
    /// After this many parts no call is carried out or answered: each hangs for ever.
    StallAfter(u32),
    /// The call of this number, counted from 1, is refused with a request to slow down.
    BusyAt(u32),
    /// The first put or completion fails unanswered and is not carried out.
    LosesRequest,
    /// Puts and completions are carried out, and their answers are lost.
    LosesAnswers,
    /// The first put or completion is carried out; from then on no call is answered.
    DiesAtCompletion,
    /// Every body has one bit flipped on its way in.
    DamagesBodies,
    /// Every body has one bit flipped on its way out.
    DamagesReads,
    /// What is stored has one bit flipped at once.
    Rots,
    /// It keeps no checksums of whole objects.
    NoChecksums,
    /// It keeps no checksums, and what is stored has one bit flipped at once.
    RotsUnseen,
}

/// A bucket in memory with a fault.
#[derive(Debug)]
pub struct Flaky {
    inner: MemoryObjects,
    fault: Fault,
    calls: AtomicU32,
    parts: AtomicU32,
    lost: AtomicBool,
}

impl Flaky {
    /// `inner` with this fault.
    pub const fn new(inner: MemoryObjects, fault: Fault) -> Self {
        let (calls, parts, lost) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
        Self { inner, fault, calls, parts, lost }
    }

    /// The bucket behind the fault.
    pub const fn inner(&self) -> &MemoryObjects {
        &self.inner
    }

    fn silent(&self) -> ObjectsError {
        ObjectsError::NoAnswer {
            bucket: self.inner.bucket().to_owned(),
            how: Silence::NoConnection,
            source: "the connection broke".into(),
        }
    }

    /// What happens to every call before it is carried out.
    async fn gate(&self) -> Result<(), ObjectsError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let parts = self.parts.load(Ordering::SeqCst);
        match self.fault {
            Fault::CutAfter(n) if parts >= n => Err(self.silent()),
            Fault::CutAfterCalls(n) if call > n => Err(self.silent()),
            Fault::StallAfter(n) if parts >= n => pending().await,
            Fault::BusyAt(n) if call == n => Err(ObjectsError::Throttled {
                bucket: self.inner.bucket().to_owned(),
                source: "slow down".into(),
            }),
            Fault::DiesAtCompletion if self.lost.load(Ordering::SeqCst) => Err(self.silent()),
            Fault::None
            | Fault::CutAfter(_)
            | Fault::CutAfterCalls(_)
            | Fault::DamagesReads
            | Fault::StallAfter(_)
            | Fault::BusyAt(_)
            | Fault::LosesRequest
            | Fault::LosesAnswers
            | Fault::DiesAtCompletion
            | Fault::DamagesBodies
            | Fault::Rots
            | Fault::NoChecksums
            | Fault::RotsUnseen => Ok(()),
        }
    }

    /// Carries out what brings an object into being, or does not, by the fault.
    async fn create(
        &self,
        key: &str,
        call: impl Future<Output = Result<Stored, ObjectsError>>,
    ) -> Result<Stored, ObjectsError> {
        if self.fault == Fault::LosesRequest && !self.lost.swap(true, Ordering::SeqCst) {
            return Err(self.silent());
        }
        let stored = call.await?;
        match self.fault {
            Fault::Rots | Fault::RotsUnseen => self.inner.corrupt(key),
            Fault::LosesAnswers => return Err(self.silent()),
            Fault::DiesAtCompletion => {
                self.lost.store(true, Ordering::SeqCst);
                return Err(self.silent());
            }
            Fault::None
            | Fault::CutAfter(_)
            | Fault::CutAfterCalls(_)
            | Fault::DamagesReads
            | Fault::StallAfter(_)
            | Fault::BusyAt(_)
            | Fault::LosesRequest
            | Fault::DamagesBodies
            | Fault::NoChecksums => {}
        }
        Ok(stored)
    }

    fn on_its_way(&self, body: Bytes) -> Bytes {
        if self.fault == Fault::DamagesBodies { flipped(body) } else { body }
    }
}

/// The body with one bit flipped, if it has any.
fn flipped(body: Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    bytes.into()
}

impl Objects for Flaky {
    fn bucket(&self) -> &str {
        self.inner.bucket()
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        checksum: Checksum,
        attributes: &Attributes,
    ) -> Result<Stored, ObjectsError> {
        self.gate().await?;
        self.create(key, self.inner.put(key, self.on_its_way(body), checksum, attributes)).await
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        self.gate().await?;
        self.inner.begin(key, attributes).await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
        checksum: Checksum,
    ) -> Result<Part, ObjectsError> {
        self.gate().await?;
        let part = self.inner.put_part(key, upload, number, self.on_its_way(body), checksum).await?;
        self.parts.fetch_add(1, Ordering::SeqCst);
        Ok(part)
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        self.gate().await?;
        self.inner.parts(key, upload).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        checksum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.gate().await?;
        self.create(key, self.inner.complete(key, upload, parts, checksum, onto)).await
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        self.gate().await?;
        self.inner.abort(key, upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, ObjectsError> {
        self.gate().await?;
        self.inner.uploads(prefix).await
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        self.gate().await?;
        let mut head = self.inner.head(key, version_id).await?;
        if let (Fault::NoChecksums | Fault::RotsUnseen, Some(head)) = (self.fault, &mut head) {
            head.checksum = None;
        }
        Ok(head)
    }

    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError> {
        self.gate().await?;
        self.inner.tags(key, version_id).await
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError> {
        self.gate().await?;
        self.inner.list_versions(prefix, after, most).await
    }

    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError> {
        self.gate().await?;
        self.inner.remove(key, version_id).await
    }

    async fn read(
        &self,
        key: &str,
        version_id: Option<&str>,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        self.gate().await?;
        let body = self.inner.read(key, version_id, range).await?;
        Ok(if self.fault == Fault::DamagesReads { flipped(body) } else { body })
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        attributes: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.gate().await?;
        self.create(key, self.inner.copy(source, key, attributes, onto)).await
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        number: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        self.gate().await?;
        self.inner.copy_part(source, key, upload, number, range).await
    }
}
