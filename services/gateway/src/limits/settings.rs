//! The settings of the limits.

use std::path::PathBuf;

use torchmesh_limits::fleet::FleetSettings;
use torchmesh_redis::RedisSettings;
use torchmesh_runtime::config::Section;

/// All of them, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct LimitsSettings {
    /// `limits_file`: who may use how much, a TOML file that is read again when it changes. Default none: nothing is limited.
    pub file: Option<PathBuf>,
    /// `limits.max_counts`: how many callers are remembered, counted once for each limit that they have. Default 200000.
    pub max_counts: usize,
    /// `limits.assumed_tokens`: how many tokens a call is thought to write that does not say how many at most. Default 256.
    pub assumed_tokens: u64,
    /// `limits.trusted_proxies`: how many proxies in front of the gateway add a caller's address to `x-forwarded-for`. Default 0: the header is not
    /// believed, and the connection's address counts.
    pub trusted_proxies: usize,
    /// `limits.redis`: where gateways count together. Default none: each counts by itself.
    pub redis: Option<FleetSettings>,
}

impl LimitsSettings {
    /// Reads the fields of the table `limits`; `file` has been read beside it.
    pub fn read(s: &mut Section, file: Option<PathBuf>) -> Self {
        let max_counts = s.or("max_counts", 200_000);
        s.check(max_counts >= 1000, "max_counts", "must be at least 1000");
        let assumed_tokens = s.or("assumed_tokens", 256);
        s.check((1..=1 << 20).contains(&assumed_tokens), "assumed_tokens", "must be from 1 to 1048576");
        let trusted_proxies = s.or("trusted_proxies", 0);
        s.check(trusted_proxies <= 16, "trusted_proxies", "must be at most 16");
        let redis = if s.has("redis") { s.section("redis", read_redis) } else { None };
        s.check(redis.is_none() || file.is_some(), "redis", "is for the limits of limits_file, and there is no limits_file");
        Self { file, max_counts, assumed_tokens, trusted_proxies, redis }
    }
}

fn read_redis(s: &mut Section) -> Option<FleetSettings> {
    let redis = RedisSettings::read(s);
    let gateways = s.or("gateways", 1);
    s.check((1..=10_000).contains(&gateways), "gateways", "must be from 1 to 10000");
    let RedisSettings { client, timeout, prefix } = redis?;
    Some(FleetSettings { client, timeout, prefix, gateways })
}
