//! Invoices: issued once, replaced and given back.

use torchmesh_billing::When;

use super::{SOLD, Shop, at, call, tenant, tokens};
use crate::{
    access::{Asker, Role},
    billing::{self, InvoiceState, NewNote},
    error::Refusal,
    page::Page,
    tests::member,
    usage,
};

async fn credit(shop: &Shop, number: &str, id: &str, lines: &[(u32, String)], now: &str) -> Result<String, Refusal> {
    let new = NewNote { id, lines, reason: "an outage" };
    billing::credit(&shop.store, &Asker::Operator, number, new, at(now)).await.map(|note| note.total.number())
}

async fn state(shop: &Shop, number: &str) -> InvoiceState {
    billing::find_invoice(&shop.store, &Asker::Operator, number).await.unwrap().state()
}

#[tokio::test]
async fn a_month_of_use_is_invoiced_to_the_cent_and_once() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-16T00:00:00Z").await;
    // Of 30 days 15 are charged: 15.00. 12 345 × 0.50 ÷ 1000 = 6.1725 → 6.17; 2 001 × 1.50 ÷ 1000 = 3.0015 → 3.00; 3 × 0.01. Together 24.20.
    shop.used("2026-06-16T00:00:00Z", "text", 0, tokens(12_000, 2000)).await;
    shop.used("2026-06-29T23:59:59.999Z", "text", 1, tokens(345, 1)).await;
    for _ in 0..3 {
        shop.used("2026-06-20T10:30:00Z", "image", 0, tokens(0, 0)).await;
    }
    // Neither of these is paid: one failed, one named no model, one came before the subscription, one after the month.
    shop.used("2026-06-20", "image", 13, tokens(0, 0)).await;
    shop.used("2026-06-20", "", 0, tokens(0, 0)).await;
    shop.used("2026-06-15T23:59:59.999Z", "text", 0, tokens(1_000_000, 0)).await;
    shop.used("2026-07-01", "image", 0, tokens(0, 0)).await;
    assert!(shop.issue("2026-06-30T23:59:59Z").await.is_empty(), "the month is not over");
    assert_eq!(shop.spent("2026-06-30T23:59:59Z").await, "24.20");
    let issued = shop.issue("2026-07-01T00:00:01Z").await;
    assert_eq!(issued.iter().map(|made| (&*made.number, made.total.number())).collect::<Vec<_>>(), [("INV-000001", "24.20".to_owned())]);
    assert!(shop.issue("2026-07-02").await.is_empty());
    assert_eq!(shop.owed().await, "24.20");
    let kept = billing::find_invoice(&shop.store, &Asker::Operator, "INV-000001").await.unwrap();
    assert_eq!((kept.content.clone(), kept.sha256.len(), kept.state()), (issued[0].to_json().unwrap(), 64, InvoiceState::Issued));
}

#[tokio::test]
async fn a_change_in_the_middle_of_an_hour_counts_from_its_moment_on() {
    let shop = Shop::open().await;
    shop.start("payg", "2026-06-01").await;
    let sold = format!("{SOLD}\n[[price]]\nid='dearer'\nmodel='image'\nfrom='2026-06-10T10:30:00Z'\nrate=[{{unit='calls',price='1.00'}}]");
    assert!(shop.sells(&sold, "2026-06-05").await.unwrap());
    // 2 × 0.01 before, 3 × 1.00 from then on.
    for when in ["10:29:58", "10:29:59", "10:30:00", "10:30:01", "11:00:00"] {
        shop.used(&format!("2026-06-10T{when}Z"), "image", 0, tokens(0, 0)).await;
    }
    assert_eq!(shop.issue("2026-07-01").await[0].total.number(), "3.02");
}

