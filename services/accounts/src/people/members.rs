//! Members: who they are, and what becomes of them.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use crate::{
    access::{Act, Asker, Role},
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::Tenant,
};

/// A member, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Member`")]
pub struct Member {
    pub id: String,
    pub tenant_id: String,
    pub email: String,
    pub role: Role,
    pub verified_ms: Option<i64>,
    pub created_ms: i64,
}

pub(super) const COLUMNS: &str = "id, tenant_id, email, role, verified_ms, created_ms";

pub(super) fn read(row: &AnyRow) -> Result<Member> {
    Ok(Member {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        email: row.try_get("email")?,
        role: Role::parse(row.try_get("role")?).ok_or(Refusal::Fault)?,
        verified_ms: row.try_get("verified_ms")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Those of a tenant, by their addresses.
pub async fn list(store: &Store, asker: &Asker, tenant: &Tenant) -> Result<Vec<Member>> {
    asker.may(Act::SeeMembers)?;
    let query = AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE tenant_id = $1 ORDER BY email LIMIT 1000"));
    sqlx::query(query).bind(tenant.id.clone()).fetch_all(store.reads()?).await?.iter().map(read).collect()
}

/// The one with this id, if whoever asks may see them.
pub async fn find(store: &Store, asker: &Asker, id: &str) -> Result<Member> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE id = $1"))).bind(id.to_owned());
    let row = query.fetch_optional(store.reads()?).await?;
    let found = row.as_ref().map(read).transpose()?.filter(|found| asker.sees(&found.tenant_id));
    found.ok_or_else(absent)
}

/// The one with this id or this address, if whoever asks may see them.
pub async fn find_named(store: &Store, asker: &Asker, named: &str) -> Result<Member> {
    let Ok(address) = super::address(named) else { return find(store, asker, named).await };
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE email = $1"))).bind(address);
    let row = query.fetch_optional(store.reads()?).await?;
    let found = row.as_ref().map(read).transpose()?.filter(|found| asker.sees(&found.tenant_id));
    found.ok_or_else(absent)
}

/// The one with this id, as part of a change.
pub(crate) async fn by_id(connection: &mut AnyConnection, id: &str) -> Result<Option<Member>> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE id = $1"))).bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The one with this address.
pub(crate) async fn by_address(connection: &mut AnyConnection, email: &str) -> Result<Option<Member>> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE email = $1"))).bind(email.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

fn absent() -> Refusal {
    Refusal::Absent("there is no such member".to_owned())
}

/// Changes the role of one, or takes them out with all of their sessions.
pub async fn update(store: &Store, asker: &Asker, id: &str, role: Option<Role>, remove: bool, now: i64) -> Result<Member> {
    let found = find(store, asker, id).await?;
    let owners = found.role == Role::Owner || role == Some(Role::Owner);
    asker.may(if owners { Act::ChangeOwners } else { Act::ChangeMembers })?;
    let mut change = Change::begin(store, asker, now).await?;
    // Read again, now that nobody else changes anything.
    let mut member = by_id(change.connection(), id).await?.ok_or_else(absent)?;
    if member.role != found.role {
        return Err(Refusal::State("somebody has changed the member meanwhile; try again".to_owned()));
    }
    let leaves_ownership = remove || role.is_some_and(|role| role != Role::Owner);
    if leaves_ownership && is_last_owner(&mut change, &member).await? {
        return Err(Refusal::State("a tenant keeps one owner; make somebody else an owner first".to_owned()));
    }
    member.role = role.unwrap_or(member.role);
    let (what, query) = if remove {
        ("member removed", sqlx::query("DELETE FROM members WHERE id = $1").bind(member.id.clone()))
    } else {
        let query = sqlx::query("UPDATE members SET role = $2 WHERE id = $1").bind(member.id.clone()).bind(member.role.as_str());
        ("member changed", query)
    };
    query.execute(change.connection()).await?;
    let detail = format!("{} {}", member.email, member.role.as_str());
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what, detail: &detail }).await?;
    Ok(member)
}

/// Whether nobody else is an owner of their tenant.
pub(crate) async fn is_last_owner(change: &mut Change, member: &Member) -> Result<bool> {
    if member.role != Role::Owner {
        return Ok(false);
    }
    let query = "SELECT COUNT(*) AS owners FROM members WHERE tenant_id = $1 AND role = 'owner' AND verified_ms IS NOT NULL";
    let row = sqlx::query(query).bind(member.tenant_id.clone()).fetch_one(change.connection()).await?;
    Ok(row.try_get::<i64, _>("owners")? < 2)
}
