//! The worker's settings.

use std::{path::PathBuf, time::Duration};

use torchmesh_api::ids::InstanceId;
use torchmesh_discovery::{Zone, consul::ConsulSettings};
use torchmesh_runtime::{
    config::{DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

/// Where calls arrive unless told otherwise.
pub const PORT: u16 = 8082;
/// Where `/metrics`, `/live` and `/ready` are unless told otherwise.
pub const ADMIN_PORT: u16 = 9082;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `addr` (default 127.0.0.1:8082), `admin_addr` (default 127.0.0.1:9082), `threads` (default 1: the models need the other cores), `limits`, `tls`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `models_dir`: the model repository. Default `.torchmesh/models`; it must exist when the worker starts.
    pub models_dir: PathBuf,
    /// `models_poll`: how often the model repository is looked at for what is new, changed or gone. Default 2s, 50ms to 1h; 0s: never.
    pub models_poll: Duration,
    /// `models_linger`: how long a version that is gone from the repository still answers those who name it. Default 5s, at most 10m.
    pub models_linger: Duration,
    /// `models_cache`: where versions with a `[[source]]` are fetched to, a folder for each model. Default: `.cache` in `models_dir`; made when it is needed.
    pub models_cache: PathBuf,
    /// `fetch_files`: files of one model that are fetched at once. Default 4, 1 to 64.
    pub fetch_files: usize,
    /// `instance`: the name of this process among the workers. Default: the address that calls arrive at.
    pub instance: Option<InstanceId>,
    /// `discovery.consul`: where this worker registers itself. Default: nowhere.
    pub consul: Option<ConsulSettings>,
    /// `zone`: where this worker is, which it registers. Default: nowhere in particular.
    pub zone: Option<Zone>,
    /// `tokenizer_threads`: threads that tokenise, for all models together. Default 1, 1 to 64.
    pub tokenizer_threads: usize,
    /// `decoding_threads`: threads that decode images and sound, for all models together. Default 1, 1 to 64.
    pub decoding_threads: usize,
}

impl WorkerConfig {
    /// Reads the settings.
    pub fn read(s: &mut Section) -> Self {
        let threads_given = s.has("threads");
        let mut server = ServerSettings::read(s, PORT, ADMIN_PORT);
        if !threads_given {
            server.threads = 1;
        }
        let instance = s.optional::<String>("instance").and_then(|text| match InstanceId::parse(&text) {
            Ok(instance) => Some(instance),
            Err(error) => {
                s.problem("instance", error.to_string());
                None
            }
        });
        let tokenizer_threads = s.or("tokenizer_threads", 1);
        s.check((1..=64).contains(&tokenizer_threads), "tokenizer_threads", "must be from 1 to 64");
        let decoding_threads = s.or("decoding_threads", 1);
        s.check((1..=64).contains(&decoding_threads), "decoding_threads", "must be from 1 to 64");
        let models_poll: Duration = s.or("models_poll", Duration::from_secs(2));
        let sensible = models_poll.is_zero() || (Duration::from_millis(50)..=Duration::from_secs(3600)).contains(&models_poll);
        s.check(sensible, "models_poll", "must be from 50ms to 1h, or 0s for never");
        let models_linger: Duration = s.or("models_linger", Duration::from_secs(5));
        s.check(models_linger <= Duration::from_secs(600), "models_linger", "must be at most 10m");
        let fetch_files = s.or("fetch_files", 4);
        s.check((1..=64).contains(&fetch_files), "fetch_files", "must be from 1 to 64");
        let consul = s.section("discovery", |s| s.has("consul").then(|| s.section("consul", ConsulSettings::read)));
        let models_dir = s.or("models_dir", PathBuf::from(".torchmesh/models"));
        let models_cache = s.or("models_cache", models_dir.join(".cache"));
        Self {
            server,
            drain: DrainSettings::read(s),
            telemetry: TelemetrySettings::read(s),
            models_dir,
            models_cache,
            fetch_files,
            models_poll,
            models_linger,
            instance,
            consul,
            zone: s.optional("zone"),
            tokenizer_threads,
            decoding_threads,
        }
    }
}

impl ServiceSettings for WorkerConfig {
    fn server(&self) -> &ServerSettings {
        &self.server
    }

    fn drain(&self) -> DrainSettings {
        self.drain
    }

    fn telemetry(&self) -> &TelemetrySettings {
        &self.telemetry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkerConfig, String> {
        Section::read_all(text.parse().unwrap(), WorkerConfig::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_empty_file_is_a_working_configuration() {
        let config = read("").unwrap();
        assert_eq!((config.server.addr.port(), config.server.threads, config.tokenizer_threads), (8082, 1, 1));
        assert_eq!(config.models_dir, PathBuf::from(".torchmesh/models"));
        assert_eq!(read("threads = 0").unwrap().server.threads, 0, "one a core, when asked for");
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = read("tokenizer_threads = 0\ninstance = 'a b'\nmodel_dir = 'x'\nzone = ''").unwrap_err();
        for part in [
            "tokenizer_threads: must be from 1 to 64",
            "instance: an instance id has ' '",
            "model_dir: is not a setting here",
            "zone: must be",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
