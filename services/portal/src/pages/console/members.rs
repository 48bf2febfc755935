//! `/console/members`.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{InviteMemberRequest, ListMembersRequest, Member, Role, UpdateMemberRequest};

use super::super::{
    Page, Place, encoded,
    parts::{self, Field},
    see_other,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::{Person, Visit},
};

const ROLES: [(Role, &str); 5] =
    [(Role::Owner, "owner"), (Role::Admin, "admin"), (Role::Developer, "developer"), (Role::Billing, "billing"), (Role::Viewer, "viewer")];

fn role_of(word: &str) -> Answer<Role> {
    ROLES.iter().find(|(_, known)| *known == word).map(|(role, _)| *role).ok_or_else(|| Fail::new(StatusCode::BAD_REQUEST))
}

fn word_of(role: Role) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == role).map_or("viewer", |(_, word)| word)
}

/// Every member of the person's tenant.
pub(super) async fn all(visit: &Visit, person: &Person) -> Answer<Vec<Member>> {
    let asked = visit.app().accounts.ask(ListMembersRequest::default());
    Ok(person.accounts(visit).list_members(asked).await?.into_inner().members)
}

/// The list, and the form that invites.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let members = all(&visit, &person).await?;
    Ok(page(&visit, &person, &members, "", None))
}

fn page(visit: &Visit, person: &Person, members: &[Member], email: &str, fail: Option<&Fail>) -> Response {
    let heads = ["people.email", "members.role", "members.since"];
    let table = html! {
        table {
            thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } th scope="col" { span.visually-hidden { (visit.say("keys.actions")) } } } }
            tbody { @for member in members { (row(visit, person, member)) } }
        }
    };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("members.title"), visit.say("members.lead"), html! {}))
        (parts::wrong(visit, fail))
        (parts::scroll(visit.say("members.title"), table))
        @if person.may_change_members() { (invitation(visit, person, email)) }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Members, visit.say("members.title"), body).status(status).answer(visit)
}

/// The roles that somebody may give: owners are made by owners.
fn options<'a>(visit: &'a Visit, person: &Person) -> Vec<(&'static str, &'a str)> {
    let owner = person.is(&[Role::Owner]);
    let given = ROLES.iter().filter(|(role, _)| owner || *role != Role::Owner);
    given.map(|(_, word)| (*word, visit.texts().find(&format!("role.{word}")).unwrap_or(word))).collect()
}

fn row(visit: &Visit, person: &Person, member: &Member) -> Markup {
    let word = word_of(member.role());
    let shown = visit.texts().find(&format!("role.{word}")).unwrap_or(word);
    let may = person.may_change_members() && (member.role() != Role::Owner || person.is(&[Role::Owner])) && member.id != person.member.id;
    html! {
        tr {
            th scope="row" {
                (member.email)
                @if member.id == person.member.id { " " span.faint { (visit.say("members.you")) } }
                @if member.verified_unix_ms == 0 { " " (parts::badge("waiting", visit.say("members.invited"))) }
            }
            td { @if may { (role_form(visit, person, member, word)) } @else { (shown) } }
            td { (parts::moment(member.created_unix_ms, "")) }
            td.row-actions { @if may { a.danger href={ "/console/members/" (encoded(&member.id)) "/remove" } { (visit.say("members.remove")) span.visually-hidden { " " (member.email) } } } }
        }
    }
}

fn role_form(visit: &Visit, person: &Person, member: &Member, word: &str) -> Markup {
    let label = visit.texts().fill("members.role_of", &[("email", &member.email)]);
    html! {
        form.inline method="post" action={ "/console/members/" (encoded(&member.id)) } {
            (parts::csrf(visit))
            select name="role" aria-label=(label) { @for (value, shown) in options(visit, person) { option value=(value) selected[value == word] { (shown) } } }
            button.small type="submit" { (visit.say("form.save")) span.visually-hidden { " " (member.email) } }
        }
    }
}

fn invitation(visit: &Visit, person: &Person, email: &str) -> Markup {
    html! {
        section.form.card-form {
            h2 { (visit.say("members.invite")) }
            p.faint { (visit.say("members.invite_lead")) }
            form.row method="post" action="/console/members" {
                (parts::csrf(visit))
                (Field { autocomplete: "off", ..Field::email(visit.say("people.email"), email) }.show())
                (parts::select("role", visit.say("members.role"), &options(visit, person), "developer"))
                button.primary type="submit" { (visit.say("members.send")) }
            }
        }
    }
}

/// Invites somebody.
pub async fn invite(visit: Visit, person: Person, sent: Sent) -> Answer {
    let asked =
        InviteMemberRequest { email: sent.text("email").to_owned(), role: role_of(sent.text("role"))?.into(), ..Default::default() };
    match person.accounts(&visit).invite_member(visit.app().accounts.ask(asked)).await {
        Ok(_) => Ok(see_other("/console/members?told=invited")),
        Err(status) => {
            let fail = Fail::from(status);
            if !fail.is_about_the_form() {
                return Err(fail);
            }
            let members = all(&visit, &person).await?;
            Ok(page(&visit, &person, &members, sent.text("email"), Some(&fail)))
        }
    }
}

/// Changes a role.
pub async fn change(visit: Visit, person: Person, Path(id): Path<String>, sent: Sent) -> Answer {
    let asked = UpdateMemberRequest { id, role: role_of(sent.text("role"))?.into(), remove: false };
    person.accounts(&visit).update_member(visit.app().accounts.ask(asked)).await?;
    Ok(see_other("/console/members?told=role"))
}

/// The question before somebody is taken out.
pub async fn removal(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let member = all(&visit, &person).await?.into_iter().find(|member| member.id == id).ok_or_else(Fail::absent)?;
    let title = visit.texts().fill("members.remove_title", &[("email", &member.email)]);
    let body = html! {
        p.crumb { a href="/console/members" { (visit.say("members.title")) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("members.remove_lead")) }
            form method="post" action={ "/console/members/" (encoded(&member.id)) "/remove" } {
                (parts::csrf(&visit))
                div.actions { button.danger type="submit" { (visit.say("members.remove")) } a.button href="/console/members" { (visit.say("form.cancel")) } }
            }
        }
    };
    Ok(Page::new(Place::Members, title, body).answer(&visit))
}

/// Takes somebody out.
pub async fn remove(visit: Visit, person: Person, Path(id): Path<String>, _sent: Sent) -> Answer {
    let asked = UpdateMemberRequest { id, remove: true, ..Default::default() };
    person.accounts(&visit).update_member(visit.app().accounts.ask(asked)).await?;
    Ok(see_other("/console/members?told=removed"))
}
