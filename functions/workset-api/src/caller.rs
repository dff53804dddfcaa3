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
    problem::{Kind, Problem},
};

/// The claim of a token that names its tenant.
const TENANT_CLAIM: &str = "tenant";

/// What the gateway vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The bearer of a verified token.
    Token {
        /// The claim that names the tenant.
        tenant: Option<String>,
        /// Whom the token was issued to.
        subject: Option<String>,
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
            return Self::Token { tenant: claim(TENANT_CLAIM), subject: claim("sub") };
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
    fn verified(identity: Identity, open_tenant: Option<&str>) -> Result<Self, Problem> {
        match identity {
            Identity::Token { tenant, subject } => {
                let tenant = tenant.ok_or_else(|| {
                    let detail = format!("the token has no claim `{TENANT_CLAIM}` (have the issuer add it)");
                    Problem::new(Kind::NoTenant, detail)
                })?;
                Self::of(&tenant, subject)
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

impl<R: Sync + Send, C: Clock> FromRequestParts<Arc<App<R, C>>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App<R, C>>) -> Result<Self, Problem> {
        Self::verified(Identity::of(&parts.extensions), app.deps.config.api.open_tenant.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_token_is_of_the_tenant_in_its_claim() {
        let token = Identity::Token { tenant: text("lab"), subject: text("ada") };
        let caller = Caller::verified(token, Some("open-lab")).unwrap();
        assert_eq!((caller.tenant.as_str(), caller.actor.as_str()), ("lab", "ada"));
    }

    #[test]
    fn a_signer_is_of_the_tenant_of_the_account() {
        let signer = Identity::Signer { account: text("000000000000"), arn: text("arn:aws:iam::0:user/a") };
        assert_eq!(Caller::verified(signer, None).unwrap().tenant.as_str(), "000000000000");
    }

    /// An authorizer that vouches for nothing useful does not fall back on the open tenant.
    #[test]
    fn a_caller_without_a_tenant_gets_nobody_elses() {
        let token = Identity::Token { tenant: None, subject: text("ada") };
        let signer = Identity::Signer { account: None, arn: None };
        let forged = Identity::Token { tenant: text("a#b"), subject: None };
        for identity in [token, signer, forged] {
            let refused = Caller::verified(identity, Some("lab")).unwrap_err();
            assert_eq!(refused.kind(), Kind::NoTenant);
        }
    }

    #[test]
    fn nobody_is_the_open_tenant_or_refused() {
        assert_eq!(Caller::verified(Identity::Nobody, Some("lab")).unwrap().tenant.as_str(), "lab");
        assert_eq!(Caller::verified(Identity::Nobody, None).unwrap_err().kind(), Kind::Unauthenticated);
    }
}
