//! Names of the headers (and gRPC metadata) that cross our hops.

use http::HeaderName;

/// How much time is left, as gRPC writes it (see [`crate::timeout`]).
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// How much time is left, as HTTP clients write it: seconds, such as `2.5`. [`GRPC_TIMEOUT`] goes before it.
pub const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
/// The outcome of a gRPC call, a decimal code, in the trailers.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The percent-encoded message beside a [`GRPC_STATUS`] that is not 0.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How many milliseconds to wait before trying again (gRPC proposal A6).
pub const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";
/// In an answer: whether it was kept from an earlier call, `hit` or `miss`; absent where answers are not kept.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// W3C trace context (see [`crate::trace`]).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C vendor-specific trace state, passed on as it came.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// One request's id, given by the caller or made by the gateway, returned in the response.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The tenant that the gateway established; a client's own value never passes the gateway.
pub const X_TORCHMESH_TENANT: HeaderName = HeaderName::from_static("x-torchmesh-tenant");
/// The model that the proxy read from the message and routed by. A worker refuses a message that says otherwise.
pub const X_TORCHMESH_MODEL: HeaderName = HeaderName::from_static("x-torchmesh-model");
/// The version that the router chose; it overrides an empty version in the message.
pub const X_TORCHMESH_MODEL_VERSION: HeaderName = HeaderName::from_static("x-torchmesh-model-version");
/// The model's name in the message, where a route sends the call to a model of another name, which [`X_TORCHMESH_MODEL`] then says.
pub const X_TORCHMESH_ASKED_FOR: HeaderName = HeaderName::from_static("x-torchmesh-asked-for");
/// What calls have in common that should go to the same instance where they can: up to the caller, never looked into.
pub const X_TORCHMESH_SESSION: HeaderName = HeaderName::from_static("x-torchmesh-session");
/// The call is a copy of one that somebody else answers, made by the router for a route's shadow; the value is `1`. Whoever bills or meters calls leaves it out: the caller
/// has paid for the one that was copied. A client's own value never passes the gateway.
pub const X_TORCHMESH_MIRRORED: HeaderName = HeaderName::from_static("x-torchmesh-mirrored");
/// How many pipelines called each other to come to this call, a decimal number; absent: none did. A pipeline refuses a call that has come through too many.
pub const X_TORCHMESH_DEPTH: HeaderName = HeaderName::from_static("x-torchmesh-depth");
/// A pipeline's step wants an answer that is at most this old, decimal seconds, and its own kept so long, also where the model's route keeps none. A client's own value never passes the
/// gateway.
pub const X_TORCHMESH_CACHE_TTL: HeaderName = HeaderName::from_static("x-torchmesh-cache-ttl");
/// How urgent a call is: `high`, `normal` or `low`. The model's manifest says what a call is that does not say.
pub const X_TORCHMESH_PRIORITY: HeaderName = HeaderName::from_static("x-torchmesh-priority");
/// The most urgent class that the caller may ask for, as the gateway found; what asks for more counts as this. Without it, any. A client's own value never passes the gateway.
pub const X_TORCHMESH_PRIORITY_LIMIT: HeaderName = HeaderName::from_static("x-torchmesh-priority-limit");
/// In a worker's answer: how many microseconds the request waited for an executor.
pub const X_TORCHMESH_QUEUE_US: HeaderName = HeaderName::from_static("x-torchmesh-queue-us");
/// In a worker's answer: how many microseconds the batches took that its rows ran in.
pub const X_TORCHMESH_COMPUTE_US: HeaderName = HeaderName::from_static("x-torchmesh-compute-us");
/// In a worker's answer: how busy the model was when the answer left, as `depth=REQUESTS, wait-us=MICROSECONDS`: the requests that wait, and
/// how long a new one would.
pub const X_TORCHMESH_LOAD: HeaderName = HeaderName::from_static("x-torchmesh-load");
/// In a worker's answer: the model and version that answer, and what the call has used (see [`crate::usage`]). It is for the gateway's meter, and goes no further.
pub const X_TORCHMESH_USAGE: HeaderName = HeaderName::from_static("x-torchmesh-usage");
