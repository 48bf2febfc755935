-- The marketplace: what is said of models, and what was measured of them. The same text for SQLite and PostgreSQL, as in the first migration.

CREATE TABLE listings (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL UNIQUE,
    -- NULL: the platform's own.
    provider_id TEXT REFERENCES tenants (id),
    state TEXT NOT NULL CHECK (state IN ('draft', 'published', 'deprecated', 'retired')),
    task TEXT NOT NULL,
    -- 1: everybody sees it when it is published; 0: the tenants of `listing_audience`, and the provider.
    everyone BIGINT NOT NULL CHECK (everyone IN (0, 1)),
    -- The model that comes in its place; empty: none.
    successor TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    submitted_ms BIGINT,
    published_ms BIGINT,
    deprecated_ms BIGINT,
    -- When it is retired; of one that is, when it was.
    retires_ms BIGINT,
    -- Of its last change.
    revision BIGINT NOT NULL
);
CREATE INDEX listings_of_provider ON listings (provider_id, model);
CREATE INDEX listings_by_state ON listings (state, retires_ms);

CREATE TABLE listing_texts (
    listing_id TEXT NOT NULL REFERENCES listings (id) ON DELETE CASCADE,
    language TEXT NOT NULL CHECK (language IN ('en', 'zh')),
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    terms TEXT NOT NULL,
    PRIMARY KEY (listing_id, language)
);

CREATE TABLE listing_versions (
    listing_id TEXT NOT NULL REFERENCES listings (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    day_ms BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (listing_id, version)
);

CREATE TABLE listing_audience (
    listing_id TEXT NOT NULL REFERENCES listings (id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    PRIMARY KEY (listing_id, tenant_id)
);

-- Whom a change concerns: written with the change, and told to each in a change of its own.
CREATE TABLE listing_notices (
    listing_id TEXT NOT NULL REFERENCES listings (id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- The state that it came to.
    state TEXT NOT NULL CHECK (state IN ('deprecated', 'retired')),
    -- NULL: it has not been told yet.
    told_ms BIGINT,
    PRIMARY KEY (listing_id, tenant_id, state)
);
CREATE INDEX listing_notices_of_tenant ON listing_notices (tenant_id, state);
CREATE INDEX listing_notices_to_tell ON listing_notices (listing_id, tenant_id) WHERE told_ms IS NULL;

-- How long calls took, whoever's they were: by model and day, so many in each bucket of `usage::measured`. The bucket -1 are calls that failed.
CREATE TABLE usage_measured (
    model TEXT NOT NULL,
    begin_ms BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (model, begin_ms, bucket)
);
