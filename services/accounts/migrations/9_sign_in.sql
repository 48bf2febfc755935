-- How members sign in beyond their password. The same text for SQLite and PostgreSQL, as in the first migration.

CREATE TABLE second_factors (
    member_id TEXT PRIMARY KEY REFERENCES members (id) ON DELETE CASCADE,
    -- What codes are made with, sealed with a key of `webhooks.key_file`.
    sealed TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- NULL: nothing is asked for yet.
    confirmed_ms BIGINT,
    -- The step (RFC 6238) of the last code that was taken: no code of it or of an earlier one is.
    last_step BIGINT NOT NULL
);

-- By their hashes; each is good once, and then not there any more.
CREATE TABLE recovery_codes (
    member_id TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (member_id, sha256)
);

-- Members whose password was right, and who are asked for a code; each is good once.
CREATE TABLE sign_in_challenges (
    sha256 TEXT PRIMARY KEY,
    member_id TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sign_in_challenges_of_member ON sign_in_challenges (member_id);

-- Browsers that are at a provider of OpenID Connect; each state is good once.
CREATE TABLE oidc_attempts (
    sha256 TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    -- The hash of what the browser shows again.
    binding_sha256 TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    next TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX oidc_attempts_by_end ON oidc_attempts (expires_ms);

-- Who providers say that members are.
CREATE TABLE member_identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    member_id TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    linked_ms BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX member_identities_of_member ON member_identities (member_id);
