//! Who may see and do what, at every method.

use tonic::{Code, Status};
use torchmesh_api::accounts::v1 as api;
use torchmesh_tests::{
    accounts::{Billing, Database},
    bounded,
};

use super::{super::asking::member, Shop, first_of};

#[expect(clippy::needless_update, reason = "of some requests all fields are said")]
/// What every method answers to somebody who asks about acme: those that need a tenant, an invoice or a note of its own.
async fn asked_about(by: &mut Billing, tenant: &str, invoice: &str, note: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let (tenant, number) = (tenant.to_owned(), invoice.to_owned());
    let money = Some(api::Money { amount: "1.00".into(), currency: "EUR".into() });
    macro_rules! ask {
        ($($method:ident($message:ident { $($field:tt)* })),* $(,)?) => {
            vec![$((stringify!($method), by.$method(api::$message { $($field)*, ..Default::default() }).await.map(|_| ()))),*]
        };
    }
    ask![
        get_subscription(GetSubscriptionRequest { tenant: tenant.clone() }),
        subscribe(SubscribeRequest { tenant: tenant.clone(), plan: "payg".into() }),
        cancel_subscription(CancelSubscriptionRequest { tenant: tenant.clone() }),
        redeem_coupon(RedeemCouponRequest { tenant: tenant.clone(), code: "TENTH".into() }),
        update_billing_profile(UpdateBillingProfileRequest { tenant: tenant.clone(), recipient: Some("me".into()) }),
        preview_invoice(PreviewInvoiceRequest { tenant: tenant.clone() }),
        list_invoices(ListInvoicesRequest { tenant: tenant.clone() }),
        get_invoice(GetInvoiceRequest { number: number.clone() }),
        reissue_invoice(ReissueInvoiceRequest { number: number.clone() }),
        credit_invoice(CreditInvoiceRequest { number: number.clone(), id: "x".into(), reason: "mine".into() }),
        get_credit_note(GetCreditNoteRequest { number: note.to_owned() }),
        add_credit(AddCreditRequest { tenant: tenant.clone(), id: "x".into(), amount: money.clone() }),
        record_payment(RecordPaymentRequest {
            tenant: tenant.clone(),
            id: "x".into(),
            kind: api::PaymentKind::Received.into(),
            amount: money.clone()
        }),
        begin_payment(BeginPaymentRequest { invoice: number.clone() }),
        list_payments(ListPaymentsRequest { tenant: tenant.clone(), invoice: number.clone() }),
        get_balance(GetBalanceRequest { tenant: tenant.clone() }),
        list_ledger(ListLedgerRequest { tenant: tenant.clone() }),
        set_budget(SetBudgetRequest { tenant: tenant.clone(), name: "x".into(), limit: money.clone() }),
        list_budgets(ListBudgetsRequest { tenant: tenant.clone() }),
        list_statements(ListStatementsRequest { tenant: tenant.clone() }),
        get_statement(GetStatementRequest { tenant: tenant.clone(), month_unix_ms: first_of(6) }),
    ]
}

/// What is for operators alone.
const OPERATORS: [&str; 4] = ["reissue_invoice", "credit_invoice", "add_credit", "record_payment"];

async fn strangers(database: &Database) {
    let shop = Shop::open(database, &[("billing.self_service", "true")]).await;
    shop.tenant("acme", "pro", 6).await;
    shop.accounts.tenant("bolt").await;
    let june = api::IssueInvoicesRequest { until_unix_ms: first_of(7), ..Default::default() };
    let number = shop.operator().issue_invoices(june.clone()).await.unwrap().into_inner().issued.remove(0).number;
    let part = vec![api::CreditedLine { line: 1, net: "1.00".into() }];
    let credit = api::CreditInvoiceRequest { number: number.clone(), id: "n".into(), lines: part, reason: "an outage".into() };
    let note = shop.operator().credit_invoice(credit).await.unwrap().into_inner().credit_note.unwrap().number;
    let id = shop.invoices("acme").await[0].tenant_id.clone();

    let eve = member(&shop.accounts, "bolt", "eve@example.org", api::Role::Owner).await;
    for tenant in ["acme", &id, "no-such-tenant"] {
        for (method, answer) in asked_about(&mut shop.accounts.billing(&eve), tenant, &number, &note).await {
            assert_eq!(answer.unwrap_err().code(), Code::NotFound, "{method} of {tenant}");
        }
    }
    assert_eq!(shop.accounts.billing(&eve).issue_invoices(june).await.unwrap_err().code(), Code::PermissionDenied);

    let dev = member(&shop.accounts, "acme", "dev@example.org", api::Role::Developer).await;
    for (method, answer) in asked_about(&mut shop.accounts.billing(&dev), "acme", &number, &note).await {
        assert_eq!(answer.unwrap_err().code(), Code::PermissionDenied, "{method}");
    }
    assert!(shop.accounts.billing(&dev).list_plans(api::ListPlansRequest {}).await.is_ok());

    let pays = member(&shop.accounts, "acme", "pays@example.org", api::Role::Billing).await;
    for (method, answer) in asked_about(&mut shop.accounts.billing(&pays), "", &number, &note).await {
        let code = answer.err().map_or(Code::Ok, |refused| refused.code());
        let said = match method {
            _ if OPERATORS.contains(&method) => Code::PermissionDenied,
            // Nobody takes payments here.
            "begin_payment" => Code::FailedPrecondition,
            _ => Code::Ok,
        };
        assert_eq!(code, said, "{method}");
    }
    for (method, answer) in asked_about(&mut shop.accounts.billing("not-a-token-of-anybody"), "acme", &number, &note).await {
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{method}");
    }
}

#[test]
fn what_another_tenant_is_billed_does_not_exist_in_either_database() {
    bounded(async {
        strangers(&Database::Sqlite).await;
        strangers(&Database::postgres().await).await;
    });
}

#[test]
fn members_change_no_plan_where_that_is_for_operators() {
    bounded(async {
        let shop = Shop::open(&Database::Sqlite, &[]).await;
        shop.tenant("acme", "pro", 6).await;
        let owner = member(&shop.accounts, "acme", "ada@example.org", api::Role::Owner).await;
        let asked = api::SubscribeRequest { plan: "payg".into(), ..Default::default() };
        let refused = shop.accounts.billing(&owner).subscribe(asked.clone()).await.unwrap_err();
        assert!(refused.code() == Code::PermissionDenied && refused.message().contains("billing.self_service"), "{refused:?}");
        let asked = api::SubscribeRequest { tenant: "acme".into(), ..asked };
        let held = shop.operator().subscribe(asked).await.unwrap().into_inner().subscription.unwrap();
        assert!(held.plan == "payg" && !held.self_service, "{held:?}");
    });
}
