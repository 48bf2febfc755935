//! A line for the terminal that does what an example says.

use std::fmt::Write as _;

use serde_json::Value;

use super::BASE;

/// The line for a path with its question mark, and an example body of this kind, where there is one.
pub(super) fn line(method: &str, path: &str, open: bool, body: Option<(&str, &Value)>) -> String {
    let mut line = format!("curl -s {}", quoted(&format!("{BASE}{path}")));
    // With a body it is POST for curl, and without one GET.
    if method != if body.is_some() { "post" } else { "get" } {
        let _ = write!(line, " -X {}", method.to_uppercase());
    }
    if !open {
        line.push_str(" -H 'Authorization: Bearer YOUR_KEY'");
    }
    match body {
        Some(("multipart/form-data", Value::Object(parts))) => {
            for (name, value) in parts {
                let _ = write!(line, " -F {}", quoted(&format!("{name}={}", value.as_str().unwrap_or_default())));
            }
        }
        Some(("application/x-www-form-urlencoded", Value::Object(fields))) => {
            for (name, value) in fields {
                let _ = write!(line, " --data-urlencode {}", quoted(&format!("{name}={}", value.as_str().unwrap_or_default())));
            }
        }
        Some((kind, value)) => {
            let text = if kind.ends_with("json") { value.to_string() } else { value.as_str().unwrap_or_default().to_owned() };
            let _ = write!(line, " -H 'Content-Type: {kind}' --data-binary {}", quoted(&text));
        }
        None => {}
    }
    line
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/:._-@".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_the_method_that_curl_would_not_choose() {
        for (method, wanted) in [("get", ""), ("post", " -X POST"), ("delete", " -X DELETE")] {
            assert_eq!(line(method, "/x", true, None), format!("curl -s @GATEWAY@/x{wanted}"));
        }
    }

    #[test]
    fn each_field_of_a_form_is_encoded_by_curl() {
        let form = json!({ "grant_type": "client_credentials", "client_secret": "a&b" });
        assert_eq!(
            line("post", "/oauth/token", true, Some(("application/x-www-form-urlencoded", &form))),
            "curl -s @GATEWAY@/oauth/token --data-urlencode 'grant_type=client_credentials' --data-urlencode 'client_secret=a&b'"
        );
    }

    #[test]
    fn a_line_survives_the_shell() {
        let line = line("post", "/embed?model=m", false, Some(("application/json", &json!({ "a": "it's" }))));
        assert_eq!(
            line,
            r#"curl -s '@GATEWAY@/embed?model=m' -H 'Authorization: Bearer YOUR_KEY' -H 'Content-Type: application/json' --data-binary '{"a":"it'\''s"}'"#
        );
    }
}
