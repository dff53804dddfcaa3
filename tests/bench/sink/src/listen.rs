//! The ports of the sink's regions.

use std::{error::Error, fs, future::pending, io, path::Path, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{
    answers::answer,
    region::{Next, Region},
};

/// Where a region is reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ports {
    /// Without encryption.
    pub http: u16,
    /// Over TLS.
    pub https: u16,
}

/// Opens ports for every region on loopback, and writes the certificate of those with TLS to `certificate`.
///
/// # Errors
/// When a port cannot be opened or the certificate cannot be written.
pub async fn open(regions: &[Arc<Region>], certificate: &Path) -> Result<Vec<Ports>, Box<dyn Error>> {
    let tls = acceptor(certificate)?;
    let mut ports = Vec::new();
    for region in regions {
        let http = serve(region, None).await?;
        let https = serve(region, Some(tls.clone())).await?;
        ports.push(Ports { http, https });
    }
    Ok(ports)
}

fn acceptor(certificate: &Path) -> Result<TlsAcceptor, Box<dyn Error>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    fs::write(certificate, cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(config.with_single_cert(vec![cert.der().clone()], key)?)))
}

async fn serve(region: &Arc<Region>, tls: Option<TlsAcceptor>) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let region = Arc::clone(region);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(admit(Arc::clone(&region), stream, tls.clone()));
        }
    });
    Ok(port)
}

/// Serves one connection; what becomes of it is the client's concern.
async fn admit(region: Arc<Region>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let mut cuts = region.cuts();
    match region.connected() {
        Next::Go | Next::Wait(_) => {}
        Next::Reset => return reset(&stream),
        Next::Hang => return hang(stream).await,
    }
    let _ = stream.set_nodelay(true);
    let served = async {
        match tls {
            None => talk(&region, stream).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => talk(&region, stream).await,
                Err(_) => Ok(()),
            },
        }
    };
    tokio::select! {
        _ = served => {}
        _ = cuts.changed() => {}
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(region: &Arc<Region>, stream: S) -> hyper::Result<()> {
    let service = service_fn(|request| answer(Arc::clone(region), request));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

fn reset(stream: &TcpStream) {
    // Bytes that were not read when a socket is closed make a reset of it.
    let _ = stream.set_zero_linger();
}

async fn hang(stream: TcpStream) {
    let () = pending().await;
    drop(stream);
}
