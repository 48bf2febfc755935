//! Settings in layers, validated whole.
//!
//! A setting comes from, in rising order: the default in the code, the TOML file (`--config`), the environment
//! (`TORCHMESH_<SERVICE>_<KEY>`, with `__` between a table and its key), and the flags (`--set table.key=value`). Every mistake is reported in one go.

mod section;
mod value;

use std::{fmt, path::PathBuf};

use clap::Args;
use config::{Config, Environment, File, FileFormat};
use toml::Table;

pub use section::{Problem, Problems, Section};
pub use value::{ByteSize, FromSetting};

/// The exit code for a wrong configuration (`EX_USAGE` of sysexits).
pub const EXIT_CONFIG: u8 = 64;

/// The flags that every service has.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// TOML file with settings; the environment and --set override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, for example --set limits.max_in_flight=100; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Check the configuration, say what is wrong with it, and exit (0 good, 64 wrong)
    #[arg(long)]
    pub check: bool,
    /// Write this process's addresses and pid to FILE as JSON once it listens
    #[arg(long, value_name = "FILE")]
    pub announce: Option<PathBuf>,
}

/// Why there is no configuration; prints as the whole report.
#[derive(Debug)]
pub struct ConfigError {
    service: &'static str,
    problems: Problems,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.0.len();
        let mistakes = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "torchmesh-{}: {count} {mistakes} in the configuration\n{}", self.service, self.problems)
    }
}

impl std::error::Error for ConfigError {}

/// Loads the layers for `service` and reads them with `read`.
pub fn load<T>(service: &'static str, args: &ConfigArgs, read: impl FnOnce(&mut Section) -> T) -> Result<T, ConfigError> {
    let whole =
        |field: &str, message: String| ConfigError { service, problems: Problems(vec![Problem { field: field.to_owned(), message }]) };
    let table = layers(service, args).map_err(|(field, message)| whole(&field, message))?;
    Section::read_all(table, read).map_err(|problems| ConfigError { service, problems })
}

fn layers(service: &str, args: &ConfigArgs) -> Result<Table, (String, String)> {
    let mut builder = Config::builder();
    if let Some(path) = &args.config {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| (shown, format!("cannot be read: {error}")))?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let prefix = format!("TORCHMESH_{}", service.to_uppercase());
    builder = builder.add_source(Environment::with_prefix(&prefix).prefix_separator("_").separator("__"));
    for flag in &args.set {
        let Some((key, value)) = flag.split_once('=') else {
            return Err((format!("--set {flag}"), "must have the form KEY=VALUE".to_owned()));
        };
        builder = builder.set_override(key, value).map_err(|error| (format!("--set {key}"), error.to_string()))?;
    }
    let built = builder.build().map_err(|error| ("file".to_owned(), error.to_string()))?;
    built.try_deserialize().map_err(|error| ("file".to_owned(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn load_from(text: &str, set: &[&str]) -> Result<(u16, Duration), ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, text).unwrap();
        let set = set.iter().map(ToString::to_string).collect();
        let args = ConfigArgs { config: Some(file), set, ..Default::default() };
        load("sample", &args, |s| (s.or("port", 1), s.section("drain", |s| s.or("grace", Duration::from_secs(3)))))
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        assert_eq!(load_from("", &[]).unwrap(), (1, Duration::from_secs(3)));
        assert_eq!(load_from("port = 2", &[]).unwrap().0, 2);
        assert_eq!(load_from("port = 2\n[drain]\ngrace = '1s'", &["port=3", "drain.grace=9ms"]).unwrap(), (3, Duration::from_millis(9)));
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = load_from("port = 'x'\nprot = 1\n[drain]\ngrace = 5\nextra = true", &[]).unwrap_err().to_string();
        for part in [
            "4 mistakes",
            "port: must be a whole number",
            "prot: is not a setting here; known are: drain, port",
            "drain.grace: must be a duration",
            "drain.extra",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_said_with_its_place() {
        let report = load_from("port = = 1", &[]).unwrap_err().to_string();
        assert!(report.contains("file: "), "{report}");
    }
}
