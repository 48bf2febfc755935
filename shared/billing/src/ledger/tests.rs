use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn at(day: u32) -> Moment {
    format!("2026-01-{day:02}").parse().unwrap()
}

fn owes(tenant: &str) -> Account {
    Account::Receivable(tenant.into())
}

fn sale(id: &str, day: u32, amount: &str) -> Entry {
    let amount = money(amount);
    Entry::new(id, at(day), What::Invoice(id.into()), [(owes("acme"), amount), (Account::Revenue, amount.negated())]).unwrap()
}

#[test]
fn an_entry_that_does_not_balance_cannot_be_made_or_read() {
    let postings = [(owes("acme"), money("10 EUR")), (Account::Revenue, money("-9.99 EUR"))];
    assert!(matches!(Entry::new("a", at(1), What::Payment, postings), Err(BillingError::Unbalanced { .. })));
    let currencies = [(owes("acme"), money("10 EUR")), (Account::Revenue, money("-10 USD"))];
    assert!(Entry::new("a", at(1), What::Payment, currencies).is_err());
    assert!(matches!(Entry::new("a", at(1), What::Payment, []), Err(BillingError::EmptyEntry(_))));
    let text = serde_json::to_string(&sale("a", 1, "10 EUR")).unwrap();
    assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), sale("a", 1, "10 EUR"));
    assert!(serde_json::from_str::<Entry>(&text.replace("-10.00", "-10.01")).is_err());
}

#[test]
fn an_entry_counts_once_and_its_id_is_not_used_again() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.append(sale("a", 1, "10 EUR")), Ok(Appended::New));
    assert_eq!(ledger.append(sale("a", 1, "10 EUR")), Ok(Appended::Already));
    assert!(ledger.append(sale("a", 1, "11 EUR")).is_err());
    assert!(ledger.append(sale("a", 2, "10 EUR")).is_err());
    assert_eq!(ledger.entries().count(), 1);
}

#[test]
fn a_balance_is_a_sum_over_entries_before_an_instant() {
    let payment = Entry::payment("p", at(5), "acme", money("4 EUR")).unwrap();
    let ledger = Ledger::of([payment, sale("b", 3, "2 EUR"), sale("a", 1, "10 EUR")]).unwrap();
    let owed = |before| ledger.balance(&owes("acme"), money("0 EUR").currency(), before).unwrap().to_string();
    assert_eq!([at(1), at(2), at(5), at(6)].map(owed), ["0.00 EUR", "10.00 EUR", "12.00 EUR", "8.00 EUR"]);
}

#[test]
fn a_reversal_is_an_entry_and_leaves_nothing() {
    let mut ledger = Ledger::of([sale("a", 1, "10 EUR")]).unwrap();
    ledger.append(ledger.reversal("a", at(9)).unwrap()).unwrap();
    assert!(ledger.balances().unwrap().is_empty());
    assert_eq!(ledger.entries().count(), 2);
    assert!(ledger.reversal("b", at(9)).is_err());
}

#[test]
fn credit_is_not_used_twice() {
    let credits = Account::Credits { tenant: "acme".into(), grant: "g".into() };
    let bought =
        Entry::new("g", at(1), What::CreditBought, [(Account::Payments, money("5 EUR")), (credits.clone(), money("-5 EUR"))]).unwrap();
    let used =
        |id: &str| Entry::new(id, at(2), What::Payment, [(credits.clone(), money("3 EUR")), (Account::Revenue, money("-3 EUR"))]).unwrap();
    let mut ledger = Ledger::of([bought.clone(), used("a")]).unwrap();
    assert!(matches!(ledger.append(used("b")), Err(BillingError::Overspent(_))));
    assert_eq!(ledger.entries().count(), 2);
    assert!(Ledger::of([used("a"), used("b"), bought]).is_err());
}

#[test]
fn payments_of_nothing_are_refused() {
    for amount in ["0 EUR", "-1 EUR", "0.001 EUR"] {
        assert!(Entry::payment("p", at(1), "acme", money(amount)).is_err());
        assert!(Entry::refund("p", at(1), "acme", money(amount)).is_err());
        assert!(Entry::partner_paid("p", at(1), "acme", money(amount)).is_err());
    }
}
