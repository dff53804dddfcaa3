//! Being told to stop: by Ctrl-C, or by the system.

use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// Returns when the process is told to stop. Told so once more, it ends at once.
///
/// Where the system takes no such requests, this never returns, and they end the process at once.
pub(crate) async fn stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    either(&mut interrupt, &mut terminate).await;
    // It is not joined: it ends with the process, one way or the other.
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        process::exit(exit::STOPPED.into());
    });
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}
