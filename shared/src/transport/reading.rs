//! Reading the source on a thread of its own, and handing each block to every trip.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    blocks::{Block, Whole},
    room::Room,
    source::{Source, SourceError},
    trip::Feed,
};
use crate::{units::ByteSize, upload::Reason};

/// The connection to one trip.
pub(super) struct Line {
    pub(super) feed: mpsc::Sender<Feed>,
    pub(super) call_off: oneshot::Sender<Reason>,
    pub(super) acked: Arc<AtomicU64>,
    /// What it may take longer than others for a block, since its region is sent to at a rate.
    pub(super) slack: Duration,
}

impl Line {
    /// Hands on one piece, of which the source's first `read` bytes end; `None` when the
    /// trip is over, or is called off because it did not take the piece in time.
    async fn give(self, piece: Feed, read: u64, limit: Duration) -> Option<Self> {
        match timeout(limit.saturating_add(self.slack), self.feed.send(piece)).await {
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

/// How long lanes that have nothing to send wait for those that hold all the memory, as a share of
/// the time that a roomful took so far.
///
/// What is held is let go of part by part, so a lane that is slower, but not several times slower,
/// lets go of something in that time.
const HELD_UP: f64 = 1.5;
/// The same at least.
pub(super) const HELD_UP_MIN: Duration = Duration::from_millis(50);
/// How often the lanes are looked at while nothing can be read.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Which lanes hold up the others.
#[derive(Debug)]
struct Pace {
    began: Instant,
    /// Bytes that may be held at once.
    room: u64,
    /// Since when some lane has sent everything and waits for others.
    hungry: Option<Instant>,
    /// Waited for at least.
    patience_min: Duration,
}

impl Pace {
    fn new(room: ByteSize, patience_min: Duration) -> Self {
        Self { began: Instant::now(), room: room.0, hungry: None, patience_min }
    }

    /// Calls the lanes off that hold up others for too long, after `read` bytes.
    fn look(&mut self, lines: Vec<Line>, read: u64) -> Vec<Line> {
        let behind = |line: &Line| read.saturating_sub(line.acked.load(Ordering::Relaxed));
        if lines.iter().all(|line| behind(line) > 0) {
            self.hungry = None;
            return lines;
        }
        let since = *self.hungry.get_or_insert_with(Instant::now);
        if since.elapsed() <= self.patience(read, since) {
            return lines;
        }
        let (kept, late): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| behind(line) == 0);
        for line in late {
            let behind = ByteSize(behind(&line));
            let _ = line.call_off.send(Reason::FellBehind { behind });
        }
        kept
    }

    /// A share of the time that a roomful took the fastest, of those before `hungry`.
    fn patience(&self, read: u64, hungry: Instant) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let roomfuls = (read as f64 / self.room.max(1) as f64).max(1.0);
        let roomful = (hungry - self.began).div_f64(roomfuls);
        roomful.mul_f64(HELD_UP).max(self.patience_min)
    }
}

async fn give_all(lines: Vec<Line>, piece: Feed, read: u64, limit: Duration) -> Vec<Line> {
    let given = lines.into_iter().map(|line| line.give(piece.clone(), read, limit));
    join_all(given).await.into_iter().flatten().collect()
}

/// Hands every block to every trip that still takes them, and at the end what the whole was: that
/// which is known of another reading, or nothing.
pub(super) async fn feed(
    source: &Source,
    mut reading: Reading,
    mut lines: Vec<Line>,
    known: &OnceLock<Whole>,
    (limit, patience_min): (Duration, Duration),
) -> Result<Option<Whole>, SourceError> {
    let for_nobody = lines.is_empty();
    let (mut read, mut pace) = (0, Pace::new(reading.room.limit(), patience_min));
    loop {
        let Ok(next) = timeout(LOOK_EVERY, reading.blocks.recv()).await else {
            // A source that is slow to read holds nobody up: whoever is behind then has time.
            if reading.blocks_are_all_held() {
                lines = pace.look(lines, read);
            } else {
                pace.hungry = None;
            }
            continue;
        };
        pace.hungry = None;
        let Some(block) = next else { break };
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
    if *known.get_or_init(|| whole) != whole {
        let detail = "it was read twice and was not the same".to_owned();
        return Err(SourceError::Changed { path, detail });
    }
    give_all(lines, Feed::Whole(whole), read, limit).await;
    Ok(Some(whole))
}

/// A source that is being read.
pub(super) struct Reading {
    /// The buffers that blocks are held in.
    room: Room,
    blocks: mpsc::Receiver<Block>,
    end: oneshot::Receiver<Result<Option<Whole>, SourceError>>,
}

/// Most bytes that are read where they are wanted, as a file's from the system's cache: a thread
/// costs more than that.
const AT_ONCE: ByteSize = ByteSize(256 << 10);

impl Reading {
    fn blocks_are_all_held(&self) -> bool {
        self.room.is_waited_for()
    }
}

/// Reads `source` on a thread of its own, as far ahead as `room` holds blocks; it ends when nobody takes them.
///
/// The runtime's pool is for short work, and this lasts as long as the upload.
pub(super) fn read_aside(source: &Source, part_size: ByteSize, room: Room) -> Result<Reading, SourceError> {
    let (send, blocks) = mpsc::channel(1);
    let (ended, end) = oneshot::channel();
    let reading = Reading { room: room.clone(), blocks, end };
    if source.size_max() <= AT_ONCE.min(part_size) {
        let whole = source.read_in(room, part_size, |block| match send.try_send(block) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        });
        let _ = ended.send(whole);
        return Ok(reading);
    }
    let reader = source.clone();
    let read = move || {
        let whole = reader.read_in(room, part_size, |block| match send.blocking_send(block) {
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
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;

    fn line(acked: u64) -> (Line, oneshot::Receiver<Reason>) {
        let (feed, _) = mpsc::channel(1);
        let (call_off, called_off) = oneshot::channel();
        (Line { feed, call_off, acked: Arc::new(AtomicU64::new(acked)), slack: Duration::ZERO }, called_off)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_holds_all_memory_while_others_wait_is_called_off() {
        let mut pace = Pace::new(ByteSize(10), HELD_UP_MIN);
        tokio::time::advance(Duration::from_secs(1)).await;
        let ((fast, _held), (slow, mut called_off)) = (line(20), line(12));
        let mut lines = vec![fast, slow];
        for _ in 0..76 {
            lines = pace.look(lines, 20);
            assert_eq!(lines.len(), 2, "two roomfuls took a second: three quarters of one are waited");
            tokio::time::advance(LOOK_EVERY).await;
        }
        assert_eq!(pace.look(lines, 20).len(), 1);
        assert_eq!(called_off.try_recv(), Ok(Reason::FellBehind { behind: ByteSize(8) }));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_floor_to_wait_for_waits_for_it() {
        let mut pace = Pace::new(ByteSize(10), Duration::from_secs(30));
        let ((fast, _held), (slow, mut called_off)) = (line(20), line(12));
        let lines = pace.look(vec![fast, slow], 20);
        tokio::time::advance(Duration::from_secs(29)).await;
        let lines = pace.look(lines, 20);
        assert!(lines.len() == 2 && called_off.try_recv().is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.look(lines, 20).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_that_are_all_slow_are_waited_for() {
        let mut pace = Pace::new(ByteSize(10), HELD_UP_MIN);
        let ((one, _held), (other, _kept)) = (line(3), line(9));
        let lines = pace.look(vec![one, other], 10);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.look(lines, 10).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_holds_up_the_others_is_called_off() {
        let (feed, mut fed) = mpsc::channel(1);
        let (call_off, called_off) = oneshot::channel();
        let line = Line { feed, call_off, acked: Arc::new(AtomicU64::new(3)), slack: Duration::ZERO };
        let block = Block { number: 1, bytes: "1234".into(), checksum: Checksum::of(b"1234"), last: false };
        let piece = Feed::Block(block);
        let lines = give_all(vec![line], piece.clone(), 4, Duration::from_secs(30)).await;
        assert_eq!(lines.len(), 1);
        assert!(give_all(lines, piece, 8, Duration::from_secs(30)).await.is_empty());
        assert_eq!(called_off.await, Ok(Reason::FellBehind { behind: ByteSize(5) }));
        assert!(fed.recv().await.is_some() && fed.recv().await.is_none());
    }
}
