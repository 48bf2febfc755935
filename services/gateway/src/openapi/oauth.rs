//! What is written of `/oauth/…` and of what is published for those who use it, where the gateway gives tokens.

use serde_json::{Map, Value, json};
use torchmesh_api::access::Scope;

use super::{
    errors,
    operation::{Operation, Tag},
    schema::{Object, Schema},
};
use crate::form::Form;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "OAuth",
    what: "Short-lived tokens for the secret of an OAuth client (RFC 6749, section 4.4). A token is shown as a key is, `Authorization: Bearer TOKEN`. The client \
           shows its secret as HTTP Basic or in the form, and not in both.",
    form: Form::OpenAi,
};

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    let client = |more: Value| {
        let mut form = json!({ "client_id": "batch", "client_secret": "YOUR_SECRET" });
        for (name, value) in more.as_object().into_iter().flatten() {
            form[name] = value.clone();
        }
        form
    };
    let published = |path, id| Operation::get(path, id, TAG).open().own();
    vec![
        asked("/oauth/token", "giveToken")
            .says("A token for a secret", "Good for `oauth.token_lifetime`, 10 minutes where nothing else is set, and never for more than its client may do at the time.")
            .body(FORM, Schema::named("TokenRequest"))
            .example(FORM, "all", "With all that the client may do", client(json!({ "grant_type": "client_credentials" })))
            .example(FORM, "infer", "To call models, and no more", client(json!({ "grant_type": "client_credentials", "scope": "infer" })))
            .gives("The token.", Schema::named("Token")),
        asked("/oauth/introspect", "introspectToken")
            .says("What a token says (RFC 7662)", "Told to the client that it was given to, and to clients with the scope `admin`; to others no token is active.")
            .body(FORM, Schema::named("IntrospectRequest"))
            .example(FORM, "one", "A token", client(json!({ "token": "TOKEN" })))
            .gives("What is known of it.", Schema::named("Introspection")),
        published("/.well-known/oauth-authorization-server", "oauthServer")
            .says("Where all of this is (RFC 8414)", "Addresses begin with `oauth.issuer`.")
            .gives("What the server does.", Schema::named("ServerMetadata")),
        published("/.well-known/jwks.json", "oauthKeys")
            .says("The public keys that tokens are checked with (RFC 7517)", "The first of them signs; the others have signed before.")
            .gives("The keys.", Schema::named("Jwks")),
    ]
}

/// What is asked with a secret, and how it is refused.
fn asked(path: &'static str, id: &'static str) -> Operation {
    let error = || [(JSON, Schema::named("OAuthError"))];
    // Wrong secrets are counted here; what stands in front of every door refuses in OpenAI's form.
    let too_many = Schema::either([Schema::named("OAuthError"), errors::schema(Form::OpenAi)], "Which of the two was too much.");
    let wait = Schema::whole("How many seconds to wait before trying again, where that is known.").from(0);
    Operation::post(path, id, TAG)
        .open()
        .own()
        .answers(400, "Something in the form is wrong; `error` says what.", error())
        .answers(401, "The client is not known, or its secret is not valid.", error())
        .tells(401, "WWW-Authenticate", Schema::text("How a client shows its secret in a header."))
        .answers(
            429,
            "Too many wrong secrets were shown for this client from this address (`oauth.max_failures`), or the gateway is full.",
            [(JSON, too_many)],
        )
        .tells(429, "Retry-After", wait)
}

/// How a token is had, for programs that do it by themselves.
pub(super) fn security_scheme() -> Value {
    let scopes: Map<_, _> = Scope::ALL.map(|scope| (scope.as_str().to_owned(), json!(allows(scope)))).into_iter().collect();
    json!({
        "type": "oauth2",
        "description": "A token of `POST /oauth/token`, as `Authorization: Bearer TOKEN`.",
        "flows": { "clientCredentials": { "tokenUrl": "/oauth/token", "scopes": scopes } },
    })
}

