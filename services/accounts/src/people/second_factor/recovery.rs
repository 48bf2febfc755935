//! Recovery codes: what somebody signs in with who has lost their authenticator. Each is good once.

use ring::rand::{SecureRandom as _, SystemRandom};

use super::base32;
use crate::{
    error::{Refusal, Result},
    secrets,
    store::Change,
};

/// How many there are.
const COUNT: usize = 10;
/// The bytes of one. So much that its hash needs no salt and is no slow one.
const BYTES: usize = 10;

/// Draws them anew for a member; gives them as they are shown, in groups of four.
pub(super) async fn draw(change: &mut Change, member_id: &str) -> Result<Vec<String>> {
    forget(change, member_id).await?;
    let mut all = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Refusal::Fault)?;
        let code = base32::encode(&bytes);
        let row = sqlx::query("INSERT INTO recovery_codes (member_id, sha256) VALUES ($1, $2)");
        row.bind(member_id.to_owned()).bind(secrets::hash(&code)).execute(change.connection()).await?;
        let groups: Vec<&str> = (0..code.len()).step_by(4).filter_map(|at| code.get(at..at + 4)).collect();
        all.push(groups.join("-"));
    }
    Ok(all)
}

/// Takes one, which is good no more; gives whether it was good. `told` has neither blanks nor dashes.
pub(super) async fn spend(change: &mut Change, member_id: &str, told: &str) -> Result<bool> {
    let query = sqlx::query("DELETE FROM recovery_codes WHERE member_id = $1 AND sha256 = $2");
    let query = query.bind(member_id.to_owned()).bind(secrets::hash(&told.to_ascii_uppercase()));
    Ok(query.execute(change.connection()).await?.rows_affected() == 1)
}

/// Those of a member are good no more.
pub(super) async fn forget(change: &mut Change, member_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM recovery_codes WHERE member_id = $1").bind(member_id.to_owned()).execute(change.connection()).await?;
    Ok(())
}
