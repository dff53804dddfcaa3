//! Names, and the addresses that they may stand for.

use std::net::ToSocketAddrs as _;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::endpoint;

/// Resolves names, and leaves out the addresses that no request may go to: a name
/// that was checked when it was configured may stand for another one by now.
#[derive(Debug, Clone)]
pub(super) struct Admitted(pub(super) endpoint::Policy);

impl ResolveDns for Admitted {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        let (name, policy) = (name.to_owned(), self.0.clone());
        DnsFuture::new(async move {
            let host = name.clone();
            let found = tokio::task::spawn_blocking(move || (host.as_str(), 0).to_socket_addrs()).await;
            let found = found.map_err(ResolveDnsError::new)?.map_err(ResolveDnsError::new)?;
            let admitted: Vec<_> = found.map(|a| a.ip()).filter(|ip| policy.admits(*ip)).collect();
            if admitted.is_empty() {
                return Err(ResolveDnsError::new(NotAdmitted(name)));
            }
            Ok(admitted)
        })
    }
}

/// A name stands for nothing that may be asked.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` stands for no public address (a local one needs `security.allow_local_endpoints`)")]
struct NotAdmitted(String);
