//! What operators see of what is sold, and of a tenant.

use torchmesh_api::accounts::v1::{CreateTenantRequest, IssueInvoicesRequest, ListTenantsRequest};
use torchmesh_tests::{
    accounts::{Accounts, OPERATOR},
    bounded,
    portal::Portal,
};

use super::{
    alone,
    attacks::{SCRIPT, is_text},
    billing::{has_used, shop},
};

async fn id_of(accounts: &Accounts, name: &str) -> String {
    let tenants = accounts.operator().list_tenants(ListTenantsRequest::default()).await.unwrap().into_inner().tenants;
    tenants.into_iter().find(|tenant| tenant.name == name).unwrap().id
}

#[test]
fn an_operator_sees_what_is_sold_and_what_a_tenant_has_used_and_owes() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, shop) = shop(folder.path()).await;
        drop(shop);
        let portal = Portal::start(&accounts, None, &[("operators", "root@example.org")]).await;
        let (mut member, mut root) = (portal.member(&accounts, "acme").await, portal.member(&accounts, "root").await);
        has_used(&accounts, "acme").await;
        let issued = accounts.billing(OPERATOR).issue_invoices(IssueInvoicesRequest::default()).await.unwrap().into_inner();
        let plans = root.get("/operator/plans").await.text();
        for part in ["pro", "30.00 EUR", "payg", "pay per use", "Calls: 0.25 EUR", "50% of the price", "2026-01-01"] {
            assert!(plans.contains(part), "{part} is missing in {plans}");
        }
        let id = id_of(&accounts, "acme").await;
        assert!(root.get("/operator/tenants").await.text().contains(&format!("\"/operator/tenants/{id}\"")), "the list leads there");
        for named in ["acme", &*id] {
            let page = root.get(&format!("/operator/tenants/{named}")).await.text();
            for part in ["acme", "pro", &*issued.issued[0].number, "text", "Owed"] {
                assert!(page.contains(part), "{part} is missing in {page}");
            }
            assert_eq!(member.get(&format!("/operator/tenants/{named}")).await.status, 404, "for members there is none");
        }
        assert_eq!(member.get("/operator/plans").await.status, 404);
        for nobody in ["nobody", "00000000-0000-0000-0000-000000000000", "%27%20OR%201=1"] {
            assert_eq!(root.get(&format!("/operator/tenants/{nobody}")).await.status, 404, "{nobody}");
        }
    });
}

#[test]
fn where_nothing_is_sold_a_tenant_has_its_usage_and_what_it_is_called_is_text() {
    bounded(async {
        let (accounts, portal) = alone(&[("operators", "root@example.org")]).await;
        let mut root = portal.member(&accounts, "root").await;
        let called = CreateTenantRequest { name: "acme".into(), display_name: SCRIPT.into(), models: None };
        accounts.operator().create_tenant(called).await.unwrap();
        let page = root.get("/operator/tenants/acme").await.text();
        is_text(&page, SCRIPT);
        assert!(page.contains("Nothing is billed here") && page.contains("Nothing was called"), "{page}");
        assert!(root.get("/operator/plans").await.text().contains("no price list"));
    });
}

#[test]
fn what_went_on_is_shown_while_the_router_is_away() {
    bounded(async {
        let (accounts, portal) = alone(&[("operators", "root@example.org"), ("router.address", "http://127.0.0.1:9")]).await;
        let (mut member, mut root) = (portal.member(&accounts, "acme").await, portal.member(&accounts, "root").await);
        let page = root.get("/operator/traffic").await;
        assert!(page.status == 200 && page.text().contains("The router does not answer"), "{}", page.text());
        assert_eq!(member.get("/operator/traffic").await.status, 404);
    });
}
