//! What a member may do, by their role.

use std::fmt;

/// The role of a member in their tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything, but not what is of owners.
    Admin,
    /// Credentials.
    Developer,
    /// What was used, and what it costs.
    Billing,
    /// Looking.
    Viewer,
}

/// What may be done within a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// See the tenant, its credentials, and what they used.
    Look,
    /// Make, rotate and revoke credentials.
    ChangeCredentials,
    /// See who the members are.
    SeeMembers,
    /// Invite members, change their roles, take them out.
    ChangeMembers,
    /// The same, of owners.
    ChangeOwners,
    /// See what was changed.
    SeeChanges,
    /// See what is billed and spent.
    SeeBilling,
    /// Change budgets, the plan where members may, and who stands on invoices.
    ChangeBilling,
    /// See and change webhooks: whoever chooses where what happens is told learns all of it.
    ChangeWebhooks,
    /// See drafts, and change what is said of the tenant's own models.
    ChangeListings,
    /// Be told all that is kept of the tenant.
    Export,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look => "see this",
            Self::ChangeCredentials => "change credentials",
            Self::SeeMembers => "see the members",
            Self::ChangeMembers => "change members",
            Self::ChangeOwners => "change owners",
            Self::SeeChanges => "see what was changed",
            Self::SeeBilling => "see what is billed",
            Self::ChangeBilling => "change what is billed",
            Self::ChangeWebhooks => "see and change webhooks",
            Self::ChangeListings => "change what is said of models",
            Self::Export => "export what is kept",
        })
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Developer, Self::Billing, Self::Viewer];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Billing => "billing",
            Self::Viewer => "viewer",
        }
    }

    /// The role that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether it allows this.
    pub fn may(self, act: Act) -> bool {
        match act {
            Act::Look => true,
            Act::ChangeCredentials => matches!(self, Self::Owner | Self::Admin | Self::Developer),
            Act::SeeMembers => !matches!(self, Self::Viewer),
            Act::ChangeMembers | Act::SeeChanges | Act::ChangeWebhooks | Act::ChangeListings => matches!(self, Self::Owner | Self::Admin),
            Act::SeeBilling | Act::ChangeBilling => matches!(self, Self::Owner | Self::Admin | Self::Billing),
            Act::ChangeOwners | Act::Export => self == Self::Owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_its_name_says_and_no_more() {
        let may = |act| Role::ALL.map(|role| role.may(act));
        assert_eq!(may(Act::Look), [true; 5]);
        assert_eq!(may(Act::ChangeCredentials), [true, true, true, false, false]);
        assert_eq!(may(Act::SeeMembers), [true, true, true, true, false]);
        assert_eq!(may(Act::ChangeMembers), [true, true, false, false, false]);
        assert_eq!(may(Act::ChangeOwners), [true, false, false, false, false]);
        assert_eq!(may(Act::SeeChanges), [true, true, false, false, false]);
        assert_eq!(may(Act::SeeBilling), [true, true, false, true, false]);
        assert_eq!(may(Act::ChangeBilling), [true, true, false, true, false]);
        assert_eq!(may(Act::ChangeWebhooks), [true, true, false, false, false]);
        assert_eq!(may(Act::ChangeListings), [true, true, false, false, false]);
        assert_eq!(may(Act::Export), [true, false, false, false, false]);
    }
}
