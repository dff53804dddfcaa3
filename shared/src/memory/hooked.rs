//! A bucket whose calls go through a hook, for tests of what happens between a call and its answer.

use std::ops::Range;

use bytes::Bytes;

use super::MemoryObjects;
use crate::{
    checksum::Checksum,
    ports::{
        Attributes, CopySource, Head, Objects, ObjectsError, Onto, OpenUpload, Part, Stored, Tags, Versions,
    },
};

/// What is asked of a bucket, as far as a hook may care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Bytes are put whole, or a copy is made.
    Put,
    /// A multipart upload is begun.
    Begin,
    /// A part is sent, or copied.
    Part {
        /// The multipart upload.
        upload: String,
        /// Its number.
        number: u32,
        /// Its bytes; 0 for one that is copied.
        size_bytes: u64,
    },
    /// Parts are joined.
    Complete,
    /// A multipart upload is given up.
    Abort,
    /// Something is looked up, or read.
    Look,
}

/// What happens to each call.
#[trait_variant::make(Send)]
pub trait Hook: Sync {
    /// Carries out `call`, or not; before, after, or for ever.
    async fn around<T: Send>(
        &self,
        call: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError>;
}

/// A bucket in memory with a hook.
#[derive(Debug, Clone)]
pub struct Hooked<H> {
    inner: MemoryObjects,
    hook: H,
}

impl<H> Hooked<H> {
    /// `inner` with this hook.
    pub const fn new(inner: MemoryObjects, hook: H) -> Self {
        Self { inner, hook }
    }

    /// The bucket behind the hook.
    pub const fn inner(&self) -> &MemoryObjects {
        &self.inner
    }

    /// The hook.
    pub const fn hook(&self) -> &H {
        &self.hook
    }
}

impl<H: Hook> Objects for Hooked<H> {
    fn bucket(&self) -> &str {
        self.inner.bucket()
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        sum: Checksum,
        a: &Attributes,
    ) -> Result<Stored, ObjectsError> {
        self.hook.around(Call::Put, self.inner.put(key, body, sum, a)).await
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, ObjectsError> {
        self.hook.around(Call::Begin, self.inner.begin(key, attributes)).await
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
        sum: Checksum,
    ) -> Result<Part, ObjectsError> {
        let call = Call::Part { upload: upload.to_owned(), number, size_bytes: body.len() as u64 };
        self.hook.around(call, self.inner.put_part(key, upload, number, body, sum)).await
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        self.hook.around(Call::Look, self.inner.parts(key, upload)).await
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        sum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.hook.around(Call::Complete, self.inner.complete(key, upload, parts, sum, onto)).await
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        self.hook.around(Call::Abort, self.inner.abort(key, upload)).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, ObjectsError> {
        self.hook.around(Call::Look, self.inner.uploads(prefix)).await
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        self.hook.around(Call::Look, self.inner.head(key, version_id)).await
    }

    async fn read(&self, key: &str, id: Option<&str>, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        self.hook.around(Call::Look, self.inner.read(key, id, range)).await
    }

    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError> {
        self.hook.around(Call::Look, self.inner.tags(key, version_id)).await
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError> {
        self.hook.around(Call::Look, self.inner.list_versions(prefix, after, most)).await
    }

    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError> {
        self.hook.around(Call::Abort, self.inner.remove(key, version_id)).await
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        a: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        self.hook.around(Call::Put, self.inner.copy(source, key, a, onto)).await
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        number: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        let call = Call::Part { upload: upload.to_owned(), number, size_bytes: 0 };
        self.hook.around(call, self.inner.copy_part(source, key, upload, number, range)).await
    }
}
