//! What happened is queued for each target that hears of it, and then struck out of the outbox.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, future::try_join_all, stream};
use sealane::{
    failover::Record,
    notify::{Heard, Notice, Target, untold},
    ports::{Clock, Objects, Posts, Rows, RowsError},
    store::Untold,
};

use super::Run;

/// Events of one round.
const EVENTS_MAX: usize = 500;

/// Events that are queued at once.
const AT_ONCE: usize = 16;

/// How long a call may be at work before its writes are looked after: no request lasts half as long.
const CALL_MAX: Duration = Duration::from_secs(120);

/// Calls of one round that are looked after.
const CALLS_MAX: usize = 100;

/// Accounts of moves that are read; a target that is further behind hears of the newest.
const ACCOUNTS_MAX: usize = 200;

impl<O: Objects, R: Rows, P: Posts, C: Clock> Run<'_, O, R, P, C> {
    /// Queues the events of the outbox; whether there are more, and the round went well.
    pub(super) async fn queue_events(&self) -> bool {
        let worksets = &self.herald.worksets;
        let before = self.deps.clock.now().before(CALL_MAX).unwrap_or_default();
        if let Err(error) = worksets.mend(before, CALLS_MAX).await {
            tracing::warn!(%error, "left the writes of calls that did not end to the next run");
        }
        let waiting = match worksets.untold(None, EVENTS_MAX).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "left the outbox to the next run");
                return false;
            }
        };
        for problem in &waiting.unreadable {
            tracing::error!(error = problem, "passed over a row of the outbox");
        }
        let queueing = stream::iter(by_workset(&waiting.events)).map(|line| Box::pin(self.queue_line(line)));
        let queued: Vec<_> = queueing.buffer_unordered(AT_ONCE).collect().await;
        let failed = queued.iter().filter(|done| done.is_err()).count();
        if let Some(Err(error)) = queued.into_iter().find(Result::is_err) {
            tracing::warn!(%error, failed, "left the events of worksets to the next run");
        }
        failed == 0 && waiting.next.is_some()
    }

    /// Queues the events of one workset up to the first that fails, so that none is told before an older one.
    async fn queue_line(&self, events: Vec<&Untold>) -> Result<(), RowsError> {
        for event in events {
            self.queue_event(event).await?;
        }
        Ok(())
    }

    async fn queue_event(&self, untold: &Untold) -> Result<(), RowsError> {
        let now = self.deps.clock.now();
        let notice = Notice::of_event(&untold.tenant, &untold.id, &untold.event);
        let hearing = self.targets().iter().filter(|target| target.hears(&untold.event));
        let queueing = hearing.map(|target| self.herald.notices.queue(&target.name, notice.clone(), now));
        try_join_all(queueing).await?;
        self.queue_sentinels(untold, &notice).await?;
        self.herald.worksets.strike(untold).await
    }

    /// Queues the moves that each target has not heard of.
    pub(super) async fn queue_failovers(&self, record: &Record) {
        for target in self.targets().iter().filter(|target| target.hears_failovers()) {
            if let Err(error) = self.queue_moves(target, record).await {
                tracing::warn!(target.name = %target.name, %error, "left the moves to the next run");
            }
        }
    }

    async fn queue_moves(&self, target: &Target, record: &Record) -> Result<(), RowsError> {
        let notices = &self.herald.notices;
        let old = notices.heard(&target.name).await?;
        let Some(heard) = old.as_ref().map(|old| old.value) else {
            return notices.note(&target.name, None, Heard::first(record)).await;
        };
        if !heard.is_behind(record) {
            return Ok(());
        }
        let accounts = self.herald.control.moves(ACCOUNTS_MAX).await?;
        let (news, next) = untold(record, &accounts, heard);
        for notice in news {
            notices.queue(&target.name, notice, self.deps.clock.now()).await?;
        }
        if next != heard {
            notices.note(&target.name, old.as_ref(), next).await?;
        }
        Ok(())
    }
}

/// The events of each workset, in the order of their versions.
fn by_workset(events: &[Untold]) -> Vec<Vec<&Untold>> {
    let mut lines: BTreeMap<_, Vec<&Untold>> = BTreeMap::new();
    for event in events {
        lines.entry((&event.tenant, &event.id)).or_default().push(event);
    }
    lines.values_mut().for_each(|line| line.sort_by_key(|untold| untold.event.place()));
    lines.into_values().collect()
}
