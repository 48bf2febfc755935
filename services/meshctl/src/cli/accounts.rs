//! What can be typed about accounts.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    billing::{
        BudgetCommand, CreditCommand, InvoiceCommand, PaymentArgs, PlanCommand, StatementCommand, SubscribeArgs, SubscriptionCommand,
    },
    duration,
    keys::{end, span},
    listings::ListingArgs,
    privacy::{EraseCommand, ExportCommand},
    tls::TlsArgs,
    webhooks::WebhookArgs,
};

/// `meshctl accounts`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl up --accounts --detach
  meshctl accounts tenant create acme --display-name 'Acme Ltd'
  meshctl accounts key create search --tenant acme --model 'mini*' > search.key
  meshctl accounts key list --tenant acme
  meshctl accounts key rotate 0197…a1 --overlap 24h > search.key     the old secret is good for a day more
  meshctl accounts key revoke 0197…a1                                refused at every gateway within a second
  meshctl accounts member invite ada@example.org --tenant acme --role owner
  meshctl accounts usage --tenant acme --by model --by day
  meshctl accounts tenant suspend acme                               none of its keys is let in
  meshctl accounts subscribe acme pro
  meshctl accounts invoice issue                                     one for every period that is over, once
  meshctl accounts invoice show INV-000001 --format pdf > invoice.pdf
  meshctl accounts payment acme 38.84 --id bank-4711
  meshctl accounts payment import november.csv --dry-run
  meshctl accounts listing create smollm2.toml
  meshctl accounts webhook add https://example.org/hooks --tenant acme --event invoice.issued > hooks.secret
  meshctl accounts export tenant acme --to acme.json                 everything that is kept about it
  meshctl accounts erase person ada@example.org --yes                 for good

The accounts: --accounts-addr, else TORCHMESH_ACCOUNTS_ADDR, else those of the mesh that runs from the home folder. The
operators' token: --token-file, else accounts/operator.token in the home folder. docs/accounts.md says more.")]
pub(crate) struct AccountsArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: AccountsCommand,
    /// The accounts, as HOST:PORT, or https://HOST:PORT
    #[arg(long, value_name = "ADDR", env = "TORCHMESH_ACCOUNTS_ADDR", global = true)]
    pub(crate) accounts_addr: Option<String>,
    /// File that holds the operators' token
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    pub(crate) timeout: Duration,
    /// By TLS
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// What to do with the accounts.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Those who pay
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// What models are called with: API keys and OAuth clients
    #[command(subcommand)]
    Key(KeyCommand),
    /// People of a tenant
    #[command(subcommand)]
    Member(MemberCommand),
    /// Sum up what was used
    Usage {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Of this model only
        #[arg(long)]
        model: Option<String>,
        /// One line for each
        #[arg(long, value_enum, default_values_t = [By::Day, By::Tenant, By::Model])]
        by: Vec<By>,
        /// From this day of UTC on, as 2026-11-26
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Option<i64>,
        /// Before this day of UTC
        #[arg(long, value_name = "DAY", value_parser = day)]
        to: Option<i64>,
        /// As OpenMetrics, which Prometheus's textfile collector reads
        #[arg(long)]
        openmetrics: bool,
    },
    /// Plans and prices
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Subscribe a tenant to a plan, or change its plan or seats
    Subscribe(SubscribeArgs),
    /// What a tenant is subscribed to, and how it is billed
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Invoices and credit notes
    #[command(subcommand)]
    Invoice(InvoiceCommand),
    /// Prepaid credit
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Write down that money came from a tenant, or went to it
    Payment(PaymentArgs),
    /// Budgets, which letters tell of
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// What partners are told
    #[command(subcommand)]
    Statement(StatementCommand),
    /// Addresses that are told what happens
    Webhook(WebhookArgs),
    /// The marketplace: what is said of models, and to whom
    Listing(ListingArgs),
    /// Write everything that is kept about somebody as a JSON document
    #[command(subcommand)]
    Export(ExportCommand),
    /// Remove who somebody was, for good
    #[command(subcommand)]
    Erase(EraseCommand),
    /// List the ledger's entries, the newest first
    Ledger {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
    },
    /// List what was changed, the newest first
    Changes {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
    },
}

/// What to do with tenants.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TenantCommand {
    /// Make one
    Create {
        /// Its name, in usage, limits and logs: letters, digits, - and _
        name: String,
        /// Its name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
        /// A model that its keys may use, or a pattern such as 'mini*' (default: every model); may be repeated
        #[arg(long = "model", value_name = "PATTERN")]
        models: Vec<String>,
    },
    /// List them
    List,
    /// Let none of its keys in, until it is resumed
    Suspend {
        /// Its name or id
        tenant: String,
    },
    /// End its keys for good; it stays closed
    Close {
        /// Its name or id
        tenant: String,
    },
    /// Let its keys in again
    Resume {
        /// Its name or id
        tenant: String,
    },
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and print it; nobody keeps it
    Create {
        /// Its name within the tenant
        name: String,
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// An OAuth client: TENANT/NAME is the client id, what is printed its secret
        #[arg(long)]
        client: bool,
        /// What it may do (default: infer and models:read); may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// A model that it may use, or a pattern (default: all that the tenant may); may be repeated
        #[arg(long = "model", value_name = "PATTERN")]
        models: Vec<String>,
        /// When it ends: after so long, or at a time in UTC
        #[arg(long, value_name = "TIME", value_parser = end)]
        expires: Option<String>,
    },
    /// List the keys of a tenant, without their secrets
    List {
        /// The tenant
        #[arg(long)]
        tenant: String,
    },
    /// End a key, at once and for good
    Revoke {
        /// Its id
        id: String,
    },
    /// Make a new secret with the name and the rights of a key, and print it
    Rotate {
        /// Its id
        id: String,
        /// How long the old secret stays good
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
        overlap: Duration,
    },
}

/// What to do with members.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MemberCommand {
    /// Send somebody a letter with which they set a password and are in
    Invite {
        /// Their address
        email: String,
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = Role::Developer)]
        role: Role,
    },
    /// List the members of a tenant
    List {
        /// The tenant
        #[arg(long)]
        tenant: String,
    },
    /// Remove the second factor of a member who has lost it, with a letter to them
    ResetSecondFactor {
        /// Their address or id
        member: String,
    },
}

/// The role of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Owner,
    /// Everything but changing owners
    Admin,
    /// Keys
    Developer,
    /// What was used
    Billing,
    /// Looking
    Viewer,
}

/// What tells the lines of usage from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Tenant,
    Key,
    Model,
    Version,
    Day,
    Hour,
}

/// A day as milliseconds since 1970.
pub(crate) fn day(text: &str) -> Result<i64, String> {
    let wrong = || "must be a day such as 2026-11-26".to_owned();
    let at = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).map_err(|_| wrong())?;
    let since = at.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?;
    i64::try_from(since.as_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning() {
        assert_eq!(day("1970-01-02"), Ok(86_400_000));
        for wrong in ["", "today", "2026-13-01", "2026-11-26T10"] {
            assert!(day(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
