//! Listings, as messages.

use torchmesh_api::accounts::v1 as api;

use super::super::billing::told;
use crate::{
    access::{Act, Asker},
    billing::Offer,
    listings::{Figures, Listing, Notice, State},
};

/// Who it is for is told to operators, and to the provider without the names of others.
fn audience(asker: &Asker, listing: &Listing) -> Option<api::ListingAudience> {
    let own = |tenant_id: &str| listing.provider.as_ref().is_some_and(|provider| provider.id == tenant_id);
    match asker {
        Asker::Operator | Asker::Itself => Some(listing.tenants.clone()),
        Asker::Member { tenant_id, role, .. } if own(tenant_id) && role.may(Act::ChangeListings) => Some(Vec::new()),
        Asker::Member { .. } | Asker::Anybody => None,
    }
    .map(|tenants| api::ListingAudience { everyone: listing.everyone, tenants })
}

pub(super) fn listing(asker: &Asker, listing: Listing, offer: Option<&Offer>, measured: Option<&[Figures; 2]>) -> api::Listing {
    let state = match listing.standing.state {
        State::Draft => api::ListingState::Draft,
        State::Published => api::ListingState::Published,
        State::Deprecated => api::ListingState::Deprecated,
        State::Retired => api::ListingState::Retired,
    };
    let audience = audience(asker, &listing);
    let (provider, provider_name) = listing.provider.map_or_else(Default::default, |provider| (provider.name, provider.display_name));
    let price = offer.and_then(|offer| {
        let version = offer.price(&listing.model)?;
        Some(told::price(&offer.sold.catalogue, version, offer.sold.currency, offer.at))
    });
    let texts = listing.content.texts.into_iter().map(|text| api::ListingText {
        language: text.language,
        summary: text.summary,
        description: text.description,
        terms: text.terms,
    });
    let versions = listing.content.versions.into_iter();
    let versions = versions.map(|one| api::ListingVersion { version: one.version, day_unix_ms: one.day_ms, text: one.text });
    api::Listing {
        model: listing.model,
        state: state.into(),
        provider,
        provider_name,
        task: listing.content.task,
        texts: texts.collect(),
        versions: versions.collect(),
        audience,
        created_unix_ms: listing.created_ms,
        submitted_unix_ms: listing.standing.submitted_ms.unwrap_or_default(),
        published_unix_ms: listing.standing.published_ms.unwrap_or_default(),
        deprecated_unix_ms: listing.standing.deprecated_ms.unwrap_or_default(),
        retires_unix_ms: listing.standing.retires_ms.unwrap_or_default(),
        successor: listing.successor,
        revision: listing.revision,
        price,
        figures: measured.into_iter().flatten().map(figures).collect(),
    }
}

fn figures(of: &Figures) -> api::ListingFigures {
    api::ListingFigures {
        days: i32::try_from(of.days).unwrap_or_default(),
        calls_at_least: of.calls_at_least,
        p50_us: of.p50_us,
        p99_us: of.p99_us,
        available_ppm: of.available_ppm.map(|share| i32::try_from(share).unwrap_or_default()),
    }
}

pub(super) fn notice(notice: Notice) -> api::ListingNotice {
    api::ListingNotice {
        model: notice.model,
        deprecated_unix_ms: notice.deprecated_ms,
        retires_unix_ms: notice.retires_ms,
        successor: notice.successor,
    }
}
