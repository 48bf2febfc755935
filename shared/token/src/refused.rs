//! Why a token is not taken, for its holder to read.

use thiserror::Error;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is none.
    #[error("the token is not a signed JWT: {0}")]
    Malformed(&'static str),
    /// `alg` is `none`.
    #[error("the token is not signed (alg none); get one that is")]
    Unsigned,
    /// `alg` is none of those that are taken: a secret that both sides know among them, which somebody might think our public key is.
    #[error("the token is signed with {0}; taken are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA")]
    Algorithm(String),
    /// The header says that something must be understood that is not.
    #[error("the token has a critical header that is not known here")]
    Critical,
    /// Nobody whom we trust has given it.
    #[error("the token is of an issuer that is not trusted here; get one of an issuer that the gateway is set up for")]
    Issuer,
    /// The key that it names is not among the issuer's.
    #[error("the token is signed with a key that its issuer does not list; get a new one")]
    Key,
    /// The issuer's keys have never been read.
    #[error("the keys of the token's issuer could not be read yet; try again")]
    NoKeys,
    /// The signature is somebody else's, or the token was changed.
    #[error("the token's signature does not fit")]
    Signature,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; check the clock of whoever gave it")]
    NotYet,
    /// It was made for somebody else.
    #[error("the token is for another audience; ask for one for {0:?}")]
    Audience(String),
    /// Something that must be in it is not, or has another form.
    #[error("the token has no usable claim {0:?}")]
    Claim(String),
    /// A token of ours, whose client is not listed any more.
    #[error("the token's client was revoked")]
    Revoked,
}
