//! The kinds of problems: one row each, from which replies and pages are made.

use axum::http::StatusCode;

/// Makes the enum and its table. A row: name, status, seconds to wait, title, and what to do.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $wait:expr, $title:literal, $remedy:literal;)*) => {
        /// The kinds of problems. Their names are part of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The last part of the problem's type.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }

            /// What all problems of this kind have in common, in words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }

            /// When it happens, and what a caller does about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$kind => $remedy,)* }
            }

            /// Seconds after which the same request may fare better.
            pub(super) const fn retry_after_s(self) -> Option<u64> {
                match self { $(Self::$kind => $wait,)* }
            }
        }
    };
}

kinds! {
    /// A query parameter is unknown or has a value that it cannot have.
    InvalidQuery = "invalid-query", BAD_REQUEST, None, "the query is not valid",
        "A query parameter is unknown or has a value that it cannot have. Send only the parameters of the route; a `cursor` is the `next` of the last page, unchanged.";
    /// The path names something that no such thing can be called.
    InvalidPath = "invalid-path", BAD_REQUEST, None, "the path is not valid",
        "The path holds an id that no workset can have. An id is 3 to 64 letters, digits, `_` or `-`, the first a letter or digit.";
    /// A header has a value that it cannot have.
    InvalidHeader = "invalid-header", BAD_REQUEST, None, "a header is not valid",
        "A header that the route reads has a value that it cannot have. The detail names it.";
    /// The body is not JSON.
    InvalidJson = "invalid-json", BAD_REQUEST, None, "the body is not JSON",
        "The body could not be read as JSON. The detail says where.";
    /// The body is JSON of another shape.
    InvalidBody = "invalid-body", UNPROCESSABLE_ENTITY, None, "the body has another shape",
        "The body is JSON and has fields that the route does not know, or lacks some. See `/openapi.json`.";
    /// The workset in the body breaks rules.
    InvalidWorkset = "invalid-workset", UNPROCESSABLE_ENTITY, None, "the workset is not valid",
        "Values break rules of worksets. `errors` names every field and what is wanted.";
    /// The transition in the body breaks rules.
    InvalidTransition = "invalid-transition", UNPROCESSABLE_ENTITY, None, "the transition is not valid",
        "A move to that state needs a field that is missing, or cannot have one that was sent.";
    /// The region is not one of the configured ones.
    UnknownRegion = "unknown-region", BAD_REQUEST, None, "the region is not configured",
        "Name one of the regions that the detail lists: the full ones, or those with a replica where not all have one.";
    /// The body is not declared as JSON.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, None, "the body is not declared as JSON",
        "Send `content-type: application/json`.";
    /// The body is larger than what is read.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, None, "the body is too large",
        "A body has at most 1 MiB. Put large data under the workset's prefix.";
    /// Nobody vouches for the caller.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, None, "the caller is not known",
        "Sign the request or send a token, as the deployment's authorizer wants it.";
    /// The caller is known and belongs to no tenant.
    NoTenant = "no-tenant", FORBIDDEN, None, "the caller belongs to no tenant",
        "The token has no claim `tenant`, or one that no tenant can be called. Have the issuer add it.";
    /// The caller's token does not allow this.
    MissingScope = "missing-scope", FORBIDDEN, None, "the token does not allow this",
        "The claim `scope` lacks the one that the route asks for: `read`, `write` or `operate`.";
    /// There is no such route.
    NoSuchRoute = "no-such-route", NOT_FOUND, None, "there is no such route",
        "See `/openapi.json` for what there is.";
    /// The route is there, the method is not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, None, "the method is not allowed",
        "The header `allow` names the methods of this resource.";
    /// The tenant has no such workset.
    WorksetNotFound = "workset-not-found", NOT_FOUND, None, "there is no such workset",
        "The caller's tenant has no workset of that id. A replica that answered says so; an outage never does.";
    /// The tenant has another workset of that id.
    WorksetExists = "workset-exists", CONFLICT, None, "another workset has this id",
        "A workset of that id is registered with other values. Choose another id.";
    /// A call that writes came without a key.
    IdempotencyKeyMissing = "idempotency-key-missing", BAD_REQUEST, None, "the call has no key",
        "Every `POST` needs the header `Idempotency-Key`, the same for every repetition of one call: a UUID will do.";
    /// The key was used for another call.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, None, "the key belongs to another call",
        "The key was sent before with another body. Take a new key for a new call.";
    /// The same call is being carried out.
    CallInProgress = "call-in-progress", CONFLICT, Some(1), "the same call is being carried out",
        "Another request with this key is at work. Wait as `retry-after` says and send the call again to get its reply.";
    /// A write that needs a version came without one.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, None, "the write names no version",
        "Send `If-Match` with the `etag` of the workset that the change was decided on.";
    /// The workset is at another version than the caller named.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, None, "the workset is at another version",
        "Read the workset again and decide anew.";
    /// The state machine has no such move.
    IllegalMove = "illegal-move", CONFLICT, None, "the move is not legal",
        "The detail names the states that may follow.";
    /// The move is not possible as the workset stands.
    MoveRefused = "move-refused", CONFLICT, None, "the move is not possible now",
        "The detail says why: the error is not one to retry, all retries are used, the delay is not over, or no run goes on.";
    /// The workset is at another version than the caller decided on.
    VersionChanged = "version-changed", CONFLICT, None, "the workset changed",
        "Read the workset again and decide anew.";
    /// Somebody else holds the lock.
    Locked = "locked", CONFLICT, None, "the workset is locked",
        "Wait as `retry-after` says, or show the `token` of the lock if it is yours.";
    /// The workset's state has nothing to lock.
    NotLockable = "not-lockable", CONFLICT, None, "the workset cannot be locked",
        "Only worksets in `ready` and `retrying` can be locked.";
    /// Nobody holds the lock.
    LockNotHeld = "lock-not-held", CONFLICT, None, "the lock is not held",
        "The lock was given back, broken or never taken. Take it again.";
    /// A later holder of the lock has already written.
    LockSuperseded = "lock-superseded", CONFLICT, None, "the lock was superseded",
        "Another took the lock over after it expired. Stop the work, and take the lock again.";
    /// Other writers came first too often.
    Contended = "contended", CONFLICT, Some(1), "others write the same workset",
        "Nothing was written. Send the call again.";
    /// The upload in the body breaks rules.
    InvalidUpload = "invalid-upload", UNPROCESSABLE_ENTITY, None, "the upload is not valid",
        "Values break rules of uploads. `errors` names every field and what is wanted.";
    /// The tenant has no such upload.
    UploadNotFound = "upload-not-found", NOT_FOUND, None, "there is no such upload",
        "The caller's tenant has no upload of that id, or began it more than 35 days ago.";
    /// The upload is completed or was given up.
    UploadEnded = "upload-ended", CONFLICT, None, "the upload has ended",
        "It is completed (`:complete` gives its receipt), was given up, or the store no longer has its parts. Begin a new one if it was not completed.";
    /// The store does not have the parts that were promised.
    PartsMissing = "parts-missing", CONFLICT, None, "the store does not have all parts",
        "The detail names the parts that lack, or are not what was promised. Send them, to URLs that `:sign` gives anew, and then `:complete` again.";
    /// No region can take the upload.
    NoRegion = "no-region", SERVICE_UNAVAILABLE, Some(10), "no region can take the upload",
        "Every region that may hold the object is down, drained or was tried already. Nothing changed; send the call again later.";
    /// The upload was in every region that it may be in.
    RegionsSpent = "regions-spent", CONFLICT, None, "every region was tried",
        "The upload has left every other region that may hold the object, and goes back to none. Nothing changed: send its parts where it is, or begin a new upload.";
    /// The bucket of the upload did not answer.
    BucketUnavailable = "bucket-unavailable", SERVICE_UNAVAILABLE, Some(5), "the bucket does not answer",
        "Nothing was changed. Send the call again, or leave the region with `:failover`.";
    /// The tenant has asked too often.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, Some(1), "the tenant asks too often",
        "Wait as `retry-after` says. The headers `ratelimit` and `ratelimit-policy` tell the limit.";
    /// It is not known which region takes the writes.
    PrimaryUnknown = "primary-unknown", SERVICE_UNAVAILABLE, Some(10), "no region takes writes",
        "It is not known which region takes the writes. Nothing was written; read meanwhile, and send the call again.";
    /// The writes are moving to another region.
    PrimaryMoving = "primary-moving", SERVICE_UNAVAILABLE, Some(5), "writes are moving to another region",
        "A failover is under way. Nothing was written; send the call again.";
    /// The tables did not answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, Some(5), "the tables do not answer",
        "Nothing was written. Send the call again, here or to another region.";
    /// Nobody can tell yet whether the write took effect.
    OutcomeUnknown = "outcome-unknown", SERVICE_UNAVAILABLE, Some(5), "the outcome is not known",
        "The write may have taken effect. Send the call again with the same key, which finds out.";
    /// This region's own tables did not answer.
    NotReady = "not-ready", SERVICE_UNAVAILABLE, Some(5), "this region is not ready",
        "Ask another region.";
    /// The deployment is wrong.
    Misconfigured = "misconfigured", INTERNAL_SERVER_ERROR, None, "the deployment is wrong",
        "Tell the operators, with the `request_id`.";
    /// A fault of this API.
    Internal = "internal", INTERNAL_SERVER_ERROR, None, "the API failed",
        "Report the `request_id`. Whether a write took effect is found out by sending the call again with its key.";
}

impl Kind {
    /// The page that documents this kind, as Markdown.
    pub fn page(self) -> String {
        format!(
            "## {}\n\n`/problems/{}`, status {}: {}.\n\n{}\n",
            self.name(),
            self.name(),
            self.status().as_u16(),
            self.title(),
            self.remedy()
        )
    }
}

/// The pages of all kinds, as `docs/PROBLEMS.md` has them.
pub fn pages() -> String {
    let head = "# Problems\n\nWhat the API answers when it does not do what was asked (RFC 9457). `type` is the path of a page, which the API \
                serves as well; `detail` names the thing and the remedy, `errors` every field that is wrong, and `request_id` is what the log knows the request by.\n\n";
    Kind::ALL.iter().fold(head.to_owned(), |text, kind| text + &kind.page() + "\n").trim_end().to_owned()
        + "\n"
}
