//! Who calls: what the gateway's authorizer has verified, and nothing else.
//!
//! A token names its tenant in the claim `tenant`. A signed request belongs to the
//! account of its signer. Where the gateway has no authorizer, everybody is the
//! tenant that `api.open_tenant` names, or nobody. Headers, paths and bodies are
//! never asked.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use lambda_http::request::RequestContext;
use sealane::{
    ports::Clock,
    workset::{Actor, Tenant},
};

use crate::{
    app::App,
    limit::Slip,
    problem::{Kind, Problem},
};

/// The claim of a token that names its tenant.
const TENANT_CLAIM: &str = "tenant";

/// The claim of a token that names its scopes, with a space between them.
const SCOPE_CLAIM: &str = "scope";

/// What stands before a scope where a token has those of several services.
const SCOPE_PREFIXES: [&str; 3] = ["", "sealane/", "sealane:"];

/// What a caller may do. None contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// See worksets, regions, routes and moves.
    Read,
    /// Write worksets, and take their locks.
    Write,
    /// What only operators do: break a lock, delete.
    Operate,
}

impl Scope {
    /// The name in a token.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Operate => "operate",
        }
    }

    /// Whether `scopes` hold it.
    fn is_in<'a>(self, scopes: impl IntoIterator<Item = &'a str>) -> bool {
        let bare =
            |scope: &'a str| SCOPE_PREFIXES.iter().any(|p| scope.strip_prefix(p) == Some(self.as_str()));
        scopes.into_iter().any(bare)
    }
}

/// What the gateway vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The bearer of a verified token.
    Token {
        /// The claim that names the tenant.
        tenant: Option<String>,
        /// Whom the token was issued to.
        subject: Option<String>,
        /// What the token allows.
        scopes: Vec<String>,
    },
    /// The signer of a verified request.
    Signer {
        /// The signer's account.
        account: Option<String>,
        /// The signer's role or user.
        arn: Option<String>,
    },
    /// The gateway asked nobody.
    Nobody,
}

impl Identity {
    /// What the authorizer left in a request's extensions.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let authorizer = extensions.get::<RequestContext>().and_then(RequestContext::authorizer);
        let Some(authorizer) = authorizer else { return Self::Nobody };
        if let Some(jwt) = &authorizer.jwt {
            let claim = |name: &str| jwt.claims.get(name).cloned();
            let words = claim(SCOPE_CLAIM).unwrap_or_default();
            let listed = jwt.scopes.iter().flatten().cloned();
            let scopes = words.split_whitespace().map(str::to_owned).chain(listed).collect();
            return Self::Token { tenant: claim(TENANT_CLAIM), subject: claim("sub"), scopes };
        }
        match &authorizer.iam {
            Some(iam) => Self::Signer { account: iam.account_id.clone(), arn: iam.user_arn.clone() },
            None => Self::Nobody,
        }
    }
}

/// The id that the gateway gave the request.
pub(crate) fn request_id(extensions: &Extensions) -> Option<String> {
    match extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}

/// A caller with a tenant: whoever reaches a handler that asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose worksets the caller sees.
    pub(crate) tenant: Tenant,
    /// The name that the history keeps.
    pub(crate) actor: Actor,
}

impl Caller {
    /// The caller, if it has a tenant and may do what `scope` says. What a signed request may do is for
    /// the policies of its signer to say, by method and path; the gateway has asked them.
    fn verified(identity: Identity, open_tenant: Option<&str>, scope: Scope) -> Result<Self, Problem> {
        match identity {
            Identity::Token { tenant, subject, scopes } => {
                let tenant = tenant.ok_or_else(|| {
                    let detail = format!("the token has no claim `{TENANT_CLAIM}` (have the issuer add it)");
                    Problem::new(Kind::NoTenant, detail)
                })?;
                let caller = Self::of(&tenant, subject)?;
                if scope.is_in(scopes.iter().map(String::as_str)) {
                    return Ok(caller);
                }
                let detail = format!(
                    "the token's `{SCOPE_CLAIM}` lacks `{}` (have the issuer add it)",
                    scope.as_str()
                );
                Err(Problem::new(Kind::MissingScope, detail))
            }
            Identity::Signer { account, arn } => {
                let detail = "the signature names no account (sign with credentials of an AWS account)";
                Self::of(&account.ok_or_else(|| Problem::new(Kind::NoTenant, detail))?, arn)
            }
            Identity::Nobody => {
                let detail = "nobody vouches for the caller (sign the request, or send a token; \
                              without an authorizer set `api.open_tenant`)";
                let tenant = open_tenant.ok_or_else(|| Problem::new(Kind::Unauthenticated, detail))?;
                Self::of(tenant, Some("open".to_owned()))
            }
        }
    }

