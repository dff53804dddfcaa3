//! Sentinels: small objects beside a workset's data that show how it stands, for programs that look into
//! buckets and ask no API.
//!
//! The table is the truth. Sentinels are brought to what it says and never read: at most one says in
//! which state a workset is, and none of an earlier state is left.

use serde::{Deserialize, Serialize};

use super::{
    name::{Prefix, Tenant},
    record::Workset,
    state::State,
};
use crate::{ports::Versions, time::Timestamp};

/// For which worksets there are sentinels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// For none.
    #[default]
    Off,
    /// For those whose prefix lies below the name of their tenant.
    Own,
    /// For all: a tenant may name the prefix of another.
    Any,
}

impl Export {
    /// Whether there are any.
    pub const fn is_on(self) -> bool {
        match self {
            Self::Off => false,
            Self::Own | Self::Any => true,
        }
    }

    /// Whether there are sentinels for a workset of `tenant` at `prefix`.
    pub fn admits(self, tenant: &Tenant, prefix: &Prefix) -> bool {
        match self {
            Self::Off => false,
            Self::Own => {
                let below = prefix.as_str().strip_prefix(tenant.as_str());
                below.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
            }
            Self::Any => true,
        }
    }
}

/// What an object under the prefix of a workset says by being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sentinel {
    /// The workset may be taken up.
    Ready,
    /// Somebody holds its lock.
    Lock,
    /// It is being worked on.
    InProgress,
    /// Its run failed.
    Error,
    /// Its run succeeded.
    Complete,
    /// It is to be left alone.
    Ignore,
}

impl Sentinel {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Lock, Self::InProgress, Self::Error, Self::Complete, Self::Ignore];

    /// The object's name, below the prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "daylily.ready",
            Self::Lock => "daylily.lock",
            Self::InProgress => "daylily.in_progress",
            Self::Error => "daylily.error",
            Self::Complete => "daylily.complete",
            Self::Ignore => "daylily.ignore",
        }
    }

    /// The object's key below `prefix`, which may end in a slash or not.
    pub fn key(self, prefix: &Prefix) -> String {
        format!("{}{}", folder(prefix), self.name())
    }

    /// What the keys of all sentinels of a workset begin with.
    pub fn keys_begin_with(prefix: &Prefix) -> String {
        format!("{}daylily.", folder(prefix))
    }

    /// Whether `key` may be that of a sentinel: one of the six names below some prefix.
    ///
    /// ```
    /// use sealane::workset::Sentinel;
    ///
    /// assert!(Sentinel::is_key("lab/run-1/daylily.ready"));
    /// assert!(!Sentinel::is_key("daylily.ready") && !Sentinel::is_key("lab/run-1/daylily.ready.txt"));
    /// ```
    pub fn is_key(key: &str) -> bool {
        let is_named = |name: &str| Self::ALL.iter().any(|sentinel| sentinel.name() == name);
        key.rsplit_once('/').is_some_and(|(prefix, name)| !prefix.is_empty() && is_named(name))
    }

    /// The sentinels of a workset in `state`.
    ///
    /// Six names stand for ten states. What failed and is not ready yet shows its failure, what nobody
    /// shall take up is to be left alone, and of what is gone nothing is shown. A lock is shown while
    /// somebody may go by it; after the end of a run it keeps nobody from anything.
    pub fn shown(state: State, is_locked: bool) -> Vec<Self> {
        let (own, may_be_locked) = match state {
            State::Ready => (Some(Self::Ready), true),
            State::InProgress => (Some(Self::InProgress), true),
            State::Retrying => (Some(Self::Error), true),
            State::Error | State::Failed => (Some(Self::Error), false),
            State::Complete => (Some(Self::Complete), false),
            State::Ignored | State::Canceled | State::Archived => (Some(Self::Ignore), false),
            State::Deleted => (None, false),
        };
        own.into_iter().chain((is_locked && may_be_locked).then_some(Self::Lock)).collect()
    }

    /// What the object holds, for people: when `workset` was last written or, of a lock, when it was seen
    /// (`now`); of a failure also what went wrong, behind a tab.
    pub fn content(self, workset: &Workset, now: Timestamp) -> String {
        let at = workset.updated_at.rfc3339();
        match (self, &workset.error) {
            (Self::Lock, _) => now.rfc3339(),
            (Self::Error, Some(error)) => format!("{at}\t{}: {}", error.category, error.details),
            (Self::Ready | Self::InProgress | Self::Error | Self::Complete | Self::Ignore, _) => at,
        }
    }
}

