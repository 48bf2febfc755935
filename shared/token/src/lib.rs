//! Signed tokens (JWT, RFC 7519): who signed one, and what it claims. Nothing here looks at a clock or at the network.

mod claims;
mod jwks;
mod jws;
mod refused;

pub use claims::{Claims, Expected};
pub use jwks::Jwks;
pub use jws::{PublicKey, Token, encoded};
pub use refused::Refused;

/// Whether what was sent as a key is a token, by its form alone.
pub fn is_token(sent: &[u8]) -> bool {
    sent.starts_with(b"ey") && sent.split(|&byte| byte == b'.').count() == 3
}
