use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    sync::Mutex,
    task::Poll,
};

use aws_smithy_runtime_api::box_error::BoxError;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, yield_now},
    time::{Instant, advance},
};

use super::*;

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(2), attempt: Duration::from_secs(30), attempts: 1 };

/// What comes of an attempt to connect.
#[derive(Debug, Clone, Copy)]
enum Way {
    Open,
    Stuck,
    Refused,
}

/// Connects to the test.
#[derive(Debug)]
struct Wires {
    /// What comes of the next attempts; all later ones succeed.
    ways: Mutex<VecDeque<Way>>,
    ends: UnboundedSender<DuplexStream>,
}

impl Dial for Wires {
    type Stream = TokioIo<DuplexStream>;

    async fn dial(&self, _: Uri) -> Result<Self::Stream, BoxError> {
        let way = self.ways.lock().unwrap().pop_front().unwrap_or(Way::Open);
        match way {
            Way::Open => {
                let (near, far) = duplex(1 << 16);
                self.ends.send(far)?;
                Ok(TokioIo::new(near))
            }
            Way::Stuck => pending().await,
            Way::Refused => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        }
    }
}

/// A pool, and the other ends of what it opens.
struct Stage {
    pool: Pool<Wires>,
    ends: UnboundedReceiver<DuplexStream>,
}

impl Stage {
    fn new(ways: &[Way]) -> Self {
        let (sender, ends) = unbounded_channel();
        let wires = Wires { ways: Mutex::new(ways.iter().copied().collect()), ends: sender };
        Self { pool: Pool::new(wires, LIMITS), ends }
    }

    fn ask(&self) -> JoinHandle<Result<HttpResponse, ConnectorError>> {
        tokio::spawn(self.pool.call(request("http://b.store:8080/key?partNumber=1")))
    }

    /// The other end of the next connection.
    async fn end(&mut self) -> DuplexStream {
        self.ends.recv().await.unwrap()
    }

    /// Asks over `end`, which is open already, and is answered.
    async fn again(&mut self, end: &mut DuplexStream) {
        let asking = self.ask();
        asked(end).await;
        answer(end, "again").await;
        assert_eq!(text(asking.await.unwrap().unwrap()).await, "again");
        assert!(self.ends.is_empty(), "another connection was opened");
    }

    /// Asks, and is answered over a connection that is new.
    async fn anew(&mut self) -> DuplexStream {
        let asking = self.ask();
        let mut end = self.end().await;
        asked(&mut end).await;
        answer(&mut end, "anew").await;
        assert_eq!(text(asking.await.unwrap().unwrap()).await, "anew");
        end
    }
}

fn request(uri: &str) -> HttpRequest {
    let mut request = HttpRequest::new(SdkBody::from("bytes"));
    request.set_method("PUT").unwrap();
    request.set_uri(uri).unwrap();
    request.headers_mut().insert("content-length", "5");
    request
}

