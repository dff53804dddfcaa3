//! `sealane download` of a batch: every object of the receipt, below one folder.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use futures::stream::{self, StreamExt as _};
use sealane::{
    aws::{S3Objects, SystemClock},
    config::Config,
    region::{Capability, RegionName},
    route::Request,
    transport::{Fetched, fetch},
    upload::{Batch, Receipt, manifest::normalize},
};
use serde::Serialize;

use super::{Args, wanted};
use crate::{console::Console, exit::Exit, fault::Fault, route::ranked, signals, world::World};

/// Objects that are fetched at once.
const AT_ONCE: usize = 4;

/// What came of every object.
#[derive(Debug, Serialize)]
struct Report {
    folder: PathBuf,
    fetched: Vec<Fetched>,
    failed: Vec<Lost>,
}

/// An object that is not here.
#[derive(Debug, Serialize)]
struct Lost {
    key: String,
    reason: String,
}

/// Fetches every object that `batch` names. One that fails stops no other.
pub(super) async fn run(args: &Args, batch: &Batch, config: Config, console: Console) -> Result<Exit, Fault> {
    let keys: Vec<&str> = batch.receipts.iter().map(|receipt| receipt.key.as_str()).collect();
    let shared = shared_folder(&keys);
    let folder = args.to.clone().unwrap_or_else(|| last_name(shared));
    let world = World::connect(config).await;
    let route = ranked(&world.config, Request::new(Capability::ObjectRead), &world.look().await);
    let buckets = world.buckets();
    let one = async |receipt: &Receipt| {
        let key = receipt.key.as_str();
        let fetched = fetched(args, (&world, &buckets), &route.ranked, receipt, &folder, shared.len()).await;
        fetched.map_err(|fault| Lost { key: key.to_owned(), reason: fault.on_one_line() })
    };
    let all = stream::iter(batch.receipts.iter().map(one)).buffered(AT_ONCE).collect::<Vec<_>>();
    let all = tokio::select! {
        all = all => all,
        () = signals::stop() => return Err(Fault::Stopped { resume: None }),
    };
    let mut report = Report { folder: folder.clone(), fetched: Vec::new(), failed: Vec::new() };
    for one in all {
        match one {
            Ok(fetched) => report.fetched.push(fetched),
            Err(lost) => report.failed.push(lost),
        }
    }
    let unshipped = batch.unshipped.iter();
    report.failed.extend(
        unshipped
            .map(|one| Lost { key: one.key.clone(), reason: format!("was not shipped: {}", one.reason) }),
    );
    console.show(&report)?;
    Ok(if report.failed.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn fetched(
    args: &Args,
    (world, buckets): (&World, &std::collections::BTreeMap<RegionName, S3Objects>),
    ranked: &[RegionName],
    receipt: &Receipt,
    folder: &Path,
    shared: usize,
) -> Result<Fetched, Fault> {
    let refuse = || Fault::NoKey { path: receipt.key.as_str().into(), source: None };
    let name = normalize(Path::new(&receipt.key.as_str()[shared..])).map_err(|_| refuse())?;
    let place = folder.join(name);
    if let Some(parent) = place.parent() {
        let refuse = |source| Fault::File { path: parent.to_owned(), verb: "made", source };
        std::fs::create_dir_all(parent).map_err(refuse)?;
    }
    let wanted = wanted(receipt.key.clone(), Some(receipt), world, ranked);
    Ok(fetch(&wanted, buckets, (&place, args.overwrite), &|_| (), &SystemClock).await?)
}

/// The folder that all keys lie in, with the slash at its end; of one key its own.
fn shared_folder<'a>(keys: &[&'a str]) -> &'a str {
    let Some((first, others)) = keys.split_first() else { return "" };
    let folder = |key: &'a str| key.rfind('/').map_or("", |slash| &key[..=slash]);
    others.iter().fold(folder(first), |shared, key| {
        let mut shared = shared;
        while !key.starts_with(shared) {
            shared = folder(shared.trim_end_matches('/'));
        }
        shared
    })
}

/// The last name of a folder, else the working folder.
fn last_name(folder: &str) -> PathBuf {
    let name = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    PathBuf::from(if name.is_empty() { "." } else { name })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, fetched, failed } = self;
        let all = fetched.len() + failed.len();
        writeln!(f, "`{}`: {} of {all} objects, each whole as shipped", folder.display(), fetched.len())?;
        failed.iter().try_for_each(|lost| writeln!(f, "  failed  `{}`: {}", lost.key, lost.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_all_keys_share_is_left_out() {
        assert_eq!(shared_folder(&["runs/7/a", "runs/7/b/c"]), "runs/7/");
        assert_eq!(shared_folder(&["runs/7/a", "runs/70/a"]), "runs/");
        assert_eq!(shared_folder(&["runs/7/a"]), "runs/7/");
        assert_eq!(shared_folder(&["a", "runs/7"]), "");
        assert_eq!(shared_folder(&[]), "");
        assert_eq!(last_name("runs/7/"), Path::new("7"));
        assert_eq!(last_name(""), Path::new("."));
    }
}
