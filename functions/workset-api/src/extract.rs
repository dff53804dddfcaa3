//! Queries and bodies whose rejections are problems that name the remedy.

use axum::{
    Json,
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderName, StatusCode, header, request::Parts},
};
use sealane::workset::{CallKey, WorksetId};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::{
    BODY_BYTES_MAX,
    problem::{Kind, Problem},
};

/// The header that names a call.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

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

/// A call that writes: its body, and the key under which it may be sent again.
#[derive(Debug)]
pub(crate) struct Post<T> {
    /// The key that the caller chose.
    pub(crate) key: CallKey,
    /// What is asked for: the path.
    pub(crate) operation: String,
    /// A digest of the body as it was sent.
    pub(crate) fingerprint: String,
    /// The body.
    pub(crate) body: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Post<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key(&request)?;
        let operation = request.uri().path().to_owned();
        let (fingerprint, body) = read(request, state).await?;
        Ok(Self { key, operation, fingerprint, body })
    }
}

/// The key of a call; every call that writes needs one.
fn key(request: &Request) -> Result<CallKey, Problem> {
    let Some(value) = request.headers().get(&IDEMPOTENCY_KEY) else {
        let detail =
            "the header `idempotency-key` is missing (send one, the same for every repetition of this call)";
        return Err(Problem::new(Kind::IdempotencyKeyMissing, detail));
    };
    let parsed = value.to_str().unwrap_or_default().parse::<CallKey>();
    parsed.map_err(|e| Problem::new(Kind::InvalidHeader, e.to_string()))
}

/// The body, as JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state).await.map(|(_, body)| Self(body))
    }
}

/// The body and its digest. None at all is an empty object, whatever it is declared as.
async fn read<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
) -> Result<(String, T), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = declared.is_some_and(|text| {
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
    });
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes (send less)");
            Problem::new(Kind::BodyTooLarge, detail)
        }
        _ => Problem::new(Kind::InvalidJson, rejection.body_text()),
    })?;
    if !is_json && !bytes.is_empty() {
        let detail = "the body is not declared as JSON (send `content-type: application/json`)";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let fingerprint = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let sent: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    // Fields in an array would be taken in the order of their declaration, which nobody promised.
    if sent.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(
            Kind::InvalidBody,
            "the body is an array (send an object with the fields of the route)",
        ));
    }
    Json::from_bytes(sent).map(|Json(body)| (fingerprint, body)).map_err(|e| refused(&e))
}

fn refused(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => Problem::new(Kind::InvalidBody, text),
        JsonRejection::JsonSyntaxError(_) => Problem::new(Kind::InvalidJson, text),
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
