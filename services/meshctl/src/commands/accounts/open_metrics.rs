//! What was used, in the text form of OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>): for the textfile collector of Prometheus's node exporter, and whatever else reads it.

use std::fmt::Write as _;

use super::usage::Row;

/// What a family is called after `torchmesh_usage_`, its unit, its help, and its value.
type Family = (&'static str, &'static str, &'static str, fn(&Row) -> f64);

const FAMILIES: [Family; 10] = [
    ("calls", "", "Calls.", |row| row.calls as f64),
    ("failed_calls", "", "Calls that failed, among them.", |row| row.failed as f64),
    ("prompt_tokens", "", "Tokens of prompts.", |row| row.prompt_tokens as f64),
    ("cached_tokens", "", "Tokens of prompts that were known already, among them.", |row| row.cached_tokens as f64),
    ("completion_tokens", "", "Tokens that were written.", |row| row.completion_tokens as f64),
    ("items", "", "Texts, images and the like.", |row| row.items as f64),
    ("audio_seconds", "seconds", "Audio that was heard.", |row| row.audio_ms as f64 / 1e3),
    ("request_bytes", "bytes", "What was sent to models.", |row| row.bytes_in as f64),
    ("response_bytes", "bytes", "What models answered.", |row| row.bytes_out as f64),
    ("compute_seconds", "seconds", "How long models computed.", |row| row.compute_us as f64 / 1e6),
];

/// All rows, each a sample of every family. A row of a day or an hour has the moment at which that began.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for (name, unit, help, value) in FAMILIES {
        // What a time was asked for is a sum of it, which may be less the next time: a gauge.
        let _ = writeln!(text, "# TYPE torchmesh_usage_{name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT torchmesh_usage_{name} {unit}");
        }
        let _ = writeln!(text, "# HELP torchmesh_usage_{name} {help}");
        for row in rows {
            let _ = write!(text, "torchmesh_usage_{name}{} {}", labels(row), value(row));
            if row.begin_ms > 0 {
                let _ = write!(text, " {}", row.begin_ms / 1000);
            }
            text.push('\n');
        }
    }
    text + "# EOF"
}

/// The labels that a row has; a version is one of its model.
fn labels(row: &Row) -> String {
    let labels = [("tenant", &row.tenant), ("key", &row.key), ("model", &row.model), ("version", &row.version)];
    let labels: Vec<String> =
        labels.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use torchmesh_api::accounts::v1::UsageSum;

    use super::*;

    #[test]
    fn every_figure_is_a_sample_with_the_labels_that_it_has() {
        let day = UsageSum {
            tenant: "acme".into(),
            model: "a\"b\\c\nd".into(),
            begin_unix_ms: 1_795_651_200_000,
            calls: 12,
            audio_ms: 1500,
            ..Default::default()
        };
        let text = text(&[Row::of(day, true)]);
        for line in [
            "# TYPE torchmesh_usage_audio_seconds gauge\n# UNIT torchmesh_usage_audio_seconds seconds\n# HELP torchmesh_usage_audio_seconds ",
            "torchmesh_usage_calls{tenant=\"acme\",model=\"a\\\"b\\\\c\\nd\"} 12 1795651200\n",
            "torchmesh_usage_audio_seconds{tenant=\"acme\",model=\"a\\\"b\\\\c\\nd\"} 1.5 1795651200\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
        assert!(text.ends_with("\n# EOF"));
    }

    #[test]
    fn a_sum_of_all_has_no_labels_and_no_time() {
        let text = text(&[Row::of(UsageSum { calls: 3, ..Default::default() }, false)]);
        assert!(text.contains("\ntorchmesh_usage_calls 3\n"), "{text}");
    }

    #[test]
    fn nothing_used_has_families_and_no_samples() {
        assert!(text(&[]).lines().all(|line| line.starts_with('#')));
    }
}
