//! What a caller is told whom a limit refuses: which limit, whose, and when to come back.

use std::time::Duration;

use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_limits::{
    Refusal,
    rule::{Allowance, Measure, Per, Rule},
};

/// When to come back to a limit of calls at once: nobody knows when one ends.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Whose limit it is, in words; `name` is the caller's own, never another's.
fn whose(rule: &Rule, name: &str) -> String {
    match &rule.model {
        Some(model) if rule.per != Per::Model => format!("{} {name}, for the models {},", rule.per, model.as_str()),
        _ => format!("{} {name}", rule.per),
    }
}

/// The refusal as an error; `name` is that of whoever the limit counts.
pub fn error(refusal: &Refusal, name: &str) -> ApiError {
    let (rule, standing) = (&*refusal.rule, &refusal.standing);
    let (whose, wait) = (whose(rule, name), standing.retry_after);
    let error = |message: String| ApiError::new(ErrorKind::ResourceExhausted, message);
    match (rule.allowance, wait) {
        (Allowance::AtOnce(most), _) => {
            error(format!("the {whose} may have {most} calls at once and has them; try again when one of them has ended"))
                .retry_after(A_MOMENT)
        }
        (_, None) => {
            let (asked, most) = (rule.amount(refusal.cost), rule.amount(rule.most()));
            let less = match rule.measure {
                Measure::Tokens | Measure::Money => "ask for fewer tokens (max_tokens), or send a shorter prompt",
                _ => "send it in smaller parts",
            };
            error(format!("this call may use {asked}, and the {whose} may use {most} at once by its limit of {}; {less}", rule.said))
        }
        (Allowance::Month(_), Some(wait)) => error(format!(
            "the {whose} has {} left of its {} of {}, and this call may use {}; the next month begins in {}",
            rule.amount(standing.remaining),
            if rule.measure == Measure::Money { "budget" } else { "quota" },
            said(rule),
            rule.amount(refusal.cost),
            in_words(wait)
        ))
        .retry_after(wait),
        (Allowance::Rate(_), Some(wait)) => {
            error(format!("the {whose} has reached its limit of {}; try again in {}", said(rule), in_words(wait))).retry_after(wait)
        }
    }
}

fn said(rule: &Rule) -> String {
    match rule.measure {
        Measure::Money => rule.said.clone(),
        measure => format!("{} {measure}", rule.said),
    }
}

/// A time as a person reads it; never less than it is.
fn in_words(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let seconds = millis.div_ceil(1000);
    match seconds {
        0..=1 => format!("{millis} ms"),
        2..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use torchmesh_limits::{
        Rules,
        cell::{Now, State},
    };

    use super::*;

    /// What is said when a call that costs so much finds so much used.
    fn told(limit: &str, used: u64, cost: u64) -> ApiError {
        let rules = Rules::parse(&format!("[[limit]]\nper = 'tenant'\n{limit}")).unwrap();
        let now = Now { picos: 1, wall: SystemTime::UNIX_EPOCH };
        let mut state = State::default();
        for _ in 0..used {
            state = state.decide(&rules.limits[0], &now, 1, 1).0;
        }
        let (_, standing) = state.decide(&rules.limits[0], &now, cost, 1);
        assert!(!standing.allowed);
        error(&Refusal { rule: Arc::clone(&rules.limits[0]), cost, standing, all: Vec::new() }, "acme")
    }

    #[test]
    fn a_refusal_names_the_limit_whose_it_is_and_when_to_come_back() {
        let rate = told("requests = '10/1m'\nmodel = 'smol*'", 0, 0x7fff);
        assert_eq!(rate.retry_after, None);
        let rate = told("requests = '10/1m'", 10, 1);
        assert_eq!(rate.message, "the tenant acme has reached its limit of 10/1m requests; try again in 6 s");
        assert_eq!(rate.retry_after, Some(Duration::from_secs(6)));
        let quota = told("requests = '3/month'", 2, 2);
        assert_eq!(
            quota.message,
            "the tenant acme has 1 requests left of its quota of 3/month requests, and this call may use 2 requests; the next month begins in 31 days"
        );
        let budget = told("budget = '0.000003/month'", 3, 2);
        assert!(budget.message.contains("0.00 left of its budget of 0.000003/month"), "{}", budget.message);
        let at_once = told("concurrent = 2", 2, 1);
        assert!(at_once.message.contains("may have 2 calls at once") && at_once.retry_after.is_some(), "{}", at_once.message);
    }

    #[test]
    fn what_never_fits_is_told_to_become_smaller() {
        let large = told("tokens = '100/1m'\nmodel = 'smol*'", 0, 300);
        assert_eq!(
            large.message,
            "this call may use 300 tokens, and the tenant acme, for the models smol*, may use 100 tokens at once by its limit of 100/1m; ask for \
             fewer tokens (max_tokens), or send a shorter prompt"
        );
        assert_eq!(large.retry_after, None);
    }

    #[test]
    fn a_time_is_never_told_shorter_than_it_is() {
        for (time, words) in
            [(1, "1 ms"), (999, "999 ms"), (1001, "2 s"), (119_001, "2 min"), (3_600_001, "61 min"), (200_000_000, "3 days")]
        {
            assert_eq!(in_words(Duration::from_millis(time)), words);
        }
    }
}
