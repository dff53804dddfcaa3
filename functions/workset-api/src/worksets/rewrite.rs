//! One write of a workset that exists: read, guard, decide, write; and anew when another came first.

use std::hash::{DefaultHasher, Hash, Hasher};

use futures::join;
use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::{Held, WorksetTable, WriteError},
    workset::{By, Call, Event, Reply, Workset, WorksetId},
};
use serde_json::json;

use super::{TRIES_MAX, contended, missing, replica};
use crate::{
    app::App,
    caller::Caller,
    etag::{self, IfMatch},
    once::Pen,
    problem::{Kind, Problem},
};

/// Events that a call is looked for among, when an owner before this one may have done it.
const LOOK_BACK: usize = 50;

/// What is to be written, and by whom.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) caller: &'a Caller,
    pub(super) id: &'a WorksetId,
    pub(super) if_match: &'a IfMatch,
    /// The token of the caller's lock.
    pub(super) token: Option<u64>,
}

/// Writes what `decide` makes of the workset into the replica of `primary`.
pub(super) async fn rewrite<R: Rows, C: Clock>(
    app: &App<R, C>,
    primary: RegionName,
    wanted: &Wanted<'_>,
    pen: &mut Pen<'_, R>,
    decide: impl Fn(&Workset, &By) -> Result<(Workset, Event), Problem> + Send + Sync,
) -> Result<Workset, Problem> {
    let Wanted { caller, id, if_match, token } = *wanted;
    let table = replica(app, primary)?;
    let resumed = !pen.journal().is_empty();
    for _ in 0..TRIES_MAX {
        let (held, lock) = join!(table.get(&caller.tenant, id), app.deps.control.lock(&caller.tenant, id));
        let old = match held {
            Ok(held) => held.ok_or_else(|| missing(id))?,
            Err(error) => return Err(unwritten(app, id, primary, WriteError::Failed(error)).await),
        };
        // The first owner of this call died after it had done it, or its own answer was lost.
        if old.last.request == pen.write() || (resumed && was_written(table, &old, pen.write()).await?) {
            return Ok(old.workset);
        }
        if_match.check(&old.workset)?;
        lock?.slot.guard(token, app.now())?;
        let by = app.by(&caller.actor, primary, pen.write()).await;
        let (workset, last) = decide(&old.workset, &by)?;
        let new = Held { workset, last };
        pen.begin(&Call::write_step(id)).await?;
        app.still(primary).await?;
        match table.replace(&old, &new).await {
            Ok(()) => return Ok(new.workset),
            Err(WriteError::Lost) => {}
            Err(error) => return Err(unwritten(app, id, primary, error).await),
        }
    }
    Err(contended(id))
}

/// Whether the write of that name is among the last ones.
async fn was_written<R: Rows>(table: &WorksetTable<R>, held: &Held, write: &str) -> Result<bool, Problem> {
    let Workset { tenant, id, .. } = &held.workset;
    let history = table.history(tenant, id, None, LOOK_BACK).await?.unwrap_or_default();
    Ok(history.events.iter().any(|event| event.request == write))
}

/// What to tell of a write that failed or may have.
pub(super) async fn unwritten<R: Rows, C: Clock>(
    app: &App<R, C>,
    id: &WorksetId,
    primary: RegionName,
    error: WriteError,
) -> Problem {
    // Writes may have moved meanwhile: the next request looks anew.
    app.forget_outlook().await;
    match error {
        WriteError::Lost => contended(id),
        WriteError::Failed(error) => error.into(),
        WriteError::Unknown(_) => {
            let detail =
                format!("`{primary}` did not say whether it wrote `{id}` (send the call again with its key)");
            Problem::new(Kind::OutcomeUnknown, detail).caused_by(&error)
        }
    }
}

/// The reply that shows a workset as it was written.
pub(super) fn written(status: u16, served_by: RegionName, workset: &Workset) -> Reply {
    Reply {
        status,
        location: (status == 201).then(|| format!("/v1/worksets/{}", workset.id)),
        etag: Some(etag::of(workset)),
        body: json!({ "served_by": served_by, "workset": workset }),
    }
}

/// Spreads the delays of retries: differs between calls, and not between tries of one.
pub(super) fn seed(call: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.hash(&mut hasher);
    hasher.finish()
}
