//! What is asked of signing in.

use torchmesh_api::accounts::v1 as api;

use super::{
    super::{call::Call, tell},
    SignInDesk,
};
use crate::{
    clock::now_ms,
    error::{Refusal, Result},
    oidc::{self, Returned},
    people::{
        self,
        second_factor::{self, Proof},
    },
    sealing::Keys,
};

/// As many as a message's count may say.
fn count(many: i64) -> i32 {
    i32::try_from(many).unwrap_or(i32::MAX)
}

impl SignInDesk {
    /// The keys that secrets are sealed with, where there are any.
    fn keys(&self) -> Option<&Keys> {
        self.0.webhooks.keys().ok()
    }

    pub(super) async fn complete_asked(&self, asked: api::CompleteSignInRequest) -> Result<api::CompleteSignInResponse> {
        let (session, left) = people::complete(&self.0.store, self.keys(), &asked.challenge, &asked.code, now_ms()).await?;
        let (session_token, expires_unix_ms, member) = (session.token, session.expires_ms, Some(tell::member(session.member)));
        Ok(api::CompleteSignInResponse { session_token, expires_unix_ms, member, recovery_codes_left: count(left) })
    }

    pub(super) async fn state_asked(&self, call: Call<api::GetSecondFactorRequest>) -> Result<api::GetSecondFactorResponse> {
        let state = second_factor::state(&self.0.store, &call.asker).await?;
        Ok(api::GetSecondFactorResponse {
            available: self.keys().is_some(),
            confirmed_unix_ms: state.confirmed_ms.unwrap_or_default(),
            recovery_codes_left: count(state.recovery_codes_left),
            has_password: state.has_password,
        })
    }

    pub(super) async fn enrol_asked(&self, call: Call<api::EnrolSecondFactorRequest>) -> Result<api::EnrolSecondFactorResponse> {
        let off = || Refusal::State("second factors are off here; set webhooks.key_file of the accounts (docs/accounts.md)".to_owned());
        let (store, passwords, keys) = (&self.0.store, &self.0.passwords, self.keys().ok_or_else(off)?);
        let drawn = second_factor::enrol(store, passwords, keys, &call.asker, &call.asked.password, call.now).await?;
        Ok(api::EnrolSecondFactorResponse { secret: drawn.secret, uri: drawn.uri })
    }

    pub(super) async fn confirm_asked(&self, call: Call<api::ConfirmSecondFactorRequest>) -> Result<api::ConfirmSecondFactorResponse> {
        let (store, outbox) = (&self.0.store, &self.0.outbox);
        let recovery_codes = second_factor::confirm(store, outbox, self.keys(), &call.asker, &call.asked.code, call.now).await?;
        Ok(api::ConfirmSecondFactorResponse { recovery_codes })
    }

    pub(super) async fn remove_asked(&self, call: Call<api::RemoveSecondFactorRequest>) -> Result<api::RemoveSecondFactorResponse> {
        let proof = match (&*call.asked.code, &*call.asked.password) {
            ("", "") => return Err(Refusal::Invalid("code: must be said, or the password".to_owned())),
            ("", password) => Proof::Password(password),
            (code, _) => Proof::Code(code),
        };
        let (store, passwords, outbox) = (&self.0.store, &self.0.passwords, &self.0.outbox);
        second_factor::remove(store, passwords, outbox, self.keys(), &call.asker, proof, call.now).await?;
        Ok(api::RemoveSecondFactorResponse {})
    }

    pub(super) async fn reset_asked(&self, call: Call<api::ResetSecondFactorRequest>) -> Result<api::ResetSecondFactorResponse> {
        let member = second_factor::reset(&self.0.store, &self.0.outbox, &call.asker, &call.asked.member, call.now).await?;
        Ok(api::ResetSecondFactorResponse { member: Some(tell::member(member)) })
    }

    pub(super) fn providers_asked(&self) -> api::ListProvidersResponse {
        let told = |(name, title): (&str, &str)| api::Provider { name: name.to_owned(), title: title.to_owned() };
        api::ListProvidersResponse { providers: self.0.providers.named().map(told).collect() }
    }

    pub(super) async fn begin_asked(&self, asked: api::BeginOidcRequest) -> Result<api::BeginOidcResponse> {
        let api::BeginOidcRequest { provider, binding, next } = &asked;
        let authorization_url = oidc::begin(&self.0.store, &self.0.providers, provider, binding, next, now_ms()).await?;
        Ok(api::BeginOidcResponse { authorization_url })
    }

    pub(super) async fn complete_oidc_asked(&self, asked: api::CompleteOidcRequest) -> Result<api::CompleteOidcResponse> {
        let api::CompleteOidcRequest { provider, state, code, issuer, binding } = &asked;
        let returned = Returned { provider, state, code, issuer, binding };
        let (session, next) = oidc::complete(&self.0.store, &self.0.providers, returned, self.0.sign_up, now_ms()).await?;
        let (session_token, expires_unix_ms, member) = (session.token, session.expires_ms, Some(tell::member(session.member)));
        Ok(api::CompleteOidcResponse { session_token, expires_unix_ms, member, next })
    }
}
