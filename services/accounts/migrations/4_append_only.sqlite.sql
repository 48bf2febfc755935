-- What is written down stays: SQLite's words for it. `4_append_only.postgres.sql` says the same.
CREATE TRIGGER billing_files_no_update BEFORE UPDATE ON billing_files BEGIN SELECT RAISE(ABORT, 'billing_files are added to and never changed'); END;
CREATE TRIGGER billing_files_no_delete BEFORE DELETE ON billing_files BEGIN SELECT RAISE(ABORT, 'billing_files are added to and never changed'); END;
CREATE TRIGGER subscription_changes_no_update BEFORE UPDATE ON subscription_changes BEGIN SELECT RAISE(ABORT, 'subscription_changes are added to and never changed'); END;
CREATE TRIGGER subscription_changes_no_delete BEFORE DELETE ON subscription_changes BEGIN SELECT RAISE(ABORT, 'subscription_changes are added to and never changed'); END;
CREATE TRIGGER credits_no_update BEFORE UPDATE ON credits BEGIN SELECT RAISE(ABORT, 'credits are added to and never changed'); END;
CREATE TRIGGER credits_no_delete BEFORE DELETE ON credits BEGIN SELECT RAISE(ABORT, 'credits are added to and never changed'); END;
CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger_entries are added to and never changed'); END;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'ledger_entries are added to and never changed'); END;
CREATE TRIGGER ledger_postings_no_update BEFORE UPDATE ON ledger_postings BEGIN SELECT RAISE(ABORT, 'ledger_postings are added to and never changed'); END;
CREATE TRIGGER ledger_postings_no_delete BEFORE DELETE ON ledger_postings BEGIN SELECT RAISE(ABORT, 'ledger_postings are added to and never changed'); END;
CREATE TRIGGER invoices_no_update BEFORE UPDATE ON invoices BEGIN SELECT RAISE(ABORT, 'invoices are added to and never changed'); END;
CREATE TRIGGER invoices_no_delete BEFORE DELETE ON invoices BEGIN SELECT RAISE(ABORT, 'invoices are added to and never changed'); END;
CREATE TRIGGER credit_notes_no_update BEFORE UPDATE ON credit_notes BEGIN SELECT RAISE(ABORT, 'credit_notes are added to and never changed'); END;
CREATE TRIGGER credit_notes_no_delete BEFORE DELETE ON credit_notes BEGIN SELECT RAISE(ABORT, 'credit_notes are added to and never changed'); END;

CREATE TRIGGER ledger_entries_balance BEFORE INSERT ON ledger_entries
WHEN NOT EXISTS (SELECT 1 FROM ledger_postings WHERE entry_id = NEW.id)
    OR EXISTS (SELECT 1 FROM ledger_postings WHERE entry_id = NEW.id GROUP BY currency HAVING SUM(amount_minor) <> 0)
BEGIN SELECT RAISE(ABORT, 'the postings of an entry sum to nothing'); END;
CREATE TRIGGER ledger_postings_closed BEFORE INSERT ON ledger_postings
WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE id = NEW.entry_id)
BEGIN SELECT RAISE(ABORT, 'an entry that is there gets no more postings'); END;