fn allows(scope: Scope) -> &'static str {
    match scope {
        Scope::Infer => "Call models.",
        Scope::ModelsRead => "List models, and read what is said of them.",
        Scope::ModelsWrite => "Load and unload models.",
        Scope::PriorityHigh => "Be served before others.",
        Scope::Admin => "All of it, and what is for operators only.",
    }
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("TokenRequest", token_request()),
        ("Token", token()),
        ("IntrospectRequest", introspect_request()),
        ("Introspection", introspection()),
        ("OAuthError", error()),
        ("ServerMetadata", metadata()),
        ("Jwks", keys()),
    ]
}

/// Name and secret of a client, where it does not show them as HTTP Basic.
fn shown(object: Object) -> Object {
    object
        .may("client_id", Schema::text("The client's id; not needed with HTTP Basic."))
        .may("client_secret", Schema::text("Its secret; to be left out with HTTP Basic."))
}

fn token_request() -> Schema {
    let scope = "Scopes with spaces between them, of those that the client has; absent: all of them.";
    shown(Object::new("A client that wants a token.").must("grant_type", Schema::always("client_credentials")))
        .may("scope", Schema::text(scope))
        .schema()
}

fn introspect_request() -> Schema {
    shown(Object::new("A client that asks about a token.").must("token", Schema::text("The token.").some())).schema()
}

fn token() -> Schema {
    Object::new("A token.")
        .must("access_token", Schema::text("The token, a JWT (RFC 9068)."))
        .must("token_type", Schema::always("Bearer"))
        .must("expires_in", Schema::whole("How many seconds it is good.").from(1))
        .must("scope", Schema::text("What it was given for: scopes with spaces between them."))
        .schema()
}

fn introspection() -> Schema {
    Object::new("What a token says; of one that is not good, or not the client's to ask about, `active` is all that is there.")
        .must("active", Schema::flag("Whether it is good."))
        .may("client_id", Schema::text("The client that it was given to."))
        .may("sub", Schema::text("The same."))
        .may("scope", Schema::text("What it allows now: scopes with spaces between them."))
        .may("tenant", Schema::text("Whose client that is."))
        .may("token_type", Schema::always("Bearer"))
        .may("iss", Schema::text("Who gave it: `oauth.issuer`."))
        .may("aud", Schema::text("Whom it is for: `oauth.audience`."))
        .may("exp", Schema::whole("When it ends, in seconds since 1970.").from(0))
        .may("iat", Schema::whole("When it was given, in seconds since 1970.").from(0))
        .may("jti", Schema::text("Tells it from all others."))
        .schema()
}

fn error() -> Schema {
    let words = ["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"];
    Object::new("An error as RFC 6749 tells it (section 5.2).")
        .must("error", Schema::word(&words, "Its word for the kind."))
        .must("error_description", Schema::text("What is wrong and what to send, for people to read."))
        .schema()
}

fn metadata() -> Schema {
    let words = |what: &str| Schema::list(Schema::text("A word of the standard."), what);
    let methods = || words("How a client shows its secret there.");
    Object::new("What the server does, and where (RFC 8414).")
        .must("issuer", Schema::text("Who gives the tokens: `oauth.issuer`."))
        .must("token_endpoint", Schema::text("Where tokens are had."))
        .must("introspection_endpoint", Schema::text("Where it is asked what they say."))
        .must("jwks_uri", Schema::text("Where the public keys are."))
        .must("grant_types_supported", words("What tokens are given for."))
        .must("response_types_supported", words("None: nobody is sent to a page."))
        .must("token_endpoint_auth_methods_supported", methods())
        .must("introspection_endpoint_auth_methods_supported", methods())
        .must("scopes_supported", Schema::list(Schema::word(&Scope::ALL.map(Scope::as_str), "A scope."), "What a client may be given."))
        .schema()
}

fn keys() -> Schema {
    let key = Object::new("A public key (RFC 8037).")
        .must("kty", Schema::always("OKP"))
        .must("crv", Schema::always("Ed25519"))
        .must("use", Schema::always("sig"))
        .must("alg", Schema::always("EdDSA"))
        .must("kid", Schema::text("Its thumbprint (RFC 7638), which tokens name."))
        .must("x", Schema::text("The key, in base64 for addresses."));
    Object::new("Public keys (RFC 7517).").must("keys", Schema::list(key.schema(), "The one that signs first.")).schema()
}
