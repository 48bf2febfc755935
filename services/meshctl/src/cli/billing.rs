//! What can be typed about what is billed: below `meshctl accounts`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with what is sold.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PlanCommand {
    /// List the plans
    List,
    /// List the prices that are in force or will be
    Prices {
        /// Of this list only
        #[arg(long)]
        list: Option<String>,
    },
}

/// What to do with what a tenant is subscribed to.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SubscriptionCommand {
    /// Show it, and how the tenant is billed
    Show {
        /// The tenant
        tenant: String,
    },
    /// End it, when its period ends
    Cancel {
        /// The tenant
        tenant: String,
        /// At once
        #[arg(long)]
        now: bool,
    },
    /// Take a coupon
    Coupon {
        /// The tenant
        tenant: String,
        /// The coupon's code
        code: String,
    },
    /// Change how the tenant is billed; what is not said stays
    Profile(ProfileArgs),
}

/// `meshctl accounts subscribe`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubscribeArgs {
    /// The tenant
    pub(crate) tenant: String,
    /// The plan
    pub(crate) plan: String,
    /// How many seats (default: as before, or 1)
    #[arg(long)]
    pub(crate) seats: Option<u32>,
    /// Change the plan when the period ends
    #[arg(long)]
    pub(crate) at_period_end: bool,
    /// When it was asked for, if not now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<i64>,
    /// Until when a new subscription is a trial
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) trial_until: Option<i64>,
}

/// `meshctl accounts subscription profile`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProfileArgs {
    /// The tenant
    pub(crate) tenant: String,
    /// Who stands on invoices
    #[arg(long)]
    pub(crate) recipient: Option<String>,
    /// The tax's name, such as VAT; '' is no tax
    #[arg(long)]
    pub(crate) tax_name: Option<String>,
    /// The tax's rate, such as 19%
    #[arg(long)]
    pub(crate) tax_rate: Option<String>,
    /// Where months begin; before the first subscription only
    #[arg(long, value_enum)]
    pub(crate) anchor: Option<Anchor>,
    /// Whether calls stop when the credit is used up
    #[arg(long)]
    pub(crate) prepaid: Option<bool>,
}

/// Where months begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Anchor {
    /// On the first of the calendar's months
    Calendar,
    /// On the day of the first subscription
    SignUp,
}

/// What to do with invoices.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum InvoiceCommand {
    /// Issue an invoice for every period that is over and has none
    Issue {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Of periods that were over by then only
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<i64>,
    },
    /// List the invoices of a tenant
    List {
        /// The tenant
        tenant: String,
    },
    /// Show what a tenant has spent in this period, as the invoice that it would get
    Preview {
        /// The tenant
        tenant: String,
    },
    /// Show an invoice or a credit note, or print its document
    Show {
        /// Its number
        number: String,
        /// What the document is
        #[command(flatten)]
        document: DocumentArgs,
    },
    /// Make another invoice in the place of one, by the prices as they are known now
    Reissue {
        /// Its number
        number: String,
    },
    /// Give lines of an invoice back, or all that is left of it
    Credit {
        /// Its number
        number: String,
        /// Names it: the same id gives back once
        #[arg(long)]
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// A line and how much of its net, as 2=10.00 (default: all that is left); may be repeated
        #[arg(long = "line", value_name = "LINE=AMOUNT", value_parser = line)]
        lines: Vec<(u32, String)>,
    },
}

/// Which document is printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct DocumentArgs {
    /// Print the document in this format
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Its language, of HTML: en or zh-CN
    #[arg(long, default_value = "en")]
    pub(crate) language: String,
}

/// The format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Csv,
    Html,
    Pdf,
}

/// What to do with credit.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CreditCommand {
    /// Add some
    Add {
        /// The tenant
        tenant: String,
        /// How much, such as 25.00
        amount: String,
        /// Names it: the same id adds it once
        #[arg(long)]
        id: String,
        /// It is given rather than bought
        #[arg(long)]
        given: bool,
        /// It pays for no period that begins then or later
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<i64>,
    },
    /// Show what is left, and what the tenant owes
    Show {
        /// The tenant
        tenant: String,
    },
}

/// `meshctl accounts payment`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct PaymentArgs {
    /// Many at once
    #[command(subcommand)]
    pub(crate) many: Option<PaymentCommand>,
    /// The tenant
    #[arg(required = true)]
    pub(crate) tenant: Option<String>,
    /// How much, such as 25.00
    #[arg(required = true)]
    pub(crate) amount: Option<String>,
    /// Names it, such as the bank's reference: the same id counts once
    #[arg(long, required = true)]
    pub(crate) id: Option<String>,
    /// It went back to the tenant
    #[arg(long, conflicts_with = "to_partner")]
    pub(crate) refund: bool,
    /// It went to the tenant as a partner
    #[arg(long)]
    pub(crate) to_partner: bool,
}

/// What to do with many payments.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PaymentCommand {
    /// Write down what a bank's file says: CSV with the header id,date,amount,currency,reference, where the reference has an invoice's number in it; each line once by its id
    Import {
        /// The file
        file: PathBuf,
        /// Say what would be written down, and write nothing down
        #[arg(long)]
        dry_run: bool,
    },
}

/// What to do with budgets.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Set one: owners, admins and billing get a letter when a part of it is spent
    Set {
        /// The tenant
        tenant: String,
        /// Its name
        name: String,
        /// How much a period, such as 500.00
        limit: String,
        /// At how many percent (default: 80 and 100); may be repeated
        #[arg(long = "at", value_name = "PERCENT")]
        thresholds: Vec<u32>,
    },
    /// List those of a tenant
    List {
        /// The tenant
        tenant: String,
    },
    /// Take one away
    Remove {
        /// The tenant
        tenant: String,
        /// Its name
        name: String,
    },
}

/// What to do with partners' statements.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StatementCommand {
    /// List those of a partner
    List {
        /// The partner: a tenant
        tenant: String,
    },
    /// Show that of a month, or print its document
    Show {
        /// The partner: a tenant
        tenant: String,
        /// Any day of the month
        #[arg(value_parser = time)]
        month: i64,
        /// What the document is
        #[command(flatten)]
        document: DocumentArgs,
    },
}

/// A day or a time in UTC as milliseconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    let wrong = || "must be a day such as 2026-11-26, or a time such as 2026-11-26T10:00:00Z".to_owned();
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let since = humantime::parse_rfc3339(&whole).ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).ok_or_else(wrong)
}

/// A line of an invoice, and an amount.
fn line(text: &str) -> Result<(u32, String), String> {
    let wrong = || "must be a line's number and an amount such as 2=10.00".to_owned();
    let (line, amount) = text.split_once('=').ok_or_else(wrong)?;
    Ok((line.parse().map_err(|_| wrong())?, amount.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning_and_a_time_itself() {
        assert_eq!((time("1970-01-02"), time("1970-01-01T00:00:01Z")), (Ok(86_400_000), Ok(1000)));
        assert!(time("tomorrow").is_err() && time("2026-13-01").is_err());
    }

    #[test]
    fn a_line_has_a_number_and_an_amount() {
        assert_eq!(line("2=10.00"), Ok((2, "10.00".to_owned())));
        assert!(line("10.00").is_err() && line("x=1").is_err());
    }
}
