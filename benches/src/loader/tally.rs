//! Counts outcomes, and says them as JSON.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::call::Outcome;
use crate::{
    grpc::{self, code_name},
    histogram::Histogram,
};

/// How many differing failures a report shows in words.
const EXAMPLES: usize = 8;

/// What a whole run, or one second of it, came to.
#[derive(Default)]
pub(super) struct Tally {
    latency: Histogram,
    errors: BTreeMap<String, u64>,
    /// How long it took to be told of them, by kind.
    told: BTreeMap<String, Histogram>,
    examples: Vec<Value>,
}

impl Tally {
    /// Counts one call that is over. `since_start` dates the example, should it become one.
    pub(super) fn record(&mut self, outcome: &Outcome, latency: Duration, since_start: Duration) {
        let (kind, message) = match outcome {
            Outcome::Answered => return self.latency.record(latency),
            Outcome::Late => ("late", "answered after the deadline"),
            Outcome::Refused(code, message) => (code_name(*code), message.as_str()),
            Outcome::Malformed(message) => ("malformed", message.as_str()),
            Outcome::Broken(message) => ("broken", message.as_str()),
            Outcome::NotProcessed => ("not_processed", "given up after a second attempt"),
        };
        self.told.entry(kind.to_owned()).or_default().record(latency);
        self.count_error(kind, message, since_start);
    }

    /// Counts a call that no connection could be had for.
    pub(super) fn record_unreachable(&mut self, error: &std::io::Error, since_start: Duration) {
        self.count_error("unreachable", &error.to_string(), since_start);
    }

    /// Counts a call that the caller gave up, because neither an answer nor an error came for long after its deadline.
    pub(super) fn record_hang(&mut self, since_start: Duration) {
        self.count_error("hang", code_name(grpc::DEADLINE_EXCEEDED), since_start);
    }

    /// Counts a call of an open loop that was not sent, because too many were in flight.
    pub(super) fn record_unsent(&mut self, since_start: Duration) {
        self.count_error("unsent", "too many calls in flight", since_start);
    }

    /// Counts calls that were still without an answer when the run ended.
    pub(super) fn record_unfinished(&mut self, calls: u64) {
        if calls > 0 {
            *self.errors.entry("unfinished".to_owned()).or_default() += calls;
        }
    }

    fn count_error(&mut self, kind: &str, message: &str, since_start: Duration) {
        *self.errors.entry(kind.to_owned()).or_default() += 1;
        let seen = |example: &Value| example["kind"] == kind && example["message"] == message;
        if self.examples.len() < EXAMPLES && !self.examples.iter().any(seen) {
            self.examples.push(json!({ "second": round(since_start.as_secs_f64(), 3), "kind": kind, "message": message }));
        }
    }

    /// Calls answered with `grpc-status: 0`.
    pub(super) fn ok(&self) -> u64 {
        self.latency.len()
    }

    /// Calls that are over, well or badly.
    pub(super) fn requests(&self) -> u64 {
        self.ok() + self.errors.values().sum::<u64>()
    }

    /// The counts, the rate over `elapsed`, and the latencies: of the calls that were answered, and apart from them, by kind, of those that failed.
    pub(super) fn report(&self, elapsed: Duration) -> Value {
        json!({
            "requests": self.requests(),
            "ok": self.ok(),
            "errors": self.errors,
            "examples": self.examples,
            "seconds": round(elapsed.as_secs_f64(), 3),
            "rps": round(self.ok() as f64 / elapsed.as_secs_f64().max(1e-9), 1),
            "latency_ms": quantiles(&self.latency),
            "error_latency_ms": self.told.iter().map(|(kind, latency)| (kind.clone(), quantiles(latency))).collect::<Map<_, _>>(),
        })
    }
}

fn quantiles(latency: &Histogram) -> Value {
    json!({
        "p50": millis(latency.quantile(0.50)),
        "p90": millis(latency.quantile(0.90)),
        "p99": millis(latency.quantile(0.99)),
        "max": millis(latency.longest()),
    })
}

fn millis(latency: Duration) -> f64 {
    round(latency.as_secs_f64() * 1e3, 4)
}

/// `value` with so many decimals: figures that people read too.
pub(super) fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(2);

    #[test]
    fn errors_are_counted_by_kind_and_never_as_latencies() {
        let mut tally = Tally::default();
        tally.record(&Outcome::Answered, MOMENT, MOMENT);
        for _ in 0..3 {
            tally.record(&Outcome::Refused(14, "no worker".to_owned()), Duration::from_secs(9), MOMENT);
        }
        tally.record(&Outcome::Broken("reset".to_owned()), Duration::from_secs(9), MOMENT);
        let report = tally.report(Duration::from_secs(2));
        assert_eq!((&report["requests"], &report["ok"], &report["rps"]), (&json!(5), &json!(1), &json!(0.5)));
        assert_eq!(report["errors"], json!({ "UNAVAILABLE": 3, "broken": 1 }));
        assert_eq!(report["latency_ms"]["max"], json!(2.0));
        assert_eq!(report["error_latency_ms"]["UNAVAILABLE"]["max"], json!(9000.0));
    }

    #[test]
    fn examples_are_distinct_and_bounded() {
        let mut tally = Tally::default();
        for number in 0..100 {
            tally.record(&Outcome::Malformed(format!("answer {}", number / 2)), MOMENT, MOMENT);
        }
        let report = tally.report(MOMENT);
        assert_eq!(report["examples"].as_array().unwrap().len(), EXAMPLES);
        assert_eq!(report["errors"]["malformed"], json!(100));
    }
}
