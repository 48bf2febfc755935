-- The same text for SQLite and PostgreSQL: TEXT and BIGINT only, times in milliseconds since 1970, ids and hashes as text. A migration that has been released is never changed.

-- One row. Every change counts it up and holds it until it is committed, so that changes are seen in the order of their revisions, and none later than a higher one.
CREATE TABLE revision (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    value BIGINT NOT NULL,
    origin TEXT NOT NULL
);
INSERT INTO revision (only_row, value, origin) VALUES (1, 0, '');

-- Rows are added and never changed.
CREATE TABLE changes (
    revision BIGINT PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX changes_of_tenant ON changes (tenant_id, revision);

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'closed')),
    -- Patterns with blanks between.
    models TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL CHECK (kind IN ('api_key', 'oauth_client')),
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    -- NULL: all that the tenant has.
    models TEXT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT,
    -- Of its last change, or its tenant's.
    revision BIGINT NOT NULL
);
CREATE INDEX credentials_of_tenant ON credentials (tenant_id, name);
CREATE INDEX credentials_by_revision ON credentials (revision);

CREATE TABLE members (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- In lower case.
    email TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'viewer')),
    -- NULL: none is set yet.
    password_hash TEXT,
    verified_ms BIGINT,
    created_ms BIGINT NOT NULL
);
CREATE INDEX members_of_tenant ON members (tenant_id, email);

-- Tokens of letters, by their hashes; each is good once.
CREATE TABLE letters (
    sha256 TEXT PRIMARY KEY,
    member_id TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'reset', 'invite')),
    expires_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    sha256 TEXT PRIMARY KEY,
    member_id TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sessions_of_member ON sessions (member_id);

-- Attempts to sign in that failed, by a hash of the address, whether it is known or not.
CREATE TABLE attempts (
    subject TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    since_ms BIGINT NOT NULL
);
