//! What somebody would pay for a model: by the plan of their tenant, or by the list that plans have that name none.

use std::sync::Arc;

use torchmesh_billing::{Moment, price::PriceVersion};

use super::{Billing, Sold, moment, profile, subscribe};
use crate::{access::Asker, error::Result, store::Store};

/// The list of plans that name none.
const USUAL: &str = "standard";

/// See the module.
#[derive(Debug)]
pub struct Offer {
    /// What is sold.
    pub sold: Arc<Sold>,
    /// When.
    pub at: Moment,
    list: String,
}

impl Offer {
    /// The offer to whoever asks; none, where nothing is sold.
    pub async fn to(billing: &Billing, store: &Store, asker: &Asker, now: i64) -> Result<Option<Self>> {
        let mut connection = store.reads()?.acquire().await?;
        let Some(sold) = billing.sold_if_any(&mut connection).await? else { return Ok(None) };
        let (at, mut list) = (moment(now)?, USUAL.to_owned());
        if let Asker::Member { tenant_id, .. } = asker {
            let profile = profile::read(&mut connection, tenant_id).await?;
            let subscription = subscribe::load(&mut connection, tenant_id, &profile).await?;
            let held = subscription.map_or(Ok(None), |subscription| subscription.state(at))?;
            if let Some(plan) = held.and_then(|held| sold.catalogue.plans.get(&held.plan)) {
                list.clone_from(&plan.list);
            }
        }
        Ok(Some(Self { sold, at, list }))
    }

    /// The price of a model; none, where it has none.
    pub fn price(&self, model: &str) -> Option<&PriceVersion> {
        self.sold.catalogue.prices.in_force(&self.list, model, self.at, self.at).map(|found| found.version)
    }
}
