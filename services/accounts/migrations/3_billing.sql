-- What is billed. Amounts are whole numbers of the currency's smallest unit; documents are JSON, as torchmesh-billing writes it.

-- Sums of those events that are paid for (see `Event::is_paid_for`), by hour and model; credential and version are empty.
CREATE TABLE usage_payable (
    tenant TEXT NOT NULL,
    begin_ms BIGINT NOT NULL,
    credential TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    calls BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    items BIGINT NOT NULL,
    audio_ms BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    compute_us BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, begin_ms, credential, model, version)
);
INSERT INTO usage_payable SELECT tenant, time_ms - time_ms % 3600000, '', model, '', COUNT(*), CAST(SUM(CASE WHEN code IN (0, 1) THEN 0 ELSE 1 END) AS BIGINT),
    CAST(SUM(prompt_tokens) AS BIGINT),
    CAST(SUM(CASE WHEN cached_tokens > prompt_tokens THEN prompt_tokens ELSE cached_tokens END) AS BIGINT),
    CAST(SUM(completion_tokens) AS BIGINT),
    CAST(SUM(items) AS BIGINT),
    CAST(SUM(audio_ms) AS BIGINT),
    CAST(SUM(bytes_in) AS BIGINT),
    CAST(SUM(bytes_out) AS BIGINT),
    CAST(SUM(compute_us) AS BIGINT), MAX(time_ms)
    FROM usage_events
    WHERE model <> '' AND (code = 0 OR (code IN (1, 4) AND prompt_tokens + completion_tokens + items + audio_ms > 0))
    GROUP BY tenant, time_ms - time_ms % 3600000, model;

-- Why its calls are refused though nobody has suspended it; empty: they are not.
ALTER TABLE tenants ADD COLUMN stopped TEXT NOT NULL DEFAULT '';

-- What numbers are drawn from, in the transaction that uses them: there are no gaps.
CREATE TABLE billing_counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO billing_counters (name, value) VALUES ('invoice', 0), ('credit note', 0), ('ledger', 0);

-- What is sold, each time it changed. The last one counts. This table and those that follow are added to and never changed, which the next migration sees to.
CREATE TABLE billing_files (
    revision BIGINT PRIMARY KEY,
    accepted_ms BIGINT NOT NULL,
    content TEXT NOT NULL
);

CREATE TABLE subscription_changes (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    at_ms BIGINT NOT NULL,
    change TEXT NOT NULL
);
CREATE INDEX subscription_changes_of_tenant ON subscription_changes (tenant_id, at_ms);

CREATE TABLE credits (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    amount TEXT NOT NULL,
    granted_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    bought BIGINT NOT NULL
);
CREATE INDEX credits_of_tenant ON credits (tenant_id);

-- Postings come before their entry, which is let in when they sum to nothing, and closes them.
CREATE TABLE ledger_entries (
    id TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    at_ms BIGINT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX ledger_entries_of_tenant ON ledger_entries (tenant_id, sequence);

CREATE TABLE ledger_postings (
    entry_id TEXT NOT NULL REFERENCES ledger_entries (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (entry_id, account, currency)
);
CREATE INDEX ledger_postings_of_account ON ledger_postings (account, entry_id);

CREATE TABLE invoices (
    number TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL UNIQUE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    issued_ms BIGINT NOT NULL,
    replaces TEXT REFERENCES invoices (number),
    issuer TEXT NOT NULL,
    recipient TEXT NOT NULL,
    note TEXT NOT NULL,
    content TEXT NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE INDEX invoices_of_tenant ON invoices (tenant_id, sequence);
-- A period has one invoice, and an invoice one that takes its place.
CREATE UNIQUE INDEX invoices_of_period ON invoices (tenant_id, start_ms) WHERE replaces IS NULL;
CREATE UNIQUE INDEX invoices_that_replace ON invoices (replaces);

CREATE TABLE credit_notes (
    number TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    invoice TEXT NOT NULL REFERENCES invoices (number),
    -- Whoever asked chose it.
    id TEXT NOT NULL,
    asked TEXT NOT NULL,
    content TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    UNIQUE (invoice, id)
);

-- From here on rows may change.
CREATE TABLE billing_profiles (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    recipient TEXT NOT NULL,
    tax_name TEXT NOT NULL,
    tax_rate TEXT NOT NULL,
    from_sign_up BIGINT NOT NULL,
    prepaid BIGINT NOT NULL
);

CREATE TABLE budgets (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    amount TEXT NOT NULL,
    -- In percent, with blanks between.
    thresholds TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- What was told of budgets: once a period and threshold.
CREATE TABLE budget_alerts (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    period_ms BIGINT NOT NULL,
    percent BIGINT NOT NULL,
    told_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name, period_ms, percent)
);
