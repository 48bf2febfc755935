-- Every event once, by its id.
CREATE TABLE usage_events (
    id TEXT PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    credential TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    door BIGINT NOT NULL,
    method TEXT NOT NULL,
    code BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    items BIGINT NOT NULL,
    audio_ms BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    compute_us BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    source TEXT NOT NULL,
    duration_us BIGINT NOT NULL
);
CREATE INDEX usage_events_of_tenant ON usage_events (tenant, time_ms);

-- Sums of the events above, kept in the transaction that adds them.
CREATE TABLE usage_hourly (
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

CREATE TABLE usage_daily (
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
CREATE INDEX usage_daily_by_credential ON usage_daily (credential, last_ms);
