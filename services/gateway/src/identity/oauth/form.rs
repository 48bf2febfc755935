//! What a client sends: a form, and its name and secret in it or beside it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What is wrong with a request (RFC 6749, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// `error`.
    pub(super) error: &'static str,
    /// `error_description`.
    pub(super) why: &'static str,
}

fn wrong<T>(error: &'static str, why: &'static str) -> Result<T, Wrong> {
    Err(Wrong { error, why })
}

/// The most fields of a form: each is held against all before it.
const MOST_FIELDS: usize = 64;

/// The fields of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; each field may be there once.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Wrong> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.iter().any(|(known, _)| *known == name) {
                return wrong("invalid_request", "a parameter is there twice");
            }
            if fields.len() == MOST_FIELDS {
                return wrong("invalid_request", "there are more than 64 parameters; send those that are needed");
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// A field that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Name and secret of the client: `client_secret_basic`, or `client_secret_post`, and not both.
    pub(super) fn client(&self, authorization: Option<&[u8]>) -> Result<(String, String), Wrong> {
        let posted = self.get("client_secret");
        match (authorization, posted) {
            (Some(_), Some(_)) => wrong("invalid_request", "the client shows its secret twice; use the header or the form"),
            (Some(header), None) => match basic(header) {
                Some((name, _)) if self.get("client_id").is_some_and(|told| told != name) => {
                    wrong("invalid_request", "client_id is not the client of the header")
                }
                Some(client) => Ok(client),
                None => wrong("invalid_client", "the authorization header is not `Basic` with the client's id and secret"),
            },
            (None, Some(secret)) => match self.get("client_id") {
                Some(name) => Ok((name.to_owned(), secret.to_owned())),
                None => wrong("invalid_request", "client_id is missing"),
            },
            (None, None) => wrong("invalid_client", "the client shows no secret; send its id and secret as HTTP Basic or in the form"),
        }
    }
}

/// Reads `Basic` (RFC 7617), whose parts are encoded as in a form (RFC 6749, section 2.3.1).
fn basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    let decoded = STANDARD.decode(rest.trim_ascii()).ok().filter(|_| scheme.eq_ignore_ascii_case(b"basic "))?;
    let at = decoded.iter().position(|&byte| byte == b':')?;
    let plain = |part: &[u8]| form_urlencoded::parse(part).next().map_or_else(String::new, |(text, _)| text.into_owned());
    let (name, secret) = (plain(&decoded[..at]), plain(&decoded[at + 1..]));
    (!name.is_empty()).then_some((name, secret))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_client_shows_its_secret_in_the_header_or_in_the_form() {
        let form = |body: &str| Form::parse(body.as_bytes()).unwrap();
        let pair = ("batch".to_owned(), "tm_x".to_owned());
        assert_eq!(form("").client(Some(header("batch:tm_x").as_bytes())), Ok(pair.clone()));
        assert_eq!(form("client_id=batch&client_secret=tm_x").client(None), Ok(pair));
        assert_eq!(form("").client(Some(header("a%20b:s%3Ac").as_bytes())), Ok(("a b".to_owned(), "s:c".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_standard() {
        let error = |body: &str, header: Option<&str>| {
            Form::parse(body.as_bytes()).and_then(|form| form.client(header.map(str::as_bytes))).unwrap_err().error
        };
        assert_eq!(error("", None), "invalid_client");
        assert_eq!(error("", Some("Bearer x")), "invalid_client");
        assert_eq!(error("", Some(&header("nocolon"))), "invalid_client");
        assert_eq!(error("client_secret=s", None), "invalid_request");
        assert_eq!(error("client_secret=s", Some(&header("a:b"))), "invalid_request");
        assert_eq!(error("client_id=b", Some(&header("a:b"))), "invalid_request");
        assert_eq!(error("scope=a&scope=b", None), "invalid_request");
    }

    #[test]
    fn a_form_has_no_more_fields_than_can_be_held_against_each_other() {
        let form = |count: usize| (0..count).map(|field| format!("f{field}=x")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(form(MOST_FIELDS).as_bytes()).is_ok());
        let refused = Form::parse(form(MOST_FIELDS + 1).as_bytes()).unwrap_err();
        assert!(refused.error == "invalid_request" && refused.why.contains(&MOST_FIELDS.to_string()), "{refused:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..60), header in "(Basic )?[A-Za-z0-9+/=:]{0,24}") {
            if let Ok(form) = Form::parse(&body) {
                let _ = form.client(Some(header.as_bytes()));
                let _ = form.client(None);
            }
        }
    }
}
