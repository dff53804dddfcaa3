//! The path as its caller sent it.
//!
//! The gateway hands paths over decoded, all but `%25`, and what makes requests of events pastes them into
//! a URL as they are: `/v1/worksets/ws-1%23/x` would be read as `/v1/worksets/ws-1`, and `%2e%2e` as a step
//! up. Here the path is encoded again, so that a route sees one name where its caller wrote one.

use axum::{extract::Request, http::Uri};
use lambda_http::RequestExt;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What no path holds as it is (RFC 3986); `%` only ever begins `%25` here.
const FOREIGN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The request with the path that the gateway was asked for.
pub(crate) async fn as_sent(mut request: Request) -> Request {
    if let Some(uri) = rebuilt(request.extensions().raw_http_path(), request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// What `raw` and the query of `read` make; `None` if the gateway told no path.
fn rebuilt(raw: &str, read: &Uri) -> Option<Uri> {
    if raw.is_empty() {
        return None;
    }
    let path = utf8_percent_encode(raw, FOREIGN);
    // A query cannot be told from what the path was cut by; no route takes such a name, with a query or without.
    let query = read.query().filter(|_| !raw.contains(['?', '#']));
    let target = query.map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    target.parse().ok()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever was in a path is in it still, and nothing of it becomes a query.
        #[test]
        fn a_path_is_taken_whole(raw in "/.{0,40}") {
            let uri = rebuilt(&raw, &Uri::from_static("https://api.example/cut?state=ready")).unwrap();
            prop_assert!(percent_decode_str(uri.path()).eq(percent_decode_str(&raw)));
            let kept = (!raw.contains(['?', '#'])).then_some("state=ready");
            prop_assert_eq!(uri.query(), kept);
        }
    }

    #[test]
    fn a_step_up_is_a_name_like_any_other() {
        let read = Uri::from_static("https://api.example/v1/regions");
        assert_eq!(rebuilt("/problems/../v1/regions", &read).unwrap().path(), "/problems/../v1/regions");
        assert_eq!(rebuilt("/v1/worksets/ws-1#/x", &read).unwrap().path(), "/v1/worksets/ws-1%23/x");
        assert_eq!(rebuilt("/v1/worksets/a%25b", &read).unwrap().path(), "/v1/worksets/a%25b");
        assert_eq!(rebuilt("", &read), None);
    }
}
