//! What a new version must do before any caller meets it: give texts with known labels their labels.

use serde::Deserialize;
use torchmesh_api::text::v1::{ClassifyRequest, text_service_client::TextServiceClient};

use crate::{
    cli::{ClientArgs, StartArgs, TlsArgs},
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// Texts in one call.
const AT_ONCE: usize = 32;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labelled {
    text: String,
    label: String,
}

/// Asks the new version for the label of each text, by name, which no route changes. The error says how many were wrong.
pub(super) async fn pass(start: &StartArgs, tls: &TlsArgs, home: &Home, screen: &Screen) -> Result<()> {
    let (Some(file), Some(wanted)) = (&start.gate, &start.min_accuracy) else { return Ok(()) };
    let wanted = share(wanted)?;
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let labelled = read(&text).map_err(|message| Failure::new(USAGE, format!("{}: {message}", file.display())))?;
    let client = ClientArgs { gateway: start.gateway.clone(), key_file: start.key_file.clone(), timeout: PATIENCE, tls: tls.clone() };
    let caller = Caller::connect(&client, home).await?;
    let mut service = TextServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let mut right = 0;
    for some in labelled.chunks(AT_ONCE) {
        let request = ClassifyRequest {
            model: start.model.clone(),
            model_version: start.to.clone(),
            texts: some.iter().map(|one| one.text.clone()).collect(),
            top_k: 1,
            ..ClassifyRequest::default()
        };
        let answer = service.classify(caller.request(request)).await?.into_inner();
        let first = answer.classifications.iter().map(|one| one.labels.first().map(|label| label.label.as_str()));
        right += first.zip(some).filter(|(given, one)| *given == Some(one.label.as_str())).count();
    }
    let reached = right as f64 / labelled.len() as f64;
    let said = format!("version {} gives {right} of {} texts their label: {:.1}%", start.to, labelled.len(), reached * 100.0);
    if reached < wanted {
        let help = format!("{:.1}% are asked for; no caller has met the version", wanted * 100.0);
        return Err(Failure::new(FAILED, said).help(help));
    }
    screen.note(&said);
    Ok(())
}

fn read(text: &str) -> std::result::Result<Vec<Labelled>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let one = |(at, line): (usize, &str)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1));
    let labelled: Vec<_> = lines.map(one).collect::<std::result::Result<_, String>>()?;
    if labelled.is_empty() { Err("it has no texts".to_owned()) } else { Ok(labelled) }
}

/// `90%` or `0.9`.
fn share(text: &str) -> Result<f64> {
    let read = text.strip_suffix('%').map_or_else(|| text.parse::<f64>(), |percent| percent.parse::<f64>().map(|percent| percent / 100.0));
    let share = read.ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| Failure::new(USAGE, format!("--min-accuracy must be a share such as 90%, not {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let good = read("{\"text\": \"a\", \"label\": \"ham\"}\n\n{\"text\": \"b\", \"label\": \"spam\"}\n").unwrap();
        assert_eq!(good.len(), 2);
        assert!(read("{\"text\": \"a\", \"label\": \"ham\"}\n{\"text\": \"b\"}").unwrap_err().starts_with("line 2: missing field `label`"));
        assert!(read("\n").is_err());
    }

    #[test]
    fn a_share_is_a_percentage_or_a_number() {
        assert!((share("90%").unwrap() - 0.9).abs() < 1e-9 && (share("0.9").unwrap() - 0.9).abs() < 1e-9);
        for bad in ["0", "101%", "many", "-1"] {
            assert!(share(bad).is_err(), "{bad:?} was taken");
        }
    }
}
