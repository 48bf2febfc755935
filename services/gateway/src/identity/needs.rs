//! What a call needs: one table for every door.

use http::Method;
use torchmesh_api::access::Scope;

/// What whoever calls must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may ask whether we live, and what our API looks like. What a path below `/oauth/` needs, it checks itself.
    Nothing,
    /// A credential with this scope.
    Scope(Scope),
}

/// Paths that anybody may ask; what ends with `/` is open with all that is below it, any other path only as it is.
const OPEN: [&str; 13] = [
    "/openapi.json",
    "/docs",
    "/docs/errors",
    "/v2/health/",
    "/ping",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    OAUTH,
];

/// Whose doors look at the credential themselves.
const OAUTH: &str = "/oauth/";

/// The gRPC service with methods of several kinds; the methods of all others that are passed on call models.
const INFERENCE: &str = "/inference.GRPCInferenceService/";

/// What a call of this path needs.
pub fn need(method: &Method, path: &str) -> Need {
    if OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open))) {
        return Need::Nothing;
    }
    Need::Scope(scope(method, path))
}

/// Whether the door of this path looks at the credential itself.
pub fn looks_itself(path: &str) -> bool {
    path.starts_with(OAUTH)
}

/// Whether the door of this path takes calls that wait, or shows them: none of them is made by asking it.
pub fn waits(path: &str) -> bool {
    ["/v1/files", "/v1/batches"].iter().any(|door| path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn scope(method: &Method, path: &str) -> Scope {
    if let Some(name) = path.strip_prefix(INFERENCE) {
        return match name {
            "ModelInfer" | "ModelStreamInfer" => Scope::Infer,
            "ServerMetadata" | "ModelReady" | "ModelMetadata" | "ModelConfig" | "ModelStatistics" | "RepositoryIndex" => Scope::ModelsRead,
            "RepositoryModelLoad" | "RepositoryModelUnload" => Scope::ModelsWrite,
            // Shared memory, tracing, logging: whatever the protocol gets, it is not for everybody.
            _ => Scope::Admin,
        };
    }
    if path.starts_with("/admin/") {
        return Scope::Admin;
    }
    if path == "/v2/repository/index" {
        return Scope::ModelsRead;
    }
    if path.starts_with("/v2/repository/") {
        return Scope::ModelsWrite;
    }
    // Calls that wait in a file, and their answers: as good as the calls.
    if waits(path) {
        return Scope::Infer;
    }
    // The other doors keep to what the verbs say: they are asked with GET, and models are called with POST. Nothing is changed or deleted there.
    match *method {
        Method::GET | Method::HEAD => Scope::ModelsRead,
        Method::POST => Scope::Infer,
        _ => Scope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(method: &str, path: &str) -> Need {
        need(&method.parse().unwrap(), path)
    }

    #[test]
    fn each_door_needs_what_it_does() {
        for (method, path, scope) in [
            ("POST", "/inference.GRPCInferenceService/ModelInfer", Scope::Infer),
            ("POST", "/torchmesh.text.v1.GenerationService/Chat", Scope::Infer),
            ("POST", "/v1/chat/completions", Scope::Infer),
            ("POST", "/v2/models/m/versions/1/infer", Scope::Infer),
            ("POST", "/predictions/m", Scope::Infer),
            ("POST", "/embed", Scope::Infer),
            ("GET", "/v1/models", Scope::ModelsRead),
            ("GET", "/v2/models/m/config", Scope::ModelsRead),
            ("POST", "/v2/repository/index", Scope::ModelsRead),
            ("POST", "/inference.GRPCInferenceService/RepositoryIndex", Scope::ModelsRead),
            ("POST", "/v2/repository/models/m/load", Scope::ModelsWrite),
            ("POST", "/inference.GRPCInferenceService/RepositoryModelUnload", Scope::ModelsWrite),
            ("POST", "/inference.GRPCInferenceService/SystemSharedMemoryRegister", Scope::Admin),
            ("GET", "/admin/anything", Scope::Admin),
            ("DELETE", "/v1/models/m", Scope::Admin),
        ] {
            assert_eq!(of(method, path), Need::Scope(scope), "{method} {path}");
        }
    }

    #[test]
    fn health_needs_nothing_and_a_path_that_only_looks_like_it_does() {
        for open in
            ["/v2/health/live", "/ping", "/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService/ServerReady", "/oauth/token"]
        {
            assert_eq!(of("GET", open), Need::Nothing, "{open}");
        }
        for path in ["/v2/healthy", "/pingpong", "/inference.GRPCInferenceService/ServerReadyNot", "/oauth", "//ping", "/.well-known/x"] {
            assert_ne!(of("GET", path), Need::Nothing, "{path} was let in");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn whatever_is_not_open_needs_a_scope(path in "/[a-zA-Z0-9./_-]{0,40}", method in "GET|POST|PUT|DELETE|OPTIONS") {
            let open = OPEN.iter().any(|open| path.starts_with(open));
            prop_assert!(open || of(&method, &path) != Need::Nothing);
        }
    }
}
