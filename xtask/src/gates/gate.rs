//! One gate: a listener on loopback that carries bytes to one address, unless its condition says otherwise.
//!
//! A refused gate keeps its port bound without listening, so that a connect is answered as by a
//! closed port and no other program can take the port until the gate opens again.

use super::fault::{Condition, GateId};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, tcp},
    sync::{mpsc, watch},
    time::Instant,
};

/// Most bytes that are read at once; large, so that carrying costs little per byte.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that may be on their way in one direction, which bounds the memory of a slow gate to 16 MiB.
const CHUNKS_IN_FLIGHT: usize = 64;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Bytes carried so far.
#[derive(Debug, Default)]
pub struct Carried {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Carried {
    /// Bytes from the source to the destination.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes from the destination back to the source.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A gate that runs until it is dropped.
#[derive(Debug)]
pub struct Gate {
    /// Which gate this is.
    pub id: GateId,
    /// Its port on 127.0.0.1, the same for its whole life.
    pub port: u16,
    carried: Arc<Carried>,
    condition: watch::Sender<Condition>,
    applied: watch::Receiver<Condition>,
}

impl Gate {
    /// Opens a gate on a free port that leads to `upstream`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn open(id: GateId, upstream: SocketAddr) -> io::Result<Self> {
        let listener = bound(0)?.listen(BACKLOG)?;
        let port = listener.local_addr()?.port();
        let carried = Arc::new(Carried::default());
        let (condition, watched) = watch::channel(Condition::default());
        let (done, applied) = watch::channel(Condition::default());
        let keeper = Keeper { port, upstream, carried: Arc::clone(&carried), watched, done };
        tokio::spawn(keeper.keep(listener));
        Ok(Self { id, port, carried, condition, applied })
    }

    /// Sets the condition, and returns when new connections meet it.
    pub async fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
        let mut applied = self.applied.clone();
        // An error means that the keeper is gone, and with it the port.
        let _ = applied.wait_for(|now| *now == condition).await;
    }

    /// The condition that was set last.
    pub fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// Bytes carried so far.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }
}

/// A socket bound to `port` of loopback, not listening: a connect to it is refused.
fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

/// The task behind a gate: it owns the port.
struct Keeper {
    port: u16,
    upstream: SocketAddr,
    carried: Arc<Carried>,
    watched: watch::Receiver<Condition>,
    done: watch::Sender<Condition>,
}

impl Keeper {
    async fn keep(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let condition = *self.watched.borrow_and_update();
            if condition.is_shut() {
                drop(listener.take());
                let Ok(held) = bound(self.port) else { return };
                self.done.send_replace(condition);
                if !self.opened_again().await {
                    return;
                }
                listener = held.listen(BACKLOG).ok();
                continue;
            }
            self.done.send_replace(condition);
            let Some(open) = listener.as_ref() else { return };
            tokio::select! {
                changed = self.watched.changed() => if changed.is_err() { return },
                accepted = open.accept() => if let Ok((source, _)) = accepted {
                    let upstream = self.upstream;
                    let carried = Arc::clone(&self.carried);
                    tokio::spawn(connection(source, upstream, carried, self.watched.clone()));
                },
            }
        }
    }
}

impl Keeper {
    /// Waits until new connections are welcome; `false` when the gate is gone.
    async fn opened_again(&mut self) -> bool {
        while self.watched.changed().await.is_ok() {
            let now = *self.watched.borrow_and_update();
            if !now.is_shut() {
                return true;
            }
            self.done.send_replace(now);
        }
        false
    }
}

/// Resolves when the gate carries again.
async fn audible(watched: &mut watch::Receiver<Condition>) {
    // An error means that the gate is gone; the connection then ends with it.
    let _ = watched.wait_for(|now| !now.silent && !now.refused).await;
}

/// Carries one connection until both sides end it or the gate is cut, which ends it by a reset.
async fn connection(
    mut source: TcpStream,
    upstream: SocketAddr,
    carried: Arc<Carried>,
    watched: watch::Receiver<Condition>,
) {
    let (mut cut, mut quiet) = (watched.clone(), watched.clone());
    let reached = async {
        audible(&mut quiet).await;
        TcpStream::connect(upstream).await
    };
    let reached = tokio::select! {
        reached = reached => reached,
        _ = cut.wait_for(|now| now.refused) => return reset(&source),
    };
    let Ok(mut destination) = reached else { return reset(&source) };
    let _ = (source.set_nodelay(true), destination.set_nodelay(true));
    let ended = tokio::select! {
        () = carry(&mut source, &mut destination, &carried, &watched) => true,
        _ = cut.wait_for(|now| now.refused) => false,
    };
    if !ended {
        reset(&source);
        reset(&destination);
    }
}

/// Has `stream` end by a reset when it is dropped, which happens at once.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is already gone.
    let _ = stream.set_zero_linger();
}

/// Carries both directions until both have ended.
async fn carry(
    source: &mut TcpStream,
    destination: &mut TcpStream,
    carried: &Carried,
    watched: &watch::Receiver<Condition>,
) {
    let (from_source, to_source) = source.split();
    let (from_destination, to_destination) = destination.split();
    tokio::join!(
        direction(from_source, to_destination, &carried.sent, watched.clone()),
        direction(from_destination, to_source, &carried.received, watched.clone()),
    );
}

