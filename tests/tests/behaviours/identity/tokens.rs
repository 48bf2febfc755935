//! Tokens of an issuer whose keys are read over HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use torchmesh_tests::{
    MeshSandbox, bounded, eventually,
    issuer::{Signer, key_set},
    origin::Origin,
};

use super::{SOON, builder, models, models_until};

const ISSUER: &str = "https://id.example";

/// Claims that are good for an hour, with some changed.
fn claims(change: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({ "iss": ISSUER, "sub": "me", "aud": "torchmesh", "exp": now + 3600, "org": "acme", "scope": "models:read" });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = match value.as_i64() {
            Some(seconds) if matches!(name.as_str(), "exp" | "nbf") => json!(now.saturating_add_signed(seconds)),
            _ => value.clone(),
        };
    }
    claims
}

async fn mesh(origin: &Origin) -> MeshSandbox {
    let url = origin.url("keys");
    let settings =
        [("issuer", ISSUER), ("audience", "torchmesh"), ("tenant_claim", "org"), ("jwks_url", &url), ("refresh_at_least_apart", "100ms")];
    let set = |mesh: torchmesh_tests::sandbox::Builder, (key, value): (&str, &str)| mesh.set("gateway", &format!("issuer[0].{key}"), value);
    settings.into_iter().fold(builder(), set).start().await
}

#[test]
fn a_token_is_good_and_each_that_is_not_is_told_why() {
    bounded(async {
        let (origin, signer, other) = (Origin::start().await, Signer::new("one"), Signer::new("two"));
        origin.put("keys", key_set([&signer]));
        let mesh = mesh(&origin).await;
        models_until(&mesh, &signer.sign(&claims(&json!({}))), 200).await;
        let unsigned = signer.sign_as(&json!({ "alg": "none" }), &claims(&json!({})));
        let confused = signer.sign_as(&json!({ "alg": "HS256", "kid": "one" }), &claims(&json!({})));
        let forged = other.sign_as(&json!({ "alg": "EdDSA", "kid": "one" }), &claims(&json!({})));
        let changed = |change: Value| signer.sign(&claims(&change));
        for (token, why) in [
            (unsigned, "not signed"),
            (confused, "signed with HS256"),
            (forged, "signature does not fit"),
            (other.sign(&claims(&json!({}))), "key that its issuer does not list"),
            (changed(json!({ "exp": -61 })), "has expired"),
            (changed(json!({ "nbf": 120 })), "not valid yet"),
            (changed(json!({ "aud": "somebody" })), "ask for one for \"torchmesh\""),
            (changed(json!({ "iss": "https://other.example" })), "not trusted"),
            (changed(json!({ "org": "not a tenant" })), "no usable claim \"org\""),
        ] {
            let (status, text) = models(&mesh, &token).await;
            assert_eq!(status, 401, "{text}");
            let message = serde_json::from_str::<Value>(&text).unwrap()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(why), "{why}: {message}");
        }
        let (status, text) = models(&mesh, &changed(json!({ "scope": "openid" }))).await;
        assert!(status == 403 && text.contains("models:read"), "{text}");
        let counted = |why| [("credential", "token"), ("why", why)];
        let name = "torchmesh_gateway_refused_credentials_total";
        mesh.gateways[0].metric_until(name, &counted("unknown"), SOON, |count| count >= 9).await;
        mesh.gateways[0].metric_until(name, &counted("scope"), SOON, |count| count == 1).await;
    });
}

#[test]
fn a_key_that_the_issuer_begins_to_use_is_fetched_and_one_that_it_takes_out_is_not_good_any_more() {
    bounded(async {
        let (origin, old, new) = (Origin::start().await, Signer::new("old"), Signer::new("new"));
        origin.put("keys", key_set([&old]));
        let mesh = mesh(&origin).await;
        let token = |signer: &Signer| signer.sign(&claims(&json!({})));
        let with_old = token(&old);
        models_until(&mesh, &with_old, 200).await;
        origin.set_down(true);
        assert_eq!(models(&mesh, &with_old).await.0, 200, "the keys stay while the issuer is away");
        assert_eq!(models(&mesh, &token(&new)).await.0, 401);
        origin.set_down(false);
        origin.put("keys", key_set([&new]));
        let with_new = token(&new);
        models_until(&mesh, &with_new, 200).await;
        models_until(&mesh, &with_old, 401).await;
    });
}

#[test]
fn made_up_keys_do_not_flood_the_issuer() {
    bounded(async {
        let (origin, signer) = (Origin::start().await, Signer::new("one"));
        origin.put("keys", key_set([&signer]));
        let settings = [("issuer", ISSUER), ("audience", "torchmesh"), ("tenant", "acme")];
        let url = origin.url("keys");
        let mesh = settings.into_iter().chain([("jwks_url", url.as_str())]);
        let mesh = mesh.fold(builder(), |mesh, (key, value)| mesh.set("gateway", &format!("issuer[0].{key}"), value)).start().await;
        eventually("the keys are read", SOON, async || (!origin.asked().is_empty()).then_some(())).await;
        for made_up in 0..20 {
            let token = Signer::new(&format!("made-up-{made_up}")).sign(&claims(&json!({})));
            assert_eq!(models(&mesh, &token).await.0, 401);
        }
        assert_eq!(origin.asked().len(), 1, "{:?}", origin.asked());
    });
}
