//! Calls through the layer, onto a real spool.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message as _;
use tempfile::TempDir;
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    error::{ApiError, ErrorKind},
    headers::GRPC_STATUS,
    ids::TenantId,
    usage::v1::{Door, UsageEvent},
};
use torchmesh_layers::call::CallContext;
use torchmesh_relay::BoxError;
use torchmesh_spool::{Settings, Spool};
use tower::{Service as _, service_fn};

use super::{Measured, Meter, OnceId, WhenFull, measuring::Measuring, metered::Metered, metrics::MeteringMetrics};
use crate::identity::{CredentialKind, Principal};

/// One frame after the other.
type Frames = StreamBody<BoxStream<'static, Result<Frame<Bytes>, BoxError>>>;

/// When the frames of an answer are there.
#[derive(Clone, Copy)]
enum Come {
    /// Each when it is waited for.
    OneByOne,
    /// With the head.
    AtOnce,
}

struct Bench {
    spool: Spool,
    when_full: WhenFull,
    once: Option<OnceId>,
    _folder: TempDir,
}

fn bench(max_bytes: u64, when_full: WhenFull) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (path, readers) = (folder.path().to_owned(), vec!["files"]);
    let settings = Settings { folder: path, sync_every: Duration::ZERO, max_bytes, segment_bytes: 1 << 20, readers };
    Bench { spool: Spool::open(settings).unwrap().0, when_full, once: None, _folder: folder }
}

#[expect(clippy::unnecessary_wraps, reason = "as a body gives its frames")]
fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[expect(clippy::unnecessary_wraps, reason = "as a body gives its frames")]
fn trailers(code: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(code))])))
}

impl Bench {
    /// A call of somebody who is known, whose answer has these frames, one by one.
    async fn call(&self, answer: Result<Vec<Result<Frame<Bytes>, BoxError>>, ErrorKind>) -> Result<Response<Metered<Frames>>, ApiError> {
        self.call_whose(answer, Come::OneByOne).await
    }

    async fn call_whose(
        &self,
        answer: Result<Vec<Result<Frame<Bytes>, BoxError>>, ErrorKind>,
        come: Come,
    ) -> Result<Response<Metered<Frames>>, ApiError> {
        let answer = std::sync::Mutex::new(Some(answer));
        let inner = service_fn(|request: Request<()>| {
            let measured: Arc<Measured> = request.extensions().get().cloned().unwrap();
            measured.went(3);
            let answer = answer.lock().unwrap().take().unwrap();
            let answer = answer.map(|frames| {
                let frames = futures_util::stream::iter(frames);
                Response::new(StreamBody::new(match come {
                    Come::AtOnce => frames.boxed(),
                    Come::OneByOne => frames
                        .then(|frame| async {
                            tokio::task::yield_now().await;
                            frame
                        })
                        .boxed(),
                }))
            });
            std::future::ready(answer.map_err(|kind| ApiError::new(kind, "no")))
        });
        let meter = Meter::new(self.spool.clone(), self.when_full, MeteringMetrics::default());
        let mut request = Request::builder().uri("/v1/embeddings").header(CONTENT_TYPE, "application/grpc").body(()).unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let principal = Principal::new(tenant, "key", CredentialKind::ApiKey, Scopes::default(), ModelGrants::parse(["*"]).unwrap());
        request.extensions_mut().insert(Arc::new(principal));
        request.extensions_mut().insert(CallContext::read(&HeaderMap::new(), Instant::now(), |_| false));
        if let Some(once) = self.once {
            request.extensions_mut().insert(once);
        }
        Measuring::new(inner, Some(meter)).call(request).await
    }

    /// The events that are durable.
    fn events(&self) -> Vec<UsageEvent> {
        let mut reader = self.spool.reader("files").unwrap();
        let batch = reader.next(100).unwrap();
        batch.records.iter().map(|record| UsageEvent::decode(&**record).unwrap()).collect()
    }

    /// Their codes.
    fn codes(&self) -> Vec<u32> {
        self.events().iter().map(|event| event.code).collect()
    }

    /// The same once so many were written.
    async fn codes_of(&self, count: u64) -> Vec<u32> {
        let mut reached = self.spool.reached();
        while self.spool.figures().records < count {
            reached.changed().await.unwrap();
        }
        self.codes()
    }
}

async fn frame(body: &mut Metered<Frames>) -> Option<Result<Frame<Bytes>, BoxError>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

#[tokio::test]
async fn the_event_is_durable_when_the_trailers_are_there_and_not_made_before() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    let mut body = bench.call(Ok(vec![data("abc"), trailers("0")])).await.unwrap().into_body();
    assert!(frame(&mut body).await.unwrap().unwrap().is_data());
    assert!(!body.is_end_stream());
    assert!(bench.codes().is_empty());
    assert!(frame(&mut body).await.unwrap().unwrap().is_trailers());
    assert_eq!(bench.codes(), [0]);
    assert!(body.is_end_stream() && frame(&mut body).await.is_none());
}

