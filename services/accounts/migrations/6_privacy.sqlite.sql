-- What is not kept: SQLite's words for it. `6_privacy.postgres.sql` says the same.
-- When who the tenant was was removed; NULL: it was not.
ALTER TABLE tenants ADD COLUMN erased_ms BIGINT;

-- Before when a tenant's events were removed, by its name: what they say is in their sums alone.
CREATE TABLE usage_removed (
    tenant TEXT PRIMARY KEY,
    before_ms BIGINT NOT NULL
);

-- Of an invoice of such a tenant whom it was for may go, and nothing else, ever.
DROP TRIGGER invoices_no_update;
CREATE TRIGGER invoices_no_update BEFORE UPDATE ON invoices
WHEN NEW.recipient <> '' OR NOT EXISTS (SELECT 1 FROM tenants WHERE id = OLD.tenant_id AND erased_ms IS NOT NULL)
    OR NEW.number <> OLD.number OR NEW.sequence <> OLD.sequence OR NEW.tenant_id <> OLD.tenant_id OR NEW.start_ms <> OLD.start_ms
    OR NEW.end_ms <> OLD.end_ms OR NEW.issued_ms <> OLD.issued_ms OR NEW.replaces IS NOT OLD.replaces OR NEW.issuer <> OLD.issuer
    OR NEW.note <> OLD.note OR NEW.content <> OLD.content OR NEW.sha256 <> OLD.sha256
BEGIN SELECT RAISE(ABORT, 'invoices are added to and never changed'); END;