#[tokio::test]
async fn every_period_that_is_over_gets_its_invoice_and_numbers_have_no_gaps() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-02-01").await;
    shop.subscribe("payg", When::PeriodEnd, "2026-03-15").await.unwrap();
    // Nothing is billed for April: what was not used costs nothing.
    shop.used("2026-05-02", "image", 0, tokens(0, 0)).await;
    let made = shop.issue("2026-06-10").await;
    let told: Vec<_> = made.iter().map(|made| (made.period.start.date(), made.total.number())).collect();
    let said = [("2026-02-01", "30.00"), ("2026-03-01", "30.00"), ("2026-05-01", "0.01")];
    assert_eq!(told, said.map(|(date, total)| (date.to_owned(), total.to_owned())));
    assert_eq!(made.iter().map(|made| &*made.number).collect::<Vec<_>>(), ["INV-000001", "INV-000002", "INV-000003"]);
    let page = Page::of(2, "").unwrap();
    let mut first = billing::list_invoices(&shop.store, &shop.acme, &page).await.unwrap();
    let next = page.cut(&mut first, |kept| kept.sequence.to_string());
    let rest = billing::list_invoices(&shop.store, &shop.acme, &Page::of(2, &next).unwrap()).await.unwrap();
    assert_eq!((&*first[0].invoice.number, rest.len(), &*rest[0].invoice.number), ("INV-000003", 1, "INV-000001"));
}

#[tokio::test]
async fn a_price_that_was_wrong_is_corrected_by_another_invoice_in_the_first_ones_place() {
    let shop = Shop::open().await;
    shop.start("payg", "2026-06-01").await;
    shop.credit("k", "1.00", "2026-06-02").await;
    for _ in 0..4 {
        shop.used("2026-06-03", "text", 0, tokens(1000, 0)).await;
    }
    let old = shop.issue("2026-07-01").await.remove(0);
    assert_eq!((old.total.number(), shop.owed().await), ("2.00".to_owned(), "1.00".to_owned()));
    let reissue = async |now| billing::reissue(&shop.billing, &shop.store, &Asker::Operator, &old.number, at(now)).await;
    let same = reissue("2026-07-02").await;
    assert!(matches!(&same, Err(Refusal::State(why)) if why.contains("the same again")), "{same:?}");
    let fix = "[[correction]]\nid='fix'\nprice='text'\nknown='2026-07-03'\nrate=[{unit='prompt_tokens',per=1000,price='0.40'}]";
    shop.sells(&format!("{SOLD}\n{fix}"), "2026-07-02").await.unwrap();
    let new = reissue("2026-07-04").await.unwrap();
    assert_eq!((new.total.number(), new.replaces.as_deref(), shop.owed().await), ("1.60".into(), Some("INV-000001"), "0.60".into()));
    assert_eq!((state(&shop, &old.number).await, state(&shop, &new.number).await), (InvoiceState::Replaced, InvoiceState::Issued));
    for refused in [reissue("2026-07-05").await.err(), credit(&shop, &old.number, "n", &[], "2026-07-05").await.err()] {
        assert!(matches!(&refused, Some(Refusal::State(why)) if why.contains("was replaced by INV-000002")), "{refused:?}");
    }
    assert!(shop.issue("2026-07-05").await.is_empty(), "June has its invoice");
}

