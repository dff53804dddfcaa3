//! The outermost layer: ids, problems in their final form, panics, headers, and one log line.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use futures::FutureExt;
use sealane::{
    ports::{Clock, Rows},
    time::millis,
};

use crate::{
    app::App,
    caller,
    limit::{self, Slip},
    problem::{Kind, Problem},
    replica::SERVED_BY,
};

/// The header that repeats the id of the request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request, for handlers.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Passes the request on and dresses the reply.
pub(crate) async fn dress<R, C>(
    State(app): State<Arc<App<R, C>>>,
    mut request: Request,
    next: Next,
) -> Response
where
    R: Rows + Send + Sync + 'static,
    C: Clock + 'static,
{
    let began = app.now();
    let id = caller::request_id(request.extensions()).unwrap_or_else(|| app.next_request_id());
    request.extensions_mut().insert(RequestId(id.clone()));
    let slip = Slip::default();
    request.extensions_mut().insert(Arc::clone(&slip));
    let method = request.method().clone();
    // The pattern and not the path: ids of worksets are not for the log.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());

    // A panic fails this request and not the sandbox with its caches.
    let reply = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_panic| {
        let detail = "the API met a fault of its own (report the request id)";
        refuse(Problem::new(Kind::Internal, detail))
    });
    let (problem, mut reply) = settle(reply, &id);

    let headers = reply.headers_mut();
    let home = HeaderValue::from_str(app.deps.home.as_str());
    for (name, value) in [(REQUEST_ID, HeaderValue::from_str(&id)), (SERVED_BY, home)] {
        if let (Ok(value), false) = (value, headers.contains_key(&name)) {
            headers.insert(name, value);
        }
    }
    let limited = problem.as_ref().is_some_and(|problem| problem.kind() == Kind::RateLimited);
    if limited || slip.get().is_some() {
        limit::headers(slip.get(), &app.deps.config.api, headers);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let duration_ms = millis(app.now().since(began));
    let (status, route) = (reply.status().as_u16(), route.as_deref().unwrap_or("-"));
    match problem {
        Some(problem) if reply.status().is_server_error() => {
            let (name, cause) = (problem.kind().name(), problem.cause().unwrap_or("-"));
            tracing::error!(request.id = id, %method, route, status, duration_ms, problem = name, cause, "refused");
        }
        Some(problem) => {
            let name = problem.kind().name();
            tracing::info!(request.id = id, %method, route, status, duration_ms, problem = name, "refused");
        }
        None => tracing::info!(request.id = id, %method, route, status, duration_ms, "answered"),
    }
    reply
}

fn refuse(problem: Problem) -> Response {
    axum::response::IntoResponse::into_response(problem)
}

/// The problem of a reply, and the reply in its final form.
fn settle(mut reply: Response, id: &str) -> (Option<Problem>, Response) {
    let problem = reply.extensions_mut().remove::<Problem>();
    // What the framework refused by itself becomes a problem as well.
    let problem = problem.or_else(|| foreign(reply.status()));
    match problem {
        None => (None, reply),
        Some(problem) => {
            let mut dressed = problem.reply(id);
            // The framework's own word on which methods there are.
            if let Some(allow) = reply.headers_mut().remove(header::ALLOW) {
                dressed.headers_mut().insert(header::ALLOW, allow);
            }
            (Some(problem), dressed)
        }
    }
}

fn foreign(status: StatusCode) -> Option<Problem> {
    match status {
        status if status.is_server_error() => {
            Some(Problem::new(Kind::Internal, "the API failed (try again)"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Some(Problem::new(Kind::BodyTooLarge, "the body is too large (send less)"))
        }
        status if status.is_client_error() => {
            Some(Problem::new(Kind::InvalidPath, "the request is not one that this API reads"))
        }
        _ => None,
    }
}
