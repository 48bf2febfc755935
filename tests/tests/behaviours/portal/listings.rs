//! The marketplace, as people look at it and as those do who should not.

use std::fs;

use torchmesh_api::{
    accounts::v1::{self as api, ListListingsRequest},
    usage::v1::{RecordRequest, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
    portal::{FOR_ACCOUNTS, Portal, Visitor},
};

use super::{
    attacks::{SCRIPT, TEMPLATE, hostile_gateway, is_text},
    billing::{DAY_MS, SOLD, now},
};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// The models that begin with `labs-` are the tenant labs'.
pub(super) const PARTNER: &str = "\n[[plan]]\nid = \"partner\"\nkind = \"partner\"\nfee = \"0\"\nplatform_share = \"20%\"\n\n[[partner]]\nid = \"labs\"\n\
    models = [\"labs-*\"]\nterms = [{ from = \"2026-01-01\", plan = \"partner\" }]\n";

/// Accounts that sell, a gateway that serves one model, and a portal whose operator is root's owner.
struct Market {
    accounts: Accounts,
    portal: Portal,
    labs: Visitor,
    acme: Visitor,
    root: Visitor,
    _folder: tempfile::TempDir,
}

impl Market {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("billing.toml");
        fs::write(&file, format!("{SOLD}{PARTNER}")).unwrap();
        let path = file.display().to_string();
        let own = [("billing.file", &*path), ("billing.issuer", "Torchmesh Ltd")];
        let accounts = Accounts::start(&Database::Sqlite, &[&FOR_ACCOUNTS[..], &own].concat()).await;
        let gateway = format!("http://{}", hostile_gateway("labs-7b").await);
        let portal = Portal::start(&accounts, None, &[("gateway.address", &gateway), ("operators", "root@example.org")]).await;
        let labs = portal.member(&accounts, "labs").await;
        let acme = portal.member(&accounts, "acme").await;
        let root = portal.member(&accounts, "root").await;
        Self { accounts, portal, labs, acme, root, _folder: folder }
    }

    /// A draft of the provider's.
    async fn draft(&mut self) {
        let fields = [("model", "labs-7b"), ("task", "generate"), ("summary_en", "Writes well.")];
        // What is sold is taken over a moment after the start.
        let labs = &mut self.labs;
        eventually("labs may list its own", SOON, async || {
            let answer = labs.send_from("/console", "/console/listings", &fields).await;
            (answer.status == 303).then_some(())
        })
        .await;
    }

    /// The form of the page of the listing, sent with these fields and its revision.
    async fn sent(who: &mut Visitor, path: &str, fields: &[(&str, &str)]) -> torchmesh_tests::web::Answer {
        let page = path.rsplit_once("/labs-7b").map(|(base, _)| format!("{base}/labs-7b")).unwrap();
        let text = who.get(&page).await.text();
        let revision = text.split("name=\"revision\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("0").to_owned();
        who.send_from("/console", path, &[&[("revision", &*revision)], fields].concat()).await
    }

    /// Waits until the portal knows in lists that the model has a listing which is not for everybody.
    async fn is_known(&self) {
        let looks = async || (!self.portal.visitor().get("/models").await.text().contains("labs-7b")).then_some(());
        eventually("the portal knows which models have a listing", SOON, looks).await;
    }

    async fn published(&mut self) {
        self.draft().await;
        let answer = Self::sent(&mut self.root, "/operator/listings/labs-7b/publish", &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
    }
}

#[test]
fn a_provider_submits_a_listing_and_everybody_sees_it_when_an_operator_has_published_it() {
    bounded(async {
        let mut market = Market::open().await;
        assert!(
            market.portal.visitor().get("/models").await.text().contains("labs-7b"),
            "a model that nobody has written a listing for is shown"
        );
        market.draft().await;
        assert_eq!(market.portal.visitor().get("/models/labs-7b").await.status, 404, "a draft is nobody else's to see");
        market.is_known().await;
        for visitor in [&mut market.portal.visitor(), &mut market.acme] {
            assert!(!visitor.get("/models").await.text().contains("labs-7b"));
            assert!(!visitor.get("/docs").await.text().contains("labs-7b"));
        }
        assert!(!market.acme.get("/playground").await.text().contains("labs-7b"));
        assert_eq!(market.labs.get("/models/labs-7b").await.status, 200);
        assert_eq!(Market::sent(&mut market.labs, "/console/listings/labs-7b/publish", &[]).await.status, 303);
        assert!(market.root.get("/operator/listings").await.text().contains("waits for an operator"));
        assert_eq!(market.portal.visitor().get("/models/labs-7b").await.status, 404, "not yet");
        assert_eq!(Market::sent(&mut market.root, "/operator/listings/labs-7b/publish", &[]).await.status, 303);
        let page = market.portal.visitor().get("/models/labs-7b").await.text();
        for part in ["Writes well.", "0.25 EUR", "There are too few calls", "Python", "TypeScript", "/v1/chat/completions"] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        for (path, found) in
            [("/models?q=WRITES", true), ("/models?task=generate", true), ("/models?task=embed", false), ("/models?q=%25", false)]
        {
            assert_eq!(market.portal.visitor().get(path).await.text().contains("Writes well."), found, "{path}");
        }
    });
}

#[test]
fn what_is_for_others_does_not_exist_on_any_page_and_forms_need_their_token() {
    bounded(async {
        let mut market = Market::open().await;
        market.published().await;
        let only = [("task", "generate"), ("summary_en", "Writes well."), ("audience", "tenants"), ("tenants", "root")];
        assert_eq!(Market::sent(&mut market.root, "/operator/listings/labs-7b", &only).await.status, 303);
        market.is_known().await;
        for visitor in [&mut market.portal.visitor(), &mut market.acme] {
            assert_eq!(visitor.get("/models/labs-7b").await.status, 404);
            for page in ["/models", "/models?q=labs", "/models?task=generate", "/docs", "/"] {
                assert!(!visitor.get(page).await.text().contains("labs-7b"), "{page}");
            }
        }
        let csrf = market.acme.csrf("/console").await;
        assert_eq!(market.acme.get("/console/listings/labs-7b").await.status, 404);
        for step in ["publish", "deprecate", "retire"] {
            let fields = [("revision", "0"), ("retires", "2031-01-01")];
            assert_eq!(market.acme.send_with(&csrf, &format!("/console/listings/labs-7b/{step}"), &fields).await.status, 404, "{step}");
            assert_eq!(market.acme.send_with(&csrf, &format!("/operator/listings/labs-7b/{step}"), &fields).await.status, 404, "{step}");
            assert_eq!(market.labs.send_with("", &format!("/console/listings/labs-7b/{step}"), &fields).await.status, 403, "{step}");
            assert_eq!(market.root.send_with("", &format!("/operator/listings/labs-7b/{step}"), &fields).await.status, 403, "{step}");
        }
        assert_eq!(market.acme.send_with(&csrf, "/console/listings/labs-7b", &only).await.status, 404);
        assert_eq!(market.acme.send_with(&csrf, "/operator/listings", &only).await.status, 404);
        assert_eq!(market.acme.get("/operator/listings").await.status, 404);
        assert_eq!(market.labs.get("/operator/listings/labs-7b").await.status, 404, "a provider is no operator");
        let mine = [("model", "labs-9b"), ("task", "generate"), ("summary_en", "Mine.")];
        assert_eq!(market.acme.send_with(&csrf, "/console/listings", &mine).await.status, 403, "nobody takes another's model");
        let own = market.labs.get("/console/listings/labs-7b").await.text();
        assert!(own.contains("Writes well.") && !own.contains("name=\"tenants\""), "whom it is for is the operators' to say");
        let root = market.root.get("/models/labs-7b").await;
        assert_eq!(root.status, 200, "it is for root");
    });
}

#[test]
fn whatever_is_said_of_a_model_is_text_wherever_it_is_shown() {
    bounded(async {
        let mut market = Market::open().await;
        market.published().await;
        let nasty = format!("{SCRIPT}{TEMPLATE}\"' onload=x javascript:alert(1)");
        let fields = ["summary_en", "description_en", "terms_en", "summary_zh", "description_zh", "terms_zh", "version", "version_text"];
        for field in fields {
            // Each version is there once.
            let (typed, version) = (if field == "version" { SCRIPT.to_owned() } else { format!("{field} {nasty}") }, format!("v-{field}"));
            let usual = [("task", "generate"), ("summary_en", "S"), ("summary_zh", "Z"), ("version", &version), ("version_text", "T")];
            let others = usual.into_iter().filter(|(name, _)| *name != field);
            let all: Vec<(&str, &str)> = others.chain([(field, &*typed)]).collect();
            let answer = Market::sent(&mut market.labs, "/console/listings/labs-7b", &all).await;
            assert_eq!(answer.status, 303, "{field}: {}", answer.text());
            let chinese = [("accept-language", "zh-CN")];
            let mut shown = vec![market.portal.visitor().get("/models/labs-7b").await.text()];
            shown.push(market.portal.visitor().ask(http::Method::GET, "/models/labs-7b", &chinese, "").await.text());
            shown.push(market.labs.get("/console/listings/labs-7b").await.text());
            shown.push(market.root.get("/operator/listings/labs-7b").await.text());
            for page in ["/models", "/console/listings", "/operator/listings", "/console/changes"] {
                shown.push(market.labs.get(page).await.text());
            }
            assert!(shown.iter().all(|page| !page.contains(SCRIPT) && !page.contains(">49<")), "{field}");
            let seen = shown.iter().find(|page| page.contains("&lt;script&gt;")).unwrap_or_else(|| panic!("{field} is nowhere"));
            is_text(seen, &typed);
        }
        for typed in [SCRIPT, TEMPLATE, "a\u{202e}b"] {
            let answer =
                market.labs.send_from("/console", "/console/listings", &[("model", typed), ("task", typed), ("summary_en", typed)]).await;
            assert_eq!(answer.status, 400, "{typed}");
            is_text(&answer.text(), typed);
        }
    });
}

#[test]
fn of_two_editors_one_is_told_and_keeps_what_was_typed() {
    bounded(async {
        let mut market = Market::open().await;
        market.published().await;
        let asked = ListListingsRequest { words: "labs-7b".into(), ..Default::default() };
        let read = market.accounts.listings(OPERATOR).list_listings(asked).await.unwrap().into_inner().listings.remove(0);
        let revision = read.revision.to_string();
        let edit = |summary| [("revision", &*revision), ("task", "generate"), ("summary_en", summary), ("audience", "everyone")];
        assert_eq!(market.labs.send_from("/console", "/console/listings/labs-7b", &edit("By labs.")).await.status, 303);
        for _ in 0..2 {
            let late = market.root.send_from("/console", "/operator/listings/labs-7b", &edit("By the operator.")).await;
            assert!(
                late.status == 409 && late.text().contains("By the operator.") && late.text().contains("read it again"),
                "{}",
                late.text()
            );
        }
        assert!(market.portal.visitor().get("/models/labs-7b").await.text().contains("By labs."));
    });
}

#[test]
fn whoever_uses_a_model_that_is_deprecated_sees_so_and_what_to_use_instead() {
    bounded(async {
        let mut market = Market::open().await;
        market.published().await;
        let event = UsageEvent {
            id: vec![7; 16],
            time_unix_ms: now().unsigned_abs(),
            tenant: "acme".into(),
            model: "labs-7b".into(),
            ..Default::default()
        };
        market.accounts.recorder().record(RecordRequest { events: vec![event] }).await.unwrap();
        let text = api::ListingText { language: "en".into(), summary: "The next.".into(), ..Default::default() };
        let next = api::CreateListingRequest { model: "labs-8b".into(), task: "generate".into(), texts: vec![text], ..Default::default() };
        let mut operator = market.accounts.listings(OPERATOR);
        operator.create_listing(next).await.unwrap();
        operator.publish_listing(api::PublishListingRequest { model: "labs-8b".into(), revision: 0 }).await.unwrap();
        let soon = torchmesh_billing::Moment::from_unix_ms((now() + 5 * DAY_MS).unsigned_abs()).unwrap().date();
        let refused =
            Market::sent(&mut market.labs, "/console/listings/labs-7b/deprecate", &[("retires", &soon), ("successor", "labs-8b")]).await;
        assert!(refused.status == 400 && refused.text().contains("30 days"), "{}", refused.text());
        let done =
            Market::sent(&mut market.root, "/operator/listings/labs-7b/deprecate", &[("retires", &soon), ("successor", "labs-8b")]).await;
        assert_eq!(done.status, 303, "{}", done.text());
        for (page, mut who) in [("/console", market.acme.clone()), ("/models/labs-7b", market.portal.visitor())] {
            let text = who.get(page).await.text();
            assert!(text.contains(&format!("is retired on {soon}")) && text.contains("/models/labs-8b"), "{page}: {text}");
        }
        assert!(!market.labs.get("/console").await.text().contains("is retired on"), "labs has not used it");
    });
}
