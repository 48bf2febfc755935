//! Signing up, in (with a password, a code, or through a provider) and out, and letters.

pub mod code;
pub mod letters;
pub mod provider;
pub mod sign_in;
pub mod sign_up;

use std::time::Instant;

use maud::{Markup, html};

use crate::{
    fail::{Answer, Fail},
    visit::Visit,
};

/// One more attempt from the caller's address.
fn attempt(visit: &Visit) -> Answer<()> {
    visit.app().attempts.attempt(&visit.address, Instant::now()).map_err(Fail::too_often)
}

/// A narrow page with a form.
fn narrow(title: &str, lead: &str, form: &Markup, below: &Markup) -> Markup {
    html! {
        section.narrow {
            h1 { (title) }
            @if !lead.is_empty() { p.lead { (lead) } }
            (form)
            (below)
        }
    }
}
