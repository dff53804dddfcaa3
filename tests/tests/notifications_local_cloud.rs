//! Others are told of worksets by the functions themselves, on the local cloud: a real receiver of webhooks,
//! which fails at first, a queue that is subscribed to a topic, and the bucket, which shows the workset.
//!
//! `cargo xtask test` runs this with `LOCAL_CLOUD_RECORD` naming the `cloud.json` of a cloud that was
//! brought up to tell; without it it is ignored, and fails if it is run all the same. The signature is
//! made anew here by the rule of Standard Webhooks, with nothing of Sealane's.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName::QueueArn;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sealane::{
    aws::{Aws, Limits},
    config::Config,
    edge,
    notify::{Channel, TopicArn},
    ports::{Address, Objects as _, Post, Posts as _},
    workset::Sentinel,
};
use serde_json::{Value, json};
use sha2::Sha256;

/// The variable that names `cloud.json`.
const RECORD: &str = "LOCAL_CLOUD_RECORD";

/// The workset, another one in each run on one cloud.
fn workset() -> String {
    format!("ws-{}", std::process::id())
}

/// Where its data lies: below its tenant, as sentinels want it.
fn prefix() -> String {
    format!("local/{}", workset())
}

/// What the ids of its events begin with.
fn ids() -> String {
    format!("workset:local:{}:", workset())
}

/// How often something is looked for, and how many times: five minutes, of which a refused notice may wait one.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_MAX: usize = 300;

/// A request as it came in, and the status that it was answered with.
#[derive(Debug, Clone)]
struct Heard {
    headers: BTreeMap<String, String>,
    body: String,
    answered: u16,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no `{name}` among {:?}", self.headers))
    }

    /// Standard Webhooks: `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        mac.update(format!("{id}.{at}.{}", self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// Listens at `port` of this machine, and answers the first request as a server does that is not up yet.
fn receive(port: u16) -> Arc<Mutex<Vec<Heard>>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let Some((headers, body)) = read(&stream) else { continue };
            let mut heard = kept.lock().unwrap();
            let answered = if heard.is_empty() { 500 } else { 200 };
            heard.push(Heard { headers, body, answered });
            let answer =
                format!("HTTP/1.1 {answered} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _gone = (&stream).write_all(answer.as_bytes());
        }
    });
    heard
}

/// The headers and the body of one request; `None` if it breaks off.
fn read(stream: &TcpStream) -> Option<(BTreeMap<String, String>, String)> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    assert_eq!(lines.next()?.ok()?, "POST /hook HTTP/1.1");
    let mut headers = BTreeMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}

/// The cloud as a client has it, and who is told there.
struct Place {
    config: Config,
    aws: Aws,
    api: String,
    other: String,
    port: u16,
    topic: TopicArn,
}

impl Place {
    async fn join() -> Self {
        let path = std::env::var_os(RECORD)
            .unwrap_or_else(|| panic!("`{RECORD}` is not set (use `cargo xtask test`)"));
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let config = edge::config_from(record["config"].as_str(), std::iter::empty()).unwrap();
        let (mut port, mut topic) = (None, None);
        for target in &config.notifications.targets {
            match &target.channel {
                Channel::Webhook { url, .. } => {
                    port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
                }
                Channel::Sns { topic: arn } => topic = Some(arn.clone()),
            }
        }
        let home = &record["regions"][0];
        Self {
            aws: Aws::connect(config.primary_region.as_str()).await,
            api: home["api_url"].as_str().unwrap().to_owned(),
            other: home["endpoints"]["other"].as_str().unwrap().to_owned(),
            port: port.expect("a cloud that tells a webhook"),
            topic: topic.expect("a cloud that tells a topic"),
            config,
        }
    }

    /// Asks SNS for something.
    async fn ask_sns(&self, words: &str) {
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = format!("Version=2010-03-31&{words}");
        let post = Post { to: Address::Topic(self.topic.clone()), headers, body };
        let answer = self.aws.posts(&self.config, Limits::CALL).post(&post).await.unwrap();
        assert_eq!(answer.status, 200, "{words}: {}", answer.body);
    }

    /// Makes the topic, and a queue that is subscribed to it.
    async fn subscribe(&self) -> (aws_sdk_sqs::Client, String) {
        let home = self.config.region(self.config.primary_region).unwrap();
        let settings = self.aws.client_config(home, Limits::CALL);
        let settings = aws_sdk_sqs::config::Builder::from(&settings).endpoint_url(&self.other).build();
        let sqs = aws_sdk_sqs::Client::from_conf(settings);
        let made = sqs.create_queue().queue_name("told").send().await.unwrap();
        let url = made.queue_url.unwrap();
        let asked =
            sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueArn).send().await.unwrap();
        let queue = asked.attributes.unwrap()[&QueueArn].clone();
        let name = self.topic.as_str().rsplit(':').next().unwrap();
        self.ask_sns(&format!("Action=CreateTopic&Name={name}")).await;
        let topic = self.topic.as_str();
        self.ask_sns(&format!("Action=Subscribe&TopicArn={topic}&Protocol=sqs&Endpoint={queue}")).await;
        (sqs, url)
    }

    /// Calls the API, over and over while it has no primary yet.
    async fn call(&self, path: &str, body: &Value, wanted: u16) {
        let authority = self.api.strip_prefix("http://").unwrap();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nconnection: close\r\n\
             idempotency-key: {}-{}\r\ncontent-length: {}\r\n\r\n{body}",
            workset(),
            body.len(),
            body.len()
        );
        let mut said = String::new();
        for _ in 0..LOOKS_MAX {
            let mut stream = TcpStream::connect(authority).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            said.clear();
            let _reset = stream.read_to_string(&mut said);
            let status: u16 = said.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(503);
            if status == wanted {
                return;
            }
            assert!(matches!(status, 409 | 429 | 503), "{path} {body}: {said}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{path} {body}: {said}");
    }
}

