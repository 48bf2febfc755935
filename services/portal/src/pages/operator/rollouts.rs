//! `/operator/rollouts`: new versions on their way.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::admin::v1::{Rollout, RolloutCommand};

use super::{
    super::{
        Page, Place, encoded,
        parts::{self, Field},
        see_other,
    },
    router,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::{Operator, Visit},
};

/// The list, and the form that starts one.
pub async fn list(visit: Visit, _who: Operator) -> Answer {
    let rollouts = router(visit.app())?.rollouts().await?;
    Ok(page(&visit, &rollouts, &Sent::default(), None))
}

fn page(visit: &Visit, rollouts: &[Rollout], sent: &Sent, fail: Option<&Fail>) -> Response {
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("nav.rollouts"), visit.say("rollouts.lead"), html! {}))
        (parts::wrong(visit, fail))
        @if rollouts.is_empty() { (parts::empty(visit.say("rollouts.none"), html! {})) }
        @for rollout in rollouts { (one(visit, rollout)) }
        (begin(visit, sent))
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Rollouts, visit.say("nav.rollouts"), body).status(status).answer(visit)
}

fn one(visit: &Visit, rollout: &Rollout) -> Markup {
    let colour = match rollout.stage.as_str() {
        "promoted" => "good",
        "running" | "paused" => "waiting",
        _ => "bad",
    };
    let stage = visit.texts().find(&format!("stage.{}", rollout.stage)).unwrap_or(&rollout.stage);
    let percent = format!("{:.0}", rollout.percent);
    html! {
        section.rollout {
            div.card-head { h2 { span.mono { (rollout.model) } " " (rollout.from) " → " (rollout.to) } (parts::badge(colour, stage)) }
            p { (visit.texts().fill("rollouts.share", &[("percent", &percent), ("version", &rollout.to)])) @if !rollout.missing.is_empty() { " · " span.faint { (rollout.missing) } } }
            progress max="100" value=(percent) aria-label=(visit.texts().fill("rollouts.share", &[("percent", &percent), ("version", &rollout.to)])) {}
            (commands(visit, rollout))
            details { summary { (visit.say("rollouts.events")) span.visually-hidden { " " (rollout.model) } } ol.events {
                @for event in rollout.events.iter().rev() { li { (parts::moment(i64::try_from(event.at_ms).unwrap_or(0), "")) " " (event.said) } }
            } }
        }
    }
}

fn commands(visit: &Visit, rollout: &Rollout) -> Markup {
    let offered: &[(&str, &str, &str)] = match rollout.stage.as_str() {
        "running" => &[("pause", "rollouts.pause", ""), ("abort", "rollouts.abort", "danger")],
        "paused" => &[("resume", "rollouts.resume", "primary"), ("abort", "rollouts.abort", "danger")],
        _ => &[],
    };
    html! {
        div.actions {
            @for (command, text, look) in offered {
                form method="post" action={ "/operator/rollouts/" (encoded(&rollout.model)) "/" (command) } {
                    (parts::csrf(visit))
                    button class=(look) type="submit" { (visit.say(text)) span.visually-hidden { " " (rollout.model) } }
                }
            }
        }
    }
}

fn begin(visit: &Visit, sent: &Sent) -> Markup {
    let or =
        |name: &str, otherwise: &'static str| if sent.text(name).is_empty() { otherwise.to_owned() } else { sent.text(name).to_owned() };
    let (steps, every, errors) = (or("steps", "1, 5, 25, 50, 100"), or("every", "10m"), or("max_error_rate", "1%"));
    html! {
        section.form.card-form {
            h2 { (visit.say("rollouts.begin")) }
            form method="post" action="/operator/rollouts" {
                (parts::csrf(visit))
                div.grid {
                    (Field::text("model", visit.say("rollouts.model"), sent.text("model")).show())
                    (Field::text("to", visit.say("rollouts.to"), sent.text("to")).show())
                    (Field::text("steps", visit.say("rollouts.steps"), &steps).hint(visit.say("rollouts.steps_hint")).show())
                    (Field::text("every", visit.say("rollouts.every"), &every).hint(visit.say("rollouts.every_hint")).show())
                    (Field::text("max_error_rate", visit.say("rollouts.errors"), &errors).hint(visit.say("rollouts.errors_hint")).show())
                }
                button.primary type="submit" { (visit.say("rollouts.start")) }
            }
        }
    }
}

/// The plan of a form, in the form that routers read.
fn plan(sent: &Sent) -> Answer<String> {
    let bad = || Fail::new(StatusCode::BAD_REQUEST);
    let steps: Vec<f64> = sent
        .words("steps")
        .iter()
        .map(|step| step.trim_end_matches('%').parse())
        .collect::<Result<_, _>>()
        .map_err(|_| bad().saying("steps"))?;
    let mut plan = toml::Table::new();
    plan.insert("steps".to_owned(), toml::Value::Array(steps.into_iter().map(toml::Value::Float).collect()));
    for field in ["model", "to", "every", "max_error_rate"] {
        if !sent.text(field).is_empty() {
            plan.insert(field.to_owned(), toml::Value::String(sent.text(field).to_owned()));
        }
    }
    Ok(plan.to_string())
}

/// Starts one.
pub async fn start(visit: Visit, _who: Operator, sent: Sent) -> Answer {
    let router = router(visit.app())?;
    let started = match plan(&sent) {
        Ok(plan) => router.start(plan).await,
        Err(fail) => Err(fail),
    };
    match started {
        Ok(()) => Ok(see_other("/operator/rollouts?told=started")),
        Err(fail) if fail.is_about_the_form() => Ok(page(&visit, &router.rollouts().await?, &sent, Some(&fail))),
        Err(fail) => Err(fail),
    }
}

/// Pauses, resumes or takes one back.
pub async fn change(visit: Visit, _who: Operator, Path((model, command)): Path<(String, String)>, _sent: Sent) -> Answer {
    let (command, told) = match command.as_str() {
        "pause" => (RolloutCommand::Pause, "paused"),
        "resume" => (RolloutCommand::Resume, "resumed"),
        "abort" => (RolloutCommand::Abort, "aborted"),
        _ => return Err(Fail::absent()),
    };
    router(visit.app())?.change(&model, command).await?;
    Ok(see_other(&format!("/operator/rollouts?told={told}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_cannot_be_told_more_than_its_form_has() {
        let sent = Sent::read(b"model=m%22%0Ashadow%3D1&to=2&steps=1,+50%25,+100&every=5s");
        let table: toml::Table = plan(&sent).unwrap().parse().unwrap();
        assert_eq!(table["model"].as_str(), Some("m\"\nshadow=1"));
        assert!(!table.contains_key("shadow") && !table.contains_key("max_error_rate"));
        assert_eq!(table["steps"].as_array().unwrap().len(), 3);
        assert!(plan(&Sent::read(b"steps=many")).is_err());
    }
}
