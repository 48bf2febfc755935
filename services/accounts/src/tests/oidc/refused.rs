//! What is made up, used again, or meant for somebody else; and providers that fail.

use std::time::Duration;

use serde_json::json;

use super::{
    super::NOW,
    BINDING, EMAIL, Known,
    provider::{Signed, Wrong},
};
use crate::{
    error::Refusal,
    oidc::{self, Returned},
};

#[tokio::test]
async fn what_another_browser_has_begun_or_another_provider_sends_is_refused_and_so_is_what_comes_late() {
    let known = Known::open().await.with(EMAIL, true).await;
    let issuer = known.provider.issuer();
    let good = Returned { provider: "id", state: "", code: "", issuer: &issuer, binding: BINDING };
    for (wrong, late) in [
        (Returned { binding: "somebody-elses-cookie", ..good }, 0),
        (Returned { binding: "", ..good }, 0),
        (Returned { provider: "other", ..good }, 0),
        (Returned { issuer: "https://other.example", ..good }, 0),
        (good, 10 * 60_000),
    ] {
        let (state, code) = known.comes(&json!({})).await;
        let refused = known.returned(Returned { state: &state, code: &code, ..wrong }, true, NOW + late).await;
        assert!(matches!(refused, Err(Refusal::Unknown(_))), "{refused:?}");
        let again = known.returned(Returned { state: &state, code: &code, ..good }, true, NOW).await;
        assert!(matches!(again, Err(Refusal::Unknown(_))), "a state is good once, whatever came of it: {again:?}");
    }
    let made_up = known.returned(Returned { state: "made-up", code: "code-0", ..good }, true, NOW).await;
    assert!(matches!(made_up, Err(Refusal::Unknown(_))), "{made_up:?}");
    assert_eq!(known.count("SELECT COUNT(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn a_provider_that_says_who_it_is_says_so_each_time() {
    let known = Known::open().await.with(EMAIL, true).await;
    known.provider.says_issuer();
    let issuer = known.provider.issuer();
    for (said, good) in [("", false), ("https://other.example", false), (issuer.as_str(), true)] {
        let (state, code) = known.comes(&json!({})).await;
        let returned = Returned { provider: "id", state: &state, code: &code, issuer: said, binding: BINDING };
        assert_eq!(known.returned(returned, false, NOW).await.is_ok(), good, "{said:?}");
    }
}

#[tokio::test]
async fn a_code_that_was_used_or_is_somebody_elses_is_refused() {
    let known = Known::open().await.with(EMAIL, true).await;
    let (state, code) = known.comes(&json!({})).await;
    known.complete(&(state, code.clone())).await.unwrap();
    let (state, _) = known.comes(&json!({})).await;
    let replayed = known.complete(&(state, code)).await;
    assert!(matches!(replayed, Err(Refusal::Unknown(_))), "{replayed:?}");
    // Of another browser, which has another verifier.
    let (_, others) = known.comes(&json!({})).await;
    let (state, _) = known.comes(&json!({})).await;
    let injected = known.complete(&(state, others)).await;
    assert!(matches!(injected, Err(Refusal::Unknown(_))), "{injected:?}");
}

#[tokio::test]
async fn a_token_that_is_for_somebody_else_or_another_time_is_refused() {
    let known = Known::open().await.with(EMAIL, true).await;
    for wrong in [
        json!({ "iss": "https://other.example" }),
        json!({ "aud": "another-client" }),
        json!({ "azp": "another-client" }),
        json!({ "nonce": "of-another-sign-in" }),
        json!({ "exp": NOW / 1000 - 61 }),
        json!({ "sub": null }),
    ] {
        let refused = known.complete(&known.comes(&wrong).await).await;
        assert!(matches!(refused, Err(Refusal::Unknown(_))), "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_signed_by_nobody_or_by_somebody_else_or_with_a_public_key_is_refused() {
    let known = Known::open().await.with(EMAIL, true).await;
    for signed in [Signed::Unsigned, Signed::Confused, Signed::With(2)] {
        known.provider.signs(signed);
        let refused = known.complete(&known.comes(&json!({})).await).await;
        assert!(matches!(refused, Err(Refusal::Unknown(_))), "{signed:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_key_that_was_changed_is_read_again_and_one_that_is_made_up_does_not_flood_the_provider() {
    let known = Known::open().await.with(EMAIL, true).await;
    known.complete(&known.comes(&json!({})).await).await.unwrap();
    known.provider.publishes(2);
    known.provider.signs(Signed::With(2));
    known.complete(&known.comes(&json!({})).await).await.unwrap();
    assert_eq!(known.provider.asked("/keys"), 2);
    let known = Known::apart(Duration::from_secs(3600)).await.with(EMAIL, true).await;
    known.provider.signs(Signed::With(2));
    for _ in 0..5 {
        assert!(known.complete(&known.comes(&json!({})).await).await.is_err());
    }
    assert_eq!(known.provider.asked("/keys"), 1);
}

#[tokio::test]
async fn a_provider_that_says_something_else_or_never_ends_is_told_of_and_works_again_when_it_does() {
    let known = Known::open().await.with(EMAIL, true).await;
    let says = Wrong::Says;
    for (path, wrong) in [
        ("/.well-known/openid-configuration", says(500, "")),
        ("/.well-known/openid-configuration", says(302, "")),
        ("/.well-known/openid-configuration", says(200, "<html>")),
        (
            "/.well-known/openid-configuration",
            says(
                200,
                r#"{"issuer":"https://other.example","authorization_endpoint":"https://o/a","token_endpoint":"https://o/t","jwks_uri":"https://o/k"}"#,
            ),
        ),
        ("/.well-known/openid-configuration", Wrong::Endless),
    ] {
        known.provider.goes_wrong(path, wrong);
        let refused = known.begin().await;
        assert!(matches!(&refused, Err(Refusal::Beside(why)) if why.contains("Example ID")), "{refused:?}");
    }
    known.provider.is_well();
    for (path, wrong) in [
        ("/keys", says(200, r#"{"keys":[]}"#)),
        ("/token", says(500, "")),
        ("/token", says(200, "{}")),
        ("/token", says(200, "garbage")),
        ("/token", Wrong::Endless),
    ] {
        let came = known.comes(&json!({})).await;
        known.provider.goes_wrong(path, wrong);
        let refused = known.complete(&came).await;
        assert!(matches!(refused, Err(Refusal::Beside(_))), "{path}: {refused:?}");
        known.provider.is_well();
    }
    known.provider.goes_wrong("/token", says(200, r#"{"id_token":"not.a.token"}"#));
    let refused = known.complete(&known.comes(&json!({})).await).await;
    assert!(matches!(refused, Err(Refusal::Unknown(_))), "{refused:?}");
    known.provider.is_well();
    known.complete(&known.comes(&json!({})).await).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_never_answers_is_not_waited_for() {
    let known = Known::open().await;
    known.provider.goes_wrong("/.well-known/openid-configuration", Wrong::Never);
    tokio::time::pause();
    let refused = oidc::begin(&known.store, &known.providers, "id", BINDING, "", NOW).await;
    assert!(matches!(refused, Err(Refusal::Beside(_))), "{refused:?}");
}

#[tokio::test]
async fn what_is_asked_of_nobody_or_with_nothing_to_know_the_browser_by_is_refused() {
    let known = Known::open().await;
    let begin = async |provider, binding, next: &str| oidc::begin(&known.store, &known.providers, provider, binding, next, NOW).await;
    assert!(matches!(begin("nobody", BINDING, "").await, Err(Refusal::Absent(_))));
    assert!(matches!(begin("id", "short", "").await, Err(Refusal::Invalid(_))));
    assert!(matches!(begin("id", BINDING, &"x".repeat(1025)).await, Err(Refusal::Invalid(_))));
}
