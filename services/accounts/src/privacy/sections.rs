//! What there is about a tenant and about a person, table by table. Hashes, of secrets as of passwords, and what is sealed are in none of it.

/// A part of a document: rows of a query.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in the document.
    pub(super) name: &'static str,
    /// What is told, by the names that it has; what is JSON already begins with `json:`.
    pub(super) columns: &'static [&'static str],
    /// From where, with `$1` for whose it is.
    pub(super) from: &'static str,
    /// In which order, and behind what the next page begins; together they are of one row.
    pub(super) order: &'static [&'static str],
}

impl Section {
    /// The query of a page: the first one, or one behind another row.
    pub(super) fn page(&self, is_first: bool, rows: usize) -> String {
        let bare = |column: &&'static str| column.strip_prefix("json:").unwrap_or(column);
        let told = self.columns.iter().map(bare).chain(self.order.iter().copied()).collect::<Vec<_>>().join(", ");
        let order = self.order.join(", ");
        let behind = if is_first {
            String::new()
        } else {
            let places: Vec<String> = (2..self.order.len() + 2).map(|at| format!("${at}")).collect();
            format!("AND ({order}) > ({})", places.join(", "))
        };
        format!("SELECT {told} FROM {} {behind} ORDER BY {order} LIMIT {rows}", self.from)
    }
}

const SUMS: &[&str] = &[
    "begin_ms",
    "credential",
    "model",
    "version",
    "calls",
    "failed",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "items",
    "audio_ms",
    "bytes_in",
    "bytes_out",
    "compute_us",
    "last_ms",
];
const OF_SUMS: &[&str] = &["begin_ms", "credential", "model", "version"];

/// Of a tenant, by its id.
pub(super) const TENANT: &[Section] = &[
    Section {
        name: "tenant",
        columns: &["id", "name", "display_name", "state", "models", "created_ms", "stopped", "erased_ms"],
        from: "tenants WHERE id = $1",
        order: &["id"],
    },
    Section {
        name: "members",
        columns: &["id", "email", "role", "verified_ms", "created_ms"],
        from: "members WHERE tenant_id = $1",
        order: &["id"],
    },
    Section {
        name: "letters",
        columns: &["l.member_id", "l.purpose", "l.expires_ms"],
        from: "letters l JOIN members m ON m.id = l.member_id WHERE m.tenant_id = $1",
        order: &["l.sha256"],
    },
    Section {
        name: "sessions",
        columns: &["s.member_id", "s.expires_ms"],
        from: "sessions s JOIN members m ON m.id = s.member_id WHERE m.tenant_id = $1",
        order: &["s.sha256"],
    },
    Section {
        name: "second_factors",
        columns: &["f.member_id", "f.created_ms", "f.confirmed_ms"],
        from: "second_factors f JOIN members m ON m.id = f.member_id WHERE m.tenant_id = $1",
        order: &["f.member_id"],
    },
    Section {
        name: "identities",
        columns: &["i.member_id", "i.issuer", "i.subject", "i.linked_ms"],
        from: "member_identities i JOIN members m ON m.id = i.member_id WHERE m.tenant_id = $1",
        order: &["i.issuer", "i.subject"],
    },
    Section {
        name: "credentials",
        columns: &["id", "kind", "name", "hint", "scopes", "models", "created_ms", "expires_ms", "revoked_ms"],
        from: "credentials WHERE tenant_id = $1",
        order: &["id"],
    },
    Section {
        name: "webhooks",
        columns: &["id", "url", "description", "events", "state", "created_ms", "failing_since_ms"],
        from: "webhooks WHERE tenant_id = $1",
        order: &["id"],
    },
    Section {
        name: "webhook_deliveries",
        columns: &[
            "d.id",
            "d.webhook_id",
            "d.state",
            "d.created_ms",
            "d.attempts",
            "d.last_ms",
            "d.status",
            "d.error",
            "e.event",
            "json:e.body",
        ],
        from: "webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id JOIN webhook_events e ON e.revision = d.revision WHERE w.tenant_id = $1",
        order: &["d.id"],
    },
    Section {
        name: "listings",
        columns: &["id", "model", "state", "task", "created_ms", "submitted_ms", "published_ms", "deprecated_ms", "retires_ms"],
        from: "listings WHERE provider_id = $1",
        order: &["id"],
    },
    Section {
        name: "listing_texts",
        columns: &["t.listing_id", "t.language", "t.summary", "t.description", "t.terms"],
        from: "listing_texts t JOIN listings l ON l.id = t.listing_id WHERE l.provider_id = $1",
        order: &["t.listing_id", "t.language"],
    },
    Section {
        name: "listing_notices",
        columns: &["listing_id", "state", "told_ms"],
        from: "listing_notices WHERE tenant_id = $1",
        order: &["listing_id", "state"],
    },
    Section {
        name: "billing_profile",
        columns: &["recipient", "tax_name", "tax_rate", "from_sign_up", "prepaid"],
        from: "billing_profiles WHERE tenant_id = $1",
        order: &["tenant_id"],
    },
    Section {
        name: "subscription_changes",
        columns: &["id", "at_ms", "json:change"],
        from: "subscription_changes WHERE tenant_id = $1",
        order: &["id"],
    },
    Section {
        name: "credits",
        columns: &["id", "amount", "granted_ms", "expires_ms", "bought"],
        from: "credits WHERE tenant_id = $1",
        order: &["id"],
    },
    Section { name: "budgets", columns: &["name", "amount", "thresholds"], from: "budgets WHERE tenant_id = $1", order: &["name"] },
    Section {
        name: "budget_alerts",
        columns: &["name", "period_ms", "percent", "told_ms"],
        from: "budget_alerts WHERE tenant_id = $1",
        order: &["name", "period_ms", "percent"],
    },
    Section {
        name: "invoices",
        columns: &["number", "issued_ms", "replaces", "issuer", "recipient", "note", "json:content"],
        from: "invoices WHERE tenant_id = $1",
        order: &["sequence"],
    },
    Section {
        name: "credit_notes",
        columns: &["number", "invoice", "id", "json:asked", "json:content"],
        from: "credit_notes WHERE tenant_id = $1",
        order: &["number"],
    },
    Section {
        name: "payments",
        columns: &[
            "id",
            "invoice",
            "processor",
            "session",
            "state",
            "amount",
            "received",
            "entry",
            "money",
            "refunded",
            "begun_ms",
            "changed_ms",
        ],
        from: "payments WHERE tenant_id = $1",
        order: &["id"],
    },
    Section {
        name: "ledger",
        columns: &["id", "sequence", "at_ms", "json:content"],
        from: "ledger_entries WHERE tenant_id = $1",
        order: &["sequence"],
    },
    Section {
        name: "partner_postings",
        columns: &["e.at_ms", "p.account", "p.currency", "p.amount_minor"],
        from: "ledger_postings p JOIN ledger_entries e ON e.id = p.entry_id \
               WHERE p.account = (SELECT 'partner-payable/' || t.name FROM tenants t WHERE t.id = $1)",
        order: &["p.entry_id", "p.currency"],
    },
    Section {
        name: "changes",
        columns: &["revision", "time_ms", "actor", "subject", "what", "detail"],
        from: "changes WHERE tenant_id = $1",
        order: &["revision"],
    },
    Section {
        name: "usage_daily",
        columns: SUMS,
        from: "usage_daily WHERE tenant = (SELECT t.name FROM tenants t WHERE t.id = $1)",
        order: OF_SUMS,
    },
    Section {
        name: "usage_hourly",
        columns: SUMS,
        from: "usage_hourly WHERE tenant = (SELECT t.name FROM tenants t WHERE t.id = $1)",
        order: OF_SUMS,
    },
];

