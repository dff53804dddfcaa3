//! The routes of worksets: reading them, writing them, their locks, and claiming the next one.

mod claim;
mod fence;
mod locks;
mod read;
mod rewrite;
mod write;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use sealane::{
    ports::{Clock, Rows},
    region::RegionName,
    store::WorksetTable,
    workset::WorksetId,
};

use crate::{
    app::App,
    problem::{Kind, Problem},
};

/// Times that a write is decided anew because another came first.
const TRIES_MAX: usize = 4;

type Shared<R, C> = State<Arc<App<R, C>>>;

/// The routes.
pub(crate) fn routes<R, C>() -> Router<Arc<App<R, C>>>
where
    R: Rows + Clone + Send + Sync + 'static,
    C: Clock + 'static,
{
    Router::new()
        .route("/v1/queue", get(read::queue::<R, C>))
        .route("/v1/worksets", get(read::list::<R, C>).post(write::register::<R, C>))
        .route("/v1/worksets:claim", post(claim::claim::<R, C>))
        .route(
            "/v1/worksets/{id}",
            get(read::show::<R, C>).patch(write::amend::<R, C>).delete(write::delete::<R, C>),
        )
        .route("/v1/worksets/{id}/events", get(read::events::<R, C>))
        .route("/v1/worksets/{id}/conflicts", get(read::conflicts::<R, C>))
        .route("/v1/worksets/{id}/transitions", post(write::transition::<R, C>))
        .route("/v1/worksets/{id}/progress", post(write::progress::<R, C>))
        .route("/v1/worksets/{id}/retry", post(write::retry::<R, C>))
        .route("/v1/worksets/{id}/cancel", post(write::cancel::<R, C>))
        .route("/v1/worksets/{id}/archive", post(write::archive::<R, C>))
        .route("/v1/worksets/{id}/restore", post(write::restore::<R, C>))
        .route("/v1/worksets/{id}/lock", get(locks::show::<R, C>).post(locks::acquire::<R, C>))
        .route("/v1/worksets/{id}/lock/renew", post(locks::renew::<R, C>))
        .route("/v1/worksets/{id}/lock/release", post(locks::release::<R, C>))
        .route("/v1/worksets/{id}/lock/break", post(locks::break_lock::<R, C>))
}

/// The table to write in while `region` takes the writes.
fn replica<R, C: Clock>(app: &App<R, C>, region: RegionName) -> Result<&WorksetTable<R>, Problem> {
    app.worksets_of(region).ok_or_else(|| {
        let detail = format!("`{region}` takes the writes and is not a full region of this configuration");
        Problem::new(Kind::Misconfigured, detail)
    })
}

fn contended(id: &WorksetId) -> Problem {
    let detail = format!("others wrote `{id}` first, {TRIES_MAX} times (nothing was written; try again)");
    Problem::new(Kind::Contended, detail)
}

fn missing(id: &WorksetId) -> Problem {
    Problem::new(Kind::WorksetNotFound, format!("there is no workset `{id}` (register it first)"))
}
