//! Whom the claims of an issuer stand for here.

use torchmesh_api::{
    access::{Scope, Scopes},
    ids::TenantId,
};
use torchmesh_token::{Claims, Refused};

use super::{IssuerSettings, TenantFrom};
use crate::identity::principal::{CredentialKind, Principal};

/// Reads tenant and scopes as the settings say. Words that are worth nothing here are left out: tokens are for others too.
pub(super) fn principal(settings: &IssuerSettings, claims: &Claims) -> Result<Principal, Refused> {
    let tenant = match &settings.tenant {
        TenantFrom::Fixed(tenant) => tenant.clone(),
        TenantFrom::Claim(claim) => {
            let told = claims.all.get(claim).and_then(serde_json::Value::as_str);
            told.and_then(|told| TenantId::parse(told).ok()).ok_or_else(|| Refused::Claim(claim.clone()))?
        }
    };
    let words = claims.words(&settings.scope_claim);
    let given: Scopes = if settings.mapping.is_empty() {
        words.into_iter().filter_map(Scope::parse).collect()
    } else {
        let worth = settings.mapping.iter().filter(|mapping| words.contains(&mapping.word.as_str()));
        worth.fold(Scopes::NONE, |all, mapping| all.or(mapping.gives))
    };
    let credential = format!("{}|{}", settings.issuer, claims.subject);
    Ok(Principal::new(tenant, credential, CredentialKind::Jwt, settings.scopes.or(given), settings.models.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::settings::testing::read, *};

    fn of(more: &str, claims: &Value) -> Result<Principal, Refused> {
        let settings = read(&format!("[[issuer]]\nissuer = 'https://id'\naudience = 'a'\n{more}")).unwrap().remove(0);
        principal(&settings, &Claims { subject: "me".to_owned(), until: 9, all: claims.as_object().unwrap().clone() })
    }

    #[test]
    fn the_words_of_the_scope_claim_are_ours_or_worth_nothing() {
        let known = of("tenant = 'acme'", &json!({ "scope": "openid infer email models:write" })).unwrap();
        assert_eq!(known.scopes, Scopes::parse(["infer", "models:write"]).unwrap());
        assert!(of("tenant = 'acme'", &json!({})).unwrap().scopes.is_empty());
    }

    #[test]
    fn a_mapping_says_what_a_group_is_worth_and_then_our_own_words_are_worth_nothing() {
        let settings =
            "tenant = 'acme'\nscope_claim = 'groups'\nscopes = ['models:read']\n[[issuer.scope]]\nword = 'ml'\ngives = ['infer']\n";
        let known = of(settings, &json!({ "groups": ["staff", "ml", "admin"] })).unwrap();
        assert_eq!(known.scopes, Scopes::USUAL);
    }

    #[test]
    fn the_tenant_is_what_the_claim_says_and_must_be_one() {
        assert_eq!(of("tenant_claim = 'org'", &json!({ "org": "bolt" })).unwrap().tenant.as_str(), "bolt");
        for claims in [json!({}), json!({ "org": "a b" }), json!({ "org": 7 }), json!({ "org": "" })] {
            assert_eq!(of("tenant_claim = 'org'", &claims).unwrap_err(), Refused::Claim("org".to_owned()));
        }
    }
}
