//! Credit notes, refunds and corrections.

use torchmesh_billing::{
    Account, Bill, BillingError, CreditNote, Entry, Heading, Moment, StatementOf, Usage, ledger::Appended, price::Correction, reissue,
    statement,
};

use crate::desk::{Desk, at, eur};

fn heading(number: &str) -> Heading<'_> {
    Heading { number, issued: at("2026-07-10"), reason: "an outage" }
}

fn owed(desk: &Desk) -> torchmesh_billing::Money {
    desk.ledger.balance(&Account::Receivable("acme".into()), eur("0").currency(), Moment::LAST).unwrap()
}

#[test]
fn a_line_that_is_given_back_in_parts_gives_back_its_whole_tax() {
    // 30.00 and 19% = 5.70. Of 0.08 it is 0.0152 → 0.02; of 0.16 it is 0.0304 → 0.03, so 0.01 more; and 5.70 − 0.03 = 5.67. Each for itself: 0.02, 0.02 and 5.67.
    let mut desk = Desk::on("basic", "2026-06-01").taxed("19%");
    let invoice = desk.issue("2026-06-01");
    let mut notes = Vec::new();
    for (number, net, tax) in [("N1", "0.08", "0.02"), ("N2", "0.08", "0.01"), ("N3", "29.84", "5.67")] {
        let note = CreditNote::new(&invoice, &notes, heading(number), &[(1, eur(net))].into()).unwrap();
        assert_eq!(note.tax, eur(tax), "{number}");
        desk.post(note.entry().unwrap());
        notes.push(note);
    }
    assert!(owed(&desk).is_zero());
    let more = CreditNote::new(&invoice, &notes, heading("N4"), &[(1, eur("0.01"))].into());
    assert!(matches!(more, Err(BillingError::OverCredited { line: 1, .. })));
}

#[test]
fn a_paid_invoice_that_is_given_back_is_refunded() {
    let mut desk = Desk::on("basic", "2026-06-01").taxed("19%").items("2026-06-02", 400);
    let invoice = desk.issue("2026-06-01");
    desk.post(Some(Entry::payment("p", at("2026-07-05"), "acme", invoice.due).unwrap()));
    let note = CreditNote::whole(&invoice, &[], heading("N1")).unwrap();
    assert_eq!((note.net, note.tax, note.total), (invoice.net, invoice.tax, invoice.total));
    desk.post(note.entry().unwrap());
    assert_eq!(owed(&desk), invoice.due.negated());
    let refund = Entry::refund("r", at("2026-07-11"), "acme", invoice.due).unwrap();
    assert_eq!(desk.ledger.append(refund.clone()), Ok(Appended::New));
    assert_eq!(desk.ledger.append(refund), Ok(Appended::Already));
    let left = desk.ledger.balances().unwrap();
    assert_eq!(left.keys().map(|(account, _)| account.clone()).collect::<Vec<_>>(), [Account::Payments, Account::Refunds]);
}

#[test]
fn a_note_takes_the_partners_part_back() {
    // 100 × 0.03 = 3.00: 0.45 and 2.55. A third back: 0.15 and 0.85.
    let mut desk = Desk::on("payg", "2026-06-01").used("2026-06-02", "labs-7b", Usage { calls: 100, ..Usage::default() });
    let invoice = desk.issue("2026-06-01");
    let note = CreditNote::new(&invoice, &[], heading("N1"), &[(1, eur("1.00"))].into()).unwrap();
    let cut = note.lines[0].partner.as_ref().unwrap();
    assert_eq!((cut.platform, cut.payable), (eur("0.15"), eur("0.85")));
    desk.post(note.entry().unwrap());
    let period = torchmesh_billing::Anchor::Calendar.period(at("2026-07-01")).unwrap();
    let of = StatementOf {
        number: "S",
        partner: "labs",
        currency: eur("0").currency(),
        period,
        invoices: &[invoice],
        notes: &[note],
        ledger: &desk.ledger,
    };
    let said = statement(&of).unwrap();
    assert_eq!((said.earned, said.closing, said.lines[0].gross), (eur("1.70"), eur("1.70"), eur("2.00")));
}

#[test]
fn a_wrong_price_is_corrected_exactly_and_the_old_invoice_can_still_be_made() {
    // 1000 images should have cost 0.008: 8.00, not 10.00. The credit of 4.00 that paid a part pays a part of the new one.
    let mut desk = Desk::on("payg", "2026-06-01").items("2026-06-02", 1000).credit("c", "4.00", None);
    let old = desk.issue("2026-06-01");
    assert_eq!((old.total, old.due), (eur("10.00"), eur("6.00")));
    let rates = [("items".parse().unwrap(), torchmesh_billing::price::Rate::flat(eur("0.008"), 1).unwrap())].into();
    desk.catalogue.prices.correct(Correction { id: "fix".into(), version: "image".into(), known: at("2026-07-03"), rates }).unwrap();
    let made =
        desk.bill("2026-06-01", |bill| reissue(&old, &Bill { number: "acme-2026-06-01-b", issued: at("2026-07-04"), ..*bill }).unwrap());
    for entry in [made.reversal, made.entry] {
        desk.post(entry);
    }
    assert_eq!(
        (made.invoice.total, made.invoice.due, made.invoice.replaces.as_deref()),
        (eur("8.00"), eur("4.00"), Some("acme-2026-06-01"))
    );
    assert_eq!(owed(&desk), eur("4.00"));
    let revenue = desk.ledger.balance(&Account::Revenue, eur("0").currency(), Moment::LAST).unwrap();
    assert_eq!(revenue, eur("-8.00"));
    assert_eq!(desk.invoice("2026-06-01").to_json().unwrap(), old.to_json().unwrap());
}
