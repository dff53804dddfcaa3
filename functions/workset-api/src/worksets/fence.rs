//! What follows a change of hands of a lock: the workset's row is fenced before anyone is told.
//!
//! A write that an earlier holder was let in to may still be on its way to the row. It names the
//! version that it was decided on, so the next version is written here first. A lock that nobody
//! had before has nobody to fence off, and costs no write.

use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::{Held, WriteError},
    workset::{self, By, Event, Refused, State as Phase, Workset, WorksetId},
};

use super::{TRIES_MAX, replica, rewrite::unwritten};
use crate::{
    app::App,
    caller::Caller,
    problem::{Kind, Problem},
};

/// A lock that changed hands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) caller: &'a Caller,
    pub(super) id: &'a WorksetId,
    pub(super) primary: RegionName,
    /// The name of the call.
    pub(super) write: &'a str,
}

impl Change<'_> {
    /// The workset whose lock was taken with `token`, as nobody else may write it now; `None` if it
    /// is in no state that `waits`, and so was moved before the lock was taken.
    ///
    /// The lock is the caller's, and an outage leaves it so: the same call finds it again.
    pub(super) async fn taken<R: Rows, C: Clock>(
        self,
        app: &App<R, C>,
        token: u64,
        waits: fn(Phase) -> bool,
    ) -> Result<Option<Workset>, Problem> {
        for _ in 0..TRIES_MAX {
            let Some(old) = self.read(app).await? else { return Ok(None) };
            // The call was sent again, and its lock has been written under since.
            if old.workset.fence >= token {
                return Ok(Some(old.workset));
            }
            if !waits(old.workset.state) {
                return Ok(None);
            }
            if token <= 1 {
                return Ok(Some(old.workset));
            }
            let next = |old: &Workset, by: &By| workset::taken_over(old, token, by);
            if let Some(new) = self.fenced(app, &old, next).await? {
                return Ok(Some(new));
            }
        }
        Err(self.unknown("others write it"))
    }

    /// Ends the writes of the holder of `token`, whose lock was broken.
    pub(super) async fn broken<R: Rows, C: Clock>(self, app: &App<R, C>, token: u64) -> Result<(), Problem> {
        for _ in 0..TRIES_MAX {
            let Some(old) = self.read(app).await? else { return Ok(()) };
            let is_done = old.last.request == self.write || old.workset.fence > token;
            if is_done || old.workset.state.is_terminal() {
                return Ok(());
            }
            let next = |old: &Workset, by: &By| workset::broken(old, token, by);
            if self.fenced(app, &old, next).await?.is_some() {
                return Ok(());
            }
        }
        Err(self.unknown("others write it"))
    }

    /// Writes what `next` makes of `old`; `None` when another write came first.
    async fn fenced<R: Rows, C: Clock>(
        self,
        app: &App<R, C>,
        old: &Held,
        next: impl Fn(&Workset, &By) -> Result<(Workset, Event), Refused>,
    ) -> Result<Option<Workset>, Problem> {
        let by = app.by(&self.caller.actor, self.primary, self.write).await;
        let (workset, last) = next(&old.workset, &by)?;
        let new = Held { workset, last };
        app.still(self.primary).await?;
        match replica(app, self.primary)?.replace(old, &new).await {
            Ok(()) => Ok(Some(new.workset)),
            Err(WriteError::Lost) => Ok(None),
            Err(WriteError::Failed(error)) => Err(self.unknown("its row was not written").caused_by(&error)),
            Err(error) => Err(unwritten(app, self.id, self.primary, error).await),
        }
    }

    async fn read<R: Rows, C: Clock>(self, app: &App<R, C>) -> Result<Option<Held>, Problem> {
        let held = replica(app, self.primary)?.get(&self.caller.tenant, self.id).await;
        held.map_err(|error| self.unknown("it could not be read").caused_by(&error))
    }

    fn unknown(self, why: &str) -> Problem {
        let detail = format!(
            "the lock of `{}` has changed hands and {why} (send the call again with its key)",
            self.id
        );
        Problem::new(Kind::OutcomeUnknown, detail)
    }
}