#[tokio::test]
async fn what_is_given_back_is_given_back_once_and_no_more_than_there_is() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    let number = shop.issue("2026-07-01").await.remove(0).number;
    let part = [(1, "10.00".to_owned())];
    for _ in 0..2 {
        assert_eq!(credit(&shop, &number, "outage", &part, "2026-07-02").await.unwrap(), "10.00");
    }
    let other = credit(&shop, &number, "outage", &[(1, "11.00".to_owned())], "2026-07-02").await;
    assert!(matches!(other, Err(Refusal::Exists(_))), "{other:?}");
    assert_eq!((state(&shop, &number).await, shop.owed().await), (InvoiceState::PartlyCredited, "20.00".to_owned()));
    let more = credit(&shop, &number, "more", &[(1, "20.01".to_owned())], "2026-07-02").await;
    assert!(matches!(&more, Err(Refusal::State(why)) if why.contains("20.00")), "{more:?}");
    let wrong = credit(&shop, &number, "wrong", &[(9, "1.00".to_owned())], "2026-07-02").await;
    assert!(matches!(wrong, Err(Refusal::Invalid(_))), "{wrong:?}");
    assert_eq!(credit(&shop, &number, "all", &[], "2026-07-03").await.unwrap(), "20.00");
    assert_eq!((state(&shop, &number).await, shop.owed().await), (InvoiceState::Credited, "0.00".to_owned()));
    let nothing = credit(&shop, &number, "again", &[], "2026-07-03").await;
    assert!(matches!(&nothing, Err(Refusal::State(why)) if why.contains("nothing of the invoice")), "{nothing:?}");
    let reissued = billing::reissue(&shop.billing, &shop.store, &Asker::Operator, &number, at("2026-07-04")).await;
    assert!(matches!(&reissued, Err(Refusal::State(why)) if why.contains("credit notes were given")), "{reissued:?}");
}

#[tokio::test]
async fn a_strangers_invoice_is_not_there_and_members_issue_and_give_back_nothing() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    let number = shop.issue("2026-07-01").await.remove(0).number;
    let note = NewNote { id: "n", lines: &[], reason: "mine" };
    let stranger = member(&tenant(&shop.store, "bolt").await, Role::Owner);
    for refused in [
        billing::find_invoice(&shop.store, &stranger, &number).await.err(),
        billing::reissue(&shop.billing, &shop.store, &stranger, &number, at("2026-07-02")).await.err(),
        billing::credit(&shop.store, &stranger, &number, note, at("2026-07-02")).await.err(),
        billing::find_note(&shop.store, &stranger, "CN-000001").await.err(),
    ] {
        assert!(matches!(refused, Some(Refusal::Absent(_))), "{refused:?}");
    }
    let owner = member(&shop.acme, Role::Owner);
    assert!(billing::find_invoice(&shop.store, &owner, &number).await.is_ok());
    for refused in [
        billing::issue(&shop.billing, &shop.store, &owner, &shop.acme, 0, at("2026-08-01")).await.err(),
        billing::reissue(&shop.billing, &shop.store, &owner, &number, at("2026-07-02")).await.err(),
        billing::credit(&shop.store, &owner, &number, note, at("2026-07-02")).await.err(),
    ] {
        assert!(matches!(refused, Some(Refusal::Denied(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_partner_is_told_month_by_month_what_its_models_brought_in() {
    let shop = Shop::open().await;
    shop.start("payg", "2026-05-01").await;
    let labs = tenant(&shop.store, "labs").await;
    for (when, count) in [("2026-05-03", 10), ("2026-06-03", 20)] {
        let calls: Vec<_> = (0..count).map(|_| call("acme", when, "labs-7b", 0, tokens(0, 0))).collect();
        usage::record(&shop.store, &calls).await.unwrap();
    }
    shop.issue("2026-06-01").await;
    shop.issue("2026-07-01").await;
    // 0.10 and 0.20, of which the platform keeps a fifth. Invoices are issued in the month after.
    let page = Page::of(10, "").unwrap();
    let (told, _) = billing::statements(&shop.billing, &shop.store, &labs, &page, at("2026-07-15")).await.unwrap();
    let told: Vec<_> = told.iter().map(|told| (&*told.number, told.opening.number(), told.earned.number())).collect();
    assert_eq!(
        told,
        [("ST-labs-2026-07", "0.08".to_owned(), "0.16".to_owned()), ("ST-labs-2026-06", "0.00".to_owned(), "0.08".to_owned())]
    );
    let (none, _) = billing::statements(&shop.billing, &shop.store, &shop.acme, &page, at("2026-07-15")).await.unwrap();
    assert!(none.is_empty(), "acme publishes nothing");
}
