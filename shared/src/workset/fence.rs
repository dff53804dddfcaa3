//! Writes that end those of an earlier holder of the lock.
//!
//! A lock changes hands in a table of its own, and a write that was let in before may still be on
//! its way to the workset's row. It is conditional on the version that it was decided on. So whoever
//! takes a lock over writes the next version first, with its own token as the fence, and is told of
//! its lock afterwards: what was decided earlier finds another version, is decided anew, and meets
//! the new lock.

use super::{
    event::{Act, By, Event},
    record::Workset,
    transition::{Refused, written},
};

/// `workset` after its lock was taken over with `token`, and the event that records it.
///
/// # Errors
/// [`Refused::Superseded`] if a later holder has written already.
pub fn taken_over(workset: &Workset, token: u64, by: &By) -> Result<(Workset, Event), Refused> {
    let next = written(workset, Some(token), None, by)?;
    let event = Event::of(Act::TakenOver, &next, Some(workset), None, by);
    Ok((next, event))
}

/// `workset` after the lock of `token` was broken, and the event that records it. The fence is the
/// token of the next lock, which so has nothing left to end.
pub fn broken(workset: &Workset, token: u64, by: &By) -> Result<(Workset, Event), Refused> {
    let fence = workset.fence.max(token.saturating_add(1));
    let next = written(workset, Some(fence), None, by)?;
    let event = Event::of(Act::Broken, &next, Some(workset), None, by);
    Ok((next, event))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{time::Timestamp, workset::register};

    fn by() -> By {
        By {
            actor: "ada".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            at: Timestamp::from_millis(9),
            request: "r".to_owned(),
            epoch: Some(3),
        }
    }

    proptest! {
        /// Whatever was decided before a lock changed hands, neither its version nor its token is good any more.
        #[test]
        fn nothing_that_was_decided_before_is_written_after(fence in 0..5_u64, more in 1..5_u64) {
            let request = serde_json::json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/"});
            let first = register(serde_json::from_value(request).unwrap(), "lab".parse().unwrap(), &by()).unwrap().0;
            let old = Workset { fence, ..first };
            let (taken, told) = taken_over(&old, fence + more, &by()).unwrap();
            let (free, said) = broken(&old, fence, &by()).unwrap();
            for (new, event) in [(&taken, &told), (&free, &said)] {
                prop_assert_eq!((new.version, new.state, event.epoch), (old.version + 1, old.state, Some(3)));
                prop_assert_eq!(event.fence, Some(new.fence));
                let late = Refused::Superseded { presented: fence, fence: new.fence };
                prop_assert_eq!(written(new, Some(fence), None, &by()), Err(late));
                prop_assert!(written(new, Some(new.fence), None, &by()).is_ok());
            }
            prop_assert_eq!(free.fence, fence + 1);
        }
    }
}
