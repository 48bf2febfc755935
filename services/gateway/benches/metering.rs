//! What it costs a call to be metered: processor time of all threads, the spool's and the kernel's for it among them.

use std::{fs, sync::Arc, time::Duration, time::Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::task::LocalSet;
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    error::ApiError,
    headers::GRPC_STATUS,
    ids::TenantId,
};
use torchmesh_gateway::{
    identity::{CredentialKind, Principal},
    metering::{Meter, WhenFull, measuring::Measuring, metrics::MeteringMetrics},
};
use torchmesh_layers::call::CallContext;
use torchmesh_spool::{Settings, Spool};
use tower::Service as _;

/// Calls at once.
const CALLERS: u64 = 64;

/// Processor time of this process, all its threads together.
fn spent() -> Duration {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let of = |folder: fs::DirEntry| fs::read_to_string(folder.path().join("schedstat")).unwrap_or_default();
    let nanos = |text: String| text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_nanos(threads.map(|folder| nanos(of(folder.expect("an entry")))).sum())
}

fn request(principal: &Arc<Principal>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/inference.GRPCInferenceService/ModelInfer");
    request.extensions_mut().insert(Arc::clone(principal));
    request.extensions_mut().insert(CallContext::read(&HeaderMap::new(), Instant::now(), |_| false));
    request
}

/// Makes so many calls one after the other.
async fn calls(meter: Option<Meter>, principal: Arc<Principal>, count: u64) {
    let inner = tower::service_fn(|_: Request<()>| {
        let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
        let frames = [Ok::<_, torchmesh_relay::BoxError>(Frame::data(Bytes::from_static(b"answer"))), Ok(Frame::trailers(trailers))];
        std::future::ready(Ok::<_, ApiError>(Response::new(StreamBody::new(futures_util::stream::iter(frames)))))
    });
    let mut layer = Measuring::new(inner, meter);
    for _ in 0..count {
        let answer = layer.call(request(&principal)).await.expect("an answer");
        answer.into_body().collect().await.expect("its end");
    }
}

fn run(meter: Option<&Meter>, principal: &Arc<Principal>, count: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let before = spent();
    let tasks = LocalSet::new();
    for _ in 0..CALLERS {
        tasks.spawn_local(calls(meter.cloned(), Arc::clone(principal), count.div_ceil(CALLERS)));
    }
    runtime.block_on(tasks);
    spent().saturating_sub(before)
}

fn metering(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        folder: folder.path().to_owned(),
        sync_every: Duration::from_millis(2),
        max_bytes: 64 << 30,
        segment_bytes: 8 << 20,
        readers: vec!["files"],
    };
    let (spool, _) = Spool::open(settings).expect("a spool");
    let meter = Meter::new(spool, WhenFull::Refuse, MeteringMetrics::default());
    let tenant = TenantId::parse("acme").expect("a tenant");
    let principal =
        Arc::new(Principal::new(tenant, "key", CredentialKind::ApiKey, Scopes::default(), ModelGrants::parse(["*"]).expect("a pattern")));
    let mut group = c.benchmark_group("processor time of a call, 64 at once");
    group.bench_function("measured", |bencher| bencher.iter_custom(|count| run(None, &principal, count)));
    group.bench_function("metered", |bencher| bencher.iter_custom(|count| run(Some(&meter), &principal, count)));
    group.finish();
}

criterion_group!(benches, metering);
criterion_main!(benches);
