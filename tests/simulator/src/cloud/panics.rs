//! Panics of what runs on the cloud: each is kept by name, so that none looks like a lost packet.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt as _;
use tokio::task::spawn_local;

use super::{Cloud, lock};

/// Who panicked, and with what words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// Which function, client or part of the world.
    pub who: String,
    /// What it said.
    pub words: String,
}

/// What a panic said, as far as it said it in words.
pub fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}

impl Cloud {
    /// Runs `flow`; `None` when it panicked, which is kept under the name `who`.
    pub async fn guard<T>(&self, who: &str, flow: impl Future<Output = T>) -> Option<T> {
        match AssertUnwindSafe(flow).catch_unwind().await {
            Ok(done) => Some(done),
            Err(payload) => {
                let words = words(&*payload);
                self.0.trace.note(self.now(), format_args!("{who} panicked: {words}"));
                lock(&self.0.panics).push(Panicked { who: who.to_owned(), words });
                None
            }
        }
    }

    /// Lets `actor` run by itself, on the set of local tasks that this is called in.
    pub fn spawn(&self, who: impl Into<String>, actor: impl Future<Output = ()> + 'static) {
        let (cloud, who) = (self.clone(), who.into());
        // Whether it ended well is told by the panics.
        spawn_local(async move { cloud.guard(&who, actor).await });
    }

    /// Every panic so far, in order.
    pub fn panics(&self) -> Vec<Panicked> {
        lock(&self.0.panics).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use aws_smithy_runtime_api::client::{http::HttpConnector as _, orchestrator::HttpRequest};
    use sealane::aws::Limits;
    use serde_json::Value;
    use tokio::task::LocalSet;

    use super::*;
    use crate::cloud::{Place, config};

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_an_actor_is_kept_by_name() {
        let cloud = Cloud::new(1, &config(&Value::Null));
        let spawned = async {
            cloud.spawn("actor", async { panic!("planted {}", 7) });
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        LocalSet::new().run_until(spawned).await;
        assert_eq!(cloud.panics(), [Panicked { who: "actor".to_owned(), words: "planted 7".to_owned() }]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_what_answers_a_request_is_no_lost_packet() {
        let cloud = Cloud::new(1, &config(&Value::Null));
        let region = "us-east-1".parse().unwrap();
        cloud.install_api(region, Arc::new(|_| Box::pin(async { panic!("planted") })));
        let limits = Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(4), attempts: 1 };
        let connector = cloud.connector(Place::Client(0), limits);
        let answer = connector.call(HttpRequest::get("https://api.us-east-1.sim/").unwrap()).await;
        assert!(answer.is_err(), "nobody answers");
        let who: Vec<_> = cloud.panics().into_iter().map(|p| (p.who, p.words)).collect();
        assert_eq!(who, [("api us-east-1".to_owned(), "planted".to_owned())]);
    }
}
