//! Members.

use torchmesh_api::accounts::v1::{
    GetSessionRequest, GetSessionResponse, InviteMemberRequest, InviteMemberResponse, ListMembersRequest, ListMembersResponse,
    RequestPasswordResetRequest, RequestPasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse, SignInRequest, SignInResponse,
    SignOutRequest, SignOutResponse, SignUpRequest, SignUpResponse, UpdateMemberRequest, UpdateMemberResponse, VerifyEmailRequest,
    VerifyEmailResponse,
};

use super::{
    super::{call::Call, read, tell},
    Accounts,
};
use crate::{
    access::{Act, Asker},
    clock::now_ms,
    error::{Refusal, Result},
    people::{self, NewMember, NewTenant, SignedIn},
};

impl Accounts {
    pub(super) async fn sign_up_asked(&self, asked: SignUpRequest) -> Result<SignUpResponse> {
        if !self.0.sign_up {
            return Err(Refusal::Denied("nobody can sign up here by themselves; ask an operator for an invitation".to_owned()));
        }
        let SignUpRequest { email, password, tenant_name, display_name } = &asked;
        let new = NewTenant { email, password, name: tenant_name, display_name };
        people::sign_up(&self.0.store, &self.0.passwords, &self.0.outbox, new, now_ms()).await?;
        Ok(SignUpResponse {})
    }

    pub(super) async fn verify_email_asked(&self, asked: VerifyEmailRequest) -> Result<VerifyEmailResponse> {
        people::verify(&self.0.store, &asked.token, now_ms()).await?;
        Ok(VerifyEmailResponse {})
    }

    pub(super) async fn sign_in_asked(&self, asked: SignInRequest) -> Result<SignInResponse> {
        let signed_in = people::sign_in(&self.0.store, &self.0.passwords, &asked.email, &asked.password, now_ms()).await?;
        let session = match signed_in {
            SignedIn::Challenge(challenge) => return Ok(SignInResponse { challenge, ..SignInResponse::default() }),
            SignedIn::Session(session) => session,
        };
        let (expires_unix_ms, member) = (session.expires_ms, Some(tell::member(session.member)));
        Ok(SignInResponse { session_token: session.token, expires_unix_ms, member, challenge: String::new() })
    }

    pub(super) async fn get_session_asked(&self, call: Call<GetSessionRequest>) -> Result<GetSessionResponse> {
        let Asker::Member { id, .. } = &call.asker else {
            return Err(Refusal::Unknown("the token is not that of a session; sign in"));
        };
        let member = people::find(&self.0.store, &call.asker, id).await?;
        let tenant = call.asker.tenant(&self.0.store, "").await?;
        Ok(GetSessionResponse { member: Some(tell::member(member)), tenant: Some(tell::tenant(tenant)) })
    }

    pub(super) async fn sign_out_asked(&self, call: Call<SignOutRequest>) -> Result<SignOutResponse> {
        people::sign_out(&self.0.store, &call.asker, &call.token, call.now).await?;
        Ok(SignOutResponse {})
    }

    pub(super) async fn request_password_reset_asked(&self, asked: RequestPasswordResetRequest) -> Result<RequestPasswordResetResponse> {
        people::request_reset(&self.0.store, &self.0.outbox, &asked.email, now_ms()).await?;
        Ok(RequestPasswordResetResponse {})
    }

    pub(super) async fn reset_password_asked(&self, asked: ResetPasswordRequest) -> Result<ResetPasswordResponse> {
        people::reset(&self.0.store, &self.0.passwords, &asked.token, &asked.password, now_ms()).await?;
        Ok(ResetPasswordResponse {})
    }

    pub(super) async fn invite_member_asked(&self, call: Call<InviteMemberRequest>) -> Result<InviteMemberResponse> {
        let tenant = call.asker.tenant(&self.0.store, &call.asked.tenant).await?;
        let role = read::role(call.asked.role)?.ok_or_else(|| Refusal::Invalid("role: must be said".to_owned()))?;
        let new = NewMember { tenant: &tenant, email: &call.asked.email, role };
        let member = people::invite(&self.0.store, &self.0.outbox, &call.asker, new, call.now).await?;
        Ok(InviteMemberResponse { member: Some(tell::member(member)) })
    }

    pub(super) async fn list_members_asked(&self, call: Call<ListMembersRequest>) -> Result<ListMembersResponse> {
        call.asker.may(Act::SeeMembers)?;
        let tenant = call.asker.tenant(&self.0.store, &call.asked.tenant).await?;
        let members = people::list(&self.0.store, &call.asker, &tenant).await?;
        Ok(ListMembersResponse { members: members.into_iter().map(tell::member).collect() })
    }

    pub(super) async fn update_member_asked(&self, call: Call<UpdateMemberRequest>) -> Result<UpdateMemberResponse> {
        let UpdateMemberRequest { id, role, remove } = &call.asked;
        let member = people::update(&self.0.store, &call.asker, id, read::role(*role)?, *remove, call.now).await?;
        Ok(UpdateMemberResponse { member: Some(tell::member(member)) })
    }
}
