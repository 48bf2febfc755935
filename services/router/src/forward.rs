//! The path of a call: read its routing fields, find the endpoints, pass it on.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use tonic::{body::Body as OwnBody, service::Routes};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::{X_CACHE, X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_SESSION, X_TORCHMESH_TENANT},
    method::{self, Method},
    peek::Routing,
};
use torchmesh_layers::call::{CallContext, ServedModel};
use torchmesh_relay::{
    Affinity, Answer, BoxError, Call, Relay, Source, Steering,
    balance::{Policy, prefix::Prefix, ring},
    outgoing,
};
use tower::{Service, ServiceExt as _};

use crate::{
    cache::{Cache, Caching, Found, Keeping, Kept, Question, question},
    decide::{Decision, decide, wanted},
    hold::Hold,
    mirror::Mirror,
    prompt::{self, ByPrefix},
    resume::{self, Resumable, Resumes, Way},
    routes::{Brought, in_use::RoutesInUse},
    table::{SharedTable, Target},
    watching::Ending,
    witnessed::Witnessed,
};

const MODEL_READY: &str = "/inference.GRPCInferenceService/ModelReady";

/// The body of an answer.
type Answered<B> = Witnessed<Answer<B, OwnBody>>;

/// The innermost service, of one data thread: passes on what names a model, and lets the router's own front answer the rest.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Who passes it on.
    pub relay: Relay,
    /// Who serves which version.
    pub table: Arc<SharedTable>,
    /// Where calls go.
    pub routes: RoutesInUse,
    /// The largest message of which the beginning is looked for, in bytes.
    pub max_message: usize,
    /// What the router answers itself.
    pub front: Routes,
    /// Who copies calls.
    pub mirror: Mirror,
    /// Who keeps answers.
    pub cache: Cache,
    /// Who counts the answers that are resumed.
    pub resumes: Resumes,
    /// Whose calls wait for a worker.
    pub hold: Hold,
}

impl Forward {
    async fn pass_on<B>(self, method: Method, parts: Parts, body: B) -> Result<Response<Answered<B>>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let mut source = Source::new(body, self.relay.keep_bytes());
        let content = self.content(&parts, &mut source).await?;
        let Decision { target, asked_for, shadow, caching, resume, by_prefix, policy } = self.decided(&parts, content, &mut source).await?;
        let question = self.question(&parts, &target, Caching::of(caching, &parts.headers), &mut source).await?;
        let (question, flight) = match question {
            None => (None, None),
            Some(question) => match self.cache.ask(&question, &target.loads).await {
                Found::Hit(kept) => return Ok(again(&kept, &question, target)),
                Found::Miss(flight) => (Some(question), flight),
            },
        };
        let prefix = match by_prefix {
            Some(by) => prefix(&parts, by, &mut source).await?,
            None => None,
        };
        let resumable = if resume { self.resumable(parts.uri.path(), &mut source).await? } else { None };
        let copy = shadow.and_then(|shadow| self.mirror.begin(parts.uri.path(), shadow, &mut source));
        let call = outbound(method, parts, &target, asked_for, (prefix, policy), source);
        let copy = copy.map(|copy| copy.of(&call));
        let mut watch = target.watched.begin(self.relay.lane(), Instant::now(), call.deadline);
        let sent = match resumable {
            None => self.relay.send(call, &target.group).await.map(|response| response.map(Answer::Relayed)),
            Some(request) => {
                let way = Way {
                    relay: self.relay,
                    table: self.table,
                    target: target.clone(),
                    headers: call.headers,
                    steering: call.steering,
                    deadline: deadline(call.deadline),
                };
                resume::begin(way, request, self.resumes).await.map(|response| response.map(Answer::Own))
            }
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                watch.ends(if error.kind == ErrorKind::Cancelled { Ending::Left } else { Ending::Failed });
                return Err(error);
            }
        };
        response.extensions_mut().insert(ServedModel(target.model));
        let keeping = question.map(|question| {
            response.headers_mut().insert(X_CACHE, HeaderValue::from_static("miss"));
            Keeping::new(self.cache, &question, flight, response.headers().clone())
        });
        Ok(Witnessed::around(response, watch, copy, keeping))
    }

    /// What is decided for a call, of whose model there may have to come a worker first.
    ///
    /// Errors: its body breaks off; it can go nowhere.
    async fn decided<B>(&self, parts: &Parts, content: Option<u64>, source: &mut Source<B>) -> Result<Decision, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let brought = Brought { headers: &parts.headers, content, draw: fastrand::u64(..) };
        let decide = |asked: Routing<'_>| decide(&self.routes.load(), &self.table.load(), asked, brought);
        let awaits = |asked: Routing<'_>, error: ApiError| {
            // Whoever asks whether a model is ready wants to know it now.
            if parts.uri.path() == MODEL_READY {
                return Box::new((error, None));
            }
            let awaited = self.hold.awaits(asked, &error, || wanted(&self.routes.load(), asked, brought));
            Box::new((error, awaited))
        };
        match source.peek(self.max_message, |asked| decide(asked).map_err(|error| awaits(asked, error))).await? {
            Ok(decision) => Ok(decision),
            Err(missing) => {
                let (error, awaited) = *missing;
                let Some(awaited) = awaited else { return Err(error) };
                let deadline = parts.extensions.get::<CallContext>().and_then(|context| context.deadline);
                self.hold.until(&self.table, deadline, &awaited, || decide(awaited.asked())).await
            }
        }
    }

    /// What stands for the content of a call, where that may decide where it goes.
    ///
    /// Errors: it cannot be told what it is for; its body breaks off.
    async fn content<B>(&self, parts: &Parts, source: &mut Source<B>) -> Result<Option<u64>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let (routes, path) = (self.routes.load(), parts.uri.path());
        if !routes.go_by_content() || !prompt::has_one(path) {
            return Ok(None);
        }
        let decides = source.peek(self.max_message, |asked| asked.version.is_empty() && routes.goes_by_content(asked.name)).await?;
        drop(routes);
        if !decides {
            return Ok(None);
        }
        source.begins(prompt::WAITED_FOR).await?;
        Ok(prompt::content(path, source.seen()))
    }

    /// The call, if its answer can be resumed, and it is whole within what is looked at.
    ///
    /// Errors: its body breaks off.
    async fn resumable<B>(&self, path: &str, source: &mut Source<B>) -> Result<Option<Resumable>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        if !(path == question::GENERATE || path == question::CHAT) || !source.complete(self.max_message).await? {
            return Ok(None);
        }
        Ok(frame::message(question::joined(source.seen())).and_then(|message| Resumable::of(path, message, fastrand::u64(..))))
    }

    /// What a call asks, where its route wants answers to be kept and this one may be.
    ///
    /// Errors: its body breaks off.
    async fn question<B>(
        &self,
        parts: &Parts,
        target: &Target,
        caching: Option<Caching>,
        source: &mut Source<B>,
    ) -> Result<Option<Question>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let Some(caching) = caching.filter(|_| self.cache.is_on()) else { return Ok(None) };
        let path = parts.uri.path();
        let whole = question::can_be(path, &parts.headers) && source.complete(self.cache.max_message()).await?;
        let question = if whole { Question::of(path, &parts.headers, target, caching, source.seen()) } else { None };
        if question.is_none() {
            self.cache.passed();
        }
        Ok(question)
    }
}

