//! What one call is charged, from its first question to its last byte.

use std::sync::Arc;

use parking_lot::Mutex;
use torchmesh_api::{error::ApiError, ids::ModelName};
use torchmesh_limits::{
    Costs, Permit, Refusal,
    charge::Charges,
    price::{Price, Tokens},
    rule::{Per, Rule, Subject},
};

use super::{estimate::Question, lanes::Lanes, refused, told::Told};
use crate::{identity::Principal, metering::Measured};

/// One call's, in the extensions of its request.
#[derive(Debug)]
pub struct Ticket {
    lanes: Lanes,
    principal: Arc<Principal>,
    address: Option<String>,
    /// What the headers say of the body's size.
    announced: u64,
    /// It is a line of a batch.
    batch: bool,
    measured: Arc<Measured>,
    told: Told,
    held: Mutex<Held>,
}

/// What was charged so far.
#[derive(Debug, Default)]
struct Held {
    /// What is known at once is charged, for the call as a whole.
    begun: bool,
    /// The models that were charged for.
    models: Vec<ModelName>,
    permits: Vec<(Permit, Option<Price>)>,
    /// The caller has a good answer, or the beginning of one.
    answered: bool,
    closed: bool,
}

impl Ticket {
    /// A call that nothing was charged for.
    pub fn new(
        lanes: Lanes,
        principal: Arc<Principal>,
        address: Option<String>,
        announced: u64,
        batch: bool,
        measured: Arc<Measured>,
        told: Told,
    ) -> Self {
        Self { lanes, principal, address, announced, batch, measured, told, held: Mutex::default() }
    }

    fn subject<'a>(&'a self, model: Option<&'a str>) -> Subject<'a> {
        let (tenant, key) = (Some(self.principal.tenant.as_str()), Some(&*self.principal.credential));
        Subject { tenant, key, model, address: self.address.as_deref() }
    }

    /// Refuses a call at once of which is known here that there is no room for it.
    pub fn foresee(&self) -> Result<(), ApiError> {
        let limiter = self.lanes.limiter();
        limiter.foresee(&self.subject(None), &limiter.now()).map_err(|refusal| self.refuse(&refusal, None))
    }

    /// Charges for a question that is about to leave for a router. The same model is charged for once a call.
    ///
    /// Error: ResourceExhausted.
    pub async fn admit(&self, question: &Question<'_>) -> Result<(), ApiError> {
        let work = if question.is_work() { question.model() } else { None };
        let begins = {
            let mut held = self.held.lock();
            if let Some(model) = &work {
                if held.models.contains(model) {
                    return Ok(());
                }
                held.models.push(model.clone());
            }
            !std::mem::replace(&mut held.begun, true)
        };
        if !begins && work.is_none() {
            return Ok(());
        }
        let rules = self.lanes.limiter().rules();
        let price = work.as_ref().and_then(|model| rules.price(model.as_str())).cloned();
        let tokens = if work.is_some() { question.tokens(self.lanes.assumed_tokens()) } else { Tokens::default() };
        let money = price.as_ref().map_or(0, |price| price.of(tokens, self.batch));
        // Something at least: whoever is in debt does not get in for nothing.
        let costs = Costs { bytes: question.bytes.max(self.announced), tokens: tokens.sum().max(1), money };
        let wanted = |rule: &Rule| if rule.is_known_at_once() { begins } else { work.is_some() };
        self.charge(work.as_ref(), price, &costs, wanted).await
    }

    /// Charges a call that was answered without a router.
    ///
    /// Error: ResourceExhausted; then that is the answer.
    pub async fn conclude(&self) -> Result<(), ApiError> {
        if std::mem::replace(&mut self.held.lock().begun, true) {
            return Ok(());
        }
        let costs = Costs { bytes: self.announced, ..Costs::default() };
        self.charge(None, None, &costs, Rule::is_known_at_once).await
    }

    async fn charge(
        &self,
        model: Option<&ModelName>,
        price: Option<Price>,
        costs: &Costs,
        wanted: impl Fn(&Rule) -> bool,
    ) -> Result<(), ApiError> {
        let limiter = self.lanes.limiter();
        let (now, model) = (limiter.now(), model.map(ModelName::as_str));
        let charges: Charges = limiter.charges(&self.subject(model), costs, &now, wanted);
        if charges.is_empty() {
            return Ok(());
        }
        let permit = limiter.admit(self.lanes.lane.as_ref(), charges, &now).await.map_err(|refusal| self.refuse(&refusal, model))?;
        self.told.change(|told| permit.standings().for_each(|(rule, standing)| told.take(rule, standing)));
        let mut held = self.held.lock();
        // A caller who has left already is not waited for.
        if !held.closed {
            held.permits.push((permit, price));
        }
        Ok(())
    }

    fn refuse(&self, refusal: &Refusal, model: Option<&str>) -> ApiError {
        self.lanes.metrics().refused(&refusal.rule);
        self.told.change(|told| refusal.all.iter().for_each(|(rule, standing)| told.take(rule, standing)));
        let name = match refusal.rule.per {
            Per::Key => &self.principal.credential,
            Per::Tenant => self.principal.tenant.as_str(),
            Per::Model => model.unwrap_or_default(),
            Per::Address => self.address.as_deref().unwrap_or_default(),
        };
        refused::error(refusal, name)
    }

    /// The caller gets a good answer: from here on the call has its price, whatever else it uses.
    pub fn answered(&self) {
        self.held.lock().answered = true;
    }

    /// The call is over: what it reserved becomes what it used.
    pub fn close(&self) {
        let (permits, answered) = {
            let mut held = self.held.lock();
            held.closed = true;
            (std::mem::take(&mut held.permits), held.answered)
        };
        let units = self.measured.units();
        let tokens = Tokens { input: units.prompt_tokens, cached: units.cached_tokens, output: units.completion_tokens };
        let has_price = answered || tokens.sum() > 0;
        for (permit, price) in permits {
            let money = price.filter(|_| has_price).map_or(0, |price| price.of(tokens, self.batch));
            permit.settle(&Costs { bytes: units.bytes_in, tokens: tokens.sum(), money });
        }
    }
}
