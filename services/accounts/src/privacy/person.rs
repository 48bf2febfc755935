//! Erases a member: their address and everything that hangs on it. Their id stays in the log of changes, and says nobody.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::Privacy;
use crate::{
    access::{Act, Asker, Role},
    error::{Refusal, Result},
    people::{self, Member, subjects_of_attempts},
    store::{Change, Told},
    tenants::{self, State},
};

/// What the log says of it, by which it is known later that it was done.
const ERASED: &str = "person erased";
/// What stands where an address was.
const GONE: &str = "(erased)";

impl Privacy {
    /// Erases the member with this id or this address; gives their id. One that was erased by their id before stays so.
    pub async fn erase_person(&self, asker: &Asker, named: &str, now: i64) -> Result<String> {
        let member = match people::find_named(&self.store, asker, named).await {
            Ok(member) => member,
            Err(Refusal::Absent(_)) if self.was_erased(asker, named).await? => return Ok(named.to_owned()),
            Err(refusal) => return Err(refusal),
        };
        if !asker.is_member(&member.id) {
            asker.may(if member.role == Role::Owner { Act::ChangeOwners } else { Act::ChangeMembers })?;
        }
        let closed = tenants::find(&self.store, &member.tenant_id).await?.is_none_or(|tenant| tenant.state == State::Closed);
        let mut change = Change::begin(&self.store, asker, now).await?;
        // Read again, now that nobody else changes anything.
        let Some(member) = people::by_id(change.connection(), &member.id).await? else { return Ok(member.id) };
        if !closed && people::is_last_owner(&mut change, &member).await? {
            return Err(Refusal::State(
                "a tenant keeps one owner; make somebody else an owner first, or close the tenant and erase it".to_owned(),
            ));
        }
        // Before the commit: whoever is killed in between looks for the letters again.
        self.outbox.forget(std::slice::from_ref(&member.email)).await?;
        forget(change.connection(), &member).await?;
        change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: ERASED, detail: "" }).await?;
        self.store.fold_log().await;
        Ok(member.id)
    }

    async fn was_erased(&self, asker: &Asker, id: &str) -> Result<bool> {
        let query = sqlx::query("SELECT tenant_id FROM changes WHERE subject = $1 AND what = $2 LIMIT 1").bind(id.to_owned()).bind(ERASED);
        let row = query.fetch_optional(self.store.reads()?).await?;
        Ok(row.map(|row| row.try_get::<String, _>("tenant_id")).transpose()?.is_some_and(|tenant_id| asker.sees(&tenant_id)))
    }
}

async fn forget(connection: &mut AnyConnection, member: &Member) -> Result<()> {
    let tables = [
        "sessions WHERE member_id",
        "letters WHERE member_id",
        "sign_in_challenges WHERE member_id",
        "recovery_codes WHERE member_id",
        "second_factors WHERE member_id",
        "member_identities WHERE member_id",
        "members WHERE id",
    ];
    for table in tables {
        let query = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} = $1"))).bind(member.id.clone());
        query.execute(&mut *connection).await?;
    }
    attempts(&mut *connection, &member.email).await?;
    // Of any tenant: an address may have been elsewhere before.
    let query = sqlx::query("SELECT revision, detail FROM changes WHERE detail LIKE '%' || $1 || '%'").bind(member.email.clone());
    for row in query.fetch_all(&mut *connection).await? {
        let (revision, detail): (i64, String) = (row.try_get("revision")?, row.try_get("detail")?);
        let query = sqlx::query("UPDATE changes SET detail = $2 WHERE revision = $1").bind(revision).bind(without(&detail, &member.email));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forgets attempts that failed.
pub(super) async fn attempts(connection: &mut AnyConnection, address: &str) -> Result<()> {
    for subject in subjects_of_attempts(address) {
        sqlx::query("DELETE FROM attempts WHERE subject = $1").bind(subject).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A text without an address, where it is a word of it: one that it is the end of is somebody else's.
fn without(text: &str, address: &str) -> String {
    text.split(' ').map(|word| if word == address { GONE } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_goes_and_a_longer_one_stays() {
        assert_eq!(without("ada@example.org owner", "ada@example.org"), "(erased) owner");
        assert_eq!(without("nevada@example.org owner", "ada@example.org"), "nevada@example.org owner");
        assert_eq!(without("ada@example.org.uk", "ada@example.org"), "ada@example.org.uk");
    }

    proptest! {
        #[test]
        fn no_word_of_what_is_left_is_the_address_and_all_others_stay(words in prop::collection::vec("[ab@]{0,3}", 0..8)) {
            let left = without(&words.join(" "), "a@b");
            prop_assert!(left.split(' ').all(|word| word != "a@b"));
            let others = |text: &str| text.split(' ').filter(|word| *word != GONE && *word != "a@b").map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(others(&left), others(&words.join(" ")));
        }
    }
}