/// The answer that was kept, for this caller. It says nothing of the version: nobody asked it.
fn again<B>(kept: &Kept, question: &Question, target: Target) -> Response<Answered<B>> {
    let mut response = kept.answer(&question.id).map(|body| Witnessed::unseen(Answer::Own(OwnBody::new(body))));
    response.extensions_mut().insert(ServedModel(target.model));
    response
}

/// A call without a deadline has none that matters.
fn deadline(of: Option<Instant>) -> tokio::time::Instant {
    of.unwrap_or_else(|| Instant::now() + Duration::from_secs(24 * 3600)).into()
}

/// How the call's prompt begins, where it has one.
///
/// Errors: its body breaks off.
async fn prefix<B>(parts: &Parts, by: ByPrefix, source: &mut Source<B>) -> Result<Option<Prefix>, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let path = parts.uri.path();
    if !prompt::has_one(path) {
        return Ok(None);
    }
    source.begins(prompt::WAITED_FOR).await?;
    let tenant = parts.headers.get(X_TORCHMESH_TENANT).map_or(&b""[..], HeaderValue::as_bytes);
    Ok(prompt::prefix(path, tenant, by, source.seen()))
}

fn outbound<B>(
    method: Method,
    parts: Parts,
    target: &Target,
    asked_for: Option<HeaderValue>,
    (prefix, policy): (Option<Prefix>, Option<Policy>),
    source: Source<B>,
) -> Call<B> {
    let session = parts.headers.get(X_TORCHMESH_SESSION).map(|session| ring::hash(&session.as_bytes()));
    let key = (session.is_some() || prefix.is_some()).then_some(Affinity { session, prefix });
    let steering = Steering { key, policy };
    let context = parts.extensions.get::<CallContext>();
    let deadline = context.and_then(|context| context.deadline);
    let mut headers = parts.headers;
    outgoing::strip_hop(&mut headers);
    if let Some(context) = context {
        context.write(&mut headers);
    }
    headers.insert(X_TORCHMESH_MODEL, target.name.clone());
    if let Some(asked_for) = asked_for {
        headers.insert(X_TORCHMESH_ASKED_FOR, asked_for);
    }
    headers.insert(X_TORCHMESH_MODEL_VERSION, target.version.clone());
    let path = outgoing::path(&parts.uri);
    Call { path, headers, deadline, streaming: method.streaming, steering, source }
}

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<Answered<B>>;
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ApiError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match method::find(request.uri().path()) {
            Some(method) if method.names_a_model => {
                let (parts, body) = request.into_parts();
                Box::pin(self.clone().pass_on(method, parts, body))
            }
            _ => Box::pin(own_answer(self.front.clone(), request)),
        }
    }
}

async fn own_answer<B>(front: Routes, request: Request<B>) -> Result<Response<Answered<B>>, ApiError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let answered: Result<_, Infallible> = front.oneshot(request.map(OwnBody::new)).await;
    match answered {
        Ok(response) => Ok(response.map(|body| Witnessed::unseen(Answer::Own(body)))),
        Err(never) => match never {},
    }
}
