//! The door to a region's API: only where it may lead, and no further.
#![cfg(feature = "lambda")]
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use sealane::{
    aws::{Aws, Limits},
    config::Config,
    ports::{ApiError, Apis},
    region::RegionName,
};

fn west() -> RegionName {
    "us-west-2".parse().unwrap()
}

/// A server on loopback that gives each request this answer, and counts them.
fn server(answer: impl Fn(u16) -> String + Send + 'static) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&count);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            seen.fetch_add(1, Ordering::SeqCst);
            let _request = stream.read(&mut [0; 4096]);
            let _sent = stream.write_all(answer(port).as_bytes());
        }
    });
    (port, count)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// What comes of asking the API at `url`.
async fn ask(url: &str) -> Result<(), ApiError> {
    let document = format!(
        "{{primary_region: us-west-2, enabled: false, security: {{allow_local_endpoints: true}}, \
          regions: [{{name: us-west-2, bucket: west, endpoints: {{api: '{url}'}}}}]}}"
    );
    let config = Config::read(Some(&document), std::iter::empty()).unwrap();
    let limits = Limits::probe(Duration::from_secs(2));
    Aws::connect("us-west-2").await.apis(&config.regions, limits, &config.security).live(west()).await
}

#[tokio::test]
async fn an_api_that_names_its_region_lives() {
    let (port, _) = server(|_| ok(r#"{"region": "us-west-2"}"#));
    assert!(ask(&format!("http://127.0.0.1:{port}")).await.is_ok());
    assert!(
        ask(&format!("http://localhost:{port}")).await.is_ok(),
        "the setting admits what the name stands for"
    );
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (port, count) = server(|port| {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{port}/v1/live\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    });
    let answer = ask(&format!("http://127.0.0.1:{port}")).await;
    assert!(matches!(answer, Err(ApiError::WrongAnswer { status: 302, .. })), "{answer:?}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let (port, _) = server(|_| ok(&format!(r#"{{"region": "us-west-2"}}{}"#, " ".repeat(100_000))));
    let answer = ask(&format!("http://127.0.0.1:{port}")).await;
    assert!(matches!(answer, Err(ApiError::WrongAnswer { .. })), "{answer:?}");
}

/// A name passes the configuration, and is judged again by what it stands for.
#[tokio::test]
async fn a_name_that_stands_for_a_local_address_is_not_connected_to() {
    let (port, count) = server(|_| ok(r#"{"region": "us-west-2"}"#));
    let document = format!(
        "{{primary_region: us-west-2, enabled: false, security: {{allow_local_endpoints: true}}, \
          regions: [{{name: us-west-2, bucket: west, endpoints: {{api: 'http://localhost:{port}'}}}}]}}"
    );
    let config = Config::read(Some(&document), std::iter::empty()).unwrap();
    let limits = Limits::probe(Duration::from_secs(2));
    let answer = Aws::connect("us-west-2")
        .await
        .apis(&config.regions, limits, &sealane::endpoint::Policy::default())
        .live(west())
        .await;
    assert!(matches!(answer, Err(ApiError::NoAnswer { .. })), "{answer:?}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
