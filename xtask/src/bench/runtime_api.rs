//! A Lambda runtime API on loopback for one function: gives it events and notes what it does, and when.

use super::http::{Request, reply};
use std::{
    io::{self, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where a function asks for work.
const NEXT: &str = "/2018-06-01/runtime/invocation/next";

/// How long an invocation may take, by what the function is told.
const INVOCATION_WITHIN: Duration = Duration::from_secs(20);

/// What the function did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// It asked for work.
    Poll,
    /// It answered an invocation.
    Answer,
    /// It reported a failure, of an invocation or of its start.
    Fail(String),
}

/// The server. It ends with the process.
#[derive(Debug)]
pub struct RuntimeApi {
    /// `host:port`, for `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    steps: Receiver<(Instant, Did)>,
    events: Sender<String>,
}

impl RuntimeApi {
    /// Opens the server on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?.to_string();
        let (tell, steps) = channel();
        let (events, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tell, queue) = (tell.clone(), Arc::clone(&queue));
                // A connection that breaks is the function's end, which the other side notices.
                thread::spawn(move || drop(conversation(&stream, &tell, &queue)));
            }
        });
        Ok(Self { address, steps, events })
    }

    /// What the function does next, and when.
    ///
    /// # Errors
    /// When it does nothing within `limit`.
    pub fn step(&self, limit: Duration) -> io::Result<(Instant, Did)> {
        self.steps
            .recv_timeout(limit)
            .map_err(|_| io::Error::other(format!("the function did nothing for {limit:?}")))
    }

    /// Gives the function this event when it asks for work, or now if it waits for some.
    pub fn give(&self, event: &str) {
        // Fails only after the server has ended, and then no step follows either.
        let _ = self.events.send(event.to_owned());
    }
}

fn conversation(
    stream: &TcpStream,
    tell: &Sender<(Instant, Did)>,
    queue: &Mutex<Receiver<String>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream);
    let mut replies = stream;
    while let Some(request) = Request::read(&mut requests)? {
        let did = what(&request);
        let poll = did == Did::Poll;
        tell.send((now(), did)).map_err(io::Error::other)?;
        if !poll {
            reply(&mut replies, 202, &[], b"{}")?;
            continue;
        }
        let event = queue.lock().unwrap_or_else(PoisonError::into_inner).recv().map_err(io::Error::other)?;
        let deadline = deadline_ms().to_string();
        let headers = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", "00000000-0000-0000-0000-000000000001"),
            ("lambda-runtime-deadline-ms", deadline.as_str()),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-west-2:000000000000:function:bench"),
            ("lambda-runtime-trace-id", "Root=1-691f0b60-1de4a97425678c5b1288aa70"),
        ];
        reply(&mut replies, 200, &headers, event.as_bytes())?;
    }
    Ok(())
}

fn what(request: &Request) -> Did {
    let failed = || Did::Fail(String::from_utf8_lossy(&request.body).into_owned());
    match request.path.as_str() {
        NEXT => Did::Poll,
        path if path.ends_with("/response") => Did::Answer,
        _ => failed(),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the runtime API tells the time to the function")]
fn deadline_ms() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + INVOCATION_WITHIN).as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request {
        Request { method: "POST".into(), path: path.into(), headers: Vec::new(), body: b"why".to_vec() }
    }

    #[test]
    fn what_is_no_poll_and_no_response_is_a_failure() {
        assert_eq!(what(&request(NEXT)), Did::Poll);
        assert_eq!(what(&request("/2018-06-01/runtime/invocation/1/response")), Did::Answer);
        assert_eq!(what(&request("/2018-06-01/runtime/init/error")), Did::Fail("why".into()));
    }
}
