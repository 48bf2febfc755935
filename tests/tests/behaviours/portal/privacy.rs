//! What is kept of somebody, told to those whom it is about, and erased when they say so.

use torchmesh_api::usage::v1::{RecordRequest, Units, UsageEvent};
use torchmesh_tests::{
    accounts::Accounts,
    bounded, eventually,
    portal::{PASSWORD, Visitor},
    web::Answer,
};

use super::{alone, billing::now, joined, need_their_token};

const PERSON: &str = "/console/privacy/person.json";
const TENANT: &str = "/console/privacy/tenant.json";

async fn has_called(accounts: &Accounts, tenant: &str) {
    let event = UsageEvent {
        id: vec![7; 16],
        time_unix_ms: now().unsigned_abs(),
        tenant: tenant.into(),
        credential: format!("{tenant}/search"),
        model: "text".into(),
        units: Some(Units { items: 1, ..Default::default() }),
        ..Default::default()
    };
    accounts.recorder().record(RecordRequest { events: vec![event] }).await.unwrap();
}

fn document(answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\""), "it is no page of ours");
    assert_eq!(answer.headers["content-type"], "application/json");
    serde_json::from_str(&answer.text()).expect("the whole document is JSON")
}

#[test]
fn everybody_downloads_what_is_kept_of_them_and_owners_what_is_kept_of_the_tenant() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        let mut admin = joined(&accounts, &portal, &mut owner, "ada@example.org", "admin").await;
        has_called(&accounts, "acme").await;
        let whole = document(&owner.get(TENANT).await).to_string();
        for part in ["acme@example.org", "ada@example.org", "\"usage_events\":[{"] {
            assert!(whole.contains(part), "{part} is missing in {whole}");
        }
        let short = document(&owner.get(&format!("{TENANT}?calls=no")).await).to_string();
        assert!(!short.contains("\"usage_events\":[{") && short.contains("acme@example.org"), "{short}");
        let own = document(&admin.get(PERSON).await).to_string();
        assert!(own.contains("ada@example.org") && !own.contains("acme@example.org"), "{own}");
        for text in [&whole, &short, &own] {
            assert!(!text.contains("argon2") && !text.contains("tm_session"), "no secret and no hash of one: {text}");
        }
        assert_eq!(admin.get(TENANT).await.status, 403, "of the tenant owners are told alone");
        let (page, owners) = (admin.get("/console/privacy").await.text(), owner.get("/console/privacy").await.text());
        assert!(!page.contains(TENANT) && page.contains("An owner of the tenant") && owners.contains(TENANT));
        let theirs = document(&stranger.get(&format!("{TENANT}?tenant=acme")).await).to_string();
        assert!(theirs.contains("evil@example.org") && !theirs.contains("acme@example.org"));
        for path in [PERSON, TENANT, "/console/privacy"] {
            assert_eq!(portal.visitor().get(path).await.status, 303, "{path}");
        }
    });
}

async fn is_signed_in(who: &mut Visitor) -> bool {
    who.get("/console").await.status == 200
}

#[test]
fn somebody_erases_themselves_with_their_address_typed_and_nobody_else() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut member = joined(&accounts, &portal, &mut owner, "eve@example.org", "viewer").await;
        need_their_token(&mut member, &["/console/privacy"], &[("email", "eve@example.org")]).await;
        let csrf = member.csrf("/console").await;
        for typed in ["", "acme@example.org", "<script>alert(1)</script>"] {
            let refused = member.send_with(&csrf, "/console/privacy", &[("email", typed)]).await;
            assert!(refused.status == 400 && refused.text().contains("is not your address"), "{typed}: {}", refused.text());
            assert!(!refused.text().contains("<script>alert"), "{typed}");
        }
        assert!(is_signed_in(&mut member).await);
        let erased = member.send_with(&csrf, "/console/privacy", &[("email", " Eve@example.org ")]).await;
        assert_eq!((erased.status, erased.headers["location"].to_str().unwrap()), (303, "/sign-in?told=erased"));
        assert!(!member.cookies.contains_key("torchmesh-session") && !is_signed_in(&mut member).await);
        assert!(member.get("/sign-in?told=erased").await.text().contains("You are erased"));
        let again = portal.visitor().send("/sign-in", &[("email", "eve@example.org"), ("password", PASSWORD)]).await;
        assert_eq!(again.status, 401);
        for page in ["/console/members", "/console/changes"] {
            assert!(!owner.get(page).await.text().contains("eve@example.org"), "{page}");
        }
    });
}

#[test]
fn the_only_owner_is_told_why_they_cannot_be_erased_and_stays() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let refused = owner.send_from("/console", "/console/privacy", &[("email", "acme@example.org")]).await;
        assert!(refused.status == 409 && refused.text().contains("keeps one owner"), "{}", refused.text());
        assert!(is_signed_in(&mut owner).await);
    });
}

#[test]
fn while_the_accounts_are_away_there_is_no_half_of_a_document() {
    bounded(async {
        let (mut accounts, portal) = alone(&[("timeout", "1s")]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        accounts.kill();
        let away = owner.get(TENANT).await;
        assert!(away.status == 503 && !away.headers.contains_key("content-disposition"), "{}", away.text());
        accounts.start_again().await;
        eventually("the document is there again", std::time::Duration::from_secs(20), async || {
            (owner.get(TENANT).await.status == 200).then_some(())
        })
        .await;
    });
}
