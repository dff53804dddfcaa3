//! Queries and bodies whose rejections are problems that name the remedy.

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, QueryRejection},
    },
    http::request::Parts,
};
use sealane::workset::WorksetId;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    BODY_BYTES_MAX,
    problem::{Kind, Problem},
};

/// Most items of a page.
pub(crate) const LIMIT_MAX: usize = 100;

/// The query, of which every parameter is known.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

/// No parameters at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match read {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new(Kind::InvalidQuery, rejection.body_text())),
        }
    }
}

/// The body, as JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refused(&rejection)),
        }
    }
}

fn refused(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => Problem::new(Kind::InvalidBody, text),
        JsonRejection::JsonSyntaxError(_) => Problem::new(Kind::InvalidJson, text),
        JsonRejection::MissingJsonContentType(_) => {
            let detail = "the body is not declared as JSON (send `content-type: application/json`)";
            Problem::new(Kind::UnsupportedMediaType, detail)
        }
        // The limit and a broken stream are all that is left.
        _ if rejection.status() == Kind::BodyTooLarge.status() => {
            let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes (send less)");
            Problem::new(Kind::BodyTooLarge, detail)
        }
        _ => Problem::new(Kind::InvalidJson, text),
    }
}

/// The id of a workset in the path.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) WorksetId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|e| Problem::new(Kind::InvalidPath, e.body_text()))?;
        text.parse().map(Self).map_err(|e| Problem::new(Kind::InvalidPath, format!("{e}")))
    }
}

/// The number of items that a page may have: `wanted`, or `otherwise`.
pub(crate) fn page_limit(wanted: Option<usize>, otherwise: usize) -> Result<usize, Problem> {
    let limit = wanted.unwrap_or(otherwise);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(Kind::InvalidQuery, format!("`limit` is `{limit}` (want 1 to {LIMIT_MAX})")))
}
