//! Calls of models that are not there and will be: they are held until a worker has the model. What starts workers sees by a metric that they wait, and so a model that nobody
//! calls needs no worker.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::{sync::Semaphore, time::timeout_at};
use torchmesh_api::{
    access::ModelGrants,
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
    peek::Routing,
};
use torchmesh_runtime::config::Section;

use crate::table::SharedTable;

/// `hold`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSettings {
    /// `hold.models`: whose calls are held, names or patterns of them. Default none: no call is held.
    pub models: ModelGrants,
    /// `hold.patience`: how long a call is held at most, within its own deadline. Default 60s.
    pub patience: Duration,
    /// `hold.max_calls`: calls held at once; more are refused with RESOURCE_EXHAUSTED. Default 1024.
    pub max_calls: usize,
}

impl HoldSettings {
    /// Reads the table; `None` where it has no models.
    pub fn read(s: &mut Section) -> Option<Self> {
        s.section("hold", |s| {
            let listed = s.or("models", Vec::<String>::new());
            let models = ModelGrants::parse(listed.iter().map(String::as_str));
            let models = models.map_err(|error| s.problem("models", error.to_string())).ok();
            let (patience, max_calls) = (s.or("patience", Duration::from_secs(60)), s.or("max_calls", 1024));
            s.check(max_calls <= Semaphore::MAX_PERMITS, "max_calls", "is too large");
            models.filter(|_| !listed.is_empty()).map(|models| Self { models, patience, max_calls })
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    model: String,
    version: String,
}

/// The calls that are held. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hold(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    settings: HoldSettings,
    places: Semaphore,
    held: Family<Of, Gauge>,
}

/// What a call waits for.
#[derive(Debug)]
pub struct Awaited {
    name: String,
    version: String,
    of: Of,
}

impl Awaited {
    /// What the call asked for.
    pub fn asked(&self) -> Routing<'_> {
        Routing { name: &self.name, version: &self.version }
    }
}

/// One held call, in the metric for as long as it is.
struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Hold {
    /// Holds as the settings say; without any, nothing.
    pub fn new(settings: Option<HoldSettings>) -> Self {
        Self(settings.map(|settings| {
            let places = Semaphore::new(settings.max_calls);
            Arc::new(Inner { settings, places, held: Family::default() })
        }))
    }

    /// Registers `torchmesh_router_held_requests`.
    pub fn register(&self, registry: &mut Registry) {
        if let Some(inner) = &self.0 {
            let help = "Calls that wait for a worker with their model, by the version that they would go to; empty: the newest";
            registry.register("torchmesh_router_held_requests", help, inner.held.clone());
        }
    }

    /// Whether any call may be held: a router with nothing to call is of use then.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What a call waits for that could not be decided; `None` where it does not wait. `to` is where it would go.
    pub fn awaits(
        &self,
        asked: Routing<'_>,
        error: &ApiError,
        to: impl FnOnce() -> Option<(ModelName, Option<ModelVersion>)>,
    ) -> Option<Awaited> {
        let inner = self.0.as_deref().filter(|_| is_missing(error))?;
        let (model, version) = to()?;
        inner.settings.models.allow(model.as_str()).then(|| Awaited {
            name: asked.name.to_owned(),
            version: asked.version.to_owned(),
            of: Of { model: model.to_string(), version: version.map_or_else(String::new, |version| version.to_string()) },
        })
    }

    /// Decides again whenever the table has changed, until there is something to go to.
    ///
    /// Errors: Unavailable, when that takes too long; ResourceExhausted, when as many wait as may; what `again` says besides.
    pub async fn until<T>(
        &self,
        table: &SharedTable,
        deadline: Option<Instant>,
        awaited: &Awaited,
        mut again: impl FnMut() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let Some(inner) = self.0.as_deref() else { return again() };
        let Ok(_place) = inner.places.try_acquire() else {
            let message = format!("{} calls wait for models that are not there yet, as many as may; try again", inner.settings.max_calls);
            return Err(ApiError::new(ErrorKind::ResourceExhausted, message));
        };
        let waiting = inner.held.get_or_create_owned(&awaited.of);
        waiting.inc();
        let _held = Held(waiting);
        let patience = tokio::time::Instant::now() + inner.settings.patience;
        let end = deadline.map_or(patience, |deadline| patience.min(deadline.into()));
        loop {
            let mut changed = pin!(table.changes());
            changed.as_mut().enable();
            match again() {
                Err(error) if is_missing(&error) => {}
                decided => return decided,
            }
            if timeout_at(end, changed).await.is_err() {
                let message = format!("model {:?} has not come within {:?}; try again", awaited.of.model, inner.settings.patience);
                return Err(ApiError::new(ErrorKind::Unavailable, message));
            }
        }
    }
}

fn is_missing(error: &ApiError) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        pin::Pin,
        task::Poll,
    };

    use tokio::time::advance;

    use super::*;

    fn hold(max_calls: usize) -> Hold {
        let models = ModelGrants::parse(["m*"]).unwrap();
        Hold::new(Some(HoldSettings { models, patience: Duration::from_secs(5), max_calls }))
    }

    fn missing() -> ApiError {
        ApiError::new(ErrorKind::NotFound, "there is no model")
    }

    fn awaited(hold: &Hold, model: &str) -> Option<Awaited> {
        let to = || Some((ModelName::parse(model).unwrap(), None));
        hold.awaits(Routing { name: "alias", version: "" }, &missing(), to)
    }

    /// Polls once.
    async fn is_pending<F: Future>(mut call: Pin<&mut F>) -> bool {
        poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await
    }

    fn held(hold: &Hold) -> i64 {
        hold.0.as_ref().unwrap().held.get_or_create(&Of { model: "m1".to_owned(), version: String::new() }).get()
    }

    #[test]
    fn only_calls_that_lead_to_a_listed_model_wait_and_only_for_it_to_come() {
        let hold = hold(1);
        assert_eq!(awaited(&hold, "m1").unwrap().asked().name, "alias");
        assert!(awaited(&hold, "other").is_none() && awaited(&Hold::default(), "m1").is_none());
        let wrong = ApiError::new(ErrorKind::InvalidArgument, "wrong");
        assert!(hold.awaits(Routing::default(), &wrong, || unreachable!("it is not about a model")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_goes_on_when_its_model_has_come_and_is_counted_until_then() {
        let (hold, table) = (hold(1), SharedTable::default());
        let awaited = awaited(&hold, "m1").unwrap();
        let mut tries = 0;
        let mut call = pin!(hold.until(&table, None, &awaited, || {
            tries += 1;
            if tries < 3 { Err(missing()) } else { Ok(tries) }
        }));
        for _ in 0..2 {
            assert!(is_pending(call.as_mut()).await);
            assert_eq!(held(&hold), 1);
            table.store(Default::default());
        }
        assert_eq!((call.await, held(&hold)), (Ok(3), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_no_longer_than_it_may_and_no_more_wait_than_may() {
        let (hold, table) = (hold(1), SharedTable::default());
        let awaited = awaited(&hold, "m1").unwrap();
        let wait = |deadline| hold.until(&table, deadline, &awaited, || Err::<(), _>(missing()));
        let mut first = pin!(wait(None));
        assert!(is_pending(first.as_mut()).await);
        assert_eq!(wait(None).await.unwrap_err().kind, ErrorKind::ResourceExhausted);
        advance(Duration::from_secs(5)).await;
        assert_eq!((first.await.unwrap_err().kind, held(&hold)), (ErrorKind::Unavailable, 0));
        let soon = tokio::time::Instant::now() + Duration::from_secs(1);
        let mut second = pin!(wait(Some(soon.into())));
        assert!(is_pending(second.as_mut()).await);
        advance(Duration::from_secs(1)).await;
        assert_eq!(second.await.unwrap_err().kind, ErrorKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_otherwise_is_told_at_once() {
        let (hold, table) = (hold(1), SharedTable::default());
        let awaited = awaited(&hold, "m1").unwrap();
        let wrong = hold.until(&table, None, &awaited, || Err::<(), _>(ApiError::new(ErrorKind::InvalidArgument, "wrong"))).await;
        assert_eq!((wrong.unwrap_err().kind, held(&hold)), (ErrorKind::InvalidArgument, 0));
    }
}
