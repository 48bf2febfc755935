//! Pieces of answers as messages.

use torchmesh_api::text::v1::{FinishReason, LikelyToken, WrittenToken};
use torchmesh_generation::answer::{Reason, Written, WrittenLikely};

/// Why an answer ended, in the API's words.
pub(super) fn reason(reason: Reason) -> FinishReason {
    match reason {
        Reason::End | Reason::StopText(_) | Reason::StopToken(_) | Reason::Form => FinishReason::Stop,
        Reason::Length => FinishReason::Length,
    }
}

/// Tokens as they are told.
pub(super) fn tokens(written: Vec<Written>) -> Vec<WrittenToken> {
    let likely = |likely: WrittenLikely| LikelyToken { id: likely.id, bytes: likely.bytes, logprob: likely.logprob };
    let token = |token: Written| WrittenToken {
        id: token.id,
        bytes: token.bytes,
        logprob: token.logprob,
        likeliest: token.likeliest.into_iter().map(likely).collect(),
    };
    written.into_iter().map(token).collect()
}
