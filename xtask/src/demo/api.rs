//! The HTTPS API of the regions, as the demo's client calls it: through the client's gates.

use crate::cloud::record::CloudRecord;
use serde_json::Value;
use std::time::Duration;

/// How long a call may take. A region that is cut off refuses at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A client of all regions' APIs.
#[derive(Debug, Clone)]
pub struct Api {
    agent: ureq::Agent,
    urls: Vec<(String, String)>,
}

/// A reply: status and JSON body, `null` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Reply {
    /// Whether the request was carried out.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The status and the problem's words.
    #[must_use]
    pub fn words(&self) -> String {
        let detail =
            self.body["detail"].as_str().or(self.body["title"].as_str()).unwrap_or("no problem document");
        format!("{} ({detail})", self.status)
    }
}

impl Api {
    /// A client of the regions of `record`.
    #[must_use]
    pub fn of(record: &CloudRecord) -> Self {
        Self::waiting(record, ANSWER_WITHIN)
    }

    /// The same, of a client that waits no longer than `within` for an answer.
    #[must_use]
    pub fn waiting(record: &CloudRecord, within: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(within))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let urls = record.regions.iter().map(|region| (region.name.clone(), region.api_url.clone()));
        Self { agent, urls: urls.collect() }
    }

    /// Asks `region` for `path`.
    ///
    /// # Errors
    /// When nobody answers; the text says who was asked.
    pub fn get(&self, region: &str, path: &str) -> Result<Reply, String> {
        let url = self.url(region, path)?;
        let asked = self.agent.get(&url).call();
        read(asked).map_err(|error| format!("`{region}` did not answer `GET {path}`: {error}"))
    }

    /// Sends `body` to `path` of `region`.
    ///
    /// # Errors
    /// When nobody answers; the text says who was asked.
    pub fn post(&self, region: &str, path: &str, key: &str, body: &Value) -> Result<Reply, String> {
        self.post_if(region, path, key, None, body)
    }

    /// The same, for a workset that still has the entity tag `tag`.
    ///
    /// # Errors
    /// When nobody answers; the text says who was asked.
    pub fn post_if(
        &self,
        region: &str,
        path: &str,
        key: &str,
        tag: Option<&str>,
        body: &Value,
    ) -> Result<Reply, String> {
        let post = self.agent.post(self.url(region, path)?).header("idempotency-key", key);
        let post = tag.into_iter().fold(post, |post, tag| post.header("if-match", tag));
        read(post.send_json(body))
            .map_err(|error| format!("`{region}` did not answer `POST {path}`: {error}"))
    }

    /// Changes what is at `path` of `region` if it still has the entity tag `tag`. Also tells the id of
    /// the request, by which a history knows the write.
    ///
    /// # Errors
    /// When nobody answers; the text says who was asked.
    pub fn patch(
        &self,
        region: &str,
        path: &str,
        tag: &str,
        body: &Value,
    ) -> Result<(Reply, Option<String>), String> {
        let sent = self.agent.patch(self.url(region, path)?).header("if-match", tag).send_json(body);
        let id = |response: &ureq::http::Response<ureq::Body>| {
            Some(response.headers().get("x-request-id")?.to_str().ok()?.to_owned())
        };
        let request = sent.as_ref().ok().and_then(id);
        let reply = read(sent).map_err(|error| format!("`{region}` did not answer `PATCH {path}`: {error}"));
        Ok((reply?, request))
    }

    fn url(&self, region: &str, path: &str) -> Result<String, String> {
        let found = self.urls.iter().find(|(name, _)| name == region);
        found.map(|(_, url)| format!("{url}{path}")).ok_or_else(|| format!("`{region}` has no API"))
    }
}

fn read(answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, ureq::Error> {
    let mut response = answered?;
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string()?;
    Ok(Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_told_in_the_words_of_its_problem() {
        let reply =
            Reply { status: 503, body: json!({"title": "writes are moving", "detail": "from a to b"}) };
        assert_eq!((reply.is_success(), reply.words()), (false, "503 (from a to b)".to_owned()));
        assert_eq!(Reply { status: 502, body: Value::Null }.words(), "502 (no problem document)");
    }
}
