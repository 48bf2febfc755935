//! What partners get.

use torchmesh_billing::{Account, Entry, Invoice, Moment, StatementOf, Usage, ledger::Ledger, statement};

use crate::desk::{Desk, at, eur};

fn calls(count: u64) -> Usage {
    Usage { calls: count, ..Usage::default() }
}

#[test]
fn a_partner_gets_the_price_without_the_platforms_share_whatever_the_coupons() {
    // 11 × 0.03 = 0.33; 15% is 0.0495 → 0.05; the partner gets 0.28. TENTH takes 0.03 off, which the platform bears: revenue is 0.30 − 0.33 = −0.03.
    let mut desk = Desk::on("payg", "2026-06-01").coupon("2026-06-01", "TENTH").used("2026-06-02", "labs-7b", calls(11));
    let invoice = desk.issue("2026-06-01");
    let cut = invoice.lines[0].partner.as_ref().unwrap();
    assert_eq!((cut.partner.as_str(), cut.platform, cut.payable), ("labs", eur("0.05"), eur("0.28")));
    let balance = |account| desk.ledger.balance(&account, eur("0").currency(), Moment::LAST).unwrap();
    assert_eq!(balance(Account::PartnerPayable("labs".into())), eur("-0.28"));
    assert_eq!(balance(Account::PlatformShare), eur("-0.05"));
    assert_eq!(balance(Account::Revenue), eur("0.03"));
    assert_eq!(balance(Account::Receivable("acme".into())), eur("0.30"));
}

#[test]
fn what_a_plan_includes_never_covers_a_partners_model() {
    let sold = crate::desk::SOLD.replace("units = [\"tokens\"]", "units = [\"tokens\", \"calls\"]");
    let desk = Desk::sold(&sold).change("2026-06-01", crate::desk::start("pro", 1)).used("2026-06-02", "labs-7b", calls(100));
    // 90.00 and 100 × 0.03.
    assert_eq!(desk.invoice("2026-06-01").due, eur("93.00"));
}

fn statement_of(invoices: &[Invoice], ledger: &Ledger, month: &str) -> torchmesh_billing::Statement {
    let of = StatementOf {
        number: "S-1",
        partner: "labs",
        currency: eur("0").currency(),
        period: torchmesh_billing::Anchor::Calendar.period(at(month)).unwrap(),
        invoices,
        notes: &[],
        ledger,
    };
    statement(&of).unwrap()
}

#[test]
fn a_statement_goes_on_from_the_one_before() {
    // June: 1000 calls, 30.00: 4.50 and 25.50. July: 200 calls, 6.00: 0.90 and 5.10. Invoices are issued in the month after; 20.00 are paid in July.
    let mut desk = Desk::on("payg", "2026-06-01").used("2026-06-02", "labs-7b", calls(1000)).used("2026-07-02", "labs-7b", calls(200));
    let invoices = [desk.issue("2026-06-01"), desk.issue("2026-07-01")];
    desk.post(Some(Entry::partner_paid("1", at("2026-07-15"), "labs", eur("20.00")).unwrap()));
    let july = statement_of(&invoices, &desk.ledger, "2026-07-01");
    assert_eq!((july.opening, july.earned, july.paid, july.closing), (eur("0.00"), eur("25.50"), eur("20.00"), eur("5.50")));
    let line = &july.lines[0];
    assert_eq!((line.quantity, line.gross, line.platform, line.payable), (1000, eur("30.00"), eur("4.50"), eur("25.50")));
    let august = statement_of(&invoices, &desk.ledger, "2026-08-01");
    assert_eq!((august.opening, august.earned, august.paid, august.closing), (eur("5.50"), eur("5.10"), eur("0.00"), eur("10.60")));
    let reversed = [invoices[1].clone(), invoices[0].clone()];
    assert_eq!(statement_of(&reversed, &desk.ledger, "2026-08-01").to_json().unwrap(), august.to_json().unwrap());
}
