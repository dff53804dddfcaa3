//! Asking replicas: this region's own first, then the others as a route ranks them.

use std::{collections::BTreeMap, future::Future};

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use sealane::{
    ports::{Clock, Rows, RowsError},
    region::{Capability, RegionName},
    route,
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
    let first = forced.unwrap_or(app.deps.home);
    let mut silent = match tables.get(&first) {
        None => Problem::new(Kind::Misconfigured, format!("`{first}` has no replica of this table")),
        Some(table) => match question(table).await {
            Ok(answer) => return Ok((first, answer)),
            Err(error) if error.is_outage() && forced.is_none() => error.into(),
            Err(error) => return Err(error.into()),
        },
    };
    if forced.is_some() {
        return Err(silent);
    }
    for region in others(app, first).await {
        let Some(table) = tables.get(&region) else { continue };
        match question(table).await {
            Ok(answer) => {
                tracing::warn!(region.asked = %first, region.served = %region, "read from another region");
                return Ok((region, answer));
            }
            Err(error) if error.is_outage() => silent = error.into(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(silent)
}

/// The regions to read from when `first` does not answer, best first.
async fn others<R: Rows, C: Clock>(app: &App<R, C>, first: RegionName) -> Vec<RegionName> {
    let outlook = app.outlook().await;
    let request = route::Request { tried: vec![first], ..route::Request::new(Capability::TableRead) };
    let regions: Vec<_> = app.full_regions().cloned().collect();
    route::route(&request, &regions, &outlook.view, &app.deps.config.load_balancing).ranked
}
