//! The signature of a webhook, by the Standard Webhooks specification (symmetric, `v1`).
//!
//! What is signed is the id, the time of the try and the body, so that none of them can be changed
//! and an old request cannot be sent again later. A secret is never shown: it has no `Display`, and
//! its `Debug` says nothing.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::notice::Notice;
use crate::{
    ports::{Address, Post},
    time::Timestamp,
};

/// What secrets begin with, where they say what they are.
const PREFIX: &str = "whsec_";

/// Secrets that may sign at once: two while one replaces the other.
const AT_ONCE_MAX: usize = 4;

/// The secrets of one target. All of them sign, so that a receiver may go over from one to the next
/// at any time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<Vec<u8>>);

/// The text is no secret. It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no secret of a webhook (want `whsec_` and 24 to 64 bytes in base64; up to 4 of them with blanks between, \
     while one replaces another)"
)]
pub struct InvalidSecret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads the value of a variable.
    ///
    /// # Errors
    /// When it holds no secret, or one that is too short to keep.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let key = |word: &str| {
            let key = STANDARD.decode(word.strip_prefix(PREFIX).unwrap_or(word)).ok()?;
            Some(key).filter(|key| (24..=64).contains(&key.len()))
        };
        let keys: Option<Vec<_>> = text.split_whitespace().map(key).collect();
        keys.filter(|keys| (1..=AT_ONCE_MAX).contains(&keys.len())).map(Self).ok_or(InvalidSecret)
    }

    /// The signatures of one try, one a secret, with blanks between. `at` is in seconds since the Unix epoch.
    ///
    /// ```
    /// use sealane::notify::webhook::Secret;
    ///
    /// let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    /// let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    /// assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    /// ```
    pub fn sign(&self, id: &str, at_s: u64, body: &str) -> String {
        let signed = |key: &Vec<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(format!("{id}.{at_s}.{body}").as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        // A key of any length makes an HMAC, so none is left out.
        self.0.iter().filter_map(signed).collect::<Vec<_>>().join(" ")
    }
}

/// The secrets of all targets, by the variable that each lies in.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    /// Reads each of these variables through `value`; and the names of those that hold no secret.
    pub fn read<'a>(
        variables: impl Iterator<Item = &'a str>,
        value: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<String>) {
        let (mut secrets, mut missing) = (BTreeMap::new(), Vec::new());
        for name in variables {
            match value(name).and_then(|text| Secret::parse(&text).ok()) {
                Some(secret) => drop(secrets.insert(name.to_owned(), secret)),
                None => missing.push(name.to_owned()),
            }
        }
        (Self(secrets), missing)
    }

    /// The secret in that variable.
    pub fn get(&self, variable: &str) -> Option<&Secret> {
        self.0.get(variable)
    }
}

/// One try to tell `notice` at `url`.
pub fn request(url: &str, secret: &Secret, notice: &Notice, now: Timestamp) -> Post {
    let at_s = now.as_millis() / 1_000;
    let headers = [
        ("content-type", "application/cloudevents+json; charset=utf-8".to_owned()),
        ("webhook-id", notice.id.clone()),
        ("webhook-timestamp", at_s.to_string()),
        ("webhook-signature", secret.sign(&notice.id, at_s, &notice.body)),
    ];
    Post { to: Address::Url(url.to_owned()), headers: headers.to_vec(), body: notice.body.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const TWO: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    /// The vector of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let (id, at_s, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        let wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        for text in [ONE, ONE.strip_prefix(PREFIX).unwrap()] {
            assert_eq!(Secret::parse(text).unwrap().sign(id, at_s, body), wanted);
        }
        let both = Secret::parse(&format!("{ONE} {TWO}")).unwrap().sign(id, at_s, body);
        let two = Secret::parse(TWO).unwrap().sign(id, at_s, body);
        assert_eq!(both, format!("{wanted} {two}"), "both sign while one replaces the other");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::parse(ONE).unwrap();
        let (secrets, missing) = Secrets::read(["A", "B"].into_iter(), |name| {
            Some(if name == "A" { ONE.to_owned() } else { "whsec_c2hvcnQ=".to_owned() })
        });
        let shown = format!("{secret:?} {secrets:?} {InvalidSecret} {missing:?}");
        assert!(!shown.contains("MfKQ") && !shown.contains("c2hv") && !shown.contains("49"), "{shown}");
        assert_eq!(missing, ["B"], "a short one is none");
        assert_eq!(secrets.get("A"), Some(&secret));
    }

    proptest! {
        /// Whatever stands in a variable, reading it neither panics nor shows it.
        #[test]
        fn odd_secrets_are_refused(text in "\\PC{0,40}") {
            prop_assert!(Secret::parse(&text).is_err() || text.len() >= 32);
        }

        /// Another id, time or body has another signature.
        #[test]
        fn everything_that_is_sent_is_signed(id in "[a-z:]{1,9}", at_s: u32, body in "\\PC{0,30}") {
            let secret = Secret::parse(ONE).unwrap();
            let signed = secret.sign(&id, u64::from(at_s), &body);
            prop_assert_ne!(&signed, &secret.sign(&format!("{id}x"), u64::from(at_s), &body));
            prop_assert_ne!(&signed, &secret.sign(&id, u64::from(at_s) + 1, &body));
            prop_assert_ne!(&signed, &secret.sign(&id, u64::from(at_s), &format!("{body} ")));
        }
    }
}
