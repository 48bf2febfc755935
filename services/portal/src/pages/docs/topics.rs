//! What the pages of the docs say.

use maud::{Markup, html};

use super::{super::parts, Client, section, snippets::Pick};
use crate::visit::Visit;

const ERRORS: [(&str, &str); 5] = [
    ("400", "docs.error_bad"),
    ("401", "docs.error_key"),
    ("404", "docs.error_absent"),
    ("429", "docs.error_often"),
    ("503", "docs.error_away"),
];

pub(super) fn quickstart(visit: &Visit, pick: &Pick) -> Markup {
    let gateway = &visit.app().config.gateway.public_address;
    html! {
        h1 { (visit.say("docs.title")) }
        p.lead { (visit.say("docs.lead")) }
        section {
            h2 { (visit.say("docs.key")) }
            p { (visit.say("docs.key_text")) " " a href="/console/keys/new" { (visit.say("docs.key_link")) } }
            (parts::code(visit, "export TORCHMESH_KEY=tm_…"))
        }
        (section(visit, visit.say("docs.first"), visit.say("docs.first_text"), &Client::Curl.chat(gateway, &pick.generate)))
        (section(visit, visit.say("docs.embed"), visit.say("docs.embed_text"), &Client::Curl.embed(gateway, &pick.embed)))
        (section(visit, visit.say("docs.list"), visit.say("docs.list_text"), &format!("curl -s {gateway}/v1/models -H \"Authorization: Bearer $TORCHMESH_KEY\"")))
        (errors(visit))
    }
}

fn errors(visit: &Visit) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { (visit.say("docs.status")) } th scope="col" { (visit.say("docs.meaning")) } } }
            tbody { @for (status, text) in ERRORS { tr { th.mono scope="row" { (status) } td { (visit.say(text)) } } } }
        }
    };
    html! { section { h2 { (visit.say("docs.errors")) } p { (visit.say("docs.errors_text")) } (parts::scroll(visit.say("docs.errors"), table)) } }
}

pub(super) fn client(visit: &Visit, client: Client, pick: &Pick) -> Markup {
    let gateway = &visit.app().config.gateway.public_address;
    html! {
        h1 { (client.name()) }
        p.lead { (visit.texts().fill("docs.client_lead", &[("client", client.name())])) }
        @if let Some(setup) = client.setup() { (section(visit, visit.say("docs.setup"), "", setup)) }
        (section(visit, visit.say("docs.chat"), visit.say("docs.chat_text"), &client.chat(gateway, &pick.generate)))
        (section(visit, visit.say("docs.embed"), visit.say("docs.embed_text"), &client.embed(gateway, &pick.embed)))
        (section(visit, visit.say("docs.classify"), visit.say("docs.classify_text"), &client.task(gateway, &pick.classify)))
    }
}