/// The prefix with the slash behind it.
fn folder(prefix: &Prefix) -> String {
    let prefix = prefix.as_str();
    if prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") }
}

/// What makes a bucket show a workset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Versions to take away, by key; first, so that two states are never shown at once.
    pub remove: Vec<(String, String)>,
    /// Objects to put.
    pub put: Vec<Sentinel>,
}

impl Changes {
    /// Whether the bucket shows it already.
    pub const fn is_none(&self) -> bool {
        self.remove.is_empty() && self.put.is_empty()
    }
}

/// What is to be changed for `wanted` to stand below `prefix`, and no other sentinel, where `listed` is
/// there. One that stands is left as it is.
pub fn changes(prefix: &Prefix, wanted: &[Sentinel], listed: &Versions) -> Changes {
    let mut changes = Changes::default();
    for sentinel in Sentinel::ALL {
        let key = sentinel.key(prefix);
        // The newest first; what a marker hides does not stand.
        let all = listed.entries.iter().filter(|version| version.key == key);
        let standing: Vec<_> = all.take_while(|version| !version.is_marker).collect();
        match (wanted.contains(&sentinel), standing.is_empty()) {
            (true, true) => changes.put.push(sentinel),
            (true, false) => {}
            (false, _) => {
                let taken = standing.into_iter().map(|version| (key.clone(), version.version_id.clone()));
                changes.remove.extend(taken);
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::ports::ListedVersion;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    /// The names as other programs know them, and what stands for each state.
    #[test]
    fn every_state_shows_what_the_documents_say() {
        let page = include_str!("../../../docs/SENTINELS.md");
        for state in State::ALL {
            let shown = Sentinel::shown(state, false);
            let name = shown.first().map_or("nothing".to_owned(), |own| format!("`{}`", own.name()));
            let lock = if Sentinel::shown(state, true).len() > shown.len() { "yes" } else { "no" };
            let row = format!("| `{state}` | {name} | {lock} |");
            assert!(page.contains(&row), "docs/SENTINELS.md lacks {row}");
        }
    }

    #[test]
    fn only_what_is_ready_shows_that_it_may_be_taken_up() {
        for state in State::ALL {
            for locked in [false, true] {
                let shown = Sentinel::shown(state, locked);
                assert_eq!(shown.contains(&Sentinel::Ready), state == State::Ready);
                let states = shown.iter().filter(|one| **one != Sentinel::Lock).count();
                assert_eq!(states, usize::from(state != State::Deleted), "{state}");
                assert!(locked || !shown.contains(&Sentinel::Lock), "{state}");
                assert!(!locked || !state.is_lockable() || shown.contains(&Sentinel::Lock), "{state}");
            }
        }
    }

    #[test]
    fn a_prefix_of_a_tenant_lies_below_its_name() {
        let tenant: Tenant = "lab".parse().unwrap();
        for (text, own) in [
            ("lab/run-1", true),
            ("lab/r", true),
            ("lab/", false),
            ("lab", false),
            ("labor/run-1", false),
            ("other/lab/run-1", false),
        ] {
            assert_eq!(Export::Own.admits(&tenant, &prefix(text)), own, "{text}");
            assert!(
                Export::Any.admits(&tenant, &prefix(text)) && !Export::Off.admits(&tenant, &prefix(text))
            );
        }
    }

    /// A bucket: keys with their versions, the newest first, `true` for a marker.
    type Bucket = Vec<(String, Vec<(u32, bool)>)>;

    fn listed(bucket: &Bucket) -> Versions {
        let entry = |key: &str, (number, is_marker): &(u32, bool)| ListedVersion {
            key: key.to_owned(),
            version_id: number.to_string(),
            size_bytes: 20,
            is_marker: *is_marker,
        };
        let entries = bucket.iter().flat_map(|(key, all)| all.iter().map(|version| entry(key, version)));
        Versions { entries: entries.collect(), more: false }
    }

    fn made(bucket: &Bucket, prefix: &Prefix, changes: &Changes) -> Bucket {
        let mut bucket = bucket.clone();
        for (key, version) in &changes.remove {
            let all = bucket.iter_mut().filter(|(k, _)| k == key).flat_map(|(_, all)| [all]);
            all.for_each(|all| all.retain(|(number, _)| number.to_string() != *version));
        }
        for sentinel in &changes.put {
            let key = sentinel.key(prefix);
            bucket.retain(|(k, _)| *k != key);
            bucket.push((key, vec![(99, false)]));
        }
        bucket
    }

    fn standing(bucket: &Bucket) -> Vec<&str> {
        let stands = |all: &[(u32, bool)]| all.first().is_some_and(|(_, is_marker)| !is_marker);
        let mut keys: Vec<&str> =
            bucket.iter().filter(|(_, all)| stands(all)).map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys
    }

    proptest! {
        /// Whatever was there, what is wanted stands afterwards, no other sentinel does, other objects
        /// are as they were, and there is nothing left to do.
        #[test]
        fn after_the_changes_what_is_wanted_stands_and_nothing_else(
            state in select(&State::ALL[..]), locked: bool, slash: bool,
            histories in vec(vec(any::<bool>(), 0..4), 7),
        ) {
            let prefix = prefix(if slash { "lab/run-1/" } else { "lab/run-1" });
            let number = |markers: &Vec<bool>| (0..).zip(markers.iter().copied()).collect::<Vec<(u32, bool)>>();
            let keys = Sentinel::ALL.map(|one| one.key(&prefix)).into_iter().chain(["lab/run-1/daylily.else".to_owned()]);
            let bucket: Bucket = keys.zip(histories.iter().map(number)).collect();
            let wanted = Sentinel::shown(state, locked);
            let changes = changes(&prefix, &wanted, &listed(&bucket));
            let after = made(&bucket, &prefix, &changes);
            let other = |bucket: &Bucket| bucket.iter().find(|(key, _)| key.ends_with(".else")).cloned();
            prop_assert_eq!(other(&after), other(&bucket));
            let mut expected: Vec<String> = wanted.iter().map(|one| one.key(&prefix)).collect();
            expected.extend(standing(&bucket).into_iter().filter(|key| key.ends_with(".else")).map(str::to_owned));
            expected.sort();
            prop_assert_eq!(standing(&after), expected);
            prop_assert!(super::changes(&prefix, &wanted, &listed(&after)).is_none());
            prop_assert!(Sentinel::ALL.iter().all(|one| Sentinel::is_key(&one.key(&prefix))));
            prop_assert!(Sentinel::ALL.iter().all(|one| one.key(&prefix).starts_with(&Sentinel::keys_begin_with(&prefix))));
        }

        /// Nothing but the six names below a prefix is taken for a sentinel.
        #[test]
        fn no_other_key_is_taken_for_a_sentinel(key in "(/|a/|a/b/)?(daylily\\.)?(ready|lock|readyx|in_progress|x)(/|\\.gz)?") {
            let expected = key.split('/').next_back().is_some_and(|name| Sentinel::ALL.iter().any(|one| one.name() == name))
                && key.rsplit_once('/').is_some_and(|(prefix, _)| !prefix.is_empty());
            prop_assert_eq!(Sentinel::is_key(&key), expected);
        }
    }
}
