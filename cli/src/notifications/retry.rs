//! `sealane notifications retry`: what was given up is told again.

use std::fmt;

use sealane::{
    config::Config,
    notify::{Queued, TargetName},
    ports::{Rows, RowsError},
    store::{NoticeTable, Versioned},
    time::Timestamp,
};
use serde::Serialize;

use super::COUNTED_MAX;

/// Which notices are told again.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Which {
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only those whose id begins with this, such as `workset:lab:ws-0042:`
    #[arg(long, value_name = "PREFIX", default_value = "")]
    id: String,
}

/// The name is not one of a configured target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`, given as `--target`, is not a configured target (want one of {known})")]
pub(crate) struct UnknownTarget {
    name: String,
    known: String,
}

impl Which {
    /// Refuses the name of a target that there is not.
    pub(super) fn check(&self, config: &Config) -> Result<(), UnknownTarget> {
        let listeners = config.listeners();
        let names: Vec<&str> = listeners.iter().map(TargetName::as_str).collect();
        match self.target.as_deref().filter(|name| !names.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                Err(UnknownTarget { name: name.to_owned(), known: quoted.join(", ") })
            }
        }
    }

    fn is_meant(&self, name: &TargetName) -> bool {
        self.target.as_deref().is_none_or(|target| target == name.as_str())
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Retried {
    /// Notices that are told again.
    due: usize,
    /// Notices that somebody else has touched meanwhile.
    moved_on: usize,
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} parked notifications are told again with the next run, within a minute", self.due)?;
        if self.moved_on > 0 {
            write!(f, "\n{} were touched by somebody else meanwhile", self.moved_on)?;
        }
        Ok(())
    }
}

/// Has what is parked told again. A target that cannot be looked at keeps no other from being.
pub(super) async fn retry<R: Rows>(
    notices: &NoticeTable<R>,
    names: Vec<TargetName>,
    which: &Which,
    now: Timestamp,
) -> (Retried, Vec<String>) {
    let (mut sum, mut silent) = (Retried::default(), Vec::new());
    for name in names.into_iter().filter(|name| which.is_meant(name)) {
        let woken = match notices.parked(&name, COUNTED_MAX).await {
            Ok(lined) => wake(notices, &name, lined.rows, which, now, &mut sum).await,
            Err(error) => Err(error),
        };
        if let Err(error) = woken {
            silent.push(format!("what `{name}` refused was not touched in whole: {error}"));
        }
    }
    (sum, silent)
}

async fn wake<R: Rows>(
    notices: &NoticeTable<R>,
    name: &TargetName,
    rows: Vec<Versioned<Queued>>,
    which: &Which,
    now: Timestamp,
    sum: &mut Retried,
) -> Result<(), RowsError> {
    for row in rows.into_iter().filter(|row| row.value.notice.id.starts_with(&which.id)) {
        match notices.settle(name, &row, &row.value.clone().again(now), now).await {
            Ok(()) => sum.due += 1,
            Err(RowsError::Conflict) => sum.moved_on += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::{
        super::status::tests::{at, table},
        *,
    };

    #[test]
    fn what_is_meant_is_told_again_and_nothing_else() {
        let (table, name) = table();
        let names = || vec![name.clone()];
        let other = Which { target: Some("ops".to_owned()), ..Which::default() };
        let (none, _) = retry(&table, names(), &other, at(9_000)).now_or_never().unwrap();
        assert_eq!(none, Retried::default());
        let one = Which { target: Some("lims".to_owned()), id: "n:3".to_owned() };
        let (woken, silent) = retry(&table, names(), &one, at(9_000)).now_or_never().unwrap();
        assert_eq!((woken, silent), (Retried { due: 1, moved_on: 0 }, vec![]));
        let parked = table.parked(&name, 9).now_or_never().unwrap().unwrap();
        assert_eq!(parked.rows.iter().map(|row| &*row.value.notice.id).collect::<Vec<_>>(), ["n:2"]);
        let waiting = table.waiting(&name, 9).now_or_never().unwrap().unwrap();
        assert!(waiting.rows.iter().all(|row| row.value.is_due(at(9_000)) && row.value.attempts == 0));
    }

    #[test]
    fn a_target_that_is_not_there_is_named_with_those_that_are() {
        let document = r#"{"primary_region": "us-west-2", "regions": [{"name": "us-west-2", "bucket": "my-bucket"}],
            "notifications": {"targets": [{"name": "ops", "kind": "sns",
                "topic_arn": "arn:aws:sns:us-west-2:123456789012:t"}]}}"#;
        let config = Config::read(Some(document), std::iter::empty()).unwrap();
        let which = |name: &str| Which { target: Some(name.to_owned()), ..Which::default() }.check(&config);
        assert_eq!(which("ops"), Ok(()));
        let error = which("lims").unwrap_err().to_string();
        assert_eq!(error, "`lims`, given as `--target`, is not a configured target (want one of `ops`)");
    }
}
