//! A conversation in the terminal.

use torchmesh_api::text::v1::ChatMessage;

use super::{
    Speaker, finish,
    input::{Lines, Typed},
    message, show,
};
use crate::{error::Result, output::Screen};

const PROMPT: &str = "> ";
const HELP: &str = "/reset forgets what was said, /quit or Ctrl-D ends, Ctrl-C stops an answer";

/// Talks until somebody has had enough. An answer that fails ends nothing: what was said stays, and can be said again.
pub(super) async fn hold(speaker: &Speaker, system: Option<&str>, screen: &Screen) -> Result<()> {
    let mut lines = Lines::new()?;
    let beginning: Vec<ChatMessage> = system.map(|system| message("system", system)).into_iter().collect();
    let mut said = beginning.clone();
    screen.note(&format!("{}: {HELP}", speaker.request.model));
    loop {
        match lines.next(PROMPT).await? {
            Typed::Quit => return Ok(()),
            Typed::Nothing => {}
            Typed::Help => screen.note(HELP),
            Typed::Unknown(command) => screen.note(&format!("there is no {command}: {HELP}")),
            Typed::Reset => {
                said.clone_from(&beginning);
                screen.note("what was said is forgotten");
            }
            Typed::Said(text) => answer(speaker, &mut said, &text, screen).await?,
        }
    }
}

/// Error: only where it cannot be shown.
async fn answer(speaker: &Speaker, said: &mut Vec<ChatMessage>, text: &str, screen: &Screen) -> Result<()> {
    said.push(message("user", text));
    // Whatever is wrong with the signal, it does not stop an answer.
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match speaker.say(said.clone(), show, stop).await {
        Ok(answer) => {
            finish(&answer, screen)?;
            // What was stopped was said, as far as it came.
            said.push(message("assistant", &answer.content));
        }
        Err(failure) => {
            said.pop();
            show("\n")?;
            screen.failure(&failure);
        }
    }
    Ok(())
}
