//! How long what is kept: the table `retention`.

use std::time::Duration;

use torchmesh_runtime::config::Section;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// `retention.invoice_recipients`: whom an invoice was for, name and address, is taken off it so long after it was issued, where its tenant was erased. Default 10 years.
    pub invoice_recipients: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { invoice_recipients: 3650 * DAY }
    }
}

impl RetentionSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("retention", |s| {
            let usual = Self::default();
            let read = Self { invoice_recipients: s.or("invoice_recipients", usual.invoice_recipients) };
            s.check(read.invoice_recipients <= 36_500 * DAY, "invoice_recipients", "must be at most 876000h");
            read
        })
    }
}

/// What is from before this moment is older than a time.
pub(super) fn before(span: Duration, now: i64) -> i64 {
    now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}
