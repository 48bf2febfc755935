//! What can be wrong; no function of this crate panics.

use thiserror::Error;

use crate::{currency::Currency, moment::Moment, share::Share, unit::Unit};

/// Why something could not be reckoned or read. The messages name the thing and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BillingError {
    /// A text that is no amount.
    #[error("{0:?} is no amount of money; write one such as \"0.15 EUR\", with at most 12 digits behind the point")]
    NotMoney(String),
    /// A code that is no currency.
    #[error("{0:?} is no currency; use a code of ISO 4217 in capitals, such as EUR")]
    UnknownCurrency(String),
    /// A text that is no share.
    #[error("{0:?} is no share; write one from \"0%\" to \"100%\", with at most four digits behind the point")]
    NotShare(String),
    /// A text or number that is no instant.
    #[error("{0:?} is no time; write one such as \"2026-01-31\" or \"2026-01-31T12:00:00Z\", from 1970 to 9999")]
    NotMoment(String),
    /// A name of no unit.
    #[error("{0:?} is no unit; known are calls, prompt_tokens, cached_tokens, completion_tokens, items, audio_ms and compute_us")]
    NotUnit(String),
    /// A text that names no models.
    #[error("{0:?} names no models; write a name, the beginning of names and a star such as \"acme-*\", or \"*\"")]
    NotSelector(String),
    /// Two currencies where one is needed.
    #[error("{left} and {right} cannot be reckoned together; keep to one currency for each tenant")]
    Currencies {
        /// The one.
        left: Currency,
        /// The other.
        right: Currency,
    },
    /// An amount or a quantity beyond what is reckoned with.
    #[error("an amount or a quantity is too large: amounts go to 10^15 of the currency's unit, quantities to 2^64 - 1")]
    TooLarge,
    /// An amount with a part of a minor unit where only whole ones can be.
    #[error("{0} has a part of the currency's smallest unit; round it first")]
    NotWhole(String),
    /// A sum that is to be split by weights which are all nothing.
    #[error("a sum cannot be split by weights that are all 0")]
    NoWeights,
    /// A price that contradicts itself.
    #[error("{0}")]
    BadPrice(&'static str),
    /// A price whose share for batches is not exact within the largest numbers.
    #[error(
        "{share} of what {unit} cost by {id:?} cannot be said exactly; give that price fewer digits behind the point, or a smaller per"
    )]
    NotShareable {
        /// The id of the price, or of its correction.
        id: String,
        /// The unit.
        unit: Unit,
        /// The share.
        share: Share,
    },
    /// Two things with one id that differ.
    #[error("{what} {id:?} is there twice and differs; what is written down stays, so give the new one an id of its own")]
    Conflict {
        /// What sort of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A name of something that is not there.
    #[error("there is no {what} {id:?}")]
    Unknown {
        /// What sort of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A model without a price.
    #[error("no price of the list {list:?} is in force for the model {model:?} at {at}; add a [[price]] for it, or one for \"*\"")]
    NoPrice {
        /// The list.
        list: String,
        /// The model.
        model: String,
        /// When it was used.
        at: Moment,
    },
    /// A change of a subscription that does not fit what came before it.
    #[error("the change {id:?} of the subscription cannot be: {why}")]
    BadChange {
        /// The change's id.
        id: String,
        /// Why not.
        why: &'static str,
    },
    /// Use before there was a subscription.
    #[error("there is use at {0}, before the subscription began; correct its start, or leave the use out")]
    UseBeforeStart(Moment),
    /// A rollup over an instant at which the way of rating changes.
    #[error("the rollup from {from} spans {boundary}, where price, plan or period change; split rollups there (see `boundaries`)")]
    RollupSpans {
        /// Where the rollup begins.
        from: Moment,
        /// The instant inside it.
        boundary: Moment,
    },
    /// A rollup that ends before it begins, or has more cached tokens than prompt tokens.
    #[error("the rollup from {0} ends before it begins, or counts more cached tokens than prompt tokens")]
    BadRollup(Moment),
    /// A period that ends before it begins.
    #[error("a period must end at least a second after it begins")]
    EmptyPeriod,
    /// An entry whose postings do not sum to nothing.
    #[error("the entry {id:?} does not balance: its postings in {currency} sum to {sum}")]
    Unbalanced {
        /// The entry's id.
        id: String,
        /// Which currency.
        currency: Currency,
        /// By how much.
        sum: String,
    },
    /// An entry without postings.
    #[error("the entry {0:?} moves nothing")]
    EmptyEntry(String),
    /// More credit used than there is.
    #[error("{0:?} uses more prepaid credit than there is")]
    Overspent(String),
    /// A credit note for more than was billed.
    #[error("line {line} has {left} left to be credited, which is less than {asked}")]
    OverCredited {
        /// The invoice's line.
        line: u32,
        /// What is left of it.
        left: String,
        /// What was asked for.
        asked: String,
    },
    /// A text that a PDF without fonts cannot show.
    #[error("a PDF has no letters for {0:?}; use the HTML, which can be printed")]
    NotLatin(String),
    /// An amount that must be more than nothing.
    #[error("the amount of {0} must be more than 0")]
    NotPositive(&'static str),
}
