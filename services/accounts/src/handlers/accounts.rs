//! `torchmesh.accounts.v1.AccountsService`.

mod credentials;
mod people;
mod tenants;

use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    accounts_service_server::{AccountsService, AccountsServiceServer},
};

use super::{Ground, call::answer};

/// See the module.
#[derive(Debug, Clone)]
pub struct Accounts(Ground);

impl Accounts {
    /// The service.
    pub fn service(ground: Ground) -> AccountsServiceServer<Self> {
        AccountsServiceServer::new(Self(ground))
    }
}

#[tonic::async_trait]
impl AccountsService for Accounts {
    async fn create_tenant(
        &self,
        request: Request<api::CreateTenantRequest>,
    ) -> std::result::Result<Response<api::CreateTenantResponse>, Status> {
        answer(self.create_tenant_asked(self.0.call(request).await?).await)
    }

    async fn list_tenants(
        &self,
        request: Request<api::ListTenantsRequest>,
    ) -> std::result::Result<Response<api::ListTenantsResponse>, Status> {
        answer(self.list_tenants_asked(self.0.call(request).await?).await)
    }

    async fn update_tenant(
        &self,
        request: Request<api::UpdateTenantRequest>,
    ) -> std::result::Result<Response<api::UpdateTenantResponse>, Status> {
        answer(self.update_tenant_asked(self.0.call(request).await?).await)
    }

    async fn create_credential(
        &self,
        request: Request<api::CreateCredentialRequest>,
    ) -> std::result::Result<Response<api::CreateCredentialResponse>, Status> {
        answer(self.create_credential_asked(self.0.call(request).await?).await)
    }

    async fn list_credentials(
        &self,
        request: Request<api::ListCredentialsRequest>,
    ) -> std::result::Result<Response<api::ListCredentialsResponse>, Status> {
        answer(self.list_credentials_asked(self.0.call(request).await?).await)
    }

    async fn rotate_credential(
        &self,
        request: Request<api::RotateCredentialRequest>,
    ) -> std::result::Result<Response<api::RotateCredentialResponse>, Status> {
        answer(self.rotate_credential_asked(self.0.call(request).await?).await)
    }

    async fn revoke_credential(
        &self,
        request: Request<api::RevokeCredentialRequest>,
    ) -> std::result::Result<Response<api::RevokeCredentialResponse>, Status> {
        answer(self.revoke_credential_asked(self.0.call(request).await?).await)
    }

    async fn sign_up(&self, request: Request<api::SignUpRequest>) -> std::result::Result<Response<api::SignUpResponse>, Status> {
        answer(self.sign_up_asked(request.into_inner()).await)
    }

    async fn verify_email(
        &self,
        request: Request<api::VerifyEmailRequest>,
    ) -> std::result::Result<Response<api::VerifyEmailResponse>, Status> {
        answer(self.verify_email_asked(request.into_inner()).await)
    }

    async fn sign_in(&self, request: Request<api::SignInRequest>) -> std::result::Result<Response<api::SignInResponse>, Status> {
        answer(self.sign_in_asked(request.into_inner()).await)
    }

    async fn get_session(
        &self,
        request: Request<api::GetSessionRequest>,
    ) -> std::result::Result<Response<api::GetSessionResponse>, Status> {
        answer(self.get_session_asked(self.0.call(request).await?).await)
    }

    async fn sign_out(&self, request: Request<api::SignOutRequest>) -> std::result::Result<Response<api::SignOutResponse>, Status> {
        answer(self.sign_out_asked(self.0.call(request).await?).await)
    }

    async fn request_password_reset(
        &self,
        request: Request<api::RequestPasswordResetRequest>,
    ) -> std::result::Result<Response<api::RequestPasswordResetResponse>, Status> {
        answer(self.request_password_reset_asked(request.into_inner()).await)
    }

    async fn reset_password(
        &self,
        request: Request<api::ResetPasswordRequest>,
    ) -> std::result::Result<Response<api::ResetPasswordResponse>, Status> {
        answer(self.reset_password_asked(request.into_inner()).await)
    }

    async fn invite_member(
        &self,
        request: Request<api::InviteMemberRequest>,
    ) -> std::result::Result<Response<api::InviteMemberResponse>, Status> {
        answer(self.invite_member_asked(self.0.call(request).await?).await)
    }

    async fn list_members(
        &self,
        request: Request<api::ListMembersRequest>,
    ) -> std::result::Result<Response<api::ListMembersResponse>, Status> {
        answer(self.list_members_asked(self.0.call(request).await?).await)
    }

    async fn update_member(
        &self,
        request: Request<api::UpdateMemberRequest>,
    ) -> std::result::Result<Response<api::UpdateMemberResponse>, Status> {
        answer(self.update_member_asked(self.0.call(request).await?).await)
    }

    async fn list_changes(
        &self,
        request: Request<api::ListChangesRequest>,
    ) -> std::result::Result<Response<api::ListChangesResponse>, Status> {
        answer(self.list_changes_asked(self.0.call(request).await?).await)
    }
}
