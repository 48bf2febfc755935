//! What belongs to somebody else does not exist.

use http::Method;
use torchmesh_tests::bounded;

use super::{alone, joined};

#[test]
fn the_keys_of_another_tenant_do_not_exist() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        assert_eq!(owner.send_from("/console", "/console/keys", &[("name", "search")]).await.status, 200);
        let id = owner.id_of("/console/keys", "search", "revoke").await;
        for act in ["rotate", "revoke"] {
            let path = format!("/console/keys/{id}/{act}");
            assert_eq!(owner.get(&path).await.status, 200);
            assert_eq!(stranger.get(&path).await.status, 404, "GET {path}");
            assert_eq!(stranger.send_from("/console", &path, &[("hours", "24")]).await.status, 404, "POST {path}");
        }
        let listed = stranger.get("/console/keys").await.text();
        assert!(!listed.contains("search") && owner.get("/console/keys").await.text().contains(&format!("{id}/revoke")));
        let guessed = stranger.get("/console/keys/00000000-0000-0000-0000-000000000000/revoke").await;
        assert_eq!(guessed.status, 404, "as what nobody has");
    });
}

#[test]
fn the_members_of_another_tenant_do_not_exist() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        let invited = owner.send_from("/console", "/console/members", &[("email", "bob@example.org"), ("role", "viewer")]).await;
        assert_eq!(invited.status, 303);
        let id = owner.id_of("/console/members", "bob@example.org", "remove").await;
        assert_eq!(stranger.get(&format!("/console/members/{id}/remove")).await.status, 404);
        let csrf = stranger.csrf("/console").await;
        assert_eq!(stranger.send_with(&csrf, &format!("/console/members/{id}"), &[("role", "owner")]).await.status, 404);
        assert_eq!(stranger.send_with(&csrf, &format!("/console/members/{id}/remove"), &[]).await.status, 404);
        assert!(owner.get("/console/members").await.text().contains("bob@example.org"));
    });
}

#[test]
fn a_role_is_offered_and_allowed_what_it_says() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut viewer = joined(&accounts, &portal, &mut owner, "eve@example.org", "viewer").await;
        let page = viewer.get("/console").await.text();
        for kept in [
            "/console/members",
            "/console/billing",
            "/console/budgets",
            "/console/webhooks",
            "/console/changes",
            "/console/keys/new",
            "/operator",
        ] {
            assert!(!page.contains(kept), "{kept} is offered: {page}");
        }
        assert_eq!(viewer.get("/console/billing").await.status, 403);
        assert_eq!(viewer.get("/console/keys/new").await.status, 403);
        assert_eq!(viewer.send_from("/console", "/console/keys", &[("name", "x")]).await.status, 403);
        assert_eq!(viewer.get("/console/members").await.status, 403);
        assert_eq!(viewer.get("/console/changes").await.status, 403);
        let csrf = viewer.csrf("/console").await;
        let answer =
            viewer.ask(Method::POST, "/playground/send/chat", &[("content-type", "application/json"), ("x-csrf-token", &csrf)], "{}").await;
        assert_eq!(answer.status, 403, "whoever may not make keys has none made for them: {}", answer.text());
    });
}

#[test]
fn operators_pages_are_there_for_those_whom_the_settings_list_and_for_nobody_else() {
    bounded(async {
        let (accounts, portal) = alone(&[("operators", "Root@example.org")]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let mut operator = portal.member(&accounts, "root").await;
        let pages = ["/operator/tenants", "/operator/tenants/acme", "/operator/plans", "/operator/changes"];
        for page in pages {
            assert_eq!(portal.visitor().get(page).await.status, 303, "{page}");
            assert_eq!(member.get(page).await.status, 404, "{page}");
            let shown = operator.get(page).await;
            assert!(shown.status == 200 && !shown.text().contains(torchmesh_tests::accounts::OPERATOR), "{page}: the token stays inside");
        }
        let csrf = member.csrf("/console").await;
        assert_eq!(member.send_with(&csrf, "/operator/tenants", &[("name", "mine")]).await.status, 404);
        assert_eq!(member.send_with(&csrf, "/operator/tenants/acme/suspend", &[]).await.status, 404);
        assert_eq!(operator.send_from("/console", "/operator/tenants", &[("name", "new-one")]).await.status, 303);
        assert!(operator.get("/operator/tenants").await.text().contains("new-one"));
    });
}
