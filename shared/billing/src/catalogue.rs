//! All that is sold: prices, plans, coupons and partners.

use std::collections::BTreeMap;

use crate::{
    coupon::Coupon,
    currency::Currency,
    error::BillingError,
    moment::Moment,
    plan::{FreeUse, Partner, Plan},
    price::{PriceBook, PriceVersion},
    selector::Selector,
    unit::Unit,
};

/// What `billing.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The currency of every amount that names none; none: nothing is sold.
    pub currency: Option<Currency>,
    /// What units cost.
    pub prices: PriceBook,
    /// Plans by id.
    pub plans: BTreeMap<String, Plan>,
    /// Coupons by code.
    pub coupons: BTreeMap<String, Coupon>,
    /// Partners by id.
    pub partners: BTreeMap<String, Partner>,
}

impl Catalogue {
    /// A plan by its id.
    pub fn plan(&self, id: &str) -> Result<&Plan, BillingError> {
        self.plans.get(id).ok_or_else(|| BillingError::Unknown { what: "plan", id: id.to_owned() })
    }

    /// A coupon by its code.
    pub fn coupon(&self, code: &str) -> Result<&Coupon, BillingError> {
        self.coupons.get(code).ok_or_else(|| BillingError::Unknown { what: "coupon", id: code.to_owned() })
    }

    /// Whose model it is; none: the platform's. Where two partners claim it, the one who says its name more precisely has it, of equals the first by id.
    pub fn partner(&self, model: &str) -> Option<&Partner> {
        let claims = self.partners.values().flat_map(|partner| partner.models.iter().map(move |models| (models, partner)));
        let claims = claims.filter(|(models, _)| models.matches(model));
        claims.max_by_key(|(models, partner)| (models.precision(), std::cmp::Reverse(&partner.id))).map(|(_, partner)| partner)
    }

    /// Whether a call to a model may be let in after `used` of a unit were used in this period, as far as the plan's free units go. Pure: who asks keeps the count.
    pub fn free_use(&self, plan: &Plan, model: &str, unit: Unit, seats: u32, used: u64) -> FreeUse {
        // Free units never cover a partner's models: they are charged under every plan.
        if self.partner(model).is_some() { FreeUse::Charged } else { plan.free_use(model, unit, seats, used) }
    }

    /// Whether what a model was used for beyond what is free is given away: of a plan that stops, for models that its free units are for. Partners' are never.
    pub(crate) fn is_not_charged(&self, plan: &Plan, model: &str) -> bool {
        plan.stops_for(model) && self.partner(model).is_none()
    }

    /// Whether `newer` may take this one's place at an instant: everything that can have been billed is in it as it was, and new prices begin no earlier than now,
    /// but for that of a model that had none.
    ///
    /// Error: every reason against it, each with its remedy.
    pub fn may_become(&self, newer: &Self, now: Moment) -> Result<(), Vec<String>> {
        let mut against = Vec::new();
        if self.currency.is_some() && self.currency != newer.currency {
            against.push("currency says something else than before: put it back, for ledgers and invoices are in it".to_owned());
        }
        let ids = |of: &Self| of.prices.versions().map(|one| (one.id.clone(), one.clone())).collect::<BTreeMap<_, _>>();
        let corrections = |of: &Self| of.prices.corrections().map(|one| (one.id.clone(), one.clone())).collect::<BTreeMap<_, _>>();
        let (old, new) = (ids(self), ids(newer));
        let begun = old.iter().filter(|(_, one)| one.from <= now).map(|(id, one)| (id.clone(), one.clone())).collect();
        kept("price", &begun, &new, &mut against);
        kept("correction", &corrections(self), &corrections(newer), &mut against);
        kept("plan", &self.plans, &newer.plans, &mut against);
        kept("coupon", &self.coupons, &newer.coupons, &mut against);
        kept("partner", &begun_terms(self, now), &begun_terms(newer, now), &mut against);
        let late = |version: &PriceVersion| version.from < now && !self.never_priced(version);
        for (id, version) in new.iter().filter(|(id, version)| !old.contains_key(*id) && late(version)) {
            against.push(format!(
                "price {id:?} begins at {}, which is over: let it begin later, write a [[correction]], or name one model that had no price",
                version.from
            ));
        }
        for one in newer.prices.corrections().filter(|one| one.known < now && !self.prices.corrections().any(|old| old.id == one.id)) {
            against.push(format!(
                "correction {:?} is known since {}, before now: say a later time, for invoices from before do not have it",
                one.id, one.known
            ));
        }
        if against.is_empty() { Ok(()) } else { Err(against) }
    }

