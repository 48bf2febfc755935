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

/// The typed services, below `/torchmesh.`.
const TYPED: [&str; 4] = ["text.v1.TextService/", "text.v1.GenerationService/", "vision.v1.VisionService/", "audio.v1.AudioService/"];

/// The method at a path; `None` when it is not one of ours.
pub fn find(path: &str) -> Option<Method> {
    if let Some(name) = path.strip_prefix("/inference.GRPCInferenceService/") {
        return match name {
            "ModelInfer" | "ModelReady" | "ModelMetadata" | "ModelConfig" | "ModelStatistics" => Some(MODEL),
            "ModelStreamInfer" => Some(MODEL_STREAM),
            _ => Some(SERVER),
        };
    }
    let typed = path.strip_prefix("/torchmesh.")?;
    match typed {
        "text.v1.TextService/Embed"
        | "text.v1.TextService/Classify"
        | "text.v1.TextService/ClassifyTokens"
        | "text.v1.TextService/Fill"
        | "text.v1.TextService/Rerank"
        | "text.v1.TextService/Explain"
        | "vision.v1.VisionService/Classify"
        | "vision.v1.VisionService/Detect"
        | "audio.v1.AudioService/DetectVoice" => Some(MODEL),
        "audio.v1.AudioService/DetectVoiceLive" | "text.v1.GenerationService/Generate" | "text.v1.GenerationService/Chat" => {
            Some(MODEL_STREAM)
        }
        _ => TYPED.iter().any(|service| typed.starts_with(service)).then_some(SERVER),
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
        for stream in ["audio.v1.AudioService/DetectVoiceLive", "text.v1.GenerationService/Generate", "text.v1.GenerationService/Chat"] {
            assert!(find(&format!("/torchmesh.{stream}")).unwrap().streaming, "{stream}");
        }
        assert!(!find("/torchmesh.vision.v1.VisionService/Detect").unwrap().streaming);
        assert_eq!(find("/torchmesh.vision.v1.VisionService/Other"), Some(SERVER));
        assert_eq!(find("/v1/embeddings"), None);
        assert_eq!(find("/torchmesh.smell.v1.SmellService/Sniff"), None);
    }
}
