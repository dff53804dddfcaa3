//! Sends what others are told: to webhooks over connections that reach public addresses only, and to
//! topics with a signature and without their SDK, which is larger than all that is said to them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use aws_sigv4::http_request::{SignableBody, SigningSettings};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::body::SdkBody;

use super::lean::{AGENT, Keys, bounded};
use crate::{
    notify::TopicArn,
    ports::{Address, Post, PostAnswer, PostError, Posts, Silence},
    region::Region,
};

/// Sends notices over pools of connections of their own.
pub struct HttpPosts {
    /// For URLs: connects only where a webhook may be.
    pub(super) web: SharedHttpConnector,
    /// For topics.
    pub(super) topics: SharedHttpConnector,
    /// Where SNS is asked of a region whose endpoint is set.
    pub(super) endpoints: BTreeMap<String, String>,
    pub(super) keys: Option<Arc<Keys>>,
    /// Longest wait for one request.
    pub(super) limit: Duration,
}

impl fmt::Debug for HttpPosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPosts").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// The endpoints of SNS that the configuration sets, by region.
pub(super) fn endpoints(regions: &[Region]) -> BTreeMap<String, String> {
    let endpoint = |r: &Region| Some((r.name.to_string(), r.endpoints.sns.clone()?));
    regions.iter().filter_map(endpoint).collect()
}

impl Posts for HttpPosts {
    async fn post(&self, post: &Post) -> Result<PostAnswer, PostError> {
        let exchange = async {
            match &post.to {
                Address::Url(url) => {
                    let request = prepared(post, url).map_err(|error| unsent(&error))?;
                    self.web.call(request).await.map_err(|error| silent(&error))
                }
                Address::Topic(topic) => self.publish(post, topic).await,
            }
        };
        let answered = async { Ok(read(exchange.await?).await) };
        let late = Err(PostError::NoAnswer { how: Silence::Timeout });
        tokio::time::timeout(self.limit, answered).await.unwrap_or(late)
    }
}

impl HttpPosts {
    async fn publish(&self, post: &Post, topic: &TopicArn) -> Result<HttpResponse, PostError> {
        let endpoint = self.endpoints.get(topic.region()).cloned().unwrap_or_else(|| topic.endpoint());
        let mut request = prepared(post, &format!("{endpoint}/")).map_err(|error| unsent(&error))?;
        let keys = self.keys.as_ref().ok_or_else(|| unsent(&"there are no credentials"))?;
        let scope = ("sns", topic.region());
        let body = SignableBody::Bytes(post.body.as_bytes());
        let identity = keys.identity().await.map_err(|fault| unsent(&fault))?;
        let signed = keys.sign_for(&mut request, &identity, scope, SigningSettings::default(), body);
        signed.map_err(|fault| unsent(&fault))?;
        self.topics.call(request).await.map_err(|error| silent(&error))
    }
}

fn unsent(why: &dyn fmt::Display) -> PostError {
    PostError::Unsent { why: why.to_string() }
}

fn silent(error: &ConnectorError) -> PostError {
    let how = if error.is_timeout() { Silence::Timeout } else { Silence::NoConnection };
    PostError::NoAnswer { how }
}

fn prepared(post: &Post, url: &str) -> Result<HttpRequest, HttpError> {
    let mut request = HttpRequest::new(SdkBody::from(post.body.as_str()));
    request.set_method("POST")?;
    request.set_uri(url)?;
    let words = request.headers_mut();
    words.try_insert("content-length", post.body.len().to_string())?;
    words.try_insert("user-agent", AGENT)?;
    for (name, value) in &post.headers {
        words.try_insert(*name, value.clone())?;
    }
    Ok(request)
}

/// The answer, of whose body no more is read than an error has.
async fn read(reply: HttpResponse) -> PostAnswer {
    let status = reply.status().as_u16();
    let asked = reply.headers().get("retry-after").and_then(|text| text.trim().parse().ok());
    let body = bounded(reply.into_body()).await;
    PostAnswer {
        status,
        retry_after: asked.map(Duration::from_secs),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;
    use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is sent, and answers as it was told.
    #[derive(Debug, Clone)]
    struct Kept {
        sent: Arc<Mutex<Vec<HttpRequest>>>,
        status: u16,
    }

    impl HttpConnector for Kept {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            self.sent.lock().unwrap().push(request);
            let mut answer =
                HttpResponse::new(self.status.try_into().unwrap(), SdkBody::from("<Code>Throttled</Code>"));
            answer.headers_mut().insert("retry-after", "17");
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    fn posts(kept: &Kept) -> HttpPosts {
        let provider = SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "test"));
        let sdk = SdkConfig::builder().credentials_provider(provider).build();
        let connector = SharedHttpConnector::new(kept.clone());
        HttpPosts {
            web: connector.clone(),
            topics: connector,
            endpoints: BTreeMap::from([("us-east-1".to_owned(), "http://127.0.0.1:4566".to_owned())]),
            keys: Keys::of(&sdk).map(Arc::new),
            limit: Duration::from_secs(1),
        }
    }

    fn topic(region: &str) -> Post {
        let to = Address::Topic(format!("arn:aws:sns:{region}:123456789012:t").parse().unwrap());
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        Post { to, headers, body: "Action=Publish".to_owned() }
    }

    #[tokio::test]
    async fn a_topic_is_asked_in_its_region_with_a_signature_for_it() {
        let kept = Kept { sent: Arc::default(), status: 200 };
        for region in ["eu-west-1", "us-east-1"] {
            posts(&kept).post(&topic(region)).await.unwrap();
        }
        let sent = kept.sent.lock().unwrap();
        let uris: Vec<&str> = sent.iter().map(|request| request.uri()).collect();
        assert_eq!(uris, ["https://sns.eu-west-1.amazonaws.com/", "http://127.0.0.1:4566/"]);
        for (request, region) in sent.iter().zip(["eu-west-1", "us-east-1"]) {
            let signed = request.headers().get("authorization").unwrap();
            assert!(signed.contains(&format!("/{region}/sns/aws4_request")), "{signed}");
            assert!(signed.contains("content-type;host;"), "{signed}");
            assert_eq!(request.body().bytes(), Some(b"Action=Publish".as_slice()));
        }
    }

    #[tokio::test]
    async fn an_answer_is_told_with_its_wait_and_a_webhook_gets_no_credentials() {
        let kept = Kept { sent: Arc::default(), status: 503 };
        let url = "https://lims.example.com/hook".to_owned();
        let headers = vec![("webhook-id", "n:1".to_owned())];
        let post = Post { to: Address::Url(url), headers, body: "{}".to_owned() };
        let answer = posts(&kept).post(&post).await.unwrap();
        assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(17))));
        let sent = kept.sent.lock().unwrap();
        assert_eq!((sent[0].method(), sent[0].uri()), ("POST", "https://lims.example.com/hook"));
        assert_eq!(sent[0].headers().get("webhook-id"), Some("n:1"));
        assert_eq!(sent[0].headers().get("authorization"), None);
    }

    #[tokio::test]
    async fn what_cannot_be_signed_is_not_sent() {
        let kept = Kept { sent: Arc::default(), status: 200 };
        let posts = HttpPosts { keys: None, ..posts(&kept) };
        let error = posts.post(&topic("eu-west-1")).await.unwrap_err();
        assert!(matches!(error, PostError::Unsent { .. }), "{error}");
        assert!(kept.sent.lock().unwrap().is_empty());
    }
}
