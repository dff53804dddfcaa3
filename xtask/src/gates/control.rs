//! The control port: one JSON request a line in, one JSON reply a line out, on loopback.
//!
//! ```text
//! {"do":"cut","region":"us-west-2","service":null,"from":null,"effect":"refuse"}
//! {"ok":true,"gates":[...],"faults":[...]}
//! ```

use super::{
    board::{Board, GateState},
    fault::Fault,
};
use serde::{Deserialize, Serialize};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Only the state.
    State,
    /// One more fault.
    Cut(Fault),
    /// No faults any more, in one region or anywhere.
    Heal {
        /// The region, or all of them.
        region: Option<String>,
    },
    /// The end of the local cloud.
    Down,
}

/// What is answered: the state after the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether the request was understood.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Every gate.
    #[serde(default)]
    pub gates: Vec<GateState>,
    /// Every fault in force.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Answers requests until the task is dropped; `down` is notified when the end is asked for.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(listener: TcpListener, board: Arc<Board>, down: Arc<Notify>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (board, down) = (Arc::clone(&board), Arc::clone(&down));
        tokio::spawn(async move { conversation(stream, &board, &down).await });
    }
}

async fn conversation(mut stream: TcpStream, board: &Board, down: &Notify) -> io::Result<()> {
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(request) => answer(request, board, down).await,
            Err(error) => {
                Reply { error: Some(format!("`{line}` is not a request: {error}")), ..Reply::default() }
            }
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        to.write_all(&text).await?;
    }
    Ok(())
}

async fn answer(request: Request, board: &Board, down: &Notify) -> Reply {
    match request {
        Request::State => {}
        Request::Cut(fault) => board.add(fault).await,
        Request::Heal { region } => board.heal(region.as_deref()).await,
        Request::Down => down.notify_one(),
    }
    Reply { ok: true, error: None, gates: board.states(), faults: board.faults().await }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            board::Destination,
            client::Gates,
            fault::{CLIENT, Effect, Service},
        },
        *,
    };
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn what_the_client_asks_the_board_does() {
        let to = |region: &str| Destination { region: region.into(), port: 9, api_port: 9 };
        let board = Arc::new(Board::open(&[to("us-west-2"), to("us-east-1")]).expect("ports"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let down = Arc::new(Notify::new());
        tokio::spawn(serve(listener, Arc::clone(&board), Arc::clone(&down)));

        let asked = tokio::task::spawn_blocking(move || -> io::Result<()> {
            let gates = Gates::at(port);
            // 3 sources, 2 destinations, 4 services.
            assert_eq!(gates.state()?.gates.len(), 24);
            let cut = gates.cut("us-west-2")?;
            assert_eq!(cut.gates.iter().filter(|g| g.condition.refused).count(), 16);
            assert_eq!(gates.cut("us-west-2")?.faults.len(), 1);
            let slow = Fault {
                region: "us-east-1".into(),
                service: Some(Service::Api),
                from: Some(CLIENT.into()),
                effect: Effect::SlowMs(80),
            };
            assert_eq!(gates.add(slow)?.faults.len(), 2);
            let healed = gates.heal(Some("us-west-2"))?;
            assert_eq!(healed.gates.iter().filter(|g| !g.condition.is_open()).count(), 1);
            assert!(gates.heal(None)?.faults.is_empty());
            gates.down()
        });
        asked.await.expect("no panic").expect("answered");
        down.notified().await;
    }
}
