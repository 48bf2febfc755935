//! An answer of a language model, as it is written.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use tonic::{Status, Streaming};
use torchmesh_api::text::v1::{ChatMessage, ChatRequest, ChatResponse, FinishReason, Usage};

/// What a chat may be begun with: a text, which the user says, a list of messages, or a whole request.
///
/// ```
/// use torchmesh_client::Chat;
///
/// let question = Chat::from("Why is the sky blue?");
/// let answered = Chat::from([("system", "Be short."), ("user", "Why is the sky blue?")]);
/// ```
#[derive(Debug, Clone)]
pub struct Chat(pub(crate) ChatRequest);

impl From<&str> for Chat {
    fn from(text: &str) -> Self {
        Self::from([("user", text)])
    }
}

impl From<String> for Chat {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Chat {
    fn from(messages: [(&str, &str); N]) -> Self {
        let message =
            |(role, content): (&str, &str)| ChatMessage { role: role.to_owned(), content: content.to_owned(), ..Default::default() };
        Self::from(messages.into_iter().map(message).collect::<Vec<_>>())
    }
}

impl From<Vec<ChatMessage>> for Chat {
    fn from(messages: Vec<ChatMessage>) -> Self {
        Self(ChatRequest { messages, ..Default::default() })
    }
}

impl From<ChatRequest> for Chat {
    fn from(request: ChatRequest) -> Self {
        Self(request)
    }
}

/// The pieces of an answer: a [`Stream`] of text. Dropping it ends the generation.
///
/// An error in the middle is the stream's last item; what came before is what was written. Of a request with `n` answers the pieces come as they are written;
/// use [`Client::generation`](crate::Client::generation) to tell them apart, and for tools and logarithms.
#[derive(Debug)]
pub struct Pieces {
    answers: Streaming<ChatResponse>,
    finish: FinishReason,
    usage: Option<Usage>,
    over: bool,
}

impl Pieces {
    pub(crate) fn new(answers: Streaming<ChatResponse>) -> Self {
        Self { answers, finish: FinishReason::Unspecified, usage: None, over: false }
    }

    /// The next piece; `None` when the answer is complete.
    pub async fn next(&mut self) -> Option<Result<String, Status>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All that is still to come.
    pub async fn text(mut self) -> Result<String, Status> {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            text.push_str(&piece?);
        }
        Ok(text)
    }

    /// Why the answer ended; unspecified until it has.
    pub fn finish_reason(&self) -> FinishReason {
        self.finish
    }

    /// What was read and written, in tokens; `None` until the answer is complete.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

impl Stream for Pieces {
    type Item = Result<String, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.over {
            match ready!(Pin::new(&mut self.answers).poll_next(cx)) {
                Some(Ok(answer)) => {
                    if answer.finish_reason() != FinishReason::Unspecified {
                        self.finish = answer.finish_reason();
                    }
                    self.usage = answer.usage.or(self.usage);
                    if !answer.content.is_empty() {
                        return Poll::Ready(Some(Ok(answer.content)));
                    }
                }
                Some(Err(status)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => self.over = true,
            }
        }
        Poll::Ready(None)
    }
}
