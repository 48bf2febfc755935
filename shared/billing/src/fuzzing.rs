//! What the fuzz target of price books holds this crate to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use crate::{
    Anchor, Bill, Catalogue, Change, Currency, Invoice, Ledger, Moment, Money, Period, Rollup, Subscription, SubscriptionEvent, Tenant,
    Usage, boundaries, file, invoice,
};

/// The most plans and coupons of a file that are tried.
const MOST: usize = 4;

/// A `billing.toml`: every mistake has a place and a remedy; of what is taken, invoices for every plan are the same each time, every sum is that of its parts, and nothing
/// that must not be is less than nothing.
pub fn billing(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let catalogue = match file::read(text) {
        Ok(catalogue) => catalogue,
        Err(problems) => {
            assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| !problem.message.is_empty()), "{problems}");
            return;
        }
    };
    let Some(currency) = catalogue.currency else { return };
    for plan in catalogue.plans.keys().take(MOST) {
        invoiced(&catalogue, currency, plan);
    }
}

fn invoiced(catalogue: &Catalogue, currency: Currency, plan: &str) {
    let at: Moment = "2026-02-01".parse().expect("it is a time");
    let start = Change::Start { plan: plan.to_owned(), seats: 3, trial_until: None };
    let coupons = catalogue.coupons.keys().take(MOST).map(|code| Change::Coupon { code: code.clone() });
    let changes = [start].into_iter().chain(coupons).enumerate();
    let events = changes.map(|(number, change)| SubscriptionEvent { id: number.to_string(), at, change });
    let subscription = Subscription::new(Anchor::Calendar, events).expect("a plan begins, and coupons are redeemed");
    let period = Anchor::Calendar.period(at).expect("it is in a month");
    let Ok(usage) = used(catalogue, &subscription, &period) else { return };
    let tenant = Tenant { id: "acme".to_owned(), currency, tax: None };
    let ledger = Ledger::default();
    let bill = Bill {
        number: "1",
        tenant: &tenant,
        period,
        issued: period.end,
        catalogue,
        subscription: &subscription,
        usage: &usage,
        grants: &[],
        ledger: &ledger,
    };
    let Ok(made) = invoice(&bill) else { return };
    let written = made.to_json().expect("it can be written");
    assert_eq!(invoice(&bill).map(|again| again.to_json().unwrap_or_default()).as_ref(), Ok(&written), "another the second time");
    assert_eq!(serde_json::from_str::<Invoice>(&written).ok().as_ref(), Some(&made), "it reads back");
    hold(&made);
}

/// A little of everything, of calls and of batches, between all instants at which something changes.
fn used(catalogue: &Catalogue, subscription: &Subscription, period: &Period) -> Result<Vec<Rollup>, crate::BillingError> {
    let usage =
        Usage { calls: 3, prompt_tokens: 2000, cached_tokens: 500, completion_tokens: 70, items: 5, audio_ms: 61_000, compute_us: 999 };
    let instants = boundaries(catalogue, subscription, period)?.into_iter().filter(|at| period.contains(*at));
    let both = |at, model: &str| [Rollup::event(at, model, usage), Rollup::batched(at, model, usage)];
    Ok(instants.flat_map(|at| ["bert", "acme-x"].into_iter().flat_map(move |model| both(at, model))).collect())
}

fn hold(made: &Invoice) {
    let sum = |of: fn(&crate::invoice::Line) -> Money| Money::sum(made.currency, made.lines.iter().map(of)).expect("it was summed before");
    assert_eq!((made.subtotal, made.net, made.tax), (sum(|line| line.amount), sum(|line| line.net), sum(|line| line.tax)));
    assert_eq!(made.net.plus(made.tax).ok(), Some(made.total));
    for line in &made.lines {
        let all = [line.amount, line.discount, line.net, line.tax];
        assert!(all.iter().all(|amount| !amount.is_negative() && amount.minor().is_ok()), "{line:?}");
        assert_eq!(line.net.plus(line.discount).ok(), Some(line.amount), "{line:?}");
        if let Some(cut) = &line.partner {
            assert!(
                !cut.platform.is_negative() && !cut.payable.is_negative() && cut.platform.plus(cut.payable).ok() == Some(line.amount),
                "{line:?}"
            );
        }
    }
    assert!(!made.due.is_negative() && !made.total.is_negative(), "{made:?}");
    made.entry().expect("what is owed is what was earned");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_billing_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/billing"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::billing(&fs::read(seed).unwrap());
        }
    }
}
