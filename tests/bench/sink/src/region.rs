//! One region of the sink: what it holds, what it counted, what ails it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};

/// What a region does to its clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// Takes no more than so many bytes a second in all.
    Throttle(f64),
    /// Resets every connection.
    Refuse,
    /// Reads nothing more and answers nothing.
    Silence,
}

/// A trouble, and when it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What happens.
    pub trouble: Trouble,
    /// Bytes of bodies that are taken before.
    pub after: u64,
}

/// The way to a region that is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// What every answer takes besides.
    pub delay: Duration,
    /// Every part of this number is asked to come back later; 0 for none.
    pub busy_every: u64,
}

/// What a region counted. Times are seconds since the last reset.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Requests of any kind.
    pub requests: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Bytes of bodies, framing included.
    pub bytes: u64,
    /// Multipart uploads begun and neither completed nor given up.
    pub unfinished: u64,
    /// Parts in those uploads.
    pub parts: usize,
    /// Objects held.
    pub objects: usize,
    /// Bytes in those objects.
    pub object_bytes: u64,
    /// When the first byte of a body came.
    pub first_byte_s: Option<f64>,
    /// When the last byte of a body came.
    pub last_byte_s: Option<f64>,
    /// When a client first met the trouble.
    pub trouble_s: Option<f64>,
}

/// What is kept of an object or of an upload's parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) size: u64,
    pub(super) checksum: Option<String>,
    pub(super) metadata: Vec<(String, String)>,
    /// The parts of an upload that is under way: size, ETag and checksum of each.
    pub(super) parts: HashMap<u32, (u64, String, Option<String>)>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) counts: Counts,
    pub(super) objects: HashMap<String, Kept>,
    pub(super) uploads: HashMap<String, Kept>,
    pub(super) made: u64,
    /// How long the copy of a part takes.
    pub(super) copy_takes: Duration,
    fault: Option<Fault>,
    link: Link,
    /// Parts that were asked to be taken.
    asked: u64,
    /// Until when a throttled region is busy with what it took.
    busy_until: Option<Instant>,
}

/// One region.
#[derive(Debug)]
pub struct Region {
    held: Mutex<Held>,
    began: Mutex<Instant>,
    /// Raised when connections have to end.
    cut: watch::Sender<u64>,
}

/// What a connection is to do with the bytes that it just took.
pub(super) enum Next {
    Go,
    Wait(Instant),
    Reset,
    Hang,
}

impl Default for Region {
    fn default() -> Self {
        let (held, began) = (Mutex::default(), Mutex::new(Instant::now()));
        Self { held, began, cut: watch::Sender::new(0) }
    }
}

impl Region {
    /// Forgets everything, and is well again.
    pub fn reset(&self) {
        *self.held() = Held::default();
        *lock(&self.began) = Instant::now();
    }

    /// Has a fault from now on.
    pub fn fail(&self, fault: Fault) {
        self.held().fault = Some(fault);
        if fault.after == 0 && fault.trouble == Trouble::Refuse {
            self.cut.send_modify(|times| *times += 1);
        }
    }

    /// Has the copy of a part take so long from now on.
    pub fn copies_take(&self, span: Duration) {
        self.held().copy_takes = span;
    }

    /// Is reached over `link` from now on.
    pub fn link(&self, link: Link) {
        self.held().link = link;
    }

    /// What an answer takes besides.
    pub(super) fn delay(&self) -> Duration {
        self.held().link.delay
    }

    /// Whether the part that is sent now is to come back later.
    pub(super) fn is_busy(&self) -> bool {
        let mut held = self.held();
        held.asked += 1;
        held.link.busy_every > 0 && held.asked.is_multiple_of(held.link.busy_every)
    }

    /// What was counted since the last reset.
    pub fn counts(&self) -> Counts {
        let held = self.held();
        Counts {
            unfinished: held.uploads.len() as u64,
            parts: held.uploads.values().map(|upload| upload.parts.len()).sum(),
            objects: held.objects.len(),
            object_bytes: held.objects.values().map(|object| object.size).sum(),
            ..held.counts.clone()
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    fn elapsed(&self) -> f64 {
        lock(&self.began).elapsed().as_secs_f64()
    }

    /// Counts a connection; what becomes of it.
    pub(super) fn connected(&self) -> Next {
        let at = self.elapsed();
        let mut held = self.held();
        held.counts.connections += 1;
        held.next(0, at)
    }

    /// Counts bytes of a body; what becomes of the connection.
    pub(super) fn took(&self, bytes: u64) -> Next {
        let at = self.elapsed();
        let mut held = self.held();
        held.counts.bytes += bytes;
        held.counts.first_byte_s.get_or_insert(at);
        held.counts.last_byte_s = Some(at);
        let next = held.next(bytes, at);
        if matches!(next, Next::Reset) {
            self.cut.send_modify(|times| *times += 1);
        }
        next
    }
}

impl Held {
    fn next(&mut self, bytes: u64, at: f64) -> Next {
        let Some(fault) = self.fault.filter(|fault| self.counts.bytes >= fault.after) else {
            return Next::Go;
        };
        self.counts.trouble_s.get_or_insert(at);
        match fault.trouble {
            Trouble::Refuse => Next::Reset,
            Trouble::Silence => Next::Hang,
            Trouble::Throttle(rate) => {
                #[expect(clippy::cast_precision_loss, reason = "a frame is small")]
                let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1.0));
                let now = Instant::now();
                let until = self.busy_until.map_or(now, |until| until.max(now)) + cost;
                self.busy_until = Some(until);
                Next::Wait(until)
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
