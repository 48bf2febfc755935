//! How somebody comes back from a provider.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::timeout;

use super::{Providers, claims::Asked, person, provider::Provider};
use crate::{
    error::{Refusal, Result},
    people::Session,
    secrets,
    store::Store,
};

/// How long the provider may take for all that it is asked: whoever waits for us waits for ten seconds.
const WITHIN: Duration = Duration::from_secs(8);

/// What a browser has brought.
#[derive(Clone, Copy)]
pub struct Returned<'a> {
    /// The name of the provider whose address of return it was.
    pub provider: &'a str,
    /// What it was sent with.
    pub state: &'a str,
    /// What the provider gives a token for.
    pub code: &'a str,
    /// Who says that they have sent it (RFC 9207); empty, where nobody does.
    pub issuer: &'a str,
    /// What the browser shows again.
    pub binding: &'a str,
}

/// What was kept of how it began.
struct Begun {
    nonce: String,
    verifier: String,
    next: String,
}

/// Begins a session; gives what was to be given back. With `sign_up`, whoever is not known becomes the owner of a tenant.
pub async fn complete(store: &Store, providers: &Providers, returned: Returned<'_>, sign_up: bool, now: i64) -> Result<(Session, String)> {
    let provider = providers.find(returned.provider)?;
    let begun = take(store, returned, now).await?;
    let redeemed = timeout(WITHIN, async {
        is_from(provider, returned.issuer).await?;
        provider.redeem(returned.code, &begun.verifier).await
    });
    let claimed = redeemed.await.unwrap_or_else(|_| Err(provider.away("it takes too long")))?;
    let seconds = u64::try_from(now / 1000).unwrap_or_default();
    let asked = Asked { issuer: &provider.settings.issuer, client_id: &provider.settings.client_id, nonce: &begun.nonce, now: seconds };
    let subject = claimed.check(asked).map_err(|why| provider.not_good(&why))?;
    let session = person::sign_in(store, provider, &subject, sign_up, now).await?;
    Ok((session, begun.next))
}

/// Takes what was kept of a state, which is good no more, whatever comes of it. Of two that come at once, one has it.
async fn take(store: &Store, returned: Returned<'_>, now: i64) -> Result<Begun> {
    let mut transaction = store.begin().await?;
    let query = "DELETE FROM oidc_attempts WHERE sha256 = $1 RETURNING provider, binding_sha256, nonce, verifier, next, expires_ms";
    let row = sqlx::query(query).bind(secrets::hash(returned.state)).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    let refused = || Refusal::Unknown("signing in was not begun in this browser, or too long ago; begin again");
    let row = row.ok_or_else(refused)?;
    let (provider, binding): (String, String) = (row.try_get("provider")?, row.try_get("binding_sha256")?);
    let is_in_time = row.try_get::<i64, _>("expires_ms")? > now;
    // What another provider has sent is not for this one, and what another browser has begun is not for this one either.
    if provider != returned.provider || !secrets::same(&binding, &secrets::hash(returned.binding)) || !is_in_time {
        return Err(refused());
    }
    Ok(Begun { nonce: row.try_get("nonce")?, verifier: row.try_get("verifier")?, next: row.try_get("next")? })
}

/// Refuses what says that it is from somebody else, or says nothing where it should (RFC 9207).
async fn is_from(provider: &Provider, issuer: &str) -> Result<()> {
    let must = provider.discovered().await?.says_issuer;
    if issuer == provider.settings.issuer || (issuer.is_empty() && !must) {
        Ok(())
    } else {
        Err(provider.not_good("it says that it is from somebody else, or does not say from whom"))
    }
}
