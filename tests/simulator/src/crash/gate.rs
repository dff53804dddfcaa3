//! Where a flow can be stopped: before and after every call that it makes of a port.
//!
//! A call waits at its gate until it is let through, and so the one who polls the flow
//! decides how far it comes, which of two flows goes on, and at which place one of them
//! is dropped for good.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::{Future, poll_fn},
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use sealane::ports::Clock;

use super::stage::Elapsed;

/// Which side of a call a flow waits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Nothing has happened yet.
    Before,
    /// It has taken effect, and the flow has yet to hear of it.
    After,
}

/// How far a flow came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It waits at a gate.
    Gate(Side),
    /// It has ended.
    End,
}

/// The gate of one sandbox.
#[derive(Debug)]
pub(super) struct Gate {
    queue: Mutex<Queue>,
    clock: Elapsed,
}

#[derive(Debug, Default)]
struct Queue {
    arrived: u64,
    let_through: u64,
    waiting: VecDeque<(u64, Side)>,
    wakers: Vec<Waker>,
    heard: u64,
}

impl Gate {
    /// The gate of a sandbox that starts now.
    pub(super) fn new(clock: Elapsed) -> Self {
        let queue = Queue { heard: clock.now().as_millis(), ..Queue::default() };
        Self { queue: Mutex::new(queue), clock }
    }

    /// The clock of the sandbox.
    pub(super) const fn clock(&self) -> Elapsed {
        self.clock
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call, if it is let through, and tells its answer, if that is let through.
    pub(super) async fn call<T: Debug>(&self, what: impl Debug, effect: impl Future<Output = T>) -> T {
        self.pass(Side::Before).await;
        let answer = effect.await;
        self.pass(Side::After).await;
        let mut queue = self.queue();
        let mut hasher = DefaultHasher::new();
        (queue.heard, self.clock.now(), format!("{what:?} {answer:?}")).hash(&mut hasher);
        queue.heard = hasher.finish();
        answer
    }

    async fn pass(&self, side: Side) {
        let mut number = None;
        poll_fn(|context| {
            let mut queue = self.queue();
            let number = *number.get_or_insert_with(|| {
                queue.arrived += 1;
                let number = queue.arrived;
                queue.waiting.push_back((number, side));
                number
            });
            if number <= queue.let_through {
                return Poll::Ready(());
            }
            queue.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets the call through that has waited longest.
    pub(super) fn open(&self) {
        let mut queue = self.queue();
        if let Some((number, _)) = queue.waiting.pop_front() {
            queue.let_through = number;
        }
        queue.wakers.drain(..).for_each(Waker::wake);
    }

    /// All that the flow was told so far, and when, as one number: flows that were told the
    /// same at the same times are at the same place.
    pub(super) fn heard(&self) -> u64 {
        self.queue().heard
    }

    /// Runs `flow` up to its next gate or its end. Time passes while it sleeps.
    pub(super) async fn run<F: Future<Output = ()> + ?Sized>(&self, flow: &mut Pin<Box<F>>) -> Reached {
        poll_fn(|context| match flow.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Reached::End),
            Poll::Pending => match self.queue().waiting.front() {
                Some((_, side)) => Poll::Ready(Reached::Gate(*side)),
                None => Poll::Pending,
            },
        })
        .await
    }
}
