//! What can be typed about what is kept of somebody.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Whose document is written.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ExportCommand {
    /// Everything about a tenant
    Tenant {
        /// Its name or id
        tenant: String,
        /// Leave the single calls out, which may be many; their sums stay
        #[arg(long)]
        without_usage_events: bool,
        #[command(flatten)]
        to: To,
    },
    /// Everything about a member
    Person {
        /// Their address or id
        member: String,
        #[command(flatten)]
        to: To,
    },
}

/// Who is erased.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum EraseCommand {
    /// Who a tenant was that is closed; its ledger, the figures of its invoices and of its use stay
    Tenant {
        /// Its name or id
        tenant: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// A member: their id stays in the log of changes, and says nobody
    Person {
        /// Their address or id
        member: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Whether it is meant.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sure {
    /// It cannot be undone, and you mean it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Where it goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct To {
    /// A new file, for your eyes only (default: standard output)
    #[arg(long = "to", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