/// Carries one direction: reads ahead, and hands each chunk over when its delay has passed.
async fn direction(
    mut from: tcp::ReadHalf<'_>,
    mut to: tcp::WriteHalf<'_>,
    count: &AtomicU64,
    watched: watch::Receiver<Condition>,
) {
    let (chunks, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_IN_FLIGHT);
    let mut quiet = watched.clone();
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            match from.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let due = Instant::now() + watched.borrow().delay();
            if chunks.send((due, chunk)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            audible(&mut quiet).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
            count.fetch_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::{super::fault::Service, *};
    use std::time::Duration;

    const CUT: Condition = Condition { refused: true, new_refused: false, silent: false, delay_ms: 0 };
    const SILENT: Condition = Condition { refused: false, new_refused: false, silent: true, delay_ms: 0 };
    const OPEN: Condition = Condition { refused: false, new_refused: false, silent: false, delay_ms: 0 };

    /// A server that sends back what it gets, and the gate before it.
    async fn echo_behind_a_gate() -> Gate {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let upstream = server.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let id = GateId { from: "client".into(), to: "us-west-2".into(), service: Service::S3 };
        Gate::open(id, upstream).expect("a gate")
    }

    async fn connect(gate: &Gate) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, gate.port)).await
    }

    async fn echoed(stream: &mut TcpStream, sent: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(sent).await?;
        let mut back = vec![0; sent.len()];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    #[tokio::test]
    async fn an_open_gate_carries_every_byte_and_counts_both_ways() {
        let gate = echo_behind_a_gate().await;
        let (mut from, mut to) = connect(&gate).await.expect("open").into_split();
        let data: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
        let sent = data.clone();
        let write = async move {
            to.write_all(&sent).await.expect("carried");
            to.shutdown().await.expect("carried");
        };
        let mut back = Vec::new();
        let (_, read) = tokio::join!(write, from.read_to_end(&mut back));
        read.expect("carried");
        assert!(back == data, "what came back differs");
        assert_eq!((gate.carried().sent(), gate.carried().received()), (3_000_000, 3_000_000));
    }

    #[tokio::test]
    async fn a_gate_that_is_closed_to_new_connections_carries_those_under_way() {
        let gate = echo_behind_a_gate().await;
        let closed = Condition { new_refused: true, ..OPEN };
        let mut old = connect(&gate).await.expect("open");
        assert_eq!(echoed(&mut old, b"one").await.expect("carried"), b"one");
        gate.set(closed).await;
        assert_eq!(connect(&gate).await.expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(echoed(&mut old, b"two").await.expect("carried"), b"two");
        gate.set(CUT).await;
        assert!(echoed(&mut old, b"three").await.is_err(), "a cut ends it");
        gate.set(closed).await;
        assert!(connect(&gate).await.is_err());
        gate.set(OPEN).await;
        let mut new = connect(&gate).await.expect("open again");
        assert_eq!(echoed(&mut new, b"four").await.expect("carried"), b"four");
    }

    #[tokio::test]
    async fn a_cut_gate_refuses_and_opens_again_on_the_same_port() {
        let gate = echo_behind_a_gate().await;
        for _ in 0..3 {
            gate.set(CUT).await;
            let refused = connect(&gate).await.expect_err("cut");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            gate.set(OPEN).await;
            let mut stream = connect(&gate).await.expect("healed");
            assert_eq!(echoed(&mut stream, b"hello").await.expect("carried"), b"hello");
        }
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_under_way() {
        let gate = echo_behind_a_gate().await;
        let mut stream = connect(&gate).await.expect("open");
        assert_eq!(echoed(&mut stream, b"hello").await.expect("carried"), b"hello");
        gate.set(CUT).await;
        let reset = stream.read(&mut [0; 1]).await.expect_err("a reset, not an end");
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_silent_gate_accepts_and_carries_nothing_until_healed() {
        let gate = echo_behind_a_gate().await;
        let mut before = connect(&gate).await.expect("open");
        assert_eq!(echoed(&mut before, b"hello").await.expect("carried"), b"hello");
        gate.set(SILENT).await;
        let mut during = connect(&gate).await.expect("accepted");
        for stream in [&mut before, &mut during] {
            stream.write_all(b"anyone there?").await.expect("buffered");
            let answer = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
            assert!(answer.is_err(), "a silent gate answered");
        }
        gate.set(OPEN).await;
        for stream in [&mut before, &mut during] {
            let mut late = [0; 13];
            stream.read_exact(&mut late).await.expect("carried after all");
            assert_eq!(&late, b"anyone there?");
        }
    }

    #[tokio::test]
    async fn a_slow_gate_delays_each_way_but_keeps_its_throughput() {
        let gate = echo_behind_a_gate().await;
        gate.set(Condition { delay_ms: 60, ..OPEN }).await;
        let mut stream = connect(&gate).await.expect("open");
        let start = Instant::now();
        assert_eq!(echoed(&mut stream, b"hello").await.expect("carried"), b"hello");
        assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
        // 20 chunks one after the other would take 20 delays; in flight together they take about two.
        let (mut from, mut to) = stream.into_split();
        let start = Instant::now();
        let data = vec![7; 20 * CHUNK_BYTES];
        let mut back = vec![0; data.len()];
        let (sent, got) = tokio::join!(to.write_all(&data), from.read_exact(&mut back));
        sent.and(got.map(|_| ())).expect("carried");
        assert!(start.elapsed() < Duration::from_millis(20 * 60), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_dead_upstream_resets_instead_of_hanging() {
        let nobody = bound(0).expect("a port");
        let upstream = nobody.local_addr().expect("bound");
        let id = GateId { from: "client".into(), to: "us-west-2".into(), service: Service::Api };
        let gate = Gate::open(id, upstream).expect("a gate");
        let mut stream = connect(&gate).await.expect("accepted");
        assert!(stream.read(&mut [0; 1]).await.is_err());
    }
}
