//! `meshctl chat`: one answer of a language model, or a conversation with it.

mod answer;
mod conversation;
mod input;

use std::io::{IsTerminal as _, Read as _, Write as _};

use tonic::transport::Channel;
use torchmesh_api::text::v1::{ChatMessage, ChatRequest, GenerationSettings, generation_service_client::GenerationServiceClient};

use self::answer::{Answer, Asked};
use crate::{
    cli::ChatArgs,
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// One answer where there is a message, a conversation where there is none.
pub(crate) async fn chat(args: &ChatArgs, home: &Home, screen: &Screen) -> Result<()> {
    let prompt = prompt(args.prompt.as_deref())?;
    if prompt.is_none() && screen.is_json() {
        return Err(
            Failure::new(USAGE, "a conversation is not for scripts").help("give the message: meshctl chat MODEL PROMPT --output json")
        );
    }
    let speaker = Speaker::connect(args, home).await?;
    let Some(prompt) = prompt else { return conversation::hold(&speaker, args.system.as_deref(), screen).await };
    let mut messages: Vec<_> = args.system.iter().map(|system| message("system", system)).collect();
    messages.push(message("user", &prompt));
    let answer = if screen.is_json() {
        speaker.say(messages, |_| Ok(()), std::future::pending()).await?
    } else {
        speaker.say(messages, show, std::future::pending()).await?
    };
    if screen.is_json() {
        return screen.show(&answer, String::new);
    }
    finish(&answer, screen)
}

/// The message; `None` where there is to be a conversation.
fn prompt(argument: Option<&str>) -> Result<Option<String>> {
    match argument {
        Some("-") => {}
        Some(prompt) => return Ok(Some(prompt.to_owned())),
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => {}
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::new(USAGE, format!("standard input is not text: {error}")))?;
    let text = text.trim_end();
    if text.is_empty() { Err(Failure::new(USAGE, "standard input has no text")) } else { Ok(Some(text.to_owned())) }
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned(), ..Default::default() }
}

/// Who speaks to which model, and how it is to answer.
struct Speaker {
    caller: Caller,
    client: GenerationServiceClient<Channel>,
    request: ChatRequest,
}

impl Speaker {
    async fn connect(args: &ChatArgs, home: &Home) -> Result<Self> {
        let caller = Caller::connect(&args.client, home).await?;
        let client = GenerationServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        let ChatArgs { temperature, top_p, max_tokens, seed, .. } = *args;
        let settings = GenerationSettings { temperature, top_p, max_tokens, seed, ..Default::default() };
        let (model, model_version) = (args.model.clone(), args.version.clone());
        Ok(Self { caller, client, request: ChatRequest { model, model_version, settings: Some(settings), ..Default::default() } })
    }

    /// Says all that was said so far, and gives the answer, each piece as it comes to `show`, until it is whole or `stop` is there.
    async fn say(
        &self,
        messages: Vec<ChatMessage>,
        show: impl FnMut(&str) -> Result<()>,
        stop: impl Future<Output = ()>,
    ) -> Result<Answer> {
        let request = self.caller.request(ChatRequest { messages, ..self.request.clone() });
        let mut client = self.client.clone();
        Asked::now().read(async move { client.chat(request).await }, show, stop).await
    }
}

/// Writes a piece at once.
fn show(piece: &str) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(piece.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::new(FAILED, format!("cannot write: {error}")))
}

/// The end of a shown answer: the end of its line, and on a terminal how fast it came.
fn finish(answer: &Answer, screen: &Screen) -> Result<()> {
    if !answer.content.ends_with('\n') {
        show("\n")?;
    }
    if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        screen.note(&answer.pace());
    }
    Ok(())
}
