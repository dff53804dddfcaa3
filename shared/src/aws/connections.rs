//! Where connections come from.

use std::fmt;

use aws_smithy_http_client::{
    Builder, Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};

use super::{
    Limits,
    pool::{Pool, Tls},
    resolver::Admitted,
};
use crate::endpoint;

/// Makes pools of connections, none of which shares a connection with another.
pub trait Connections: fmt::Debug + Send + Sync {
    /// A pool for the SDK's clients, which say themselves how long they wait.
    fn client(&self) -> SharedHttpClient;

    /// A pool for plain requests, which connects only to addresses that `security` admits.
    fn connector(&self, limits: Limits, security: &endpoint::Policy) -> SharedHttpConnector;

    /// A pool for many plain requests at once, to what stands in the configuration. By default it is
    /// like any other.
    fn crowded(&self, limits: Limits) -> SharedHttpConnector {
        // It was checked there, and the SDK resolves it without more ado, too.
        self.connector(limits, &endpoint::Policy { allow_local: true, hosts: None })
    }
}

/// Connections over the network, with TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Https;

const TLS: Provider = Provider::Rustls(CryptoMode::AwsLc);

impl Connections for Https {
    fn client(&self) -> SharedHttpClient {
        Builder::new().tls_provider(TLS).build_https()
    }

    fn connector(&self, limits: Limits, security: &endpoint::Policy) -> SharedHttpConnector {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(limits.connect)
            .read_timeout(limits.attempt)
            .build();
        let connector = Connector::builder().tls_provider(TLS).connector_settings(settings);
        SharedHttpConnector::new(connector.build_with_resolver(Admitted(security.clone())))
    }

    fn crowded(&self, limits: Limits) -> SharedHttpConnector {
        match Tls::new() {
            Ok(tls) => SharedHttpConnector::new(Pool::new(tls, limits)),
            // No TLS that this library knows is safe: the SDK's own connections say so when they are asked.
            Err(_) => self.connector(limits, &endpoint::Policy { allow_local: true, hosts: None }),
        }
    }
}
