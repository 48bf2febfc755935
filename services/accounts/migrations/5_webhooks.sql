-- Webhooks: whom to tell what happens, and what was told. The same text for SQLite and PostgreSQL, as in the first migration.

CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    -- NULL: the operators' own, which is told of every tenant.
    tenant_id TEXT REFERENCES tenants (id),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Names with blanks between, or `*`.
    events TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'switched_off')),
    created_ms BIGINT NOT NULL,
    -- Since when no attempt has gone well; NULL: the last one did.
    failing_since_ms BIGINT,
    -- Nothing is sent before: what failed just now keeps what is behind it back.
    not_before_ms BIGINT NOT NULL DEFAULT 0,
    -- The process that sends now, and until when no other one does.
    leased_by TEXT NOT NULL DEFAULT '',
    leased_until_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id, id);

-- Sealed with a key of `webhooks.key_file`; all that have not ended sign.
CREATE TABLE webhook_secrets (
    id TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);
CREATE INDEX webhook_secrets_of_webhook ON webhook_secrets (webhook_id);

-- What happened, written with the change that made it happen: a change has one at most, and its revision is the event's place among all.
CREATE TABLE webhook_events (
    revision BIGINT PRIMARY KEY,
    -- The header `webhook-id`.
    message_id TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL,
    time_ms BIGINT NOT NULL,
    -- What is sent, byte for byte.
    body TEXT NOT NULL
);

CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL REFERENCES webhook_events (revision),
    created_ms BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts BIGINT NOT NULL DEFAULT 0,
    first_ms BIGINT,
    last_ms BIGINT,
    next_ms BIGINT NOT NULL,
    -- Of the last attempt: the status, 0 where nobody answered, and why it failed.
    status BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (webhook_id, revision)
);
CREATE INDEX webhook_deliveries_that_wait ON webhook_deliveries (webhook_id, state, next_ms);
CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (revision);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_ms);
