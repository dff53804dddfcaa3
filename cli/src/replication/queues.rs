//! The queue of upload events of each region, and the queue where messages rest that it gave up.
//!
//! Both are found by name, as the template makes them, in the account of the credentials.

use std::{error::Error, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{Message, MessageSystemAttributeName},
};
use sealane::{
    aws::{Aws, Limits},
    region::{Region, RegionName},
    time::Timestamp,
};

/// What is added to a queue's name for the one where its given-up messages rest.
const DEAD: &str = "-dead";
/// How long a message that was received is hidden from others: who is killed meanwhile loses none.
const HIDDEN_FOR: Duration = Duration::from_secs(60);
/// How long an empty queue is asked. All of its servers are only asked if this is above zero.
const WAIT: Duration = Duration::from_secs(1);
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Messages received at once, the most that SQS gives.
const AT_ONCE: i32 = 10;

/// A message that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resting {
    /// Its id.
    pub(super) id: String,
    /// By which it is removed or shown again.
    pub(super) handle: String,
    /// What it holds.
    pub(super) body: String,
    /// How often it was received.
    pub(super) received: u32,
    /// When it was sent first, if the queue says so.
    pub(super) sent: Option<Timestamp>,
}

/// Why a queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueueError {
    /// There was no answer: what was asked for may have happened.
    #[error("queue `{queue}` of {region} did not answer")]
    NoAnswer {
        queue: String,
        region: RegionName,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It said no, and nothing happened.
    #[error("queue `{queue}` of {region} refused the call (is it there, and are you allowed to?)")]
    Refused {
        queue: String,
        region: RegionName,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The two queues of one region.
pub(super) trait Queues {
    /// Some of the messages that rest, hidden from others for a while; none when all were received.
    async fn receive(&self) -> Result<Vec<Resting>, QueueError>;

    /// Sends `body` to the queue of upload events.
    async fn send(&self, body: &str) -> Result<(), QueueError>;

    /// Takes a message away from where it rests.
    async fn remove(&self, message: &Resting) -> Result<(), QueueError>;

    /// Lets others see a message again at once.
    async fn show(&self, message: &Resting) -> Result<(), QueueError>;
}

/// The two queues of one region in SQS.
#[derive(Debug)]
pub(super) struct SqsQueues {
    client: Client,
    region: RegionName,
    name: String,
    urls: [String; 2],
}

impl SqsQueues {
    /// Finds queue `name` of `region`, and the one where its given-up messages rest.
    pub(super) async fn find(
        aws: &Aws,
        region: &Region,
        name: &str,
        owner: Option<&str>,
    ) -> Result<Self, QueueError> {
        let config = aws.client_config(region, Limits::CALL.within(ANSWER_MAX));
        let builder =
            aws_sdk_sqs::config::Builder::from(&config).retry_partition(aws.retry_partition(region));
        let builder = match &region.endpoints.sqs {
            Some(url) => builder.endpoint_url(url),
            None => builder,
        };
        let urls = [String::new(), String::new()];
        let mut queues = Self {
            client: Client::from_conf(builder.build()),
            region: region.name,
            name: name.to_owned(),
            urls,
        };
        queues.urls = [queues.url(name, owner).await?, queues.url(&queues.dead(), owner).await?];
        Ok(queues)
    }

    async fn url(&self, queue: &str, owner: Option<&str>) -> Result<String, QueueError> {
        let find = self.client.get_queue_url().queue_name(queue);
        let found = find.set_queue_owner_aws_account_id(owner.map(str::to_owned)).send().await;
        let found = found.map_err(|e| self.failed(queue, e))?;
        found.queue_url.ok_or_else(|| QueueError::Refused {
            queue: queue.to_owned(),
            region: self.region,
            source: "the reply names no queue".into(),
        })
    }

    fn dead(&self) -> String {
        format!("{}{DEAD}", self.name)
    }

    fn failed<E>(&self, queue: &str, error: SdkError<E, HttpResponse>) -> QueueError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (queue, region) = (queue.to_owned(), self.region);
        match &error {
            SdkError::ConstructionFailure(_) => QueueError::Refused { queue, region, source: error.into() },
            SdkError::ServiceError(said) if said.raw().status().is_client_error() => {
                QueueError::Refused { queue, region, source: error.into() }
            }
            // The SDK's enum is open; what it adds later is not known to have failed.
            _ => QueueError::NoAnswer { queue, region, source: error.into() },
        }
    }
}

/// A span in seconds, as SQS takes it.
fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

fn resting(message: Message) -> Option<Resting> {
    let said = message.attributes.unwrap_or_default();
    let number = |name| said.get(&name).and_then(|text| text.parse::<u64>().ok());
    let received = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or_default();
    Some(Resting {
        id: message.message_id?,
        handle: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        received: u32::try_from(received).unwrap_or(u32::MAX),
        sent: number(MessageSystemAttributeName::SentTimestamp).map(Timestamp::from_millis),
    })
}

impl Queues for SqsQueues {
    async fn receive(&self) -> Result<Vec<Resting>, QueueError> {
        let receive = self
            .client
            .receive_message()
            .queue_url(&self.urls[1])
            .max_number_of_messages(AT_ONCE)
            .visibility_timeout(seconds(HIDDEN_FOR))
            .wait_time_seconds(seconds(WAIT))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let reply = receive.send().await.map_err(|e| self.failed(&self.dead(), e))?;
        Ok(reply.messages.unwrap_or_default().into_iter().filter_map(resting).collect())
    }

    async fn send(&self, body: &str) -> Result<(), QueueError> {
        let sent = self.client.send_message().queue_url(&self.urls[0]).message_body(body).send().await;
        sent.map(drop).map_err(|e| self.failed(&self.name, e))
    }

    async fn remove(&self, message: &Resting) -> Result<(), QueueError> {
        let delete = self.client.delete_message().queue_url(&self.urls[1]).receipt_handle(&message.handle);
        delete.send().await.map(drop).map_err(|e| self.failed(&self.dead(), e))
    }

    async fn show(&self, message: &Resting) -> Result<(), QueueError> {
        let change = self.client.change_message_visibility().queue_url(&self.urls[1]);
        let change = change.receipt_handle(&message.handle).visibility_timeout(0);
        change.send().await.map(drop).map_err(|e| self.failed(&self.dead(), e))
    }
}
