//! What is asked of listings.

use torchmesh_api::accounts::v1 as api;

use super::{super::call::Call, ListingDesk, read, told};
use crate::{
    access::{Act, Asker},
    billing::Offer,
    error::Result,
    listings::{self, Filter, Listing, New, Step},
    page::Page,
};

impl ListingDesk {
    /// Listings as they are told to whoever asks, with prices and figures.
    async fn told(&self, asker: &Asker, listings: Vec<Listing>, now: i64) -> Result<Vec<api::Listing>> {
        let offer = Offer::to(&self.0.billing, &self.0.store, asker, now).await?;
        let models: Vec<&str> = listings.iter().map(|listing| &*listing.model).collect();
        let figures = listings::figures(&self.0.store, &models, now).await?;
        let one = |listing: Listing| {
            let measured = figures.get(&listing.model);
            told::listing(asker, listing, offer.as_ref(), measured)
        };
        Ok(listings.into_iter().map(one).collect())
    }

    async fn one(&self, asker: &Asker, listing: Listing, now: i64) -> Result<Option<api::Listing>> {
        Ok(self.told(asker, vec![listing], now).await?.pop())
    }

    pub(super) async fn create_asked(&self, call: Call<api::CreateListingRequest>) -> Result<api::CreateListingResponse> {
        let Call { asker, asked, now, .. } = call;
        let api::CreateListingRequest { model, provider, task, texts, versions, audience } = asked;
        let (content, audience) = (read::content(task, texts, versions), read::audience(audience));
        let new = New { model: &model, provider: &provider, content: &content, audience: audience.as_ref() };
        let listing = listings::create(&self.0.billing, &self.0.store, &asker, new, now).await?;
        Ok(api::CreateListingResponse { listing: self.one(&asker, listing, now).await? })
    }

    pub(super) async fn update_asked(&self, call: Call<api::UpdateListingRequest>) -> Result<api::UpdateListingResponse> {
        let Call { asker, asked, now, .. } = call;
        let api::UpdateListingRequest { model, revision, task, texts, versions, audience } = asked;
        let (content, audience) = (read::content(task, texts, versions), read::audience(audience));
        let listing = listings::change(&self.0.store, &asker, (&model, revision), &content, audience.as_ref(), now).await?;
        Ok(api::UpdateListingResponse { listing: self.one(&asker, listing, now).await? })
    }

    pub(super) async fn publish_asked(&self, call: Call<api::PublishListingRequest>) -> Result<api::PublishListingResponse> {
        let (asked, asker, now) = (&call.asked, &call.asker, call.now);
        let listing = listings::step(&self.0.store, asker, (&asked.model, asked.revision), Step::Publish, "", now).await?;
        Ok(api::PublishListingResponse { listing: self.one(asker, listing, now).await? })
    }

    pub(super) async fn deprecate_asked(&self, call: Call<api::DeprecateListingRequest>) -> Result<api::DeprecateListingResponse> {
        let (asked, asker, now) = (&call.asked, &call.asker, call.now);
        let step = Step::Deprecate { retires_ms: asked.retires_unix_ms };
        let listing = listings::step(&self.0.store, asker, (&asked.model, asked.revision), step, &asked.successor, now).await?;
        Ok(api::DeprecateListingResponse { listing: self.one(asker, listing, now).await? })
    }

    pub(super) async fn retire_asked(&self, call: Call<api::RetireListingRequest>) -> Result<api::RetireListingResponse> {
        let (asked, asker, now) = (&call.asked, &call.asker, call.now);
        let listing = listings::step(&self.0.store, asker, (&asked.model, asked.revision), Step::Retire, "", now).await?;
        Ok(api::RetireListingResponse { listing: self.one(asker, listing, now).await? })
    }

    pub(super) async fn delete_asked(&self, call: Call<api::DeleteListingRequest>) -> Result<api::DeleteListingResponse> {
        listings::delete(&self.0.store, &call.asker, (&call.asked.model, call.asked.revision), call.now).await?;
        Ok(api::DeleteListingResponse {})
    }

    pub(super) async fn get_asked(&self, call: Call<api::GetListingRequest>) -> Result<api::GetListingResponse> {
        let listing = listings::find(&self.0.store, &call.asker, &call.asked.model).await?;
        Ok(api::GetListingResponse { listing: self.one(&call.asker, listing, call.now).await? })
    }

    pub(super) async fn list_asked(&self, call: Call<api::ListListingsRequest>) -> Result<api::ListListingsResponse> {
        let Call { asker, asked, now, .. } = call;
        let page = Page::of(asked.page_size, &asked.page_token)?;
        let filter = Filter { task: asked.task, words: asked.words, state: read::state(asked.state)?, own: asked.own };
        let mut there = listings::list(&self.0.store, &asker, &filter, &page).await?;
        let next_page_token = page.cut(&mut there, |listing| listing.model.clone());
        if asked.brief {
            let listings = there.into_iter().map(|listing| told::listing(&asker, listing, None, None)).collect();
            return Ok(api::ListListingsResponse { listings, next_page_token });
        }
        Ok(api::ListListingsResponse { listings: self.told(&asker, there, now).await?, next_page_token })
    }

    pub(super) async fn notices_asked(&self, call: Call<api::ListNoticesRequest>) -> Result<api::ListNoticesResponse> {
        call.asker.may(Act::Look)?;
        let tenant = call.asker.tenant(&self.0.store, "").await?;
        let notices = listings::notices(&self.0.store, &tenant).await?;
        Ok(api::ListNoticesResponse { notices: notices.into_iter().map(told::notice).collect() })
    }
}
