//! `GET /playground`: models to try. Its script sends what is typed to [`crate::playground`].

use axum::{extract::RawQuery, response::Response};
use maud::{Markup, html};

use super::{Page, Place, parts};
use crate::{
    catalogue,
    fail::Answer,
    upstream::Described,
    visit::{Person, Visit},
};

/// What can be tried, and what the choice of models calls it.
const TASKS: [(&str, &str); 4] = [
    ("generate", "task.generate.name"),
    ("embed", "task.embed.name"),
    ("classify", "task.classify.name"),
    ("classify-image", "task.classify_image.name"),
];

/// The page.
pub async fn show(visit: Visit, person: Person, RawQuery(query): RawQuery) -> Answer {
    let models = catalogue::served(&visit).await?;
    let models: Vec<_> = models.iter().filter(|model| model.is_ready() && TASKS.iter().any(|(task, _)| *task == model.task)).collect();
    let query = query.unwrap_or_default();
    let wanted = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "model").map(|(_, value)| value.into_owned());
    Ok(page(&visit, &person, &models, wanted.as_deref()))
}

fn page(visit: &Visit, person: &Person, models: &[&Described], wanted: Option<&str>) -> Response {
    let body = html! {
        (parts::head(visit.say("play.title"), visit.say("play.lead"), html! {}))
        noscript { div.notice.warn { p { (visit.say("play.script")) } } }
        @if !person.may_change_keys() {
            div.notice.warn { p { (visit.say("play.role")) } }
        } @else if models.is_empty() {
            (parts::empty(visit.say("play.none"), html! {}))
        } @else {
            (desk(visit, models, wanted))
        }
    };
    Page::new(Place::Playground, visit.say("play.title"), body).answer(visit)
}

fn desk(visit: &Visit, models: &[&Described], wanted: Option<&str>) -> Markup {
    html! {
        div.desk #playground data-csrf=(visit.csrf()) data-failed=(visit.say("play.failed")) data-left=(visit.say("play.left"))
            data-you=(visit.say("play.you")) data-model=(visit.say("play.answer")) data-figures=(visit.say("play.figures")) data-vector=(visit.say("play.vector")) {
            aside.settings {
                (choice(visit, models, wanted))
                div data-for="generate" { (chat_settings(visit)) }
                p.faint { (visit.say("play.key")) }
            }
            div.work {
                div data-for="generate" { (chat(visit)) }
                div data-for="embed" hidden { (text_form(visit, "embed", "play.embed_text", "A man is eating food.", "play.embed")) }
                div data-for="classify" hidden { (text_form(visit, "classify", "play.classify_text", "You have won a prize, click here now!", "play.classify")) }
                div data-for="classify-image" hidden { (image_form(visit)) }
            }
        }
    }
}

fn choice(visit: &Visit, models: &[&Described], wanted: Option<&str>) -> Markup {
    html! {
        div.field {
            label for="play-model" { (visit.say("play.model")) }
            select #play-model {
                @for (task, name) in TASKS {
                    @if models.iter().any(|model| model.task == task) {
                        optgroup label=(visit.say(name)) {
                            @for model in models.iter().filter(|model| model.task == task) {
                                option value=(model.name) data-task=(task) selected[wanted == Some(&*model.name)] { (model.name) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn chat_settings(visit: &Visit) -> Markup {
    html! {
        div.field { label for="play-system" { (visit.say("play.system")) } textarea #play-system rows="3" {} }
        div.field { label for="play-temperature" { (visit.say("play.temperature")) } input #play-temperature type="number" min="0" max="2" step="0.1" value="0.7"; }
        div.field { label for="play-tokens" { (visit.say("play.tokens")) } input #play-tokens type="number" min="1" max="4096" step="1" value="256"; }
    }
}

fn chat(visit: &Visit) -> Markup {
    html! {
        div.conversation #play-talk role="log" aria-live="polite" aria-label=(visit.say("play.talk")) tabindex="0" { p.faint.begin { (visit.say("play.begin")) } }
        p.figures #play-figures role="status" {}
        form.compose #play-chat {
            label.visually-hidden for="play-message" { (visit.say("play.message")) }
            textarea #play-message rows="3" required placeholder=(visit.say("play.message")) {}
            div.actions {
                button.primary type="submit" { (visit.say("play.send")) }
                button #play-stop type="button" hidden { (visit.say("play.stop")) }
                button.quiet #play-clear type="button" { (visit.say("play.clear")) }
            }
        }
    }
}

fn text_form(visit: &Visit, name: &str, label: &'static str, example: &str, send: &'static str) -> Markup {
    let id = format!("play-{name}-text");
    html! {
        form id={ "play-" (name) } {
            div.field { label for=(id) { (visit.say(label)) } textarea id=(id) rows="5" required { (example) } }
            button.primary type="submit" { (visit.say(send)) }
        }
        (result(name))
    }
}

fn image_form(visit: &Visit) -> Markup {
    html! {
        form #play-image {
            div.field {
                label for="play-image-file" { (visit.say("play.image")) }
                input #play-image-file type="file" accept="image/jpeg,image/png,image/webp" required;
                p.hint { (visit.say("play.image_hint")) }
            }
            button.primary type="submit" { (visit.say("play.classify")) }
        }
        (result("image"))
    }
}

/// Where the script puts what has come.
fn result(name: &str) -> Markup {
    html! { div.result id={ "play-" (name) "-result" } role="status" {} }
}
