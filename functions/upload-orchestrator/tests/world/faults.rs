//! A bucket and a table whose calls fail, or never come back, on command.

use std::{
    fmt,
    future::pending,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use sealane::{
    checksum::Checksum,
    memory::{MemoryObjects, MemoryRows},
    ports::{
        Attributes, CopySource, Cursor, Head, Key, Objects, ObjectsError, Onto, Page, Part, Post, PostAnswer,
        PostError, Posts, Row, Rows, RowsError, Silence, Stored, Tags, Versions, When,
    },
};
use std::sync::Arc;

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The worker dies before the call takes effect.
    CrashBefore,
    /// The worker dies after the call took effect.
    CrashAfter,
    /// No answer, and no effect.
    SilenceBefore,
    /// No answer, but it took effect.
    SilenceAfter,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::CrashBefore, Self::CrashAfter, Self::SilenceBefore, Self::SilenceAfter];
}

/// Which calls fail, shared by all buckets and tables of a world.
#[derive(Debug, Default)]
pub struct Script {
    calls: AtomicUsize,
    next: Mutex<Option<(usize, Fault)>>,
    /// Stores report no checksums.
    pub hide_sums: AtomicBool,
    /// Parts that were copied.
    pub parts_copied: AtomicUsize,
    /// Copies still to be damaged on their way.
    pub damage: AtomicUsize,
    /// A bucket that reads back other bytes than its checksums promise.
    pub rotten: Mutex<Option<String>>,
    /// What happens at each read.
    pub on_read: Hook,
    /// What happens once, just before a copy in parts is completed.
    pub before_completion: Hook,
    /// What happens once, just before the call of this number.
    at_call: Mutex<Option<(usize, Meanwhile)>>,
}