/// Of a tenant, too, where single calls are asked for.
pub(super) const EVENTS: Section = Section {
    name: "usage_events",
    columns: &[
        "id",
        "time_ms",
        "credential",
        "model",
        "version",
        "door",
        "method",
        "code",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "items",
        "audio_ms",
        "bytes_in",
        "bytes_out",
        "compute_us",
        "request_id",
        "trace_id",
        "source",
        "duration_us",
    ],
    from: "usage_events WHERE tenant = (SELECT t.name FROM tenants t WHERE t.id = $1)",
    order: &["time_ms", "id"],
};

/// Of a member, by their id.
pub(super) const PERSON: &[Section] = &[
    Section {
        name: "member",
        columns: &["id", "tenant_id", "email", "role", "verified_ms", "created_ms"],
        from: "members WHERE id = $1",
        order: &["id"],
    },
    Section { name: "letters", columns: &["purpose", "expires_ms"], from: "letters WHERE member_id = $1", order: &["sha256"] },
    Section { name: "sessions", columns: &["expires_ms"], from: "sessions WHERE member_id = $1", order: &["sha256"] },
    Section {
        name: "second_factor",
        columns: &["created_ms", "confirmed_ms"],
        from: "second_factors WHERE member_id = $1",
        order: &["member_id"],
    },
    Section {
        name: "sign_ins_that_wait_for_a_code",
        columns: &["expires_ms"],
        from: "sign_in_challenges WHERE member_id = $1",
        order: &["sha256"],
    },
    Section {
        name: "identities",
        columns: &["issuer", "subject", "linked_ms"],
        from: "member_identities WHERE member_id = $1",
        order: &["issuer", "subject"],
    },
    Section {
        name: "changes",
        columns: &["revision", "time_ms", "actor", "subject", "what", "detail"],
        from: "changes WHERE tenant_id = (SELECT m.tenant_id FROM members m WHERE m.id = $1) AND (subject = $1 OR actor = 'member:' || $1)",
        order: &["revision"],
    },
];

/// Attempts of an address that failed, by the hash of what was attempted.
pub(super) const fn attempts(name: &'static str) -> Section {
    Section { name, columns: &["failures", "since_ms"], from: "attempts WHERE subject = $1", order: &["subject"] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_the_last_row_of_the_one_before() {
        let section = Section { name: "x", columns: &["a", "json:b"], from: "t WHERE of = $1", order: &["a", "c"] };
        assert_eq!(section.page(true, 10), "SELECT a, b, a, c FROM t WHERE of = $1  ORDER BY a, c LIMIT 10");
        assert_eq!(section.page(false, 10), "SELECT a, b, a, c FROM t WHERE of = $1 AND (a, c) > ($2, $3) ORDER BY a, c LIMIT 10");
    }

    #[test]
    fn no_section_tells_a_hash_or_what_is_sealed() {
        let events = [EVENTS, attempts("attempts")];
        for section in TENANT.iter().chain(PERSON).chain(&events) {
            for told in section.columns {
                assert!(!told.contains("sha256") && !told.contains("hash") && !told.contains("sealed"), "{}: {told}", section.name);
            }
        }
    }
}
