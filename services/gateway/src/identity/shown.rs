//! What a call shows of whoever sent it.

use std::sync::Arc;

use http::{header, request::Parts};
use torchmesh_runtime::server::Peer;
use torchmesh_token::is_token;

/// See the module.
pub(super) enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// Something in a form that is not ours.
    OtherForm,
    /// A key or a token.
    Secret(&'a [u8]),
    /// A client certificate.
    Certificate(&'a Peer),
}

impl<'a> Shown<'a> {
    /// What is sent goes before what the connection has.
    pub(super) fn of(parts: &'a Parts) -> Self {
        if let Some(sent) = parts.headers.get(header::AUTHORIZATION) {
            return bearer(sent.as_bytes()).map_or(Self::OtherForm, Self::Secret);
        }
        let peer = parts.extensions.get::<Arc<Peer>>().filter(|peer| peer.has_certificate);
        peer.map_or(Self::Nothing, |peer| Self::Certificate(peer))
    }

    /// The word for it in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Secret(secret) if is_token(secret) => "token",
            Self::OtherForm | Self::Secret(_) => "key",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// The token of a `Bearer` authorization (RFC 6750, section 2.1); the scheme's case does not matter.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_scheme_may_be_written_in_any_case_and_blanks_around_the_token_do_not_matter() {
        for good in ["Bearer x", "bearer x", "BEARER   x "] {
            assert_eq!(bearer(good.as_bytes()), Some(&b"x"[..]), "{good}");
        }
        for wrong in ["", "Bearer", "Basic x", "x", "Bearerx"] {
            assert_eq!(bearer(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(token) = bearer(&bytes) {
                prop_assert!(token.len() + 7 <= bytes.len());
                let _ = is_token(token);
            }
        }
    }
}
