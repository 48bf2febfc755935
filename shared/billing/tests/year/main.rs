//! Twelve months of whatever may happen to a tenant: what must hold all the time.

mod life;
mod story;

use proptest::prelude::*;
use torchmesh_billing::{Account, Anchor, Bill, Ledger, Moment, Money, Rollup, StatementOf, Subscription, boundaries, invoice, statement};

use life::{Issued, Life, eur};
use story::{months, shuffled};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_ledger_balances_at_every_step_and_every_invoice_is_the_sum_of_its_parts(months in months(), from_sign_up in any::<bool>()) {
        let life = Life::live(&months, from_sign_up, |life| balanced(&life.ledger));
        for issued in &life.issued {
            parts_are_the_whole(issued)?;
        }
    }

    #[test]
    fn every_invoice_of_the_year_is_made_again_to_the_byte_from_shuffled_inputs(months in months(), from_sign_up in any::<bool>(), seed in any::<u64>()) {
        let life = Life::live(&months, from_sign_up, |_| ());
        let (usage, grants) = (shuffled(&life.usage, seed), shuffled(&life.grants, seed));
        let entries: Vec<_> = life.ledger.entries().cloned().collect();
        let ledger = Ledger::of(shuffled(&entries, seed)).unwrap();
        prop_assert_eq!(&ledger, &life.ledger);
        let subscription = Subscription::new(life.anchor, shuffled(life.subscription.events(), seed)).unwrap();
        for issued in &life.issued {
            let again = Bill { usage: &usage, grants: &grants, ledger: &ledger, subscription: &subscription, ..life.bill(issued) };
            let mut made = invoice(&again).unwrap();
            made.replaces.clone_from(&issued.invoice.replaces);
            prop_assert_eq!(made.to_json().unwrap(), issued.invoice.to_json().unwrap());
        }
    }

    #[test]
    fn an_invoice_does_not_depend_on_how_use_was_gathered(months in months(), from_sign_up in any::<bool>(), cuts in prop::collection::vec(0_u64..2_678_400_000, 0..6)) {
        let life = Life::live(&months, from_sign_up, |_| ());
        for issued in &life.issued {
            let period = issued.invoice.period;
            let mut at = boundaries(&life.catalogue, &life.subscription, &period).unwrap();
            at.extend(cuts.iter().map(|cut| period.start.later(*cut)).filter(|cut| period.contains(*cut)));
            let at: Vec<Moment> = at.into_iter().collect();
            let usage = gathered(&life.usage, &at);
            let mut made = invoice(&Bill { usage: &usage, ..life.bill(issued) }).unwrap();
            made.replaces.clone_from(&issued.invoice.replaces);
            prop_assert_eq!(made.to_json().unwrap(), issued.invoice.to_json().unwrap());
        }
    }

    #[test]
    fn a_partners_statements_go_on_from_each_other_and_end_at_the_ledger(months in months()) {
        let life = Life::live(&months, false, |_| ());
        let invoices: Vec<_> = life.issued.iter().map(|issued| issued.invoice.clone()).collect();
        let mut period = Anchor::Calendar.period("2026-01-01".parse().unwrap()).unwrap();
        let mut before = eur(0);
        for _ in 0..15 {
            let of = StatementOf { number: "S", partner: "labs", currency: before.currency(), period, invoices: &invoices, notes: &life.notes, ledger: &life.ledger };
            let made = statement(&of).unwrap();
            prop_assert_eq!(made.opening, before);
            prop_assert!(made.paid.is_zero());
            before = made.closing;
            period = Anchor::Calendar.next(&period).unwrap();
        }
        let owed = life.ledger.balance(&Account::PartnerPayable("labs".into()), before.currency(), Moment::LAST).unwrap();
        prop_assert_eq!(before, owed.negated());
    }
}

/// All accounts together have nothing.
fn balanced(ledger: &Ledger) {
    let balances = ledger.balances().unwrap();
    let sum = Money::sum(eur(0).currency(), balances.values().copied()).unwrap();
    assert!(sum.is_zero(), "{balances:?}");
    for ((account, _), balance) in &balances {
        assert!(!matches!(account, Account::Credits { .. }) || balance.is_negative(), "{account} has {balance}");
    }
}

fn parts_are_the_whole(issued: &Issued) -> Result<(), TestCaseError> {
    let invoice = &issued.invoice;
    let sum = |amounts: Vec<Money>| Money::sum(invoice.currency, amounts).unwrap();
    let discount = sum(invoice.discounts.iter().map(|one| one.amount).collect());
    prop_assert_eq!(sum(invoice.lines.iter().map(|line| line.amount).collect()), invoice.subtotal);
    prop_assert_eq!(sum(invoice.lines.iter().map(|line| line.discount).collect()), discount);
    prop_assert_eq!(invoice.subtotal.minus(discount).unwrap(), invoice.net);
    prop_assert_eq!(invoice.net.plus(invoice.tax).unwrap(), invoice.total);
    let credits = sum(invoice.credits.iter().map(|one| one.amount).collect());
    prop_assert_eq!(invoice.total.minus(credits).unwrap(), invoice.due);
    prop_assert!(!invoice.due.is_negative());
    for line in &invoice.lines {
        prop_assert!(!line.net.is_negative() && line.amount.minor().is_ok() && line.tax.minor().is_ok());
        if let Some(cut) = &line.partner {
            prop_assert_eq!(cut.platform.plus(cut.payable).unwrap(), line.amount);
        }
    }
    Ok(())
}

/// The same use, as sums over the times between instants.
fn gathered(usage: &[Rollup], at: &[Moment]) -> Vec<Rollup> {
    let mut sums: Vec<Rollup> = Vec::new();
    for time in at.windows(2) {
        for one in usage.iter().filter(|one| time[0] <= one.from && one.from < time[1]) {
            match sums.iter_mut().find(|sum| sum.from == time[0] && sum.model == one.model && sum.batch == one.batch) {
                Some(sum) => sum.usage = sum.usage.plus(&one.usage).unwrap(),
                None => sums.push(Rollup { from: time[0], to: time[1], ..one.clone() }),
            }
        }
    }
    sums
}
