//! Every route: what it asks for and what it answers.

use crate::problem::Kind::{
    self, BodyTooLarge, BucketUnavailable, CallInProgress, Contended, IdempotencyKeyMissing,
    IdempotencyKeyReused, IllegalMove, InvalidBody, InvalidHeader, InvalidJson, InvalidPath,
    InvalidTransition, InvalidUpload, InvalidWorkset, LockNotHeld, LockSuperseded, Locked, MoveRefused,
    NoRegion, NoSuchRoute, NotLockable, NotReady, OutcomeUnknown, PartsMissing, PreconditionFailed,
    PreconditionRequired, PrimaryMoving, PrimaryUnknown, RegionsSpent, Unavailable, UnknownRegion,
    UnsupportedMediaType, UploadEnded, UploadNotFound, VersionChanged, WorksetExists, WorksetNotFound,
};

/// A reply: its status, what it means, and the schema of its body.
type Reply = (u16, &'static str, Option<&'static str>);

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// The scope that it asks for; empty: none.
    pub scope: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [&'static str],
    pub(super) body: Option<&'static str>,
    /// Whether it moves a workset, and so heeds `If-Match`.
    pub(super) is_move: bool,
    pub(super) replies: &'static [Reply],
    pub(super) problems: &'static [Kind],
}

/// What every call with a key may answer.
pub(super) const KEYED: [Kind; 13] = [
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    CallInProgress,
    InvalidHeader,
    InvalidJson,
    InvalidBody,
    UnsupportedMediaType,
    BodyTooLarge,
    PrimaryUnknown,
    PrimaryMoving,
    Unavailable,
    OutcomeUnknown,
    Contended,
];

const MOVED: &[Reply] = &[(200, "the workset as it is now", Some("OneWritten"))];
const MOVES: &[Kind] = &[
    InvalidPath,
    WorksetNotFound,
    IllegalMove,
    MoveRefused,
    Locked,
    LockNotHeld,
    LockSuperseded,
    PreconditionFailed,
];
const READS: &[Kind] = &[UnknownRegion, Unavailable];
const ONE: &[Kind] = &[InvalidPath, UnknownRegion, WorksetNotFound, Unavailable];
const HOLDS: &[Reply] = &[(200, "the lock as it is now", Some("LockReply"))];

const GET: Route = Route {
    method: "get",
    path: "",
    scope: "read",
    id: "",
    summary: "",
    query: &[],
    body: None,
    is_move: false,
    replies: &[],
    problems: &[],
};
const POST: Route = Route { method: "post", scope: "write", ..GET };
const MOVE: Route = Route { is_move: true, body: Some("Reasoned"), replies: MOVED, problems: MOVES, ..POST };
const HOLD: Route = Route { replies: HOLDS, problems: &[InvalidPath, LockNotHeld, LockSuperseded], ..POST };

/// Of an upload that exists, with what may be wrong of it.
const OF_UPLOAD: &[Kind] = &[InvalidPath, UploadNotFound, UploadEnded, InvalidUpload, BucketUnavailable];
const OFFERS: &[Reply] = &[(200, "the upload, and URLs for parts of it", Some("Offered"))];
const UPLOADED: &[Reply] = &[(200, "the upload as it is now", Some("OneUpload"))];

