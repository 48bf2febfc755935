//! `x-ratelimit-…`: how a call's limits stand, in every answer.
//!
//! Of several limits of one kind the one with the least left is told. The time of `reset` is written as OpenAI does it: `6m0s`, `1s`, `20ms`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use torchmesh_limits::{
    cell::Standing,
    rule::{Measure, Rule},
};

/// What is told of one kind of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    most: u64,
    remaining: u64,
    reset: Duration,
}

/// What is told of requests, and of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standings([Option<Shown>; 2]);

const NAMES: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];

impl Standings {
    /// Takes one limit in.
    pub fn take(&mut self, rule: &Rule, standing: &Standing) {
        let place = match rule.measure {
            Measure::Requests => &mut self.0[0],
            Measure::Tokens => &mut self.0[1],
            Measure::Bytes | Measure::Concurrent | Measure::Money => return,
        };
        let shown = Shown { most: rule.most(), remaining: standing.remaining, reset: standing.reset };
        if place.is_none_or(|known| (shown.remaining, shown.most) < (known.remaining, known.most)) {
            *place = Some(shown);
        }
    }

    /// Tells it.
    pub fn write(&self, headers: &mut HeaderMap) {
        for (names, shown) in NAMES.iter().zip(self.0) {
            let Some(shown) = shown else { continue };
            headers.insert(names[0].clone(), HeaderValue::from(shown.most));
            headers.insert(names[1].clone(), HeaderValue::from(shown.remaining));
            if let Ok(reset) = HeaderValue::try_from(time(shown.reset)) {
                headers.insert(names[2].clone(), reset);
            }
        }
    }
}

fn time(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_limits::Rules;

    use super::*;

    #[test]
    fn of_two_limits_the_tighter_is_told() {
        let rules = Rules::parse("[[limit]]\nper='key'\nrequests='1000/1h'\n[[limit]]\nper='tenant'\nrequests='10/1m'\n").unwrap();
        let mut standings = Standings::default();
        for (rule, remaining) in rules.limits.iter().zip([500, 9]) {
            standings.take(rule, &Standing { allowed: true, remaining, retry_after: None, reset: Duration::from_millis(6001) });
        }
        let mut headers = HeaderMap::new();
        standings.write(&mut headers);
        let told = ["limit", "remaining", "reset"].map(|what| headers[format!("x-ratelimit-{what}-requests")].to_str().unwrap().to_owned());
        assert_eq!(told, ["10", "9", "7s"]);
        assert!(!headers.contains_key("x-ratelimit-limit-tokens"));
    }

    #[test]
    fn times_are_written_as_openai_does() {
        for (millis, text) in [(0, "0ms"), (20, "20ms"), (1000, "1s"), (360_000, "6m0s"), (3_661_000, "1h1m1s")] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
