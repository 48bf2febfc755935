//! A gateway that gives tokens to an OAuth client.

use std::{fs, path::Path};

use crate::{TENANT, key_entry, sandbox::Builder};

/// As `openssl genpkey -algorithm ed25519` writes it.
const SIGNING_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC\n-----END PRIVATE KEY-----\n";

impl Builder {
    /// The gateways give tokens to the client `batch` for this secret; the key that signs them is put into the folder.
    #[must_use]
    pub fn giving_tokens(self, folder: &Path, secret: &str) -> Self {
        let key = folder.join("signing.pem");
        fs::write(&key, SIGNING_KEY).unwrap_or_else(|error| panic!("{}: {error}", key.display()));
        let client = key_entry("batch", TENANT, secret, "scopes = [\"infer\", \"models:read\"]").replace("[[key]]", "[[client]]");
        let mesh = self.keys(&client).set("gateway", "oauth.issuer", "https://models.example");
        mesh.set("gateway", "oauth.signing_key_file", key.to_str().expect("a path in UTF-8"))
    }
}
