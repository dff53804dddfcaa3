//! Buckets are brought to show what the table says.
//!
//! A notice is a hint that a workset has changed; what is shown is what its row and its lock say at the
//! moment of the look. Two runs may meet, and one may die, be late, or read what has changed since: so
//! each change is looked at a second time, when no run that began before it can be at work any more.
//! While a lock is shown there is always such a look to come, since a lock ends without an event.

use std::time::Duration;

use bytes::Bytes;
use sealane::{
    checksum::Checksum,
    notify::{Notice, Outcome, Queued, TargetName},
    ports::{Attributes, Clock, Objects, ObjectsError, Posts, Rows, RowsError},
    store::Untold,
    workset::{Sentinel, Tenant, Workset, WorksetId, changes},
};

use super::{Run, deliver::Tried};
use crate::{source::MANY, trouble::chain};

/// How long after a look the second one comes: a function is stopped 15 minutes after it began.
const LATER: Duration = Duration::from_secs(16 * 60);

/// How often a look begins anew because the workset has changed meanwhile.
const TRIES: usize = 3;

/// Tries that wait for this region's replica to have the write that a notice tells of. Then the write
/// has lost against another region's, and will never be there.
const WAITS_FOR_REPLICA: u32 = 3;

/// Why a bucket does not show a workset.
#[derive(Debug, thiserror::Error)]
enum Unshown {
    #[error("the notice names no workset")]
    Foreign,
    #[error("this region's replica does not have the write yet")]
    Behind,
    #[error("`{0}` is the bucket of no region (set `bucket` of a region, or `worksets.sentinels: off`)")]
    Elsewhere(String),
    #[error("more than {MANY} versions begin with `{0}` (remove what is none of the six sentinels)")]
    Crowded(String),
    #[error("the workset changes faster than it can be shown")]
    Restless,
    #[error("the workset could not be read")]
    Table(#[from] RowsError),
    #[error("the bucket could not be changed")]
    Bucket(#[from] ObjectsError),
}

impl Unshown {
    /// What follows, and after how many tries. An outage is waited for, however long it takes.
    fn tried(&self, attempts_max: u32) -> Tried {
        let why = chain(self);
        let (outcome, attempts_max) = match self {
            Self::Foreign | Self::Elsewhere(_) => (Outcome::Refused { why }, attempts_max),
            Self::Crowded(_) => (Outcome::Again { why, wait: None }, attempts_max),
            Self::Bucket(error) if !error.is_outage() => (Outcome::Again { why, wait: None }, attempts_max),
            Self::Behind | Self::Restless | Self::Table(_) | Self::Bucket(_) => {
                (Outcome::Again { why, wait: None }, u32::MAX)
            }
        };
        Tried { outcome, attempts_max }
    }
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    workset: Workset,
    shown: Vec<Sentinel>,
}

impl<O: Objects, R: Rows, P: Posts, C: Clock> Run<'_, O, R, P, C> {
    /// Queues a look at the workset of `untold`, if it shows how it stands.
    pub(super) async fn queue_sentinels(&self, untold: &Untold, notice: &Notice) -> Result<(), RowsError> {
        if !self.deps.config.sentinels.is_on() {
            return Ok(());
        }
        let held = self.herald.worksets.get(&untold.tenant, &untold.id).await?;
        let workset = held.as_ref().map(|held| &held.workset);
        if workset.is_some_and(|workset| !self.is_shown(workset)) {
            return Ok(());
        }
        let home = workset.and_then(|workset| self.home(workset));
        let name = TargetName::of_sentinels(home.map(|(region, _)| *region));
        self.herald.notices.queue(&name, notice.clone(), self.deps.clock.now()).await
    }

    /// Looks at the workset that `queued` hints at, and has its bucket show how it stands.
    pub(super) async fn show(&self, name: &TargetName, queued: &Queued) -> Tried {
        let attempts_max = self.deps.config.notifications.attempts_max;
        match self.look(name, queued).await {
            Ok(()) => Tried { outcome: Outcome::Told, attempts_max },
            Err(error) => error.tried(attempts_max),
        }
    }

    async fn look(&self, name: &TargetName, queued: &Queued) -> Result<(), Unshown> {
        let (tenant, id, version) = queued.notice.workset().ok_or(Unshown::Foreign)?;
        let seen = self.see(&tenant, &id).await?.ok_or(Unshown::Behind)?;
        if seen.workset.version < version && queued.attempts < WAITS_FOR_REPLICA {
            return Err(Unshown::Behind);
        }
        if !self.is_shown(&seen.workset) {
            return Ok(());
        }
        let seen = self.settle_down(seen, (&tenant, &id)).await?;
        if !queued.notice.is_again() || seen.shown.contains(&Sentinel::Lock) {
            let due = self.deps.clock.now().after(LATER);
            self.herald.notices.queue(name, queued.notice.again(due), due).await?;
        }
        Ok(())
    }

    /// Changes the bucket until the workset is as it was before the last change.
    async fn settle_down(&self, seen: Seen, of: (&Tenant, &WorksetId)) -> Result<Seen, Unshown> {
        let mut seen = seen;
        for _ in 0..TRIES {
            let (_, bucket) = self
                .home(&seen.workset)
                .ok_or_else(|| Unshown::Elsewhere(seen.workset.bucket.to_string()))?;
            if !self.bring(bucket, &seen).await? {
                return Ok(seen);
            }
            let after = self.see(of.0, of.1).await?.ok_or(Unshown::Behind)?;
            if after.shown == seen.shown {
                return Ok(after);
            }
            seen = after;
        }
        Err(Unshown::Restless)
    }

    /// Whether anything had to be changed for `bucket` to show what was `seen`.
    async fn bring(&self, bucket: &O, seen: &Seen) -> Result<bool, Unshown> {
        let prefix = &seen.workset.prefix;
        let begin = Sentinel::keys_begin_with(prefix);
        let listed = bucket.list_versions(&begin, None, MANY).await?;
        let changes = changes(prefix, &seen.shown, &listed);
        for (key, version) in &changes.remove {
            bucket.remove(key, version).await?;
        }
        if listed.more {
            return Err(Unshown::Crowded(begin));
        }
        for sentinel in &changes.put {
            let body = Bytes::from(sentinel.content(&seen.workset, self.deps.clock.now()));
            let attributes =
                Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
            let sum = Checksum::of(&body);
            bucket.put(&sentinel.key(prefix), body, sum, &attributes).await?;
        }
        Ok(!changes.is_none())
    }

    async fn see(&self, tenant: &Tenant, id: &WorksetId) -> Result<Option<Seen>, RowsError> {
        let held = self.herald.worksets.get(tenant, id);
        let lock = self.herald.control.lock(tenant, id);
        let (held, lock) = futures::try_join!(held, lock)?;
        let now = self.deps.clock.now();
        let is_locked = lock.slot.lock.is_some_and(|lock| !lock.is_expired(now));
        Ok(held.map(|held| {
            let workset = held.workset;
            Seen { shown: Sentinel::shown(workset.state, is_locked), workset }
        }))
    }

    fn is_shown(&self, workset: &Workset) -> bool {
        self.deps.config.sentinels.admits(&workset.tenant, &workset.prefix)
    }

    /// The region whose bucket holds the workset's data, and the bucket.
    fn home(&self, workset: &Workset) -> Option<(&sealane::region::RegionName, &O)> {
        self.deps.buckets.iter().find(|(_, bucket)| bucket.bucket() == workset.bucket.as_str())
    }
}

#[cfg(test)]
mod tests {
    use sealane::ports::Silence;