#[tokio::test]
async fn an_answer_that_is_there_whole_waits_for_its_event_with_its_head() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    for (frames, code) in [(vec![data("abc"), trailers("0")], 0), (vec![data("abc"), data("def")], 0), (vec![trailers("5")], 5)] {
        let before = bench.codes().len();
        let ends = bench.call_whose(Ok(frames), Come::AtOnce).await.unwrap();
        assert_eq!(bench.codes()[before..], [code], "durable before the head is there");
        assert!(ends.into_body().collect().await.is_ok());
    }
    assert_eq!(bench.codes().len(), 3);
    let full = self::bench(20, WhenFull::Refuse);
    let refused = full.call_whose(Ok(vec![data("abc"), trailers("0")]), Come::AtOnce).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_answer_that_breaks_off_at_once_does_so_for_its_caller_too() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    let ends = bench.call_whose(Ok(vec![data("abc"), Err(BoxError::from("broken"))]), Come::AtOnce).await.unwrap();
    assert!(ends.into_body().collect().await.is_err());
    assert_eq!(bench.codes_of(1).await, [13]);
}

#[tokio::test]
async fn an_answer_without_trailers_ends_when_its_event_is_durable() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    let body = bench.call(Ok(vec![data("abc"), data("def")])).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcdef");
    assert_eq!(bench.codes(), [0]);
}

#[tokio::test]
async fn a_line_of_a_batch_came_by_the_batch_however_it_ended() {
    let bench = Bench { once: Some(OnceId([7; 16])), ..bench(1 << 30, WhenFull::Refuse) };
    for code in ["0", "8"] {
        let body = bench.call(Ok(vec![data("abc"), trailers(code)])).await.unwrap().into_body();
        body.collect().await.unwrap();
    }
    let told: Vec<_> = bench.events().iter().map(|event| (event.door(), event.code, event.id == [7; 16])).collect();
    assert_eq!(told, [(Door::Batch, 0, true), (Door::Batch, 8, false)]);
    let bench = self::bench(1 << 30, WhenFull::Refuse);
    bench.call(Ok(vec![data("abc"), trailers("0")])).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(bench.events()[0].door(), Door::Grpc);
}

#[tokio::test]
async fn every_way_to_end_makes_one_event() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    drop(bench.call(Ok(vec![data("abc"), trailers("0")])).await);
    assert!(bench.call(Err(ErrorKind::NotFound)).await.is_err());
    let _ = bench.call(Ok(vec![data("abc"), trailers("14")])).await.unwrap().into_body().collect().await;
    let broken = Err(BoxError::from("broken"));
    assert!(bench.call(Ok(vec![data("abc"), broken])).await.unwrap().into_body().collect().await.is_err());
    assert_eq!(bench.codes_of(4).await, [1, 5, 14, 13]);
}

#[tokio::test]
async fn an_answer_whose_event_is_lost_does_not_end_well_unless_that_is_wanted() {
    for when_full in [WhenFull::Refuse, WhenFull::GoOn] {
        // No room for an event.
        let bench = bench(20, when_full);
        let ends = bench.call(Ok(vec![data("abc"), trailers("0")])).await.unwrap().into_body().collect().await.unwrap();
        let code = ends.trailers().unwrap()[GRPC_STATUS].to_str().unwrap();
        let refused = bench.call(Err(ErrorKind::NotFound)).await.err().unwrap();
        match when_full {
            WhenFull::Refuse => assert_eq!((code, refused.kind), ("14", ErrorKind::Unavailable)),
            WhenFull::GoOn => assert_eq!((code, refused.kind), ("0", ErrorKind::NotFound)),
        }
        let cut = bench.call(Ok(vec![data("abc")])).await;
        let whole = match cut {
            Ok(response) => response.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(whole, when_full == WhenFull::GoOn);
        assert!(bench.codes().is_empty());
    }
}

#[tokio::test]
async fn a_call_of_nobody_makes_no_event() {
    let bench = bench(1 << 30, WhenFull::Refuse);
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, ApiError>(Response::new(http_body_util::Empty::<Bytes>::new().map_err(|never: Infallible| -> BoxError { match never {} })))
    });
    let meter = Meter::new(bench.spool.clone(), WhenFull::Refuse, MeteringMetrics::default());
    let response = Measuring::new(inner, Some(meter)).call(Request::new(())).await.unwrap();
    assert!(response.into_body().collect().await.is_ok());
    assert!(bench.codes().is_empty() && bench.spool.figures().groups == 0);
}
