//! Why a command did not do what was asked.

use std::{error::Error, io, iter, path::PathBuf};

use sealane::{
    ports::RowsError,
    region::RegionName,
    replication::Contradiction,
    transport::{FetchError, JournalError, ShipError, SourceError, UnpackError},
    upload::{InvalidKey, PlanError, TooLarge},
};

use crate::{
    exit::Exit, named::UnknownRegion, settings::SettingsError, upload::SpoolError, worksets::ApiFault,
};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no usable configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file names a tenant that there cannot be.
    #[error(transparent)]
    Tenant(sealane::workset::InvalidName),
    /// A region was named that is not configured.
    #[error(transparent)]
    Region(#[from] UnknownRegion),
    /// A target was named that is not configured.
    #[error(transparent)]
    Target(#[from] crate::notifications::UnknownTarget),
    /// The copies that are wanted do not fit the rules, or the regions.
    #[error(transparent)]
    Placing(#[from] Contradiction),
    /// What is to be shipped has no name that could be its key.
    #[error("`{}` gives no object key (give one with `--key`)", path.display())]
    NoKey {
        /// What is to be shipped.
        path: PathBuf,
        /// Why its own name will not do.
        #[source]
        source: Option<InvalidKey>,
    },
    /// A file could not be read or written.
    #[error("`{}` cannot be {verb}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried: `read` or `written`.
        verb: &'static str,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` is not {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What the parser reported.
        #[source]
        source: serde_json::Error,
    },
    /// Standard output did not take the result.
    #[error("the result cannot be printed")]
    Output(#[source] io::Error),
    /// A table could not be read.
    #[error("{what} cannot be read")]
    Read {
        /// What was looked for.
        what: &'static str,
        /// What the table reported.
        #[source]
        source: RowsError,
    },
    /// A table could not be written, or its answer was lost.
    #[error("{what} cannot be written")]
    Write {
        /// What was to be written.
        what: &'static str,
        /// What the table reported.
        #[source]
        source: RowsError,
    },
    /// The listings of the regions could not be compared.
    #[error("the regions cannot be compared")]
    Walk(#[source] Box<upload_orchestrator::WalkError>),
    /// Nobody has decided yet which region is active.
    #[error("no region is active yet (the first prober that runs writes the record)")]
    NoRecord,
    /// There is nothing to approve.
    #[error("no move to `{to}` waits for approval (see `sealane failover status`)")]
    NothingToApprove {
        /// The region that was named.
        to: RegionName,
    },
    /// Who proposed a move wants to approve it, too.
    #[error(
        "`{by}` proposed the move to `{to}`, so another operator has to approve it (what needs nobody else is \
         `sealane failover move {to}`)"
    )]
    OwnProposal {
        /// The region that was named.
        to: RegionName,
        /// Who proposed it.
        by: String,
    },
    /// There is nothing to reject.
    #[error("no move to `{to}` waits or is approved (see `sealane failover status`)")]
    NothingToReject {
        /// The region that was named.
        to: RegionName,
    },
    /// The region has a ruling of another kind.
    #[error("`{region}` is not drained: {pin} (`sealane failover unpin` takes that away)")]
    NotDrained {
        /// The region that was named.
        region: RegionName,
        /// Its ruling.
        pin: String,
    },
    /// Work is there already.
    #[error("`{to}` is the active region already")]
    AlreadyThere {
        /// The region that was named.
        to: RegionName,
    },
    /// Other writers were first, again and again.
    #[error("the record of the active region changes too fast to be written (try again)")]
    Contended,
    /// The API of the regions did not do what was asked.
    #[error(transparent)]
    Api(#[from] ApiFault),
    /// There is no journal to go on from, or it cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is nothing to go on with.
    #[error("there is no {what} to go on with (`sealane uploads list` shows which there are)")]
    NothingToResume {
        /// What was looked for.
        what: String,
    },
    /// It is not clear what to go on with.
    #[error("{count} uploads were stopped (name one with `--resume=ID`; `sealane uploads list` shows them)")]
    ManyToResume {
        /// How many there are.
        count: usize,
    },
    /// What was being shipped is not what it was.
    #[error(
        "`{}` is not what was being shipped: {detail} (ship it anew without `--resume`; \
         `sealane uploads abort {upload_id}` frees what was sent)", path.display()
    )]
    SourceChanged {
        /// The file or folder.
        path: PathBuf,
        /// What differs.
        detail: String,
        /// The upload that was stopped.
        upload_id: String,
    },
    /// Somebody stopped it.
    #[error("stopped{}", resume.as_ref().map(|id| format!("; what the regions have acknowledged is kept (go on with `sealane upload --resume={id}`)")).unwrap_or_default())]
    Stopped {
        /// The upload to go on with.
        resume: Option<String>,
    },
    /// What was fetched is not there, or not whole.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The archive was not unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A batch is no archive.
    #[error("the receipt is of a batch, whose objects are files already (leave `--unpack` out)")]
    UnpackOfMany,
    /// There is something where the result should be.
    #[error("`{}` is there already (name another place with `--to`, or replace a file with `--overwrite`)", path.display())]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// Standard input could not be kept.
    #[error(transparent)]
    Spool(SpoolError),
    /// More than a bucket takes as one object.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// There is nothing fit to be shipped.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Nothing is verified anywhere.
    #[error(transparent)]
    Ship(#[from] ShipError),
}

impl Fault {
    /// What the exit code says of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Tenant(_)
            | Self::Region(_)
            | Self::Target(_)
            | Self::NoKey { .. }
            | Self::UnpackOfMany => Exit::Usage,
            Self::ManyToResume { .. } => Exit::Usage,
            Self::Stopped { .. } => Exit::Stopped,
            Self::Placing(Contradiction::Plan(PlanError::NoRoute)) => Exit::Failed,
            Self::Placing(_) => Exit::Usage,
            Self::Write { source: RowsError::NoAnswer { .. }, .. } => Exit::Unknown,
            Self::Api(fault) => fault.exit(),
            Self::File { .. }
            | Self::Content { .. }
            | Self::Output(_)
            | Self::Read { .. }
            | Self::Walk(_)
            | Self::Write { .. }
            | Self::NoRecord
            | Self::NothingToApprove { .. }
            | Self::OwnProposal { .. }
            | Self::NothingToReject { .. }
            | Self::NotDrained { .. }
            | Self::AlreadyThere { .. }
            | Self::Contended
            | Self::Journal(_)
            | Self::Fetch(_)
            | Self::Unpack(_)
            | Self::Exists { .. }
            | Self::TooLarge(_)
            | Self::Spool(_)
            | Self::NothingToResume { .. }
            | Self::SourceChanged { .. }
            | Self::Source(_)
            | Self::Ship(_) => Exit::Failed,
        }
    }

    /// The message and those of all causes, outermost first, on one line.
    pub(crate) fn on_one_line(&self) -> String {
        let causes = iter::successors(Some(self as &dyn Error), |&e| e.source());
        let mut told: Vec<String> = Vec::new();
        for text in causes.map(|e| e.to_string().trim().replace("\n- ", "; ").replace('\n', " ")) {
            // Some causes are quoted by what they cause.
            if !told.last().is_some_and(|last| last.ends_with(&text)) {
                told.push(text);
            }
        }
        told.join(": ")
    }
}
