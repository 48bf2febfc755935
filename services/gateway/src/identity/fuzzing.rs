//! What the fuzz targets of credentials hold this door to (`fuzz/`); it is in no build but theirs and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use torchmesh_api::access::key::{Spelling, spelling};
use torchmesh_token::{Claims, Expected, Jwks, Token, is_token};

use super::{
    keys::{Found, Keys},
    oauth,
    signing::testing::Signer,
    spiffe::{Pattern, SpiffeId},
};

/// Somebody whose tokens are taken, what they have signed, and the token.
static KNOWN: LazyLock<(Signer, Jwks, String)> = LazyLock::new(|| {
    let signer = Signer::new(1);
    let (keys, token) = (signer.jwks(), signer.sign(&json!({ "iss": ISSUER, "sub": "me", "aud": "torchmesh", "exp": 1000 })));
    (signer, keys, token)
});

/// The longest token.
const LONGEST: usize = 16 << 10;
const ISSUER: &str = "https://id";
/// Seconds since 1970.
const NOW: u64 = 500;

/// What is shown as a token, the claims of one, or a set of keys: nothing is believed but what was signed, byte for byte; claims that are taken are of whom, for whom
/// and of the time that they must be; and nobody else's keys have signed a token.
pub fn tokens(sent: &[u8]) {
    let (signer, keys, known) = &*KNOWN;
    if let Ok(token) = Token::parse(sent) {
        assert_eq!(sent.split(|&byte| byte == b'.').count(), 3);
        assert!(token.verified(keys).is_err() || sent == known.as_bytes(), "it was never signed");
    }
    if let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(sent) {
        let token = signer.sign(&Value::Object(claims));
        assert!(is_token(token.as_bytes()));
        match Token::parse(token.as_bytes()).and_then(|token| token.verified(keys)) {
            Ok(all) => checked(all),
            Err(why) => assert!(token.len() > LONGEST, "{why}"),
        }
    }
    if let Some(others) = str::from_utf8(sent).ok().and_then(|text| Jwks::parse(text).ok()) {
        let token = Token::parse(known.as_bytes()).expect("it is one");
        let same_key = Token::parse(known.as_bytes()).is_ok_and(|token| token.kid.is_some_and(|kid| others.has(&kid)));
        assert!(token.verified(&others).is_err() || same_key, "somebody else's keys");
    }
}

fn checked(all: Map<String, Value>) {
    let audiences = ["torchmesh".to_owned()];
    let expected = Expected { issuer: ISSUER, audiences: &audiences, skew: 60, now: NOW };
    let Ok(claims) = Claims::check(all, expected) else { return };
    assert_eq!(claims.all["iss"], ISSUER);
    let told = |name: &str, value: &str| match &claims.all[name] {
        Value::Array(several) => several.iter().any(|one| one == value),
        one => one == value,
    };
    assert!(told("aud", "torchmesh") && claims.until > NOW);
    assert!(claims.all["exp"].as_f64().is_some_and(|until| until + 60.0 >= NOW as f64), "{claims:?}");
    assert!(claims.all.get("nbf").is_none_or(|from| from.as_f64().is_some_and(|from| from < (NOW + 61) as f64)), "{claims:?}");
    assert!((1..=256).contains(&claims.subject.len()) && !claims.subject.contains(char::is_control), "{claims:?}");
    assert!(claims.words("scope").iter().all(|word| claims.all["scope"].to_string().len() > word.len()));
}

/// A file with a key and a client.
static LISTED: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest("secret").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    ["key", "client"].map(|kind| format!("[[{kind}]]\nname = 'known'\ntenant = 'acme'\nsha256 = '{hash}'\n")).concat()
});

/// What a client shows at the token's door, its header and its form with a zero byte between; a keys file; a SPIFFE id and a pattern of them: nobody is let in whose
/// secret or name is not the very one that is listed.
pub fn clients(sent: &[u8]) {
    let keys = Keys::parse(&LISTED).expect("it is a file");
    let (header, form) = sent.iter().position(|&byte| byte == 0).map_or((None, sent), |at| (Some(&sent[..at]), &sent[at + 1..]));
    if let Some((name, secret)) = oauth::client(form, header) {
        assert!(!name.is_empty(), "a client has a name");
        assert!(keys.client(&name, secret.as_bytes(), NOW).is_none() || (&*name, &*secret) == ("known", "secret"), "{name:?} {secret:?}");
    }
    assert!(keys.find(&Sha256::digest(sent).into(), NOW) == Found::Unknown || sent == b"secret");
    assert!(
        spelling(sent) != Spelling::Right || sent.len() <= 69,
        "a key has an id of up to 16 letters, a secret of 43 and a checksum of 6"
    );
    let Ok(text) = str::from_utf8(sent) else { return };
    if let Ok(keys) = Keys::parse(text) {
        assert!(keys.find(&Sha256::digest(b"nobody's").into(), NOW) == Found::Unknown && keys.client("nobody", b"", NOW).is_none());
    }
    let (pattern, id) = text.split_once('\0').unwrap_or((text, text));
    if let (Ok(pattern), Some(id)) = (Pattern::parse(pattern), SpiffeId::parse(id)) {
        workload(&pattern, id);
    }
}

fn workload(pattern: &Pattern, id: SpiffeId<'_>) {
    let text = pattern.to_string();
    assert_eq!(Pattern::parse(&text).map(|pattern| pattern.to_string()).as_ref(), Ok(&text), "what is shown is what it is");
    let domain = |text: &str| text.split('/').nth(2).map(str::to_owned);
    assert!(!pattern.fits(id) || domain(&text) == domain(id.as_str()), "{text} fits {id:?}, of another domain");
    assert!(text.contains('*') || pattern.fits(id) == (text == id.as_str()), "{text} fits {id:?}");
    let below = format!("{}/x", id.as_str());
    assert!(!pattern.fits(id) || !text.ends_with("/**") || SpiffeId::parse(&below).is_none_or(|below| pattern.fits(below)), "{text}");
}
