//! Who asks, and what they may do.

mod roles;
mod token_file;

use sqlx::Row as _;
use tonic::metadata::MetadataMap;

pub use roles::{Act, Role};
pub use token_file::TokenFile;

use crate::{
    error::{Refusal, Result},
    secrets,
    store::Store,
    tenants::{self, Tenant},
};

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// Somebody with the operators' token.
    Operator,
    /// A member with a session.
    Member {
        /// Their id.
        id: String,
        /// Their tenant's id: they see no other.
        tenant_id: String,
        /// What they may do there.
        role: Role,
    },
    /// The accounts themselves, by their settings.
    Itself,
    /// Somebody of whom no more is known: whoever signs up, or shows a letter's token.
    Anybody,
}

impl Asker {
    /// As it is written down.
    pub fn name(&self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Member { id, .. } => format!("member:{id}"),
            Self::Itself => "accounts".to_owned(),
            Self::Anybody => "anybody".to_owned(),
        }
    }

    /// Refuses what the role does not allow.
    pub fn may(&self, act: Act) -> Result<()> {
        match self {
            Self::Operator | Self::Itself => Ok(()),
            Self::Member { role, .. } if role.may(act) => Ok(()),
            Self::Member { role, .. } => {
                Err(Refusal::Denied(format!("the role {} may not {act}; an owner or admin of the tenant may", role.as_str())))
            }
            Self::Anybody => Err(Refusal::Denied(format!("nobody may {act} without a token"))),
        }
    }

    /// Refuses everybody but operators.
    pub fn is_operator(&self) -> Result<()> {
        if matches!(self, Self::Operator | Self::Itself) {
            Ok(())
        } else {
            Err(Refusal::Denied("this is for operators, with the operators' token".to_owned()))
        }
    }

    /// Whether they are this member.
    pub fn is_member(&self, member_id: &str) -> bool {
        matches!(self, Self::Member { id, .. } if id == member_id)
    }

    /// Whether something of this tenant is theirs to see.
    pub fn sees(&self, tenant: &str) -> bool {
        match self {
            Self::Operator | Self::Itself => true,
            Self::Member { tenant_id, .. } => tenant_id == tenant,
            Self::Anybody => false,
        }
    }

    /// The tenant that is named by its id or its name, or a member's own when none is named; somebody else's is not there.
    pub async fn tenant(&self, store: &Store, named: &str) -> Result<Tenant> {
        let wanted = match self {
            Self::Member { tenant_id, .. } if named.is_empty() => tenant_id,
            _ if named.is_empty() => return Err(Refusal::Invalid("tenant: must be the id or the name of a tenant".to_owned())),
            _ => named,
        };
        let found = tenants::find(store, wanted).await?.filter(|tenant| self.sees(&tenant.id));
        found.ok_or_else(|| Refusal::Absent("there is no such tenant".to_owned()))
    }
}

/// Tells who asks.
#[derive(Debug, Clone)]
pub struct Access {
    store: Store,
    operators: Option<TokenFile>,
    gateways: Option<TokenFile>,
}

impl Access {
    /// By these tokens, and by the sessions in the store.
    pub fn new(store: Store, operators: Option<TokenFile>, gateways: Option<TokenFile>) -> Self {
        Self { store, operators, gateways }
    }

    /// Who shows this metadata at `now`.
    pub async fn asker(&self, metadata: &MetadataMap, now: i64) -> Result<Asker> {
        let token = shown(metadata).ok_or(Refusal::Unknown("no token was sent; send one as `authorization: Bearer TOKEN`"))?;
        if let Some(operators) = &self.operators
            && operators.is(token)
        {
            return Ok(Asker::Operator);
        }
        let session = "SELECT m.id, m.tenant_id, m.role FROM sessions s JOIN members m ON m.id = s.member_id WHERE s.sha256 = $1 AND s.expires_ms > $2";
        let row = sqlx::query(session).bind(secrets::hash(token)).bind(now).fetch_optional(self.store.reads()?).await?;
        let row = row.ok_or(Refusal::Unknown("the token is not good, or the session has ended; sign in again"))?;
        let role = Role::parse(row.try_get("role")?).ok_or(Refusal::Fault)?;
        Ok(Asker::Member { id: row.try_get("id")?, tenant_id: row.try_get("tenant_id")?, role })
    }

    /// Refuses whoever does not show the gateways' token, where there is one.
    pub fn is_gateway(&self, metadata: &MetadataMap) -> Result<()> {
        match &self.gateways {
            None => Ok(()),
            Some(token) if shown(metadata).is_some_and(|shown| token.is(shown)) => Ok(()),
            Some(_) => Err(Refusal::Unknown("this is for gateways, with the token of gateway_token_file")),
        }
    }
}

/// The token that a call shows.
pub fn shown(metadata: &MetadataMap) -> Option<&str> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}