/// A request as it was written, with its body.
async fn asked(end: &mut DuplexStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nbytes") {
        read.push(end.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

async fn answer(end: &mut DuplexStream, body: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    end.write_all(answer.as_bytes()).await.unwrap();
}

async fn text(reply: HttpResponse) -> String {
    let body = reply.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_is_written_for_its_host_and_its_port_is_said_where_it_is_unusual() {
    let cases = [
        ("http://b.store:8080/key?partNumber=1", "PUT /key?partNumber=1 HTTP/1.1", "b.store:8080"),
        ("http://b.store:80", "PUT / HTTP/1.1", "b.store"),
        ("https://b.store:443/a%20b", "PUT /a%20b HTTP/1.1", "b.store"),
        ("https://b.store/", "PUT / HTTP/1.1", "b.store"),
        ("https://[::1]:80/", "PUT / HTTP/1.1", "[::1]:80"),
    ];
    for (uri, line, host) in cases {
        let mut stage = Stage::new(&[]);
        let asking = tokio::spawn(stage.pool.call(request(uri)));
        let written = asked(&mut stage.end().await).await;
        assert!(written.starts_with(line), "{written}");
        assert!(written.contains(&format!("\r\nhost: {host}\r\n")), "{written}");
        asking.abort();
    }
    let mut named = request("http://b.store/");
    named.headers_mut().insert("host", "signed.store");
    let mut stage = Stage::new(&[]);
    let asking = tokio::spawn(stage.pool.call(named));
    let written = asked(&mut stage.end().await).await;
    assert_eq!(written.matches("host: ").count(), 1, "{written}");
    assert!(written.contains("host: signed.store\r\n"), "{written}");
    asking.abort();
    let nowhere = stage.pool.call(request("/key")).await.unwrap_err();
    assert!(nowhere.is_user(), "{nowhere:?}");
}

#[tokio::test]
async fn a_connection_is_used_again_once_its_answer_was_read() {
    let mut stage = Stage::new(&[]);
    let mut end = stage.anew().await;
    for _ in 0..100 {
        stage.again(&mut end).await;
    }
}

#[tokio::test]
async fn there_are_no_more_connections_than_requests_in_flight() {
    let mut stage = Stage::new(&[]);
    let asking: Vec<_> = (0..8).map(|_| stage.ask()).collect();
    for _ in 0..8 {
        let mut end = stage.end().await;
        tokio::spawn(async move {
            loop {
                asked(&mut end).await;
                answer(&mut end, "made").await;
            }
        });
    }
    for first in asking {
        assert_eq!(text(first.await.unwrap().unwrap()).await, "made");
        assert_eq!(text(stage.ask().await.unwrap().unwrap()).await, "made");
    }
    assert!(stage.ends.is_empty(), "another connection was opened");
}

#[tokio::test]
async fn a_connection_that_is_freed_ends_the_wait_for_a_new_one() {
    let mut stage = Stage::new(&[Way::Open, Way::Stuck]);
    let first = stage.ask();
    let mut end = stage.end().await;
    asked(&mut end).await;
    let second = stage.ask();
    yield_now().await;
    answer(&mut end, "first").await;
    assert_eq!(text(first.await.unwrap().unwrap()).await, "first");
    asked(&mut end).await;
    answer(&mut end, "second").await;
    assert_eq!(text(second.await.unwrap().unwrap()).await, "second");
}

#[tokio::test]
async fn a_connection_that_died_idle_costs_no_request() {
    // Whether its end was seen before the next request came, or shows only then.
    for seen in [true, false] {
        let mut stage = Stage::new(&[]);
        drop(stage.anew().await);
        if seen {
            yield_now().await;
        }
        stage.anew().await;
    }
}

#[tokio::test]
async fn what_went_out_and_was_not_answered_is_not_sent_again() {
    let mut stage = Stage::new(&[]);
    let mut end = stage.anew().await;
    let asking = stage.ask();
    asked(&mut end).await;
    drop(end);
    let lost = asking.await.unwrap().unwrap_err();
    assert!(!lost.is_timeout() && !lost.is_user(), "{lost:?}");
    assert!(stage.ends.is_empty(), "it was sent again");
}

#[tokio::test]
async fn what_a_caller_gives_up_takes_its_connection_along() {
    let mut stage = Stage::new(&[]);
    let asking = stage.ask();
    let mut end = stage.end().await;
    asked(&mut end).await;
    asking.abort();
    assert_eq!(end.read(&mut [0]).await.unwrap(), 0, "the connection is open still");
    stage.anew().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_takes_its_connection_along() {
    let mut stage = Stage::new(&[]);
    let asking = stage.ask();
    let mut end = stage.end().await;
    asked(&mut end).await;
    end.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nthe beginning").await.unwrap();
    drop(asking.await.unwrap().unwrap());
    stage.anew().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let mut stage = Stage::new(&[]);
    let asking = stage.ask();
    let mut end = stage.end().await;
    asked(&mut end).await;
    end.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    drop(end);
    let reply = asking.await.unwrap().unwrap();
    assert!(reply.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn waits_for_connections_and_for_answers_end_with_their_limits() {
    let began = Instant::now();
    let stuck = Stage::new(&[Way::Stuck]).ask().await.unwrap().unwrap_err();
    assert!(stuck.is_timeout() && began.elapsed() == LIMITS.connect, "{stuck:?}");

    let mut stage = Stage::new(&[]);
    let (began, asking) = (Instant::now(), stage.ask());
    let mut silent = stage.end().await;
    asked(&mut silent).await;
    let late = asking.await.unwrap().unwrap_err();
    assert!(late.is_timeout() && began.elapsed() == LIMITS.attempt, "{late:?}");
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0, "the connection is open still");
}

#[tokio::test]
async fn a_refused_connection_is_told_and_the_next_request_tries_again() {
    let mut stage = Stage::new(&[Way::Refused]);
    let refused = stage.ask().await.unwrap().unwrap_err();
    assert!(refused.is_io(), "{refused:?}");
    stage.anew().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lay_idle_for_long_is_not_used_again() {
    let mut stage = Stage::new(&[]);
    let mut end = stage.anew().await;
    advance(Duration::from_secs(80)).await;
    stage.again(&mut end).await;
    advance(Duration::from_secs(91)).await;
    stage.anew().await;
    assert_eq!(end.read(&mut [0]).await.unwrap(), 0, "the connection is open still");
}

#[tokio::test]
async fn what_the_sdk_condemns_is_not_used_again() {
    let mut stage = Stage::new(&[]);
    let captor = CaptureSmithyConnection::new();
    let mut captured = request("http://b.store:8080/");
    captured.add_extension(captor.clone());
    let asking = tokio::spawn(stage.pool.call(captured));
    let mut end = stage.end().await;
    asked(&mut end).await;
    answer(&mut end, "made").await;
    text(asking.await.unwrap().unwrap()).await;
    stage.again(&mut end).await;
    // It lies idle by now, as it does when the SDK has understood the answer.
    captor.get().unwrap().poison();
    stage.anew().await;
}

#[tokio::test]
async fn origins_share_no_connection() {
    let mut stage = Stage::new(&[]);
    stage.anew().await;
    let other = tokio::spawn(stage.pool.call(request("http://other.store:8080/")));
    let mut end = stage.end().await;
    assert!(asked(&mut end).await.contains("host: other.store:8080"));
    other.abort();
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_connection_keeps_nobody_from_it() {
    let mut stage = Stage::new(&[Way::Open, Way::Stuck]);
    let first = stage.ask();
    let mut end = stage.end().await;
    asked(&mut end).await;
    let mut second = stage.pool.call(request("http://b.store:8080/"));
    poll_fn(|cx| {
        assert!(Pin::new(&mut second).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(second);
    answer(&mut end, "first").await;
    assert_eq!(text(first.await.unwrap().unwrap()).await, "first");
    stage.again(&mut end).await;
}
