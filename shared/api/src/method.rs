//! The gRPC methods that gateway and router pass on.

/// What a proxy needs to know of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Whether its first message carries the routing fields (see [`crate::peek`]).
    pub names_a_model: bool,
    /// Whether its answer is a stream of messages.
    pub streaming: bool,
}

const MODEL: Method = Method { names_a_model: true, streaming: false };
const MODEL_STREAM: Method = Method { names_a_model: true, streaming: true };
const SERVER: Method = Method { names_a_model: false, streaming: false };

/// The method at a path; `None` when it is not one of ours.
pub fn find(path: &str) -> Option<Method> {
    if let Some(name) = path.strip_prefix("/inference.GRPCInferenceService/") {
        return match name {
            "ModelInfer" | "ModelReady" | "ModelMetadata" | "ModelConfig" | "ModelStatistics" => Some(MODEL),
            "ModelStreamInfer" => Some(MODEL_STREAM),
            _ => Some(SERVER),
        };
    }
    match path.strip_prefix("/torchmesh.text.v1.TextService/")? {
        "Embed" | "Classify" | "ClassifyTokens" | "Fill" | "Rerank" | "Explain" => Some(MODEL),
        _ => Some(SERVER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_told_apart_by_their_path() {
        assert!(find("/inference.GRPCInferenceService/ModelInfer").unwrap().names_a_model);
        assert!(find("/inference.GRPCInferenceService/ModelStreamInfer").unwrap().streaming);
        assert!(!find("/inference.GRPCInferenceService/ServerLive").unwrap().names_a_model);
        for method in ["Embed", "Classify", "ClassifyTokens", "Fill", "Rerank", "Explain"] {
            assert!(find(&format!("/torchmesh.text.v1.TextService/{method}")).unwrap().names_a_model, "{method}");
        }
        assert_eq!(find("/v1/embeddings"), None);
    }
}
