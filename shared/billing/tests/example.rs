//! The example of docs/billing.md: the file is read, and the figures are those that it says.

use torchmesh_billing::{
    Anchor, Bill, Catalogue, Change, Invoice, Ledger, Money, Rollup, Subscription, SubscriptionEvent, Tax, Tenant, Usage,
    credit::CreditGrant, file, invoice,
};

const DOCUMENT: &str = include_str!("../../../docs/billing.md");

fn catalogue() -> Catalogue {
    let text = DOCUMENT.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    file::read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn money(text: &str) -> Money {
    format!("{text} EUR").parse().unwrap()
}

fn january() -> Invoice {
    let start = Change::Start { plan: "pro".into(), seats: 1, trial_until: None };
    let event = |id: &str, change| SubscriptionEvent { id: id.into(), at: "2026-01-11".parse().unwrap(), change };
    let events = [event("a", start), event("b", Change::Coupon { code: "SPRING".into() })];
    let subscription = Subscription::new(Anchor::Calendar, events).unwrap();
    let tokens = Usage { prompt_tokens: 12_000_000, cached_tokens: 2_000_000, completion_tokens: 3_000_000, calls: 40, ..Usage::default() };
    let usage = [
        Rollup::event("2026-01-20".parse().unwrap(), "smollm2", tokens),
        Rollup::event("2026-01-25".parse().unwrap(), "labs-7b", Usage { calls: 1000, ..Usage::default() }),
    ];
    let granted = "2026-01-11".parse().unwrap();
    let grant = CreditGrant { id: "c".into(), tenant: "acme".into(), amount: money("25"), granted, expires: None, bought: true };
    let ledger = Ledger::of([grant.entry().unwrap()]).unwrap();
    let tax = Some(Tax { name: "VAT".into(), rate: "19%".parse().unwrap() });
    let tenant = Tenant { id: "acme".into(), currency: "EUR".parse().unwrap(), tax };
    let bill = Bill {
        number: "2026-0001",
        tenant: &tenant,
        period: Anchor::Calendar.period(granted).unwrap(),
        issued: "2026-02-01T06:00:00Z".parse().unwrap(),
        catalogue: &catalogue(),
        subscription: &subscription,
        usage: &usage,
        grants: &[grant],
        ledger: &ledger,
    };
    invoice(&bill).unwrap()
}

#[test]
fn the_example_of_the_document_is_read() {
    let catalogue = catalogue();
    assert_eq!(catalogue.plans.keys().collect::<Vec<_>>(), ["free", "partner", "payg", "pro", "team"]);
    assert_eq!((catalogue.prices.versions().count(), catalogue.coupons.len(), catalogue.partners.len()), (4, 1, 1));
}

#[test]
fn the_lines_of_the_documents_table_are_those_of_the_invoice() {
    let rows = DOCUMENT.split("| line | how |").nth(1).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
    let said: Vec<Vec<Money>> = rows.map(|row| row.trim_matches('|').split('|').skip(2).map(|cell| money(cell.trim())).collect()).collect();
    let made: Vec<_> = january().lines.iter().map(|line| vec![line.amount, line.discount, line.net, line.tax]).collect();
    assert_eq!(said, made);
}

#[test]
fn the_sums_of_the_document_are_those_of_the_invoice() {
    let invoice = january();
    let discount = invoice.subtotal.minus(invoice.net).unwrap();
    let sums = [invoice.subtotal, discount, invoice.net, invoice.tax, invoice.total, invoice.credits[0].amount, invoice.due];
    assert_eq!(sums, ["36.27", "3.63", "32.64", "6.20", "38.84", "25.00", "13.84"].map(money));
    let example = DOCUMENT.split("## An example").nth(1).unwrap();
    for said in [
        "subtotal is 36.27",
        "so 3.63 is taken off",
        "net 32.64, VAT 6.20, total 38.84",
        "pays 25.00; due are 13.84 EUR",
        "gets 1.60, the platform 0.40",
    ] {
        assert!(example.contains(said), "{said:?} is not in the document");
    }
    let cut = invoice.lines[1].partner.as_ref().unwrap();
    assert_eq!((cut.payable, cut.platform), (money("1.60"), money("0.40")));
    let included: Vec<_> = invoice.lines.iter().filter(|line| line.unit_price.is_none()).map(|line| line.quantity).collect();
    assert_eq!(included, [3_774_194, 3_000_000]);
}
