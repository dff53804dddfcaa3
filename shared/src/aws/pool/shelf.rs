//! Connections that wait for requests, and requests that wait for connections.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_smithy_types::body::SdkBody;
use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::client::conn::http1::SendRequest;
use tokio::{sync::oneshot, time::Instant};

/// After lying idle for so long, a connection is closed instead of used, as the pool below the SDK does.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Whom a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self { scheme: uri.scheme()?.clone(), authority: uri.authority()?.clone() })
    }

    /// What the `Host` header says: the port only where it is not the scheme's own.
    pub(super) fn host(&self) -> String {
        let own = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = self.authority.host();
        match self.authority.port_u16().filter(|port| *port != own) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// What a connection is opened to.
    pub(super) fn root(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Whether a connection must not be used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Condemned(Arc<AtomicBool>);

impl Condemned {
    pub(super) fn condemn(&self) {
        self.0.store(true, Relaxed);
    }
}

/// One connection, while nobody else has it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sender: SendRequest<Box<SdkBody>>,
    condemned: Condemned,
    since: Instant,
}

impl Link {
    pub(super) fn new(sender: SendRequest<Box<SdkBody>>) -> Self {
        Self { sender, condemned: Condemned::default(), since: Instant::now() }
    }

    pub(super) fn condemned(&self) -> Condemned {
        self.condemned.clone()
    }

    fn may_be_used(&self, now: Instant) -> bool {
        let fresh = now.saturating_duration_since(self.since) < IDLE_MAX;
        fresh && !self.sender.is_closed() && !self.condemned.0.load(Relaxed)
    }
}

/// The idle connections to one origin, the last used at the end, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    idle: Vec<Link>,
    waiting: VecDeque<oneshot::Sender<Link>>,
}

impl Shelf {
    /// The connection that was used last, or where the next one that is freed will come.
    pub(super) fn take(&self) -> Result<Link, oneshot::Receiver<Link>> {
        let (mut held, now) = (self.held(), Instant::now());
        held.idle.retain(|link| link.may_be_used(now));
        // What is left of an answer may still be under way.
        if let Some(ready) = held.idle.iter().rposition(|link| link.sender.is_ready()) {
            return Ok(held.idle.remove(ready));
        }
        // Where nothing is ever freed, as in a region that is down, those who gave up would pile up.
        while held.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            held.waiting.pop_front();
        }
        let (free, freed) = oneshot::channel();
        held.waiting.push_back(free);
        Err(freed)
    }

    /// Gives a connection to whoever waits longest, or lays it down.
    pub(super) fn give(&self, link: Link) {
        let (mut held, now) = (self.held(), Instant::now());
        let mut link = Link { since: now, ..link };
        if !link.may_be_used(now) {
            return;
        }
        while link.sender.is_ready() {
            let Some(free) = held.waiting.pop_front() else { break };
            match free.send(link) {
                Ok(()) => return,
                Err(unwanted) => link = unwanted,
            }
        }
        held.idle.push(link);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shelf of each origin.
#[derive(Default)]
pub(super) struct Shelves(Mutex<HashMap<Origin, Arc<Shelf>>>);

impl fmt::Debug for Shelves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelves").finish_non_exhaustive()
    }
}

impl Shelves {
    pub(super) fn of(&self, origin: &Origin) -> Arc<Shelf> {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shelves.get(origin) {
            Some(shelf) => Arc::clone(shelf),
            None => Arc::clone(shelves.entry(origin.clone()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_gave_up_waiting_do_not_pile_up() {
        let shelf = Shelf::default();
        for _ in 0..100 {
            assert!(shelf.take().is_err());
        }
        assert_eq!(shelf.held().waiting.len(), 1);
        let waiting: Vec<_> = (0..5).filter_map(|_| shelf.take().err()).collect();
        assert_eq!((waiting.len(), shelf.held().waiting.len()), (5, 5));
    }
}
