//! What pages are put together from.

#![expect(clippy::needless_pass_by_value, reason = "a part of a page is written where it is used")]

use maud::{Markup, html};

use crate::{fail::Fail, figures, guard::csrf, visit::Visit};

/// What binds a form to whoever looks.
pub(super) fn csrf(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(csrf::FIELD) value=(visit.csrf()); }
}

/// A field of a form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// What it is sent as.
    pub(super) name: &'a str,
    /// What it is called.
    pub(super) label: &'a str,
    /// `text`, `email`, `password`, `date`.
    pub(super) kind: &'a str,
    /// What is in it.
    pub(super) value: &'a str,
    /// A line below it; none when empty.
    pub(super) hint: &'a str,
    /// What browsers may fill in.
    pub(super) autocomplete: &'a str,
    /// What phones show to type it with; nothing special when empty.
    pub(super) inputmode: &'a str,
    /// Whether it must be filled in.
    pub(super) required: bool,
}

impl<'a> Field<'a> {
    /// A line of text that must be filled in.
    pub(super) fn text(name: &'a str, label: &'a str, value: &'a str) -> Self {
        Self { name, label, kind: "text", value, hint: "", autocomplete: "off", inputmode: "", required: true }
    }

    /// An address.
    pub(super) fn email(label: &'a str, value: &'a str) -> Self {
        Self { kind: "email", autocomplete: "email", ..Self::text("email", label, value) }
    }

    /// A password: `current-password` or `new-password`.
    pub(super) fn password(label: &'a str, autocomplete: &'a str) -> Self {
        Self { kind: "password", autocomplete, ..Self::text("password", label, "") }
    }

    /// A code of an authenticator.
    pub(super) fn code(label: &'a str) -> Self {
        Self { autocomplete: "one-time-code", inputmode: "numeric", ..Self::text("code", label, "") }
    }

    /// With a line below it.
    pub(super) fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    /// That may be left empty.
    pub(super) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// As markup.
    pub(super) fn show(self) -> Markup {
        let id = format!("field-{}", self.name);
        let inputmode = (!self.inputmode.is_empty()).then_some(self.inputmode);
        let described = (!self.hint.is_empty()).then(|| format!("{id}-hint"));
        html! {
            div.field {
                label for=(id) { (self.label) }
                input id=(id) name=(self.name) type=(self.kind) value=(self.value) autocomplete=(self.autocomplete) inputmode=[inputmode] required[self.required]
                    aria-describedby=[described.as_deref()] spellcheck="false" autocapitalize="none";
                @if let Some(described) = &described { p.hint id=(described) { (self.hint) } }
            }
        }
    }
}

/// A field of a form with more lines than one, which may be left empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area<'a> {
    /// What it is sent as.
    pub(super) name: &'a str,
    /// What it is called.
    pub(super) label: &'a str,
    /// What is in it.
    pub(super) value: &'a str,
    /// How many lines are seen at once.
    pub(super) rows: u32,
    /// A line below it; none when empty.
    pub(super) hint: &'a str,
}

impl Area<'_> {
    /// As markup.
    pub(super) fn show(self) -> Markup {
        let id = format!("field-{}", self.name);
        let described = (!self.hint.is_empty()).then(|| format!("{id}-hint"));
        html! {
            div.field {
                label for=(id) { (self.label) }
                // A browser takes the first line break away.
                textarea id=(id) name=(self.name) rows=(self.rows) aria-describedby=[described.as_deref()] { "\n" (self.value) }
                @if let Some(described) = &described { p.hint id=(described) { (self.hint) } }
            }
        }
    }
}

/// A choice of one; `options` are values with their names.
pub(super) fn select(name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    let id = format!("field-{name}");
    html! {
        div.field {
            label for=(id) { (label) }
            select id=(id) name=(name) {
                @for (value, shown) in options { option value=(value) selected[*value == chosen] { (shown) } }
            }
        }
    }
}

/// What was wrong with a form.
pub(super) fn wrong(visit: &Visit, fail: Option<&Fail>) -> Markup {
    html! {
        @if let Some(fail) = fail {
            div.notice.bad role="alert" {
                strong { (visit.say("form.wrong")) }
                p { (fail.detail.as_deref().unwrap_or(visit.say("form.wrong_more"))) }
            }
        }
    }
}

/// What was done, after a form has led here with `?told=`; nothing for any other word.
pub(super) fn told(visit: &Visit) -> Markup {
    let word = visit.path.split_once('?').and_then(|(_, query)| {
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "told").map(|(_, value)| format!("told.{value}"))
    });
    let texts = visit.texts();
    let text = word.as_deref().and_then(|word| texts.find(word));
    html! { @if let Some(text) = text { div.notice.good role="status" { p { (text) } } } }
}

/// A moment; `never` where there is none.
pub(super) fn moment(ms: i64, never: &str) -> Markup {
    html! {
        @if ms > 0 { time datetime={ (figures::minute(ms).replace(' ', "T")) "Z" } { (figures::minute(ms)) } } @else { span.faint { (never) } }
    }
}

/// The day of a moment, where the hour matters to nobody; `never` where there is none.
pub(super) fn day(ms: i64, never: &str) -> Markup {
    html! {
        @if ms > 0 { time datetime=(figures::day(ms)) title=(figures::minute(ms)) { (figures::day(ms)) } } @else { span.faint { (never) } }
    }
}

/// A word in a colour: `good`, `bad`, `waiting` or `plain`.
pub(super) fn badge(colour: &str, word: &str) -> Markup {
    html! { span class={ "badge " (colour) } { (word) } }
}

/// Code with a button that copies it.
pub(super) fn code(visit: &Visit, text: &str) -> Markup {
    html! {
        div.code {
            pre tabindex="0" { code { (text) } }
            button.copy type="button" hidden data-copied=(visit.say("code.copied")) { (visit.say("code.copy")) }
        }
    }
}

/// A table that scrolls by itself where it is too wide; it can be reached with the keyboard then.
pub(super) fn scroll(label: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// A page's head: its title, and what it is about.
pub(super) fn head(title: &str, lead: &str, actions: Markup) -> Markup {
    html! {
        div.head {
            div { h1 { (title) } @if !lead.is_empty() { p.lead { (lead) } } }
            div.actions { (actions) }
        }
    }
}

/// Where there is nothing yet.
pub(super) fn empty(text: &str, action: Markup) -> Markup {
    html! { div.empty { p { (text) } (action) } }
}
