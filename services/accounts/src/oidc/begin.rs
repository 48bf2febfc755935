//! How somebody is sent to a provider.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::Providers;
use crate::{
    error::{Refusal, Result},
    secrets,
    store::Store,
};

/// How long they may take.
const GOOD_FOR_MS: i64 = 10 * 60 * 1000;

/// Something that nobody guesses: 256 bits.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Refusal::Fault)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Begins to sign somebody in; gives where their browser goes. `binding` is what it shows again when it comes back.
pub async fn begin(store: &Store, providers: &Providers, provider: &str, binding: &str, next: &str, now: i64) -> Result<String> {
    let provider = providers.find(provider)?;
    if !(16..=512).contains(&binding.len()) {
        return Err(Refusal::Invalid("binding: must have 16 to 512 bytes".to_owned()));
    }
    if next.len() > 1024 {
        return Err(Refusal::Invalid("next: must have at most 1024 bytes".to_owned()));
    }
    let discovered = provider.discovered().await?;
    let (state, nonce, verifier) = (random()?, random()?, random()?);
    let mut transaction = store.begin().await?;
    sqlx::query("DELETE FROM oidc_attempts WHERE expires_ms <= $1").bind(now).execute(&mut *transaction).await?;
    let row = "INSERT INTO oidc_attempts (sha256, provider, binding_sha256, nonce, verifier, next, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let row = sqlx::query(row).bind(secrets::hash(&state)).bind(provider.settings.name.clone()).bind(secrets::hash(binding));
    let row = row.bind(nonce.clone()).bind(verifier.clone()).bind(next.to_owned()).bind(now + GOOD_FOR_MS);
    row.execute(&mut *transaction).await?;
    transaction.commit().await?;
    let mut url = discovered.authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.settings.client_id)
        .append_pair("redirect_uri", provider.settings.redirect.as_str())
        .append_pair("scope", &provider.settings.scopes.join(" "))
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)))
        .append_pair("code_challenge_method", "S256");
    Ok(url.into())
}
