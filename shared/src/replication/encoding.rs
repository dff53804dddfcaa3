//! Keys as S3 notifications spell them: percent-encoded, and `+` for a space.

/// The key behind `text`; `None` when an escape is cut short, is no
/// hexadecimal number, or the bytes are not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn encode(key: &str) -> String {
        key.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                b'a'..=b'z' | b'/' => text.push(char::from(byte)),
                b' ' => text.push('+'),
                other => write!(text, "%{other:02X}").unwrap(),
            }
            text
        })
    }

    proptest! {
        /// Every key comes back as it was.
        #[test]
        fn encoded_keys_come_back(key in any::<String>()) {
            prop_assert_eq!(decode(&encode(&key)), Some(key));
        }

        /// No text makes the decoder panic, and it never grows.
        #[test]
        fn odd_text_never_panics(text in "[%+0-9a-zA-Zé]{0,40}") {
            prop_assert!(decode(&text).is_none_or(|key| key.len() <= text.len()));
        }
    }

    #[test]
    fn cut_escapes_are_refused() {
        assert_eq!(decode("a+b%2Bc").as_deref(), Some("a b+c"));
        for text in ["%", "%2", "%zz", "%+1", "%FF"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