    /// Whether a version is for one model alone for which its list has nothing: no invoice can have such use in it, since use without a price keeps invoices back.
    fn never_priced(&self, version: &PriceVersion) -> bool {
        let Selector::Exact(model) = &version.models else { return false };
        !self.prices.versions().any(|old| old.list == version.list && old.models.matches(model))
    }
}

/// Partners with those of their terms that have begun.
fn begun_terms(of: &Catalogue, now: Moment) -> BTreeMap<String, Partner> {
    let begun =
        |partner: &Partner| Partner { terms: partner.terms.range(..now).map(|(from, share)| (*from, *share)).collect(), ..partner.clone() };
    of.partners.iter().map(|(id, partner)| (id.clone(), begun(partner))).collect()
}

fn kept<T: PartialEq>(what: &str, old: &BTreeMap<String, T>, new: &BTreeMap<String, T>, against: &mut Vec<String>) {
    for (id, one) in old {
        match new.get(id) {
            Some(other) if other == one => {}
            Some(_) => against
                .push(format!("{what} {id:?} says something else than before: put it back, and give the new terms an id of their own")),
            None => against.push(format!("{what} {id:?} is gone: put it back, for there may be invoices that name it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::read;

    const OLD: &str = r#"
        currency = "EUR"
        [[price]]
        id = "v1"
        model = "*"
        from = "2026-01-01"
        rate = [{ unit = "calls", price = "0.01" }]
        [[plan]]
        id = "pro"
        kind = "subscription"
        fee = "20.00"
    "#;

    fn against(newer: &str) -> String {
        let now = "2026-06-01".parse().unwrap();
        read(OLD).unwrap().may_become(&read(newer).unwrap(), now).err().unwrap_or_default().join("\n")
    }

    #[test]
    fn a_later_price_and_a_new_plan_may_come() {
        let more =
            "[[price]]\nid='v2'\nmodel='*'\nfrom='2026-06-01'\nrate=[{unit='calls',price='0.02'}]\n[[plan]]\nid='free'\nkind='pay_per_use'";
        assert_eq!(against(&format!("{OLD}\n{more}")), "");
    }

    #[test]
    fn what_may_have_been_billed_must_stay() {
        assert!(against(&OLD.replace("0.01", "0.02")).contains("price \"v1\" says something else"));
        assert!(against(&OLD.replace("20.00", "25.00")).contains("plan \"pro\" says something else"));
        assert!(against(&OLD.replace("\"v1\"", "\"v0\"")).contains("price \"v1\" is gone"));
        assert!(against(&OLD.replace("EUR", "USD")).contains("currency says something else"));
        let backdated = "[[price]]\nid='v2'\nmodel='*'\nfrom='2026-05-31'\nrate=[{unit='calls',price='0.02'}]";
        assert!(against(&format!("{OLD}\n{backdated}")).contains("write a [[correction]]"));
    }

    #[test]
    fn a_model_that_had_no_price_may_get_one_that_has_begun() {
        let old = OLD.replace("model = \"*\"", "model = \"text\"");
        let against = |model: &str| {
            let late = format!("{old}\n[[price]]\nid='late'\nmodel='{model}'\nfrom='2026-02-01'\nrate=[{{unit='calls',price='0.02'}}]");
            let now = "2026-06-01".parse().unwrap();
            read(&old).unwrap().may_become(&read(&late).unwrap(), now).err().unwrap_or_default().join("\n")
        };
        assert_eq!(against("image"), "");
        for priced in ["text", "image*", "*"] {
            assert!(against(priced).contains("price \"late\" begins at 2026-02-01"), "{priced}: {}", against(priced));
        }
    }

    #[test]
    fn a_model_belongs_to_the_partner_who_names_it_best_and_is_never_free() {
        let partner = |id: &str, models: &str| Partner { id: id.into(), models: vec![models.parse().unwrap()], terms: BTreeMap::new() };
        let partners = [partner("a", "x-*"), partner("b", "x-7b"), partner("c", "x-*")];
        let catalogue = Catalogue { partners: partners.map(|one| (one.id.clone(), one)).into(), ..Catalogue::default() };
        let whose = |model| catalogue.partner(model).map(|partner| partner.id.as_str());
        assert_eq!((whose("x-7b"), whose("x-1b"), whose("y")), (Some("b"), Some("a"), None));
        let free = "currency='EUR'\n[[price]]\nid='p'\nmodel='*'\nfrom='2026-01-01'\n[[plan]]\nid='f'\nkind='freemium'\nbeyond='stop'\nfree=[{units=['calls'],quantity=9}]";
        let plan = read(free).unwrap().plans.remove("f").unwrap();
        let left = |model| catalogue.free_use(&plan, model, Unit::Calls, 1, 0);
        assert_eq!((left("y"), left("x-7b")), (FreeUse::Left(9), FreeUse::Charged));
    }
}
