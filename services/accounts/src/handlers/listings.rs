//! `torchmesh.accounts.v1.ListingService`.

mod asked;
mod read;
mod told;

use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    listing_service_server::{ListingService, ListingServiceServer},
};

use super::{Ground, call::answer};

/// See the module.
#[derive(Debug, Clone)]
pub struct ListingDesk(Ground);

impl ListingDesk {
    /// The service.
    pub fn service(ground: Ground) -> ListingServiceServer<Self> {
        ListingServiceServer::new(Self(ground))
    }
}

#[tonic::async_trait]
impl ListingService for ListingDesk {
    async fn create_listing(
        &self,
        request: Request<api::CreateListingRequest>,
    ) -> std::result::Result<Response<api::CreateListingResponse>, Status> {
        answer(self.create_asked(self.0.call(request).await?).await)
    }

    async fn update_listing(
        &self,
        request: Request<api::UpdateListingRequest>,
    ) -> std::result::Result<Response<api::UpdateListingResponse>, Status> {
        answer(self.update_asked(self.0.call(request).await?).await)
    }

    async fn publish_listing(
        &self,
        request: Request<api::PublishListingRequest>,
    ) -> std::result::Result<Response<api::PublishListingResponse>, Status> {
        answer(self.publish_asked(self.0.call(request).await?).await)
    }

    async fn deprecate_listing(
        &self,
        request: Request<api::DeprecateListingRequest>,
    ) -> std::result::Result<Response<api::DeprecateListingResponse>, Status> {
        answer(self.deprecate_asked(self.0.call(request).await?).await)
    }

    async fn retire_listing(
        &self,
        request: Request<api::RetireListingRequest>,
    ) -> std::result::Result<Response<api::RetireListingResponse>, Status> {
        answer(self.retire_asked(self.0.call(request).await?).await)
    }

    async fn delete_listing(
        &self,
        request: Request<api::DeleteListingRequest>,
    ) -> std::result::Result<Response<api::DeleteListingResponse>, Status> {
        answer(self.delete_asked(self.0.call(request).await?).await)
    }

    async fn get_listing(
        &self,
        request: Request<api::GetListingRequest>,
    ) -> std::result::Result<Response<api::GetListingResponse>, Status> {
        answer(self.get_asked(self.0.call_of_anybody(request).await?).await)
    }

    async fn list_listings(
        &self,
        request: Request<api::ListListingsRequest>,
    ) -> std::result::Result<Response<api::ListListingsResponse>, Status> {
        answer(self.list_asked(self.0.call_of_anybody(request).await?).await)
    }

    async fn list_notices(
        &self,
        request: Request<api::ListNoticesRequest>,
    ) -> std::result::Result<Response<api::ListNoticesResponse>, Status> {
        answer(self.notices_asked(self.0.call(request).await?).await)
    }
}
