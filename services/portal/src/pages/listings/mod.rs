//! What is said of models, to be changed: `/console/listings` for their providers, `/operator/listings` for operators.
//!
//! Both are the same pages, asked for with another token: the accounts decide what whoever asks may do, and pages leave out what would be refused.

mod form;
mod steps;
mod table;

pub use form::{change, create, show};
pub use steps::step;
pub use table::list;

use axum::extract::FromRequestParts;

use super::{Place, encoded};
use crate::{
    app::Shared,
    fail::{Answer, Fail},
    upstream::Listings,
    visit::{Operator, Person, Visit},
};

/// From which side listings are looked at.
pub trait Side: FromRequestParts<Shared, Rejection = Fail> + Send + Sync + 'static {
    /// Where the pages are.
    const BASE: &'static str;
    /// Their entry of the navigation.
    const PLACE: Place;
    /// Whether everything may be done.
    const IS_OPERATOR: bool;

    /// The accounts, as this side asks them.
    fn listings(&self, visit: &Visit) -> Answer<Listings>;
}

impl Side for Person {
    const BASE: &'static str = "/console/listings";
    const PLACE: Place = Place::Listings;
    const IS_OPERATOR: bool = false;

    fn listings(&self, visit: &Visit) -> Answer<Listings> {
        Ok(visit.app().accounts.listings(Some(self.token())))
    }
}

impl Side for Operator {
    const BASE: &'static str = "/operator/listings";
    const PLACE: Place = Place::AllListings;
    const IS_OPERATOR: bool = true;

    fn listings(&self, visit: &Visit) -> Answer<Listings> {
        visit.app().accounts.listings_of_all()
    }
}

/// The page of a listing.
fn path<S: Side>(model: &str) -> String {
    format!("{}/{}", S::BASE, encoded(model))
}
