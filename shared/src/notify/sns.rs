//! The words of SNS: `Publish` of its query protocol, and the codes of its errors.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{notice::Notice, target::TopicArn};

/// What the value of a form must have escaped.
const IN_FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The form that publishes `notice`: the event as the message, and what subscribers filter by as
/// attributes: `type`, `id` and, of a workset, `state`.
pub fn form(topic: &TopicArn, notice: &Notice) -> String {
    let attributes = [
        Some(("type", notice.what.as_str())),
        Some(("id", notice.id.as_str())),
        notice.state.map(|state| ("state", state.as_str())),
    ];
    let mut fields = vec![
        ("Action".to_owned(), "Publish"),
        ("Version".to_owned(), "2010-03-31"),
        ("TopicArn".to_owned(), topic.as_str()),
        ("Message".to_owned(), &notice.body),
    ];
    for (number, (name, value)) in (1..).zip(attributes.into_iter().flatten()) {
        let at = format!("MessageAttributes.entry.{number}");
        fields.push((format!("{at}.Name"), name));
        fields.push((format!("{at}.Value.DataType"), "String"));
        fields.push((format!("{at}.Value.StringValue"), value));
    }
    let field = |(name, value): &(String, &str)| format!("{name}={}", utf8_percent_encode(value, IN_FORM));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

/// The code of an error's document, if it has one that can be shown.
pub(super) fn code(document: &str) -> Option<&str> {
    let (_, rest) = document.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(code)
}

/// Whether what the code says passes by itself.
pub(super) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "Throttled"
            | "Throttling"
            | "ThrottlingException"
            | "KMSThrottling"
            | "ExpiredToken"
            | "RequestExpired"
            | "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::What;

    #[test]
    fn a_message_is_the_event_and_its_attributes_are_what_it_is_filtered_by() {
        let topic = "arn:aws:sns:eu-west-1:123456789012:t".parse().unwrap();
        let notice = Notice {
            id: "workset:lab:ws-1:2".to_owned(),
            line: String::new(),
            order: String::new(),
            what: What::WorksetState,
            state: Some(crate::workset::State::InProgress),
            body: r#"{"a": "b&c=ü+"}"#.to_owned(),
        };
        let form = form(&topic, &notice);
        assert_eq!(
            form,
            "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3At\
             &Message=%7B%22a%22%3A%20%22b%26c%3D%C3%BC%2B%22%7D\
             &MessageAttributes.entry.1.Name=type&MessageAttributes.entry.1.Value.DataType=String\
             &MessageAttributes.entry.1.Value.StringValue=sealane.workset.state\
             &MessageAttributes.entry.2.Name=id&MessageAttributes.entry.2.Value.DataType=String\
             &MessageAttributes.entry.2.Value.StringValue=workset%3Alab%3Aws-1%3A2\
             &MessageAttributes.entry.3.Name=state&MessageAttributes.entry.3.Value.DataType=String\
             &MessageAttributes.entry.3.Value.StringValue=in_progress"
        );
    }

    #[test]
    fn a_code_is_one_word_or_none() {
        assert_eq!(code("<Error><Code>NotFound</Code></Error>"), Some("NotFound"));
        for odd in ["", "<Code>", "<Code></Code>", "<Code>a b</Code>", "<Code>\n</Code>"] {
            assert_eq!(code(odd), None, "{odd}");
        }
    }
}
