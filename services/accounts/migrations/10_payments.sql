-- Payments that were begun at a payment processor. The same text for SQLite and PostgreSQL, as in the first migration. Amounts are text, as of credit.

CREATE TABLE payments (
    -- What the processor calls it by, too: the session's reference, and the key that begins it once.
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    invoice TEXT NOT NULL REFERENCES invoices (number),
    processor TEXT NOT NULL,
    -- The processor's name for it, and where the payer is sent; empty: it has not answered yet.
    session TEXT NOT NULL DEFAULT '',
    url TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CHECK (state IN ('begun', 'waiting', 'booked', 'failed', 'expired')),
    amount TEXT NOT NULL,
    -- What came, and the ledger's entry of it; empty: nothing has.
    received TEXT NOT NULL DEFAULT '',
    entry TEXT NOT NULL DEFAULT '',
    -- The processor's id of the money that came, and what was given back of it.
    money TEXT NOT NULL DEFAULT '',
    refunded TEXT NOT NULL DEFAULT '',
    begun_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    -- When the processor is asked what became of it.
    next_ms BIGINT NOT NULL
);
CREATE INDEX payments_of_tenant ON payments (tenant_id, id);
CREATE INDEX payments_of_invoice ON payments (invoice, id);
CREATE INDEX payments_of_money ON payments (money) WHERE money <> '';
CREATE INDEX payments_in_flight ON payments (next_ms) WHERE state IN ('begun', 'waiting');
-- Two who begin at once begin one.
CREATE UNIQUE INDEX payments_open ON payments (invoice) WHERE state IN ('begun', 'waiting');