/// The versions in the events of `bodies`.
fn versions(bodies: &[&str]) -> Vec<u64> {
    let version =
        |body: &&str| serde_json::from_str::<Value>(body).unwrap()["data"]["version"].as_u64().unwrap();
    bodies.iter().map(version).collect()
}

/// What was taken of the workset, each once, in the order of its coming.
fn taken(heard: &[Heard]) -> Vec<&Heard> {
    let mut taken: Vec<&Heard> = Vec::new();
    let is_meant = |one: &&Heard| one.answered == 200 && one.header("webhook-id").starts_with(&ids());
    for one in heard.iter().filter(is_meant) {
        if !taken.iter().any(|seen| seen.header("webhook-id") == one.header("webhook-id")) {
            taken.push(one);
        }
    }
    taken
}

async fn wait_for_webhooks(heard: &Mutex<Vec<Heard>>) -> Vec<Heard> {
    for _ in 0..LOOKS_MAX {
        let all = heard.lock().unwrap().clone();
        if taken(&all).len() >= 3 {
            return all;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("not everything was told: {:?}", heard.lock().unwrap());
}

/// What the queue got, by the id of the event: the attributes and the message.
async fn wait_for_messages(sqs: &aws_sdk_sqs::Client, url: &str) -> BTreeMap<String, (Value, String)> {
    let mut got = BTreeMap::new();
    for _ in 0..LOOKS_MAX {
        let page = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        for message in page.messages.unwrap_or_default() {
            let envelope: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
            let attributes = envelope["MessageAttributes"].clone();
            let id = attributes["id"]["Value"].as_str().unwrap().to_owned();
            got.insert(id, (attributes, envelope["Message"].as_str().unwrap().to_owned()));
        }
        got.retain(|id: &String, _| id.starts_with(&ids()));
        if got.len() >= 3 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    got
}

/// The names of the sentinels that stand in the workset's bucket, once the last one does.
async fn wait_for_sentinel(place: &Place, last: Sentinel) -> Vec<&'static str> {
    let home = place.config.region(place.config.primary_region).unwrap();
    let bucket = place.aws.objects(home, None, Limits::data(Duration::from_secs(20))).unwrap();
    let mut standing = Vec::new();
    for _ in 0..LOOKS_MAX {
        standing.clear();
        for sentinel in Sentinel::ALL {
            if bucket.head(&sentinel.key(&prefix().parse().unwrap()), None).await.unwrap().is_some() {
                standing.push(sentinel.name());
            }
        }
        if standing.contains(&last.name()) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    standing
}

#[tokio::test]
#[ignore = "needs a local cloud that tells: `cargo xtask test`"]
async fn others_hear_of_a_workset_by_signed_requests_and_by_messages() {
    let place = Place::join().await;
    let secret = std::env::var_os("WEBHOOK_SECRET_1").unwrap().into_string().unwrap();
    let heard = receive(place.port);
    let (sqs, url) = place.subscribe().await;
    let home = place.config.region(place.config.primary_region).unwrap();
    let body = json!({"id": workset(), "bucket": home.bucket, "prefix": prefix()});
    place.call("/v1/worksets", &body, 201).await;
    assert_eq!(wait_for_sentinel(&place, Sentinel::Ready).await, ["daylily.ready"]);
    for state in ["in_progress", "complete"] {
        place.call(&format!("/v1/worksets/{}/transitions", workset()), &json!({"to": state}), 200).await;
    }

    let heard = wait_for_webhooks(&heard).await;
    for one in &heard {
        assert!(one.is_signed_with(&secret), "{one:?}");
        assert!(!one.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(one.header("content-type"), "application/cloudevents+json; charset=utf-8");
    }
    let taken = taken(&heard);
    let bodies: Vec<&str> = taken.iter().map(|one| one.body.as_str()).collect();
    assert_eq!(versions(&bodies), [1, 2, 3], "in order, though the first was refused at first");
    let first = &heard[0];
    let id = first.header("webhook-id");
    let again = heard.iter().find(|one| one.answered == 200 && one.header("webhook-id") == id);
    assert_eq!(first.answered, 500);
    assert_eq!(again.expect("told again under the same id").body, first.body, "and in the same words");

    let got = wait_for_messages(&sqs, &url).await;
    for one in taken {
        let (attributes, message) = &got[one.header("webhook-id")];
        assert_eq!(*message, one.body, "a topic hears the same");
        assert_eq!(attributes["type"]["Value"], "sealane.workset.state");
        let event: Value = serde_json::from_str(message).unwrap();
        assert_eq!(attributes["state"]["Value"], event["data"]["to"]);
    }
    assert_eq!(
        wait_for_sentinel(&place, Sentinel::Complete).await,
        ["daylily.complete"],
        "and no earlier state"
    );
}
