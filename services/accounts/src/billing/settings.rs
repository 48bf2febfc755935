//! The settings of what is billed: the table `billing`.

use std::{path::PathBuf, time::Duration};

use torchmesh_runtime::config::Section;

/// See the module.
#[derive(Debug, Clone)]
pub struct BillingSettings {
    /// `billing.file`: what is sold (docs/billing.md), looked at every second. Default none: nothing is billed.
    pub file: Option<PathBuf>,
    /// `billing.issuer`: who stands on invoices as their issuer, in lines. Default empty.
    pub issuer: String,
    /// `billing.note`: what stands at the end of invoices, such as how to pay. Default empty.
    pub note: String,
    /// `billing.self_service`: whether owners, admins and the role billing change their tenant's plan. Default false.
    pub self_service: bool,
    /// `billing.check_every`: how often it is looked at whether budgets are reached and calls are to stop. Default 1 minute.
    pub check_every: Duration,
    /// `billing.issue_after`: invoices are issued by themselves so long after their period's end. Default none: `IssueInvoices` issues them.
    pub issue_after: Option<Duration>,
}

impl BillingSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("billing", |s| {
            let read = Self {
                file: s.optional("file"),
                issuer: s.or("issuer", String::new()),
                note: s.or("note", String::new()),
                self_service: s.or("self_service", false),
                check_every: s.or("check_every", Duration::from_secs(60)),
                issue_after: s.optional("issue_after"),
            };
            if let Some(Err(error)) = read.file.as_deref().map(super::sold::read) {
                s.problem("file", error);
            }
            let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
            s.check(bounds.contains(&read.check_every), "check_every", "must be from 100ms to 1h");
            s.check(read.file.is_some() || read.issue_after.is_none(), "issue_after", "needs billing.file, which says what is sold");
            read
        })
    }
}
