//! What clients saw, and what was done to the world.

use std::cell::{Cell, RefCell};

use crate::measure::{Acknowledged, Asked, Entry, Ruled, Seen, Shown, Truth};

/// The notes of one run, which everyone in it adds to.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) asked: RefCell<Vec<Asked>>,
    pub(super) acknowledged: RefCell<Vec<Acknowledged>>,
    pub(super) entries: RefCell<Vec<Entry>>,
    pub(super) reads: RefCell<Vec<Seen>>,
    pub(super) rulings: RefCell<Vec<Ruled>>,
    pub(super) truth: RefCell<Truth>,
    pub(super) shown: Cell<Shown>,
}

impl Log {
    /// Notes a request that was asked, and gives its number.
    pub(super) fn asks(&self, asked: Asked) -> usize {
        let mut all = self.asked.borrow_mut();
        all.push(asked);
        all.len() - 1
    }

    /// Notes where the request of that number went.
    pub(super) fn sent(&self, number: usize, to: Option<sealane::region::RegionName>) {
        if let Some(asked) = self.asked.borrow_mut().get_mut(number) {
            asked.sent_to = to;
        }
    }
}
