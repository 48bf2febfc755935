//! How long what is kept: the table `retention`.

use std::time::Duration;

use torchmesh_runtime::config::Section;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// `retention.changes`: older rows of the log of changes are removed. Default none: all are kept.
    pub changes: Option<Duration>,
    /// `retention.letters`: letters that nobody takes out of the outbox are removed when they are older. Default 30 days.
    pub letters: Duration,
    /// `retention.usage_events`: older calls are removed, when they are on an invoice or on none; their sums stay. Default none: all are kept.
    pub usage_events: Option<Duration>,
    /// `retention.invoice_recipients`: whom an invoice was for, name and address, is taken off it so long after it was issued, where its tenant was erased. Default 10 years.
    pub invoice_recipients: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { changes: None, letters: 30 * DAY, usage_events: None, invoice_recipients: 3650 * DAY }
    }
}

impl RetentionSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("retention", |s| {
            let usual = Self::default();
            let read = Self {
                changes: s.optional("changes"),
                letters: s.or("letters", usual.letters),
                usage_events: s.optional("usage_events"),
                invoice_recipients: s.or("invoice_recipients", usual.invoice_recipients),
            };
            let most = 36_500 * DAY;
            let bounds = |from: Duration, span: Duration| (from..=most).contains(&span);
            s.check(read.changes.is_none_or(|span| bounds(DAY, span)), "changes", "must be from 24h to 876000h");
            // Letters of invitation are good for a week.
            s.check(bounds(DAY, read.letters), "letters", "must be from 24h to 876000h");
            // What a gateway sends again would count twice, once it is not known any more; and months have 31 days.
            s.check(read.usage_events.is_none_or(|span| bounds(35 * DAY, span)), "usage_events", "must be from 840h to 876000h");
            s.check(read.invoice_recipients <= most, "invoice_recipients", "must be at most 876000h");
            read
        })
    }
}

/// What is from before this moment is older than a time.
pub(super) fn before(span: Duration, now: i64) -> i64 {
    now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}
