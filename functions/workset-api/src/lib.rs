//! The HTTPS API of one region: worksets, and what the system thinks of its regions.
//!
//! Reads ask this region's replica first and the others when it does not answer;
//! writes go to the replica of the active primary and to no other, or to the nearest
//! that answers where all hold one truth. An outage is a 503 that says when to come back,
//! never a 404 and never an empty list. Who the caller is comes from the gateway's
//! authorizer and from nowhere else.

mod app;
mod caller;
mod dress;
mod etag;
mod extract;
mod limit;
mod once;
pub mod openapi;
mod page;
mod path;
mod problem;
mod replica;
mod status;
mod time;
mod uploads;
mod worksets;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::Method,
    middleware,
    routing::get,
};
use sealane::{
    ports::{Clock, Rows, Uploads},
    region::RegionName,
};

pub use app::Deps;
pub use problem::{Kind, Problem, pages};

use app::App;

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The API on these tables, with uploads into `buckets`: every route that there is.
pub fn router_with_uploads<R, C, O>(deps: Deps<R, C>, buckets: BTreeMap<RegionName, O>) -> Router
where
    R: Rows + Clone + Send + Sync + 'static,
    C: Clock + 'static,
    O: Uploads + Send + Sync + 'static,
{
    assembled(deps, uploads::routes(buckets))
}

/// The API on these tables, for where there are no buckets: without the routes of uploads.
pub fn router<R, C>(deps: Deps<R, C>) -> Router
where
    R: Rows + Clone + Send + Sync + 'static,
    C: Clock + 'static,
{
    assembled(deps, Router::new())
}

fn assembled<R, C>(deps: Deps<R, C>, uploads: Router<Arc<App<R, C>>>) -> Router
where
    R: Rows + Clone + Send + Sync + 'static,
    C: Clock + 'static,
{
    let app = Arc::new(App::new(deps));
    let routes = uploads
        .route("/", get(page::show::<R, C>))
        .route("/v1/live", get(status::live::<R, C>))
        .route("/v1/ready", get(status::ready::<R, C>))
        .route("/v1/regions", get(status::regions::<R, C>))
        .route("/v1/route", get(status::route::<R, C>))
        .route("/v1/failovers", get(status::failovers::<R, C>))
        .route("/v1/copies/owed", get(status::owed::<R, C>))
        .route("/openapi.json", get(status::openapi::<R, C>))
        .route("/problems/{name}", get(status::problem::<R, C>))
        .merge(worksets::routes::<R, C>())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), dress::dress::<R, C>))
        .with_state(app);
    // Around the routes: what a route is found by is changed before.
    Router::new().fallback_service(routes).layer(middleware::map_request(path::as_sent))
}

async fn no_such_route(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).flat_map(char::escape_debug).collect();
    Problem::new(Kind::NoSuchRoute, format!("there is no `{path}` (the API begins at `/v1/worksets`)"))
}

async fn no_such_method(method: Method) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("this resource has no `{method}` (see the `allow` header)"))
}
