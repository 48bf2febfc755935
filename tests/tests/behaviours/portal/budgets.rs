//! Budgets, as members set them.

use torchmesh_api::accounts::v1::{ListBudgetsRequest, PreviewInvoiceRequest};
use torchmesh_tests::{accounts::OPERATOR, bounded};

use super::{
    alone,
    attacks::{SCRIPT, is_text},
    billing::{has_used, shop},
    joined, need_their_token,
};

const MONTHLY: &str = "/console/budgets/monthly";

#[test]
fn a_budget_is_set_changed_and_removed_and_says_how_much_of_it_is_spent() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        has_used(&accounts, "acme").await;
        let mut billing = accounts.billing(OPERATOR);
        let asked = PreviewInvoiceRequest { tenant: "acme".into() };
        let spent = billing.preview_invoice(asked).await.unwrap().into_inner().invoice.unwrap().total;
        let csrf = owner.csrf("/console").await;
        let fields = [("name", "monthly"), ("limit", &*spent), ("thresholds", "50%, 100")];
        assert_eq!(owner.send_with(&csrf, "/console/budgets", &fields).await.status, 303);
        let page = owner.get("/console/budgets?told=budget").await.text();
        for part in [
            "monthly",
            "100% of the budget monthly are spent",
            "50%",
            &*format!("{spent} EUR"),
            "A budget stops nothing",
            "The budget is saved",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        let taken = owner.send_with(&csrf, "/console/budgets", &[("name", "monthly"), ("limit", "1.00")]).await;
        assert!(taken.status == 409 && taken.text().contains("there is a budget of this name"), "{}", taken.text());
        assert!(owner.get(MONTHLY).await.text().contains(&format!("value=\"{spent}\"")), "what there was is as it was");
        assert_eq!(owner.send_with(&csrf, MONTHLY, &[("limit", "100000.00"), ("thresholds", "")]).await.status, 303);
        let asked = ListBudgetsRequest { tenant: "acme".into() };
        let kept = billing.list_budgets(asked.clone()).await.unwrap().into_inner().budgets.remove(0);
        assert_eq!((kept.limit.unwrap().amount, kept.thresholds), ("100000.00".to_owned(), vec![80, 100]));
        assert!(owner.get("/console/budgets").await.text().contains("0% of the budget"));
        assert_eq!(owner.get(&format!("{MONTHLY}/remove")).await.status, 200);
        assert_eq!(owner.send_with(&csrf, &format!("{MONTHLY}/remove"), &[]).await.status, 303);
        assert!(billing.list_budgets(asked).await.unwrap().into_inner().budgets.is_empty());
        assert_eq!(owner.send_with(&csrf, MONTHLY, &[("limit", "1.00")]).await.status, 404, "what is gone is not made anew");
    });
}

#[test]
fn what_is_wrong_with_a_budget_is_said_in_its_form_and_comes_back_as_text() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let csrf = owner.csrf("/console").await;
        for (name, limit, thresholds, said) in [
            (SCRIPT, "10.00", "80", "name: "),
            ("monthly", SCRIPT, "80", "limit: "),
            ("monthly", "0", "80", "limit: "),
            ("monthly", "-5.00", "80", "limit: "),
            ("monthly", "10.001", "80", "limit: "),
            ("monthly", "10.00", SCRIPT, "thresholds: "),
            ("monthly", "10.00", "80.5", "thresholds: "),
            ("monthly", "10.00", "5000", "thresholds: "),
        ] {
            let fields = [("name", name), ("limit", limit), ("thresholds", thresholds)];
            let refused = owner.send_with(&csrf, "/console/budgets", &fields).await;
            assert!(refused.status == 400 && refused.text().contains(said), "{fields:?}: {}", refused.text());
            for typed in [name, limit, thresholds] {
                is_text(&refused.text(), typed);
            }
        }
        assert!(owner.get("/console/budgets").await.text().contains("There is no budget yet"));
    });
}

#[test]
fn the_budgets_of_another_tenant_do_not_exist_and_only_those_who_see_bills_have_any() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        let mut viewer = joined(&accounts, &portal, &mut owner, "eve@example.org", "viewer").await;
        let mut payer = joined(&accounts, &portal, &mut owner, "pay@example.org", "billing").await;
        let fields = [("name", "monthly"), ("limit", "7.00"), ("thresholds", "")];
        assert_eq!(payer.send_from("/console", "/console/budgets", &fields).await.status, 303, "the role billing may");
        let remove = format!("{MONTHLY}/remove");
        need_their_token(&mut owner, &["/console/budgets", MONTHLY, &remove], &fields).await;
        let (csrf, lesser) = (stranger.csrf("/console").await, viewer.csrf("/console").await);
        for path in [MONTHLY, &remove] {
            assert_eq!(stranger.get(path).await.status, 404, "GET {path}");
            assert_eq!(stranger.send_with(&csrf, path, &[("limit", "1.00")]).await.status, 404, "POST {path}");
            assert_eq!(viewer.get(path).await.status, 403, "GET {path}");
            assert_eq!(viewer.send_with(&lesser, path, &[("limit", "1.00")]).await.status, 403, "POST {path}");
        }
        assert_eq!(viewer.get("/console/budgets").await.status, 403);
        assert_eq!(viewer.send_with(&lesser, "/console/budgets", &fields).await.status, 403);
        assert!(!stranger.get("/console/budgets").await.text().contains("monthly"));
        assert!(owner.get("/console/budgets").await.text().contains("7.00 EUR"), "it is as it was");
    });
}

#[test]
fn where_nothing_is_sold_there_are_no_budgets_and_no_statements() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        for page in ["/console/budgets", "/console/statements"] {
            let answer = owner.get(page).await;
            assert!(answer.status == 200 && answer.text().contains("Nothing is billed here"), "{page}: {}", answer.text());
        }
        assert_eq!(owner.get(MONTHLY).await.status, 404);
        assert_eq!(owner.get("/console/statements/ST-acme-2026-01").await.status, 404);
    });
}
