//! What every page says, and what is shown when something is missing.

use http::{Method, header};
use torchmesh_tests::{bounded, web::Answer};

use super::alone;

/// Every page that somebody can open who owns a tenant and is an operator.
const PAGES: [&str; 33] = [
    "/",
    "/models",
    "/docs",
    "/docs/curl",
    "/docs/python",
    "/docs/typescript",
    "/docs/rust",
    "/docs/go",
    "/sign-in",
    "/sign-up",
    "/forgotten",
    "/letters/verify",
    "/console",
    "/console/keys",
    "/console/keys/new",
    "/console/usage",
    "/console/usage.csv",
    "/console/billing",
    "/console/budgets",
    "/console/statements",
    "/console/members",
    "/console/changes",
    "/console/listings",
    "/console/webhooks",
    "/console/webhooks/new",
    "/console/privacy",
    "/console/privacy/person.json",
    "/console/privacy/tenant.json",
    "/operator/tenants",
    "/operator/tenants/acme",
    "/operator/plans",
    "/operator/listings",
    "/nowhere",
];

fn is_guarded(page: &str, answer: &Answer) {
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part) && !policy.contains("unsafe"), "{page}: {policy}");
    }
    assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{page}");
    assert_eq!(answer.headers[header::REFERRER_POLICY], "same-origin", "{page}");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{page}");
    let text = answer.text();
    for inline in ["<script>", " style=", " onclick=", "javascript:", "http://fonts", "https://fonts", "cdn"] {
        assert!(!text.contains(inline), "{page} has {inline}");
    }
}

#[test]
fn every_page_is_guarded_and_loads_nothing_from_anywhere_else() {
    bounded(async {
        let (accounts, portal) = alone(&[("operators", "acme@example.org")]).await;
        let mut member = portal.member(&accounts, "acme").await;
        for page in PAGES {
            let (inside, outside) = (member.get(page).await, portal.visitor().get(page).await);
            is_guarded(page, &inside);
            is_guarded(page, &outside);
            // Without a gateway there is no catalogue; a page that needs no gateway is there all the same.
            let wanted: &[u16] = match page {
                "/nowhere" => &[404],
                "/models" => &[503],
                "/sign-in" => &[303],
                _ => &[200],
            };
            assert!(wanted.contains(&inside.status), "{page}: {}", inside.status);
        }
    });
}

#[test]
fn style_and_script_are_kept_for_ever_under_names_of_their_own() {
    bounded(async {
        let (_accounts, portal) = alone(&[]).await;
        let mut visitor = portal.visitor();
        let page = visitor.get("/").await.text();
        let assets: Vec<_> = page.split("\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(assets.len(), 3, "{assets:?}");
        for asset in assets {
            let answer = visitor.get(&format!("/assets/{asset}")).await;
            assert_eq!(answer.status, 200, "{asset}");
            assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
        assert_eq!(visitor.get("/assets/portal.css").await.status, 404);
    });
}

#[test]
fn people_are_spoken_to_in_their_language_and_may_choose_another() {
    bounded(async {
        let (_accounts, portal) = alone(&[]).await;
        let mut visitor = portal.visitor();
        let chinese = visitor.ask(Method::GET, "/", &[("accept-language", "zh-CN,zh;q=0.9")], "").await.text();
        assert!(chinese.contains("lang=\"zh-CN\"") && chinese.contains("登录"));
        let chosen = visitor.send("/preferences", &[("language", "en"), ("theme", "dark"), ("next", "/docs")]).await;
        assert_eq!((chosen.status, chosen.headers[header::LOCATION].to_str().unwrap()), (303, "/docs"));
        let english = visitor.ask(Method::GET, "/docs", &[("accept-language", "zh-CN")], "").await.text();
        assert!(english.contains("lang=\"en\"") && english.contains("data-theme=\"dark\""));
    });
}

#[test]
fn while_the_accounts_are_away_pages_say_so_and_the_front_page_is_there() {
    bounded(async {
        let (mut accounts, portal) = alone(&[("timeout", "1s")]).await;
        let mut member = portal.member(&accounts, "acme").await;
        accounts.kill();
        let away = member.get("/console").await;
        let inside = format!(":{}", accounts.addr().port());
        assert!(away.status == 503 && away.text().contains("We cannot reach the mesh") && !away.text().contains(&inside));
        assert_eq!(member.get("/").await.status, 200);
        accounts.start_again().await;
        let back = torchmesh_tests::eventually("the session goes on", std::time::Duration::from_secs(20), async || {
            Some(member.get("/console").await.status).filter(|status| *status == 200)
        });
        assert_eq!(back.await, 200);
    });
}
