//! Where the next page of a list begins.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{class::Priority, keys, name::WorksetId, record::Workset, state::State};
use crate::time::Timestamp;

/// The form of the bytes inside a cursor; another form gets another number.
const FORM: u8 = 1;

/// The longest cursor that is looked at, in characters. The longest that is
/// ever made has 127.
const LEN_MAX: usize = 160;

/// The last workset of a page.
///
/// It holds no tenant: that comes from the verified caller, so a cursor taken
/// from another tenant shows nothing of theirs. To callers it is opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The state whose queue was being read.
    pub state: State,
    /// The last one's priority.
    pub priority: Priority,
    /// When the last one was registered.
    pub created_at: Timestamp,
    /// The last one's id.
    pub id: WorksetId,
}

/// The text is not a cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`cursor` is not one that this API made (send the `next` of the last page unchanged, or none)")]
pub struct InvalidCursor;

impl Cursor {
    /// The cursor behind `last`.
    pub fn after(last: &Workset) -> Self {
        Self { state: last.state, priority: last.priority, created_at: last.created_at, id: last.id.clone() }
    }

    /// The sort key of the last workset.
    pub fn place(&self) -> String {
        keys::place(self.priority, self.created_at, &self.id)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![FORM];
        bytes.extend(format!("{}#{}", self.state, self.place()).into_bytes());
        f.pad(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or(InvalidCursor)
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|_| text.len() <= LEN_MAX)?;
    let (form, inside) = bytes.split_first()?;
    let (state, place) = std::str::from_utf8(inside).ok().filter(|_| *form == FORM)?.split_once('#')?;
    let (priority, created_at, id) = keys::parse_place(place)?;
    Some(Cursor { state: state.parse().ok()?, priority, created_at, id })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    prop_compose! {
        fn cursor()(
            state in select(&State::ALL[..]), priority in select(&Priority::ALL[..]),
            created_ms in 0..10_000_000_000_000_u64, id in "[a-zA-Z0-9][a-zA-Z0-9_-]{2,63}",
        ) -> Cursor {
            Cursor { state, priority, created_at: Timestamp::from_millis(created_ms), id: id.parse().unwrap() }
        }
    }

    proptest! {
        /// A cursor reads back as itself and needs no escaping in a URL.
        #[test]
        fn cursors_round_trip(cursor in cursor()) {
            let text = cursor.to_string();
            prop_assert!(text.len() <= LEN_MAX);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            prop_assert_eq!(text.parse(), Ok(cursor));
        }

        /// Garbage is refused; whatever is accepted is exactly what we would have made.
        #[test]
        fn only_our_own_cursors_are_read(text in any::<String>(), cursor in cursor(), at: usize, odd: u8) {
            prop_assert!(text.parse::<Cursor>().is_err());
            let mut bytes = cursor.to_string().into_bytes();
            let at = at % bytes.len();
            bytes[at] = odd;
            let bent = String::from_utf8_lossy(&bytes).into_owned();
            if let Ok(read) = bent.parse::<Cursor>() {
                prop_assert_eq!(read.to_string(), bent);
            }
        }
    }

    #[test]
    fn another_form_is_refused() {
        let text = URL_SAFE_NO_PAD.encode(b"\x02ready#0#1700000000000#ws-001");
        assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor));
    }
}
