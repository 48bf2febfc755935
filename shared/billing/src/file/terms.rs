//! `[[plan]]` and `[[coupon]]`.

use std::collections::BTreeSet;

use torchmesh_settings::Section;

use super::{Time, parsed, s_optional, s_required, whole_money};
use crate::{
    coupon::{Coupon, Off},
    currency::Currency,
    plan::{Allowance, Beyond, Plan, PlanKind},
    price::PriceBook,
    selector::Selector,
    share::Share,
    unit::Unit,
};

pub(super) fn plan(s: &mut Section, currency: Option<Currency>, prices: &PriceBook) -> Option<Plan> {
    let (id, list) = (s.required::<String>("id"), s.or("list", "standard".to_owned()));
    s.check(prices.has_list(&list), "list", format!("there is no [[price]] in the list {list:?}; add one, or name another list"));
    let kind = s.required::<String>("kind");
    let kind = match kind.as_deref() {
        Some("subscription") => {
            let (fee, included) = (whole_money(s, "fee", currency, true), allowances(s, "included"));
            fee.map(|fee| PlanKind::Subscription { fee, included })
        }
        Some("pay_per_use") => Some(PlanKind::PayPerUse),
        Some("freemium") => freemium(s),
        Some("bundle") => {
            let (seat, least_seats) = (whole_money(s, "seat", currency, true), s.or("least_seats", 1));
            let included = allowances(s, "included");
            seat.map(|seat| PlanKind::Bundle { seat, least_seats, included })
        }
        Some("partner") => partner(s, currency),
        Some(_) => {
            s.problem("kind", "must be \"subscription\", \"pay_per_use\", \"freemium\", \"bundle\" or \"partner\"");
            None
        }
        None => None,
    };
    let minimum = whole_money(s, "minimum", currency, false);
    Some(Plan { id: id?, list, kind: kind?, minimum })
}

fn freemium(s: &mut Section) -> Option<PlanKind> {
    let free = allowances(s, "free");
    s.check(!free.is_empty(), "free", "must have at least one, such as [{ units = [\"calls\"], quantity = 1000 }]");
    let beyond = match s.required::<String>("beyond").as_deref() {
        Some("stop") => Some(Beyond::Stop),
        Some("charge") => Some(Beyond::Charge),
        Some(_) => {
            s.problem("beyond", "must be \"stop\" or \"charge\"");
            None
        }
        None => None,
    };
    beyond.map(|beyond| PlanKind::Freemium { free, beyond })
}

fn partner(s: &mut Section, currency: Option<Currency>) -> Option<PlanKind> {
    let (fee, platform_share) = (whole_money(s, "fee", currency, true), parsed::<Share>(s, "platform_share", s_required));
    Some(PlanKind::Partner { fee: fee?, platform_share: platform_share? })
}

fn allowances(s: &mut Section, field: &str) -> Vec<Allowance> {
    let read = s.list(field, |s| {
        let units = units(s);
        let models = if s.has("model") { parsed::<Selector>(s, "model", s_required) } else { Some(Selector::any()) };
        let quantity = s.required::<u64>("quantity");
        Some(Allowance { units, models: models?, quantity: quantity? })
    });
    read.into_iter().flatten().collect()
}

fn units(s: &mut Section) -> BTreeSet<Unit> {
    let mut units = BTreeSet::new();
    for text in s.required::<Vec<String>>("units").unwrap_or_default() {
        match text.parse() {
            _ if text == "tokens" => units.extend([Unit::PromptTokens, Unit::CachedTokens, Unit::CompletionTokens]),
            Ok(unit) => drop(units.insert(unit)),
            Err(error) => s.problem("units", format!("{error}; \"tokens\" are all three kinds of them")),
        }
    }
    units
}

pub(super) fn coupon(s: &mut Section, currency: Option<Currency>) -> Option<Coupon> {
    let code = s.required::<String>("code");
    let (share, amount) = (parsed::<Share>(s, "share", s_optional), whole_money(s, "amount", currency, false));
    let off = match (share, amount) {
        (Some(share), None) => Some(Off::Share(share)),
        (None, Some(amount)) => Some(Off::Amount(amount)),
        _ => {
            s.problem("share", "say one of share (such as \"20%\") and amount (such as \"10.00\"), and say it right");
            None
        }
    };
    let periods = s.optional::<u32>("periods");
    s.check(periods != Some(0), "periods", "must be at least 1; leave it out for all periods");
    let expires = s.optional::<Time>("expires").map(|Time(at)| at);
    Some(Coupon { code: code?, off: off?, periods, expires })
}
