-- What is written down stays: PostgreSQL's words for it. `4_append_only.sqlite.sql` says the same.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% are added to and never changed', TG_TABLE_NAME; END $$;
CREATE TRIGGER billing_files_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_files FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER subscription_changes_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON subscription_changes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credits_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON credits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_postings_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER invoices_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_notes_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_postings WHERE entry_id = NEW.id)
        OR EXISTS (SELECT 1 FROM ledger_postings WHERE entry_id = NEW.id GROUP BY currency HAVING SUM(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'the postings of an entry sum to nothing';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_entries_balance BEFORE INSERT ON ledger_entries FOR EACH ROW EXECUTE FUNCTION entry_balances();
CREATE FUNCTION entry_is_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT 1 FROM ledger_entries WHERE id = NEW.entry_id) THEN
        RAISE EXCEPTION 'an entry that is there gets no more postings';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_postings_closed BEFORE INSERT ON ledger_postings FOR EACH ROW EXECUTE FUNCTION entry_is_open();
