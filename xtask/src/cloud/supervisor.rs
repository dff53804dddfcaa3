//! The process behind a running cloud: it holds the gates, and MiniStack and the bridge as children.
//!
//! It ends when asked at the control port, on a signal, or when MiniStack ends, and takes its children
//! along: they end when their standard input closes, which it does even if the supervisor is killed.

use super::{
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
    record::SupervisorRecord,
    region::{PRIMARY, REGIONS},
};
use crate::gates::{
    board::{Board, Destination},
    control,
};
use std::{
    io,
    net::{Ipv4Addr, TcpListener as PortFinder},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, Command},
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time,
};

/// How long MiniStack may take to listen.
const MINISTACK_WITHIN: Duration = Duration::from_secs(60);

/// How long a child may take to end by itself.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Supervises until the end is asked for.
///
/// # Errors
/// When MiniStack or a gate cannot be started, or MiniStack ends by itself.
pub async fn supervise(folder: &Folder) -> Result<(), CloudError> {
    folder.create()?;
    let held = held_ports(1 + REGIONS.len()).doing("finding free ports")?;
    let (main, api) = (held[0].1, held[1..].iter().map(|(_, port)| *port).collect::<Vec<_>>());
    let destinations: Vec<Destination> = REGIONS
        .iter()
        .zip(&api)
        .map(|(region, api_port)| Destination { region: region.name.into(), port: main, api_port: *api_port })
        .collect();
    let board = Arc::new(Board::open(&destinations).doing("opening the gates")?);
    // Held until the gates have ports of their own, which could else have been these.
    drop(held);
    let (mut ministack, hold_ministack) = ministack(folder, main, &api)?;
    listening(main, &mut ministack, folder).await?;

    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.doing("opening the control port")?;
    let control_port = control.local_addr().doing("opening the control port")?.port();
    let (mut bridge, hold_bridge) = bridge(folder, main, control_port)?;
    let down = Arc::new(Notify::new());
    let controlled = tokio::spawn(control::serve(control, board, Arc::clone(&down)));
    let record = SupervisorRecord { pid: std::process::id(), control_port, ministack_port: main };
    write_whole(&folder.supervisor_json(), &format!("{:#}\n", serde_json::json!(record)))?;

    let ended = tokio::select! {
        () = down.notified() => Ok(()),
        asked = signalled() => asked.doing("listening for signals"),
        status = ministack.wait() => Err(ended_early(folder, status)),
    };
    folder.forget_running()?;
    end(&mut bridge, hold_bridge).await;
    end(&mut ministack, hold_ministack).await;
    controlled.abort();
    ended
}

fn ended_early(folder: &Folder, status: io::Result<std::process::ExitStatus>) -> CloudError {
    let log = folder.log_path("ministack");
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    CloudError::failed(format!("MiniStack ended ({how})"), format!("see `{}`", log.display()))
}

/// Ports that are free, and stay so while their sockets are held.
fn held_ports(count: usize) -> io::Result<Vec<(PortFinder, u16)>> {
    let hold = |_| {
        let socket = PortFinder::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        Ok((socket, port))
    };
    (0..count).map(hold).collect()
}

fn ministack(folder: &Folder, port: u16, api: &[u16]) -> Result<(Child, ChildStdin), CloudError> {
    let mut command = python(folder, "ministack_server.py");
    command.args(["--region", PRIMARY, "--port", &port.to_string()]);
    for (region, port) in REGIONS.iter().zip(api) {
        command.args(["--api", &format!("{}={port}", region.name)]);
    }
    // Function code is unpacked here, and goes with the cloud.
    command.env("TMPDIR", folder.scratch());
    spawn(folder, "ministack", command)
}

fn bridge(
    folder: &Folder,
    ministack_port: u16,
    control_port: u16,
) -> Result<(Child, ChildStdin), CloudError> {
    let mut command = python(folder, "bridge.py");
    command.args(["--endpoint", &format!("http://127.0.0.1:{ministack_port}")]);
    command.args(["--control", &control_port.to_string()]);
    for region in REGIONS {
        command.args(["--region", region.name]);
    }
    spawn(folder, "bridge", command)
}

fn python(folder: &Folder, program: &str) -> Command {
    let mut command = Command::new(folder.python());
    // No byte code is left beside the sources.
    command.arg("-B").arg(folder.programs().join(program));
    command
}

fn spawn(folder: &Folder, name: &str, mut command: Command) -> Result<(Child, ChildStdin), CloudError> {
    let log = folder.log(name)?;
    let errors = log.try_clone().doing(format!("opening the log of {name}"))?;
    command
        .current_dir(folder.workspace())
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true);
    let mut child = command.spawn().doing(format!("starting {name}"))?;
    // Taken out, since waiting for a child would close it.
    let stdin = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"));
    Ok((child, stdin.doing(format!("starting {name}"))?))
}

/// Waits until MiniStack accepts connections.
async fn listening(port: u16, ministack: &mut Child, folder: &Folder) -> Result<(), CloudError> {
    let connected = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        reached = time::timeout(MINISTACK_WITHIN, connected) => reached.map_err(|_| {
            let log = folder.log_path("ministack");
            CloudError::failed("MiniStack does not listen".to_owned(), format!("see `{}`", log.display()))
        }),
        status = ministack.wait() => Err(ended_early(folder, status)),
    }
}

/// Resolves on a signal that asks for the end. A hang-up does not: the cloud outlives its terminal.
async fn signalled() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => {},
        }
    }
}

/// Lets a child end by itself, and kills it if it does not.
async fn end(child: &mut Child, hold: ChildStdin) {
    drop(hold);
    if time::timeout(END_WITHIN, child.wait()).await.is_err() {
        // Fails only if it has ended meanwhile.
        let _ = child.kill().await;
    }
}
