//! What may befall one invocation.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::Power;

/// When the sandbox is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// After the flow was polled this often: between two of its awaits.
    AfterPolls(u32),
    /// After this time.
    After(Duration),
}

/// A time in which the sandbox stands still while the world goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    /// When it begins, since the start of the invocation.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What befalls one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When its sandbox is taken away; `None`: it is not.
    pub kill: Option<Kill>,
    /// When it stands still; `None`: it does not.
    pub freeze: Option<Freeze>,
    /// The longest that it may take.
    pub timeout: Duration,
}

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<T> {
    /// The flow returned.
    Returned(T),
    /// The sandbox was taken away.
    Killed,
    /// It took too long.
    TimedOut,
    /// The region's machines stopped.
    PowerLost,
}

/// Runs `flow` to its end, or to what its fate makes of it.
///
/// A flow that does not return is dropped where it waits: what it sent is on its way
/// and takes effect all the same.
pub async fn run<T>(flow: impl Future<Output = T>, fate: Fate, power: &Power) -> End<T> {
    let mut flow = pin!(flow);
    let mut off = pin!(power.off());
    let mut timeout = Bell::after(fate.timeout);
    let mut kill = match fate.kill {
        Some(Kill::After(span)) => Some(Bell::after(span)),
        Some(Kill::AfterPolls(_)) | None => None,
    };
    let mut freeze = fate.freeze.map(|f| (Bell::after(f.after), Bell::after(f.after + f.lasts)));
    let mut polls = 0;
    poll_fn(|cx| {
        if off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::PowerLost);
        }
        if timeout.rang(cx) {
            return Poll::Ready(End::TimedOut);
        }
        if kill.as_mut().is_some_and(|bell| bell.rang(cx)) || fate.kill == Some(Kill::AfterPolls(polls)) {
            return Poll::Ready(End::Killed);
        }
        if let Some((begins, ends)) = &mut freeze
            && begins.rang(cx)
            && !ends.rang(cx)
        {
            return Poll::Pending;
        }
        polls += 1;
        flow.as_mut().poll(cx).map(End::Returned)
    })
    .await
}

/// A moment to come, which stays past once it is.
struct Bell {
    sleep: Pin<Box<Sleep>>,
    rang: bool,
}

impl Bell {
    fn after(span: Duration) -> Self {
        Self { sleep: Box::pin(sleep(span)), rang: false }
    }

    fn rang(&mut self, cx: &mut Context<'_>) -> bool {
        self.rang = self.rang || self.sleep.as_mut().poll(cx).is_ready();
        self.rang
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const UNHARMED: Fate = Fate { kill: None, freeze: None, timeout: Duration::from_secs(65) };

    /// Counts a second after another, up to ten.
    async fn count(seconds: &Cell<u32>) {
        for _ in 0..10 {
            sleep(Duration::from_secs(1)).await;
            seconds.set(seconds.get() + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_invocation_leaves_what_it_did_and_does_no_more() {
        let done = Cell::new(0);
        let fate = Fate { kill: Some(Kill::After(Duration::from_millis(3_500))), ..UNHARMED };
        assert_eq!(run(count(&done), fate, &Power::default()).await, End::Killed);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(done.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_can_be_killed_between_any_two_awaits() {
        for polls in 0..10 {
            let done = Cell::new(0);
            let fate = Fate { kill: Some(Kill::AfterPolls(polls)), ..UNHARMED };
            assert_eq!(run(count(&done), fate, &Power::default()).await, End::Killed);
            assert_eq!(done.get(), polls.saturating_sub(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_invocation_goes_on_where_it_stood() {
        let done = Cell::new(0);
        let began = Instant::now();
        let freeze = Freeze { after: Duration::from_millis(2_500), lasts: Duration::from_secs(20) };
        let fate = Fate { freeze: Some(freeze), ..UNHARMED };
        let power = Power::default();
        let flow = run(count(&done), fate, &power);
        let watch = async {
            sleep(Duration::from_secs(20)).await;
            assert_eq!(done.get(), 2, "it stands still");
        };
        let (end, ()) = futures::join!(flow, watch);
        assert_eq!((end, done.get()), (End::Returned(()), 10));
        assert_eq!(began.elapsed().as_secs(), 22 + 7, "one second had passed while it stood");
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_ends_with_its_timeout_or_with_its_region() {
        let done = Cell::new(0);
        let fate = Fate { timeout: Duration::from_secs(4), ..UNHARMED };
        assert_eq!(run(count(&done), fate, &Power::default()).await, End::TimedOut);
        let power = Power::default();
        let off = async {
            sleep(Duration::from_millis(1_500)).await;
            power.turn(false);
        };
        let seconds = Cell::new(0);
        let (end, ()) = futures::join!(run(count(&seconds), UNHARMED, &power), off);
        assert_eq!(end, End::PowerLost);
    }
}
