//! `torchmesh.accounts.v1.SignInService`.

mod asked;

use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    sign_in_service_server::{SignInService, SignInServiceServer},
};

use super::{Ground, call::answer};

/// See the module.
#[derive(Debug, Clone)]
pub struct SignInDesk(Ground);

impl SignInDesk {
    /// The service.
    pub fn service(ground: Ground) -> SignInServiceServer<Self> {
        SignInServiceServer::new(Self(ground))
    }
}

#[tonic::async_trait]
impl SignInService for SignInDesk {
    async fn complete_sign_in(
        &self,
        request: Request<api::CompleteSignInRequest>,
    ) -> std::result::Result<Response<api::CompleteSignInResponse>, Status> {
        answer(self.complete_asked(request.into_inner()).await)
    }

    async fn get_second_factor(
        &self,
        request: Request<api::GetSecondFactorRequest>,
    ) -> std::result::Result<Response<api::GetSecondFactorResponse>, Status> {
        answer(self.state_asked(self.0.call(request).await?).await)
    }

    async fn enrol_second_factor(
        &self,
        request: Request<api::EnrolSecondFactorRequest>,
    ) -> std::result::Result<Response<api::EnrolSecondFactorResponse>, Status> {
        answer(self.enrol_asked(self.0.call(request).await?).await)
    }

    async fn confirm_second_factor(
        &self,
        request: Request<api::ConfirmSecondFactorRequest>,
    ) -> std::result::Result<Response<api::ConfirmSecondFactorResponse>, Status> {
        answer(self.confirm_asked(self.0.call(request).await?).await)
    }

    async fn remove_second_factor(
        &self,
        request: Request<api::RemoveSecondFactorRequest>,
    ) -> std::result::Result<Response<api::RemoveSecondFactorResponse>, Status> {
        answer(self.remove_asked(self.0.call(request).await?).await)
    }

    async fn reset_second_factor(
        &self,
        request: Request<api::ResetSecondFactorRequest>,
    ) -> std::result::Result<Response<api::ResetSecondFactorResponse>, Status> {
        answer(self.reset_asked(self.0.call(request).await?).await)
    }

    async fn list_providers(
        &self,
        _: Request<api::ListProvidersRequest>,
    ) -> std::result::Result<Response<api::ListProvidersResponse>, Status> {
        answer(Ok(self.providers_asked()))
    }

    async fn begin_oidc(&self, request: Request<api::BeginOidcRequest>) -> std::result::Result<Response<api::BeginOidcResponse>, Status> {
        answer(self.begin_asked(request.into_inner()).await)
    }

    async fn complete_oidc(
        &self,
        request: Request<api::CompleteOidcRequest>,
    ) -> std::result::Result<Response<api::CompleteOidcResponse>, Status> {
        answer(self.complete_oidc_asked(request.into_inner()).await)
    }
}
