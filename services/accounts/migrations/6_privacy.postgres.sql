-- What is not kept: PostgreSQL's words for it. `6_privacy.sqlite.sql` says the same.
-- When who the tenant was was removed; NULL: it was not.
ALTER TABLE tenants ADD COLUMN erased_ms BIGINT;

-- Before when a tenant's events were removed, by its name: what they say is in their sums alone.
CREATE TABLE usage_removed (
    tenant TEXT PRIMARY KEY,
    before_ms BIGINT NOT NULL
);

-- Of an invoice of such a tenant whom it was for may go, and nothing else, ever.
CREATE FUNCTION only_the_recipient_goes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.recipient <> '' OR to_jsonb(NEW) - 'recipient' <> to_jsonb(OLD) - 'recipient'
        OR NOT EXISTS (SELECT 1 FROM tenants WHERE id = OLD.tenant_id AND erased_ms IS NOT NULL) THEN
        RAISE EXCEPTION 'invoices are added to and never changed';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER invoices_no_change ON invoices;
CREATE TRIGGER invoices_no_removal BEFORE DELETE OR TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER invoices_no_change BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION only_the_recipient_goes();