/// What somebody else does between two calls.
struct Meanwhile(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// A call into the test.
#[derive(Default)]
pub struct Hook(pub Mutex<Option<Box<dyn Fn() + Send>>>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Script {
    /// Lets `fault` befall the call number `at`, counted from now.
    pub fn plan(&self, at: usize, fault: Fault) {
        *self.next.lock().unwrap() = Some((self.calls.load(SeqCst) + at, fault));
    }

    /// Lets `happen` come just before the call number `at`, counted from now.
    pub fn meanwhile(&self, at: usize, happen: impl FnOnce() + Send + 'static) {
        let number = self.calls.load(SeqCst) + at;
        *self.at_call.lock().unwrap() = Some((number, Meanwhile(Box::new(happen))));
    }

    /// Whether nothing is planned to come meanwhile.
    pub fn came(&self) -> bool {
        self.at_call.lock().unwrap().is_none()
    }

    /// Whether the planned fault has happened.
    pub fn happened(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }

    /// Calls so far.
    pub fn count(&self) -> usize {
        self.calls.load(SeqCst)
    }

    pub fn heal(&self) {
        *self.next.lock().unwrap() = None;
        *self.at_call.lock().unwrap() = None;
    }

    fn step(&self) -> Option<Fault> {
        let mut planned = self.at_call.lock().unwrap();
        let due = planned.as_ref().is_some_and(|(at, _)| *at <= self.calls.load(SeqCst));
        let meanwhile = planned.take_if(|_| due);
        drop(planned);
        if let Some((_, Meanwhile(happen))) = meanwhile {
            happen();
        }
        let number = self.calls.fetch_add(1, SeqCst);
        let mut next = self.next.lock().unwrap();
        let (_, fault) = next.filter(|(at, _)| *at == number)?;
        *next = None;
        Some(fault)
    }
}

#[derive(Debug, Clone)]
pub struct Faulty<T> {
    pub inner: T,
    pub script: Arc<Script>,
}

macro_rules! call {
    ($self:ident, $silence:expr, $call:expr) => {{
        let fault = $self.script.step();
        match fault {
            Some(Fault::CrashBefore) => pending().await,
            Some(Fault::SilenceBefore) => return Err($silence),
            _ => {}
        }
        let answer = $call.await;
        match fault {
            Some(Fault::CrashAfter) => pending().await,
            Some(Fault::SilenceAfter) => Err($silence),
            _ => answer,
        }
    }};
}

fn silent_bucket(bucket: &MemoryObjects) -> ObjectsError {
    ObjectsError::NoAnswer {
        bucket: bucket.bucket().to_owned(),
        how: Silence::Timeout,
        source: "planned".into(),
    }
}

fn silent_table() -> RowsError {
    RowsError::NoAnswer { table: "ledger".to_owned(), how: Silence::Timeout, source: "planned".into() }
}

impl Objects for Faulty<MemoryObjects> {
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
        call!(self, silent_bucket(&self.inner), self.inner.put(key, body, sum, a))
    }

    async fn begin(&self, key: &str, a: &Attributes) -> Result<String, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.begin(key, a))
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
        sum: Checksum,
    ) -> Result<Part, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.put_part(key, upload, number, body, sum))
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.parts(key, upload))
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        sum: Option<Checksum>,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        if let Some(hook) = self.script.before_completion.0.lock().unwrap().take() {
            hook();
        }
        call!(self, silent_bucket(&self.inner), self.inner.complete(key, upload, parts, sum, onto))
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.abort(key, upload))
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<sealane::ports::OpenUpload>, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.uploads(prefix))
    }

    async fn head(&self, key: &str, version_id: Option<&str>) -> Result<Option<Head>, ObjectsError> {
        let head: Result<Option<Head>, _> =
            call!(self, silent_bucket(&self.inner), self.inner.head(key, version_id));
        let hidden = self.script.hide_sums.load(SeqCst);
        Ok(head?.map(|h| Head { checksum: h.checksum.filter(|_| !hidden), ..h }))
    }

    async fn tags(&self, key: &str, version_id: Option<&str>) -> Result<Tags, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.tags(key, version_id))
    }

    async fn list_versions(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: u16,
    ) -> Result<Versions, ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.list_versions(prefix, after, most))
    }

    async fn remove(&self, key: &str, version_id: &str) -> Result<(), ObjectsError> {
        call!(self, silent_bucket(&self.inner), self.inner.remove(key, version_id))
    }

    async fn read(
        &self,
        key: &str,
        version_id: Option<&str>,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectsError> {
        if let Some(hook) = self.script.on_read.0.lock().unwrap().as_ref() {
            hook();
        }
        let bytes: Result<Bytes, _> =
            call!(self, silent_bucket(&self.inner), self.inner.read(key, version_id, range));
        let rotten = self.script.rotten.lock().unwrap().as_deref() == Some(self.bucket());
        Ok(if rotten { bytes?.iter().map(|b| b ^ 1).collect() } else { bytes? })
    }

    async fn copy(
        &self,
        source: &CopySource,
        key: &str,
        a: &Attributes,
        onto: &Onto,
    ) -> Result<Stored, ObjectsError> {
        let stored: Result<Stored, _> =
            call!(self, silent_bucket(&self.inner), self.inner.copy(source, key, a, onto));
        let hidden = self.script.hide_sums.load(SeqCst);
        let stored = stored.map(|s| Stored { checksum: s.checksum.filter(|_| !hidden), ..s });
        if self.script.damage.load(SeqCst) > 0 {
            self.script.damage.fetch_sub(1, SeqCst);
            self.inner.corrupt(key);
            // The store says what it wrote.
            let head = self.inner.head(key, None).await?;
            return stored.map(|s| Stored { checksum: head.and_then(|h| h.checksum), ..s });
        }
        stored
    }

    async fn copy_part(
        &self,
        source: &CopySource,
        key: &str,
        upload: &str,
        number: u32,
        range: Range<u64>,
    ) -> Result<Part, ObjectsError> {
        self.script.parts_copied.fetch_add(1, SeqCst);
        call!(self, silent_bucket(&self.inner), self.inner.copy_part(source, key, upload, number, range))
    }
}

impl<P: Posts> Posts for Faulty<P> {
    async fn post(&self, post: &Post) -> Result<PostAnswer, PostError> {
        call!(self, PostError::NoAnswer { how: Silence::Timeout }, self.inner.post(post))
    }
}

impl Rows for Faulty<MemoryRows> {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        call!(self, silent_table(), self.inner.read(key))
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        call!(self, silent_table(), self.inner.write(row, when))
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        call!(self, silent_table(), self.inner.list(partition, newest_first, from, limit))
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        call!(self, silent_table(), self.inner.list_index(partition, up_to, from, limit))
    }
}