    use super::*;

    fn stage(error: &Unshown, attempts: u32) -> sealane::notify::Stage {
        let notice = Notice {
            id: "n".to_owned(),
            line: "workset#lab#ws-001".to_owned(),
            order: String::new(),
            what: sealane::notify::What::WorksetState,
            state: None,
            body: String::new(),
        };
        let tried = error.tried(4);
        let queued = Queued { attempts, ..Queued::new(notice, sealane::time::Timestamp::default()) };
        queued.after(&tried.outcome, tried.attempts_max, sealane::time::Timestamp::default(), 7).stage
    }

    #[test]
    fn an_outage_is_waited_for_and_a_refusal_is_tried_a_few_times() {
        use sealane::notify::Stage::{Parked, Waiting};
        let bucket = || "b".to_owned();
        let refused =
            ObjectsError::Refused { bucket: bucket(), key: "k".to_owned(), source: "AccessDenied".into() };
        let silent =
            ObjectsError::NoAnswer { bucket: bucket(), how: Silence::Timeout, source: "late".into() };
        let busy = ObjectsError::Throttled { bucket: bucket(), source: "SlowDown".into() };
        for (error, soon, late) in [
            (Unshown::Bucket(refused), Waiting, Parked),
            (Unshown::Bucket(silent), Waiting, Waiting),
            (Unshown::Bucket(busy), Waiting, Waiting),
            (Unshown::Behind, Waiting, Waiting),
            (Unshown::Restless, Waiting, Waiting),
            (Unshown::Table(RowsError::Conflict), Waiting, Waiting),
            (Unshown::Crowded("p/".to_owned()), Waiting, Parked),
            (Unshown::Elsewhere(bucket()), Parked, Parked),
        ] {
            assert_eq!((stage(&error, 0), stage(&error, 3)), (soon, late), "{error}");
        }
    }
}
