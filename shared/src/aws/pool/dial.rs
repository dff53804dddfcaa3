//! How connections are opened.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use aws_smithy_runtime_api::box_error::BoxError;
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    CipherSuite, ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
};
use tokio::net::TcpStream;
use tower_service::Service as _;

/// The cipher suites that the SDK's own connections offer, best first.
const SUITES: [CipherSuite; 7] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Read once, for whatever number of pools.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, rustls::Error>> = LazyLock::new(|| config().map(Arc::new));

/// Opens connections.
pub(in super::super) trait Dial: fmt::Debug + Send + Sync + 'static {
    /// What requests are written to.
    type Stream: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static;

    /// A connection to the host of `to`.
    fn dial(&self, to: Uri) -> impl Future<Output = Result<Self::Stream, BoxError>> + Send;
}

/// Over the network, with TLS where the URI says so.
#[derive(Debug, Clone)]
pub(in super::super) struct Tls(HttpsConnector<HttpConnector>);

impl Tls {
    /// Trusts whom the system trusts, as the SDK's own connections do.
    ///
    /// # Errors
    /// When the library of ciphers knows no version of TLS that is safe.
    pub(in super::super) fn new() -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // A request must not wait until the one before was acknowledged.
        tcp.set_nodelay(true);
        Ok(Self(HttpsConnector::from((tcp, CONFIG.clone()?))))
    }
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let all = aws_lc_rs::default_provider();
    let suite =
        |wanted: &CipherSuite| all.cipher_suites.iter().find(|suite| suite.suite() == *wanted).copied();
    let cipher_suites = SUITES.iter().filter_map(suite).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(CryptoProvider { cipher_suites, ..all });
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Dial for Tls {
    type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

    async fn dial(&self, to: Uri) -> Result<Self::Stream, BoxError> {
        self.0.clone().call(to).await
    }
}