/// Every route of the API.
pub const ROUTES: [Route; 35] = [
    Route {
        path: "/",
        id: "statusPage",
        summary: "A page for people: regions, moves, copies owed",
        replies: &[(200, "the page", Some("Page"))],
        ..GET
    },
    Route {
        path: "/openapi.json",
        id: "openapi",
        summary: "This document",
        replies: &[(200, "the document", Some("Anything"))],
        ..GET
    },
    Route {
        path: "/problems/{name}",
        id: "problem",
        summary: "The page of a problem's type",
        replies: &[(200, "the page", Some("Markdown"))],
        problems: &[NoSuchRoute],
        ..GET
    },
    Route {
        path: "/v1/live",
        scope: "",
        id: "live",
        summary: "Whether this API answers",
        replies: &[(200, "it does", Some("Standing"))],
        ..GET
    },
    Route {
        path: "/v1/ready",
        id: "ready",
        summary: "Whether this region's own tables answer",
        replies: &[(200, "they do", Some("Standing"))],
        problems: &[NotReady],
        ..GET
    },
    Route {
        path: "/v1/regions",
        id: "regions",
        summary: "How the regions stand",
        replies: &[(200, "how they stand", Some("Anything"))],
        ..GET
    },
    Route {
        path: "/v1/route",
        id: "route",
        summary: "Which regions a request would go to, and why",
        query: &["needs", "strategy", "session", "lat", "lon", "residency", "tried", "data_in"],
        replies: &[(200, "the route", Some("Anything"))],
        problems: READS,
        ..GET
    },
    Route {
        path: "/v1/failovers",
        id: "failovers",
        summary: "The record of the active region, and past moves",
        query: &["limit"],
        replies: &[(200, "the record and the moves", Some("Anything"))],
        problems: &[Unavailable],
        ..GET
    },
    Route {
        path: "/v1/copies/owed",
        id: "copiesOwed",
        summary: "Copies that are owed",
        query: &["limit"],
        replies: &[(200, "the copies", Some("Anything"))],
        problems: READS,
        ..GET
    },
    Route {
        path: "/v1/queue",
        id: "queue",
        summary: "How many worksets are in each state, and the next one",
        query: &["region"],
        replies: &[(200, "the counts", Some("Queue"))],
        problems: READS,
        ..GET
    },
    Route {
        path: "/v1/worksets",
        id: "listWorksets",
        summary: "A page of worksets: by state, priority and age",
        query: &["state", "priority", "limit", "cursor", "region"],
        replies: &[(200, "the page", Some("Many"))],
        problems: READS,
        ..GET
    },
    Route {
        path: "/v1/worksets",
        id: "registerWorkset",
        summary: "Register a workset",
        body: Some("Registration"),
        replies: &[
            (201, "it is registered", Some("OneWritten")),
            (200, "it was registered before, with the same values", Some("OneWritten")),
        ],
        problems: &[InvalidWorkset, WorksetExists],
        ..POST
    },
    Route {
        path: "/v1/worksets:claim",
        id: "claimWorkset",
        summary: "Take the next ready workset, with its lock",
        body: Some("ClaimAsk"),
        replies: &[
            (201, "the workset and its lock", Some("Claimed")),
            (200, "nothing waits: both are null", Some("Claimed")),
        ],
        ..POST
    },
    Route {
        path: "/v1/worksets/{id}",
        id: "showWorkset",
        summary: "One workset",
        query: &["region"],
        replies: &[(200, "the workset", Some("One")), (304, "the caller holds it already", None)],
        problems: &[InvalidPath, UnknownRegion, WorksetNotFound, Unavailable, InvalidHeader],
        ..GET
    },
    Route {
        method: "patch",
        path: "/v1/worksets/{id}",
        id: "amendWorkset",
        summary: "Change priority, metadata or preferred region",
        body: Some("Amendment"),
        problems: &[
            InvalidPath,
            InvalidHeader,
            InvalidJson,
            InvalidBody,
            InvalidWorkset,
            UnsupportedMediaType,
            BodyTooLarge,
            WorksetNotFound,
            MoveRefused,
            Locked,
            LockNotHeld,
            LockSuperseded,
            PreconditionRequired,
            PreconditionFailed,
            Contended,
            PrimaryUnknown,
            PrimaryMoving,
            Unavailable,
            OutcomeUnknown,
        ],
        ..MOVE
    },
    Route {
        method: "delete",
        path: "/v1/worksets/{id}",
        scope: "operate",
        id: "deleteWorkset",
        summary: "Delete what is archived, but for its history",
        body: None,
        problems: &[
            InvalidPath,
            InvalidHeader,
            WorksetNotFound,
            IllegalMove,
            Locked,
            PreconditionRequired,
            PreconditionFailed,
            Contended,
            PrimaryUnknown,
            PrimaryMoving,
            Unavailable,
            OutcomeUnknown,
        ],
        ..MOVE
    },
    Route {
        path: "/v1/worksets/{id}/events",
        id: "listEvents",
        summary: "A page of a workset's history, newest first",
        query: &["limit", "cursor", "region"],
        replies: &[(200, "the page", Some("Events"))],
        problems: ONE,
        ..GET
    },
    Route {
        path: "/v1/worksets/{id}/conflicts",
        id: "listConflicts",
        summary: "Writes that met around a failover, and which were kept",
        query: &["cursor", "region"],
        replies: &[(200, "the page", Some("Conflicts"))],
        problems: ONE,
        ..GET
    },
    Route {
        path: "/v1/worksets/{id}/transitions",
        id: "moveWorkset",
        summary: "Move a workset to another state",
        body: Some("Transition"),
        problems: &[
            InvalidPath,
            WorksetNotFound,
            IllegalMove,
            MoveRefused,
            Locked,
            LockNotHeld,
            LockSuperseded,
            PreconditionFailed,
            InvalidTransition,
            VersionChanged,
        ],
        ..MOVE
    },
    Route {
        path: "/v1/worksets/{id}/progress",
        id: "reportProgress",
        summary: "Report how far a run has come",
        body: Some("Report"),
        problems: &[
            InvalidPath,
            WorksetNotFound,
            MoveRefused,
            Locked,
            LockNotHeld,
            LockSuperseded,
            PreconditionFailed,
            VersionChanged,
        ],
        ..MOVE
    },
    Route {
        path: "/v1/worksets/{id}/retry",
        id: "retryWorkset",
        summary: "Retry after an error, or make ready what has waited out its delay",
        ..MOVE
    },
    Route { path: "/v1/worksets/{id}/cancel", id: "cancelWorkset", summary: "Call a workset off", ..MOVE },
    Route { path: "/v1/worksets/{id}/archive", id: "archiveWorkset", summary: "Put a workset away", ..MOVE },
    Route {
        path: "/v1/worksets/{id}/restore",
        id: "restoreWorkset",
        summary: "Take a workset out of the archive, as new",
        ..MOVE
    },
    Route {
        path: "/v1/worksets/{id}/lock",
        id: "showLock",
        summary: "Who holds the lock",
        replies: &[(200, "the lock", Some("LockShown"))],
        problems: &[InvalidPath, WorksetNotFound, Unavailable, PrimaryUnknown, PrimaryMoving],
        ..GET
    },
    Route {
        path: "/v1/worksets/{id}/lock",
        id: "takeLock",
        summary: "Take the lock, if nobody holds it or it has expired",
        body: Some("LockAsk"),
        replies: &[(201, "the lock", Some("LockReply"))],
        problems: &[InvalidPath, WorksetNotFound, Locked, NotLockable],
        ..POST
    },
    Route {
        path: "/v1/worksets/{id}/lock/renew",
        id: "renewLock",
        summary: "Hold the lock for longer",
        body: Some("LockRenewal"),
        ..HOLD
    },
    Route {
        path: "/v1/worksets/{id}/lock/release",
        id: "releaseLock",
        summary: "Give the lock back",
        body: Some("LockRelease"),
        ..HOLD
    },
    Route {
        path: "/v1/worksets/{id}/lock/break",
        scope: "operate",
        id: "breakLock",
        summary: "Take the lock from whoever holds it",
        body: Some("Nothing"),
        ..HOLD
    },
    Route {
        path: "/v1/uploads",
        id: "beginUpload",
        summary: "Begin an upload: a region, and a signed URL for each part",
        body: Some("UploadAsk"),
        replies: &[(201, "the upload, and URLs for its first 500 parts", Some("Offered"))],
        problems: &[InvalidUpload, UploadNotFound, NoRegion, BucketUnavailable],
        ..POST
    },
    Route {
        path: "/v1/uploads/{id}",
        id: "showUpload",
        summary: "How an upload stands, and which parts the store has",
        replies: &[(200, "the upload", Some("UploadShown"))],
        problems: &[InvalidPath, UploadNotFound, PrimaryUnknown, PrimaryMoving, Unavailable],
        ..GET
    },
    Route {
        method: "delete",
        path: "/v1/uploads/{id}",
        scope: "write",
        id: "abortUpload",
        summary: "Give an upload up and free its parts",
        replies: UPLOADED,
        problems: &[
            InvalidPath,
            UploadNotFound,
            UploadEnded,
            BucketUnavailable,
            Contended,
            PrimaryUnknown,
            PrimaryMoving,
            Unavailable,
            OutcomeUnknown,
        ],
        ..GET
    },
    Route {
        path: "/v1/uploads/{id}:sign",
        id: "signParts",
        summary: "URLs for up to 500 parts of an open upload, made anew",
        body: Some("SignAsk"),
        replies: OFFERS,
        problems: OF_UPLOAD,
        ..POST
    },
    Route {
        path: "/v1/uploads/{id}:complete",
        id: "completeUpload",
        summary: "Have the parts joined and checked, and get the receipt",
        body: Some("Nothing"),
        replies: UPLOADED,
        problems: &[InvalidPath, UploadNotFound, UploadEnded, PartsMissing, BucketUnavailable],
        ..POST
    },
    Route {
        path: "/v1/uploads/{id}:failover",
        id: "moveUpload",
        summary: "Leave a region for one that was not tried yet, and begin anew there",
        body: Some("FailoverAsk"),
        replies: OFFERS,
        problems: &[
            InvalidPath,
            UploadNotFound,
            UploadEnded,
            InvalidUpload,
            UnknownRegion,
            NoRegion,
            RegionsSpent,
            BucketUnavailable,
        ],
        ..POST
    },
];
