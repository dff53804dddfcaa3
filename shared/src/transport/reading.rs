//! Reading the source on a thread of its own, and handing each block to every trip.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::{
    blocks::{Block, Whole},
    source::{Source, SourceError},
    trip::Feed,
};
use crate::{units::ByteSize, upload::Reason};

/// The connection to one trip.
pub(super) struct Line {
    pub(super) feed: mpsc::Sender<Feed>,
    pub(super) call_off: oneshot::Sender<Reason>,
    pub(super) acked: Arc<AtomicU64>,
}

impl Line {
    /// Hands on one piece, of which the source's first `read` bytes end; `None` when the
    /// trip is over, or is called off because it did not take the piece in time.
    async fn give(self, piece: Feed, read: u64, limit: Duration) -> Option<Self> {
        match tokio::time::timeout(limit, self.feed.send(piece)).await {
            Ok(sent) => sent.is_ok().then_some(self),
            Err(_) => {
                let behind = ByteSize(read.saturating_sub(self.acked.load(Ordering::Relaxed)));
                // The trip may be over by now, and then nobody needs to be told.
                let _ = self.call_off.send(Reason::FellBehind { behind });
                None
            }
        }
    }
}

async fn give_all(lines: Vec<Line>, piece: Feed, read: u64, limit: Duration) -> Vec<Line> {
    let given = lines.into_iter().map(|line| line.give(piece.clone(), read, limit));
    join_all(given).await.into_iter().flatten().collect()
}

/// Hands every block to every trip that still takes them, and at the end what the whole was.
pub(super) async fn feed(
    source: &Source,
    mut reading: Reading,
    mut lines: Vec<Line>,
    expected: Option<Whole>,
    limit: Duration,
) -> Result<Option<Whole>, SourceError> {
    let for_nobody = lines.is_empty();
    let mut read = 0;
    while let Some(block) = reading.blocks.recv().await {
        read += block.bytes.len() as u64;
        lines = give_all(lines, Feed::Block(block), read, limit).await;
        if lines.is_empty() && !for_nobody {
            return Ok(None);
        }
    }
    let path = source.path().to_owned();
    let ended = reading.end.await.map_err(|_| SourceError::Unreadable {
        path: path.clone(),
        source: io::Error::other("the thread that reads it ended early"),
    })?;
    let Some(whole) = ended? else { return Ok(None) };
    if expected.is_some_and(|first| first != whole) {
        let detail = "it was read twice and was not the same".to_owned();
        return Err(SourceError::Changed { path, detail });
    }
    give_all(lines, Feed::Whole(whole), read, limit).await;
    Ok(Some(whole))
}

/// A source that is being read.
pub(super) struct Reading {
    blocks: mpsc::Receiver<Block>,
    end: oneshot::Receiver<Result<Option<Whole>, SourceError>>,
}

/// Reads `source` on a thread of its own, one block ahead; it ends when nobody takes the blocks.
///
/// The runtime's pool is for short work, and this lasts as long as the upload.
pub(super) fn read_aside(source: &Source, part_size: ByteSize) -> Result<Reading, SourceError> {
    let (send, blocks) = mpsc::channel(1);
    let (ended, end) = oneshot::channel();
    let reader = source.clone();
    let read = move || {
        let whole = reader.read(part_size, |block| match send.blocking_send(block) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        });
        // Said before the channel of blocks closes; if nobody waits for it, nobody needs it.
        let _ = ended.send(whole);
    };
    let spawned = thread::Builder::new().name("sealane-source".to_owned()).spawn(read);
    let refused =
        |source_error| SourceError::Unreadable { path: source.path().to_owned(), source: source_error };
    spawned.map_err(refused)?;
    Ok(Reading { blocks, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;

    #[tokio::test(start_paused = true)]
    async fn a_region_that_holds_up_the_others_is_called_off() {
        let (feed, mut fed) = mpsc::channel(1);
        let (call_off, called_off) = oneshot::channel();
        let line = Line { feed, call_off, acked: Arc::new(AtomicU64::new(3)) };
        let block = Block { number: 1, bytes: "1234".into(), checksum: Checksum::of(b"1234"), last: false };
        let piece = Feed::Block(block);
        let lines = give_all(vec![line], piece.clone(), 4, Duration::from_secs(30)).await;
        assert_eq!(lines.len(), 1);
        assert!(give_all(lines, piece, 8, Duration::from_secs(30)).await.is_empty());
        assert_eq!(called_off.await, Ok(Reason::FellBehind { behind: ByteSize(5) }));
        assert!(fed.recv().await.is_some() && fed.recv().await.is_none());
    }
}
