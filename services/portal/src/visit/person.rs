//! Whoever is signed in, as pages ask for them: a page for members cannot be made for anybody else.

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};
use torchmesh_api::accounts::v1::{Member, Role, Tenant};

use super::{Standing, Visit};
use crate::{fail::Fail, upstream::As};

/// A member with a session.
#[derive(Clone)]
pub struct Person {
    /// The session's token: for the accounts, and for nobody else.
    token: String,
    /// Who they are.
    pub member: Member,
    /// Where.
    pub tenant: Tenant,
    /// Whether the settings list them as an operator.
    pub is_operator: bool,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("member", &self.member.id).finish_non_exhaustive()
    }
}

impl Person {
    /// Whose session this is.
    pub fn new(token: String, member: Member, tenant: Tenant, is_operator: bool) -> Self {
        Self { token, member, tenant, is_operator }
    }

    /// The session's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The accounts, as this member asks them.
    pub fn accounts(&self, visit: &Visit) -> As {
        visit.app().accounts.session(&self.token)
    }

    /// Whether their role is one of these.
    pub fn is(&self, roles: &[Role]) -> bool {
        roles.contains(&self.member.role())
    }

    /// Whether they may make, rotate and revoke keys. The accounts decide; pages leave out what would be refused.
    pub fn may_change_keys(&self) -> bool {
        self.is(&[Role::Owner, Role::Admin, Role::Developer])
    }

    /// Whether they may invite and change members.
    pub fn may_change_members(&self) -> bool {
        self.is(&[Role::Owner, Role::Admin])
    }

    /// Whether they may see what is billed.
    pub fn may_see_bills(&self) -> bool {
        self.is(&[Role::Owner, Role::Admin, Role::Billing])
    }

    /// Whether they may see and change webhooks: whoever chooses where what happens is told learns all of it.
    pub fn may_change_webhooks(&self) -> bool {
        self.is(&[Role::Owner, Role::Admin])
    }

    /// Whether they are told all that is kept of the tenant.
    pub fn may_export(&self) -> bool {
        self.is(&[Role::Owner])
    }

    /// Whether they may see who the members are.
    pub fn may_see_members(&self) -> bool {
        !self.is(&[Role::Viewer, Role::Unspecified])
    }
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fail> {
        match Visit::from_request_parts(parts, state).await?.standing {
            Standing::Member(person) => Ok(*person),
            Standing::Nobody => Err(Fail::new(StatusCode::UNAUTHORIZED)),
            Standing::Unknown => Err(Fail::away()),
        }
    }
}

/// A member who is an operator. For everybody else the operators' pages do not exist.
#[derive(Debug, Clone)]
pub struct Operator;

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fail> {
        let person = Person::from_request_parts(parts, state).await?;
        if person.is_operator { Ok(Self) } else { Err(Fail::absent()) }
    }
}
