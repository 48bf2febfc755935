//! Who asks, and how urgently: what the order of service goes by.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::OnceLock,
};

use torchmesh_api::priority::Priority;

/// Whose request it is: a hash of the tenant's name, which is all that fair shares need. Two tenants that collide (one pair in 2^64) share one share.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tenant(u64);

impl Tenant {
    /// Before every other in the order of keys.
    pub(super) const LEAST: Self = Self(0);

    /// The tenant of this name. The hash is keyed afresh in every process, so that nobody can choose a name that collides.
    pub fn named(name: &[u8]) -> Self {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        Self(KEY.get_or_init(RandomState::new).hash_one(name))
    }

    /// A text that no other tenant has, as far as a hash can tell them apart.
    pub fn key(self) -> String {
        format!("{:016x}", self.0)
    }

    /// A tenant with a place of its own in the order of keys.
    #[cfg(test)]
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// Who asks, and how urgently.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Caller {
    /// Whose request it is; the default for calls that name no tenant.
    pub tenant: Tenant,
    /// How urgent it is; none for the model's default.
    pub priority: Option<Priority>,
    /// The most urgent class that it may ask for; none for any.
    pub limit: Option<Priority>,
}

impl Caller {
    /// With what the request itself asks for, where it asks for anything, and in any case no more than is allowed.
    #[must_use]
    pub fn asking(self, wish: Option<Priority>) -> Self {
        let asked = wish.or(self.priority);
        Self { priority: asked.map(|asked| self.limit.map_or(asked, |limit| asked.max(limit))), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_served_before_the_class_that_they_may_ask_for() {
        use Priority::{High, Low, Normal};

        let asking = |limit, header, wish| Caller { tenant: Tenant::default(), priority: header, limit }.asking(wish).priority;
        assert_eq!(asking(None, Some(Low), Some(High)), Some(High));
        assert_eq!(asking(Some(Normal), None, Some(High)), Some(Normal));
        assert_eq!(asking(Some(Normal), Some(High), None), Some(Normal));
        assert_eq!(asking(Some(Normal), Some(High), Some(Low)), Some(Low));
        assert_eq!(asking(Some(Normal), None, None), None, "the model's own class is not the caller's wish");
    }

    #[test]
    fn a_tenant_is_its_name() {
        assert_eq!(Tenant::named(b"acme"), Tenant::named(b"acme"));
        assert_ne!(Tenant::named(b"acme"), Tenant::named(b"other"));
    }
}