    fn of(tenant: &str, name: Option<String>) -> Result<Self, Problem> {
        let tenant: Tenant = tenant.parse().map_err(|e| Problem::new(Kind::NoTenant, format!("{e}")))?;
        let named = name.and_then(|name| Actor::try_from(name).ok());
        let actor = named.map_or_else(|| Actor::try_from(tenant.to_string()), Ok);
        Ok(Self { actor: actor.map_err(|e| Problem::new(Kind::NoTenant, format!("{e}")))?, tenant })
    }
}

/// A caller whose token allows one thing: what a handler asks for.
macro_rules! allowed {
    ($(#[$doc:meta])* $name:ident, $scope:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) Caller);

        impl<R: Sync + Send, C: Clock> FromRequestParts<Arc<App<R, C>>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, app: &Arc<App<R, C>>) -> Result<Self, Problem> {
                let open = app.deps.config.api.open_tenant.as_deref();
                let caller = Caller::verified(Identity::of(&parts.extensions), open, $scope)?;
                let told = app.buckets.take(&caller.tenant, &app.deps.config.api, app.now())?;
                if let Some(slip) = parts.extensions.get::<Slip>() {
                    // A request asks once; were it to ask again, the first answer stands.
                    let _ = slip.set(told);
                }
                Ok(Self(caller))
            }
        }
    };
}

allowed! {
    /// A caller that may read.
    Reads, Scope::Read
}
allowed! {
    /// A caller that may write.
    Writes, Scope::Write
}
allowed! {
    /// A caller that may operate.
    Operates, Scope::Operate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn scopes(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// No scope contains another, and those of other services are not ours.
    #[test]
    fn a_token_allows_what_its_scopes_name_and_nothing_else() {
        let all = [Scope::Read, Scope::Write, Scope::Operate];
        for (held, allowed) in [
            ("", [false; 3]),
            ("read", [true, false, false]),
            ("openid sealane/write", [false, true, false]),
            ("sealane:operate read", [true, false, true]),
            ("other/read other:write OPERATE readwrite", [false; 3]),
        ] {
            let token = || Identity::Token { tenant: text("lab"), subject: None, scopes: scopes(held) };
            assert_eq!(all.map(|scope| Caller::verified(token(), None, scope).is_ok()), allowed, "`{held}`");
        }
    }

    #[test]
    fn a_token_is_of_the_tenant_in_its_claim() {
        let token = Identity::Token { tenant: text("lab"), subject: text("ada"), scopes: scopes("read") };
        let caller = Caller::verified(token, Some("open-lab"), Scope::Read).unwrap();
        assert_eq!((caller.tenant.as_str(), caller.actor.as_str()), ("lab", "ada"));
    }

    #[test]
    fn a_signer_is_of_the_tenant_of_the_account() {
        let signer = Identity::Signer { account: text("000000000000"), arn: text("arn:aws:iam::0:user/a") };
        assert_eq!(Caller::verified(signer, None, Scope::Operate).unwrap().tenant.as_str(), "000000000000");
    }

    /// An authorizer that vouches for nothing useful does not fall back on the open tenant.
    #[test]
    fn a_caller_without_a_tenant_gets_nobody_elses() {
        let token = Identity::Token { tenant: None, subject: text("ada"), scopes: scopes("read") };
        let signer = Identity::Signer { account: None, arn: None };
        let forged = Identity::Token { tenant: text("a#b"), subject: None, scopes: scopes("read") };
        for identity in [token, signer, forged] {
            let refused = Caller::verified(identity, Some("lab"), Scope::Read).unwrap_err();
            assert_eq!(refused.kind(), Kind::NoTenant);
        }
    }

    #[test]
    fn nobody_is_the_open_tenant_or_refused() {
        let nobody = |open| Caller::verified(Identity::Nobody, open, Scope::Write);
        assert_eq!(nobody(Some("lab")).unwrap().tenant.as_str(), "lab");
        assert_eq!(nobody(None).unwrap_err().kind(), Kind::Unauthenticated);
    }
}
