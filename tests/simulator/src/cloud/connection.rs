//! What the SDK takes for its HTTP client: pools of connections to the simulated hosts.
//!
//! A request that was sent takes effect whether or not its caller still waits, so it
//! travels on a task of its own.

use std::{
    collections::BTreeMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use sealane::{
    aws::{Connections, Limits},
    endpoint,
};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    Cloud,
    answer::Answer,
    network::{Fate, Link, Opening, Place},
};

/// How long an idle connection is kept, as hyper does by default.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Makes pools of connections that leave from one place.
#[derive(Clone)]
pub(super) struct Wires {
    pub(super) cloud: Cloud,
    pub(super) from: Place,
}

impl fmt::Debug for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wires").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Wires {
    fn pool(&self) -> Pool {
        Pool { wires: self.clone(), idle: Arc::default() }
    }
}

impl Connections for Wires {
    fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.pool())
    }

    fn connector(&self, limits: Limits, _: &endpoint::Policy) -> SharedHttpConnector {
        let (connect, read) = (Some(limits.connect), Some(limits.attempt));
        SharedHttpConnector::new(Caller { pool: self.pool(), connect, read })
    }
}

/// Since when the idle connections to each host have been idle.
type Idle = BTreeMap<String, Vec<Duration>>;

/// The idle connections of one client, by host.
#[derive(Debug, Clone)]
struct Pool {
    wires: Wires,
    idle: Arc<Mutex<Idle>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last, if one is left.
    fn take(&self, host: &str, now: Duration) -> bool {
        let mut idle = self.idle();
        let last = idle.get_mut(host).and_then(Vec::pop);
        last.is_some_and(|since| now.saturating_sub(since) <= IDLE_MAX)
    }

    fn put(&self, host: &str, now: Duration) {
        let mut idle = self.idle();
        match idle.get_mut(host) {
            Some(kept) => kept.push(now),
            None => drop(idle.insert(host.to_owned(), vec![now])),
        }
    }

    /// What a reset leaves: nothing.
    fn reset(&self, host: &str) {
        self.idle().remove(host);
    }
}

impl HttpClient for Pool {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let (connect, read) = (settings.connect_timeout(), settings.read_timeout());
        SharedHttpConnector::new(Caller { pool: self.clone(), connect, read })
    }
}

/// A pool, and how long its caller waits.
#[derive(Debug, Clone)]
struct Caller {
    pool: Pool,
    connect: Option<Duration>,
    read: Option<Duration>,
}

impl HttpConnector for Caller {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

/// The host of a URI with a scheme.
pub(super) fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?', ':']).next().unwrap_or_default()
}

impl Caller {
    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let cloud = &self.pool.wires.cloud;
        let host = host(request.uri()).to_owned();
        let Some((to, service)) = cloud.door(&host) else {
            return Err(ConnectorError::io(format!("no host is called `{host}`").into()));
        };
        let link = Link { from: self.pool.wires.from, to, service };
        if !self.pool.take(&host, cloud.now()) {
            self.connect(&link).await?;
        }
        let (reply, received) = oneshot::channel();
        let carrier = cloud.clone();
        tokio::spawn(async move {
            let who = format!("{} {}", link.service.as_str(), link.to);
            carrier.guard(&who, carrier.clone().carry(link, request, reply)).await
        });
        let answer = async {
            match received.await {
                Ok(answer) => answer,
                // What is lost is never heard of.
                Err(_) => pending().await,
            }
        };
        let answer = match self.read {
            None => answer.await,
            Some(limit) => {
                timeout(limit, answer).await.map_err(|late| ConnectorError::timeout(late.into()))?
            }
        };
        match answer {
            Some(answer) => {
                self.pool.put(&host, cloud.now());
                answer.into_response()
            }
            None => {
                self.pool.reset(&host);
                Err(ConnectorError::io("the connection was reset".into()))
            }
        }
    }

    async fn connect(&self, link: &Link) -> Result<(), ConnectorError> {
        let cloud = &self.pool.wires.cloud;
        let opened = async {
            match cloud.network().open(link) {
                Opening::After(wait) => {
                    sleep(wait).await;
                    Ok(())
                }
                Opening::Refused(wait) => {
                    sleep(wait).await;
                    Err(ConnectorError::io("the connection was refused".into()).never_connected())
                }
                Opening::Silent => pending().await,
            }
        };
        let opened = match self.connect {
            None => opened.await,
            Some(limit) => match timeout(limit, opened).await {
                Ok(opened) => opened,
                Err(late) => Err(ConnectorError::timeout(late.into()).never_connected()),
            },
        };
        if opened.is_err() {
            cloud.note(link, "connect", "", "unconnected");
        }
        opened
    }
}

impl Cloud {
    /// Takes a request to its service and the answer back; `None` for a reset connection.
    async fn carry(self, link: Link, request: HttpRequest, reply: oneshot::Sender<Option<Answer>>) {
        if let Place::Region(_) = link.from {
            *super::lock(&self.0.requests).entry(link.service).or_default() += 1;
        }
        let (after, throttled, answered) = match self.network().send(&link) {
            Fate::Arrives { after, throttled, answered } => (after, throttled, answered),
            Fate::Lost => return self.note(&link, "request", "", "lost"),
            Fate::Reset => {
                self.note(&link, "request", "", "reset");
                let _ = reply.send(None);
                return;
            }
        };
        sleep(after).await;
        if self.network().severed(&link) {
            return self.note(&link, "request", "", "lost");
        }
        let answer = if throttled {
            self.note(&link, "request", "", "throttled");
            Answer::throttled(link.service)
        } else {
            match self.serve(&link, request).await {
                Some(answer) => answer,
                None => return,
            }
        };
        if !answered || self.network().severed(&link) {
            return self.note(&link, "answer", "", "lost");
        }
        sleep(self.network().one_way(&link)).await;
        // A caller that left does not mind.
        let _ = reply.send(Some(answer));
    }
}
