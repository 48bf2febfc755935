//! The settings of webhooks: the table `webhooks`.

use std::{path::PathBuf, time::Duration};

use torchmesh_runtime::config::Section;

use crate::sealing::Keys;

/// Where may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// `webhooks.allow_http`: whether addresses may begin with `http://`. Default false.
    pub allow_http: bool,
    /// `webhooks.allow_private`: whether addresses may be this machine's, or those of networks that are not the public internet. Default false.
    pub allow_private: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// `webhooks.key_file`: the keys that secrets are sealed with, the newest first; read again every second. Default none: webhooks are off.
    pub keys: Option<Keys>,
    /// Where may be sent to.
    pub rules: Rules,
    /// `webhooks.timeout`: how long a receiver may take for its answer. Default 10 seconds.
    pub timeout: Duration,
    /// `webhooks.retry_first`: how long after the first attempt the second one is; each further wait is four times as long, up to 12 hours. Default 5 seconds.
    pub retry_first: Duration,
    /// `webhooks.retry_for`: a message is given up so long after its first attempt. Default 3 days.
    pub retry_for: Duration,
    /// `webhooks.switch_off_after`: a webhook of which no attempt goes well for so long is switched off. Default 5 days.
    pub switch_off_after: Duration,
    /// `webhooks.keep`: older deliveries are removed, in whatever state. Default 30 days.
    pub keep: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            keys: None,
            rules: Rules::default(),
            timeout: Duration::from_secs(10),
            retry_first: Duration::from_secs(5),
            retry_for: 3 * DAY,
            switch_off_after: 5 * DAY,
            keep: 30 * DAY,
        }
    }
}

impl WebhookSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("webhooks", |s| {
            let usual = Self::default();
            let keys = s.optional::<PathBuf>("key_file").map(|path| Keys::read(&path));
            if let Some(Err(error)) = &keys {
                s.problem("key_file", error.clone());
            }
            let read = Self {
                keys: keys.and_then(Result::ok),
                rules: Rules { allow_http: s.or("allow_http", false), allow_private: s.or("allow_private", false) },
                timeout: s.or("timeout", usual.timeout),
                retry_first: s.or("retry_first", usual.retry_first),
                retry_for: s.or("retry_for", usual.retry_for),
                switch_off_after: s.or("switch_off_after", usual.switch_off_after),
                keep: s.or("keep", usual.keep),
            };
            let bounds = |from: Duration, to: Duration, value: Duration| (from..=to).contains(&value);
            let ms = Duration::from_millis;
            s.check(bounds(ms(100), ms(30_000), read.timeout), "timeout", "must be from 100ms to 30s");
            s.check(bounds(ms(10), ms(3_600_000), read.retry_first), "retry_first", "must be from 10ms to 1h");
            s.check(bounds(ms(1000), 30 * DAY, read.retry_for), "retry_for", "must be from 1s to 720h");
            s.check(bounds(ms(1000), 90 * DAY, read.switch_off_after), "switch_off_after", "must be from 1s to 2160h");
            s.check(
                bounds(ms(60_000), 3650 * DAY, read.keep) && read.keep >= read.retry_for,
                "keep",
                "must be from 1m to 87600h, and at least retry_for",
            );
            read
        })
    }
}
