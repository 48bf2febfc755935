//! Credentials.

use torchmesh_api::accounts::v1::{
    CreateCredentialRequest, CreateCredentialResponse, ListCredentialsRequest, ListCredentialsResponse, RevokeCredentialRequest,
    RevokeCredentialResponse, RotateCredentialRequest, RotateCredentialResponse,
};

use super::{
    super::{call::Call, read, tell},
    Accounts,
};
use crate::{
    access::Act,
    credentials::{self, New},
    error::Result,
    page::Page,
};

impl Accounts {
    pub(super) async fn create_credential_asked(&self, call: Call<CreateCredentialRequest>) -> Result<CreateCredentialResponse> {
        let asked = &call.asked;
        let tenant = call.asker.tenant(&self.0.store, &asked.tenant).await?;
        let new = New {
            kind: read::kind(asked.kind)?,
            name: &asked.name,
            scopes: &asked.scopes,
            models: asked.models.as_ref().map(|models| &*models.patterns),
            expires_ms: asked.expires_unix_ms,
        };
        let (credential, secret) = credentials::create(&self.0.store, &call.asker, &tenant, new, call.now).await?;
        Ok(CreateCredentialResponse { credential: Some(tell::credential(credential)), secret })
    }

    pub(super) async fn list_credentials_asked(&self, call: Call<ListCredentialsRequest>) -> Result<ListCredentialsResponse> {
        call.asker.may(Act::Look)?;
        let tenant = call.asker.tenant(&self.0.store, &call.asked.tenant).await?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let mut credentials = credentials::list(&self.0.store, &tenant, &page).await?;
        let next_page_token = page.cut(&mut credentials, |credential| credential.id.clone());
        Ok(ListCredentialsResponse { credentials: credentials.into_iter().map(tell::credential).collect(), next_page_token })
    }

    pub(super) async fn rotate_credential_asked(&self, call: Call<RotateCredentialRequest>) -> Result<RotateCredentialResponse> {
        let RotateCredentialRequest { id, overlap_ms } = &call.asked;
        let (credential, secret) = credentials::rotate(&self.0.store, &call.asker, id, *overlap_ms, call.now).await?;
        Ok(RotateCredentialResponse { credential: Some(tell::credential(credential)), secret })
    }

    pub(super) async fn revoke_credential_asked(&self, call: Call<RevokeCredentialRequest>) -> Result<RevokeCredentialResponse> {
        let credential = credentials::revoke(&self.0.store, &call.asker, &call.asked.id, call.now).await?;
        Ok(RevokeCredentialResponse { credential: Some(tell::credential(credential)) })
    }
}
