//! The dead-letter queues as the program shows and empties them, with the built functions on the local cloud.
//!
//! `cargo xtask test` runs this with `LOCAL_CLOUD_RECORD` naming the `cloud.json` of a running cloud.
#![expect(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{fs, process::Command, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName,
};
use serde_json::{Value, json};

const RECORD: &str = "LOCAL_CLOUD_RECORD";
const QUEUE: &str = "sealane-uploads";
/// Looks at a queue, a quarter of a second apart, until a message is given up as one.
const LOOKS_MAX: u32 = 480;

/// The queues of the last full region, which nothing else is going on in.
struct Queues {
    record: Value,
    region: Value,
    client: Client,
}

impl Queues {
    fn join() -> Self {
        let path = std::env::var_os(RECORD)
            .unwrap_or_else(|| panic!("`{RECORD}` is not set (use `cargo xtask test`)"));
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let region = record["regions"].as_array().unwrap().last().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let keys = &record["credentials"];
        let keys = Credentials::new(
            text(&keys["access_key_id"]),
            text(&keys["secret_access_key"]),
            None,
            None,
            "record",
        );
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(text(&region["name"])))
            .endpoint_url(text(&region["endpoints"]["other"]))
            .credentials_provider(keys);
        Self { client: Client::from_conf(config.build()), record, region }
    }

    async fn url(&self, queue: &str) -> String {
        self.client.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, queue: &str, body: &str) {
        self.client.send_message().queue_url(self.url(queue).await).message_body(body).send().await.unwrap();
    }

    /// Sets for how long a message is hidden that was delivered; for how long it was before.
    async fn hide_for(&self, seconds: &str) -> String {
        let (url, name) = (self.url(QUEUE).await, QueueAttributeName::VisibilityTimeout);
        let read = self.client.get_queue_attributes().queue_url(&url).attribute_names(name.clone());
        let before = read.send().await.unwrap().attributes.unwrap()[&name].clone();
        self.client.set_queue_attributes().queue_url(url).attributes(name, seconds).send().await.unwrap();
        before
    }

    /// What `sealane replication` says of the messages of this test.
    fn told(&self, arguments: &str) -> Vec<Value> {
        let keys = &self.record["credentials"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealane"));
        command.args(["--json", "--config", self.record["config"].as_str().unwrap(), "replication"]);
        command.args(arguments.split_whitespace()).args(["--region", self.region["name"].as_str().unwrap()]);
        command.env("AWS_ACCESS_KEY_ID", keys["access_key_id"].as_str().unwrap());
        command.env("AWS_SECRET_ACCESS_KEY", keys["secret_access_key"].as_str().unwrap());
        let ran = command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let said: Value = serde_json::from_slice(&ran.stdout).unwrap();
        // What other tests left behind is not looked at.
        let ours = |message: &&Value| message["kind"] == "poison" || message["key"] == "gone";
        said["messages"].as_array().unwrap().iter().filter(ours).cloned().collect()
    }

    /// What rests here, once something does that is told of as `kind`.
    async fn resting(&self, kind: &str) -> Vec<Value> {
        for _ in 0..LOOKS_MAX {
            let found = self.told("dlq");
            if found.iter().any(|message| message["kind"] == kind) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("no message came to rest");
    }

    /// The message of S3 about an object that there is not.
    fn event(&self) -> String {
        let s3 = json!({"bucket": {"name": self.region["bucket"]},
            "object": {"key": "gone", "versionId": "v", "sequencer": "01"}});
        let record = json!({"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": self.region["name"],
            "eventName": "ObjectCreated:Put", "s3": s3});
        json!({"Records": [record]}).to_string()
    }
}

fn fates(messages: &[Value]) -> Vec<(String, String)> {
    let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    let mut fates: Vec<_> = messages.iter().map(|m| (text(m, "kind"), text(m, "fate"))).collect();
    fates.sort();
    fates
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, fate)| ((*kind).to_owned(), (*fate).to_owned())).collect()
}

#[tokio::test]
#[ignore = "needs a local cloud: `cargo xtask test`"]
async fn poison_comes_to_rest_with_its_reason_and_what_can_be_read_goes_back() {
    let queues = Queues::join();
    let usual = queues.hide_for("1").await;
    queues.send(QUEUE, "{\"hello\": 1}").await;
    let found = queues.resting("poison").await;
    assert_eq!(fates(&found), pairs(&[("poison", "rests")]));
    assert!(found[0]["reason"].as_str().unwrap().starts_with("not an S3 event: "), "{found:?}");
    assert!(found[0]["received"].as_u64().unwrap() > 5, "{found:?}");

    queues.send("sealane-uploads-dead", &queues.event()).await;
    let found = queues.resting("spent").await;
    assert_eq!(found.iter().find(|message| message["kind"] == "spent").unwrap()["key"], "gone");
    let looked_at = pairs(&[("poison", "rests"), ("spent", "would_go")]);
    assert_eq!(fates(&queues.told("redrive")), looked_at);
    assert_eq!(fates(&queues.told("redrive")), looked_at, "nothing was sent");
    assert_eq!(fates(&queues.told("redrive --apply")), pairs(&[("poison", "rests"), ("spent", "sent")]));
    assert_eq!(fates(&queues.told("dlq")), pairs(&[("poison", "rests")]));

    assert_eq!(fates(&queues.told("redrive --apply --poison")), pairs(&[("poison", "sent")]));
    let again = queues.resting("poison").await;
    assert_eq!(fates(&again), pairs(&[("poison", "rests")]), "what can be read is not among them");
    queues.client.purge_queue().queue_url(queues.url("sealane-uploads-dead").await).send().await.unwrap();
    queues.hide_for(&usual).await;
}
