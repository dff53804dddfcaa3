//! Asking replicas: this region's own or else the nearest, then the others as a route ranks them.

use std::{collections::BTreeMap, future::Future};

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::{Clock, Rows, RowsError},
    region::{Capability, RegionName},
    route::{Request, Roster},
};
use serde::Serialize;

use crate::{
    app::App,
    problem::{Kind, Problem},
};

/// The header that names the region whose data a reply shows.
pub(crate) const SERVED_BY: HeaderName = HeaderName::from_static("sealane-served-by");

/// A reply, and the region whose data it shows.
#[derive(Debug, Serialize)]
pub(crate) struct Served<T> {
    pub(crate) served_by: RegionName,
    #[serde(flatten)]
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Served<T> {
    fn into_response(self) -> Response {
        let by = HeaderValue::from_str(self.served_by.as_str());
        let mut reply = Json(self).into_response();
        if let Ok(by) = by {
            reply.headers_mut().insert(SERVED_BY, by);
        }
        reply
    }
}

/// The answer of the first replica that gives one, and its region.
///
/// With `forced` only that region is asked. A replica that does not answer is
/// passed over; one that refuses is not, since the others would refuse as well.
/// Asking another one is a retry, and is paid for as such.
pub(crate) async fn ask<'a, R, C, T, A, F>(
    app: &App<R, C>,
    tables: &'a BTreeMap<RegionName, T>,
    forced: Option<RegionName>,
    question: impl Fn(&'a T) -> F,
) -> Result<(RegionName, A), Problem>
where
    R: Rows,
    C: Clock,
    F: Future<Output = Result<A, RowsError>>,
{
    let home = app.deps.home;
    let nearest = nearest(app, tables);
    // A replica that was silent lately is not waited for again, but stays the last resort.
    let near = forced.or_else(|| nearest.iter().copied().find(|region| !app.shuns(*region)));
    let mut silent = None;
    if let Some(near) = near
        && let Some(answer) = one(app, tables, near, &question, &mut silent).await?
    {
        return Ok((near, answer));
    }
    // The others are ranked only when they are needed: that takes a look at the tables.
    let others = if forced.is_none() { others(app, near).await } else { Vec::new() };
    for region in others.into_iter().filter(|region| tables.contains_key(region)) {
        if let Some(answer) = one(app, tables, region, &question, &mut silent).await? {
            if nearest.first() != Some(&region) {
                tracing::warn!(region.asked = %home, region.served = %region, "read from another region");
            }
            return Ok((region, answer));
        }
    }
    // Nobody else may be asked, so the replica that was passed over is, whatever it did lately.
    if near.is_none()
        && silent.is_none()
        && let Some(last) = nearest.first().copied()
        && let Some(answer) = one(app, tables, last, &question, &mut silent).await?
    {
        return Ok((last, answer));
    }
    Err(silent.unwrap_or_else(|| Problem::new(Kind::Unavailable, "no replica answered".to_owned())))
}

/// This region if it has a replica, or else those that have one, nearest first.
fn nearest<R, C, T>(app: &App<R, C>, tables: &BTreeMap<RegionName, T>) -> Vec<RegionName> {
    let home = app.deps.home;
    if tables.contains_key(&home) {
        return vec![home];
    }
    let near = app.deps.config.worksets_from(home).into_iter().map(|region| region.name);
    near.filter(|name| tables.contains_key(name)).collect()
}

/// The answer of one region; `None` when there is none, and why in `silent`.
async fn one<'a, R, C, T, A, F>(
    app: &App<R, C>,
    tables: &'a BTreeMap<RegionName, T>,
    region: RegionName,
    question: &impl Fn(&'a T) -> F,
    silent: &mut Option<Problem>,
) -> Result<Option<A>, Problem>
where
    R: Rows,
    C: Clock,
    F: Future<Output = Result<A, RowsError>>,
{
    let Some(table) = tables.get(&region) else {
        silent.get_or_insert_with(|| no_replica(region));
        return Ok(None);
    };
    if let Err(spent) = app.may_ask(region, silent.is_some()) {
        *silent = Some(Problem::new(Kind::Unavailable, spent.to_string()));
        return Ok(None);
    }
    let answer = question(table).await;
    app.met(region, &answer);
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_outage() => {
            *silent = Some(error.into());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn no_replica(region: RegionName) -> Problem {
    Problem::new(Kind::Misconfigured, format!("`{region}` has no replica of this table"))
}

/// The regions to read from besides the one that was `tried`, best first.
async fn others<R: Rows, C: Clock>(app: &App<R, C>, tried: Option<RegionName>) -> Vec<RegionName> {
    let outlook = app.outlook().await;
    let request =
        Request { tried: tried.into_iter().collect(), at: app.now(), ..Request::new(Capability::TableRead) };
    let regions: Vec<_> = app.full_regions().cloned().collect();
    let roster = Roster::new(&regions, &outlook.view, &app.deps.config.load_balancing);
    roster.shunning(&app.ejections()).route(&request).ranked
}
