//! Budgets: when somebody should be told what is being spent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{error::BillingError, money::Money};

/// So much a period, and at which parts of it somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What alerts name it by.
    pub id: String,
    /// How much a period.
    pub limit: Money,
    /// At how many percent of it; more than 100 is possible.
    pub thresholds: BTreeSet<u32>,
}

/// Something that somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Which budget.
    pub budget: String,
    /// Which threshold, in percent.
    pub percent: u32,
    /// What was spent.
    pub spent: Money,
    /// The budget's limit.
    pub limit: Money,
}

impl Budget {
    /// Which alerts are due when so much was spent in this period and those of `told` were sent: each threshold once, the lowest first.
    pub fn due(&self, spent: Money, told: &BTreeSet<u32>) -> Result<Vec<Alert>, BillingError> {
        let mut due = Vec::new();
        for percent in self.thresholds.difference(told) {
            let reached = spent.times(100)?.minus(self.limit.times((*percent).into())?)?;
            if !reached.is_negative() {
                due.push(Alert { budget: self.id.clone(), percent: *percent, spent, limit: self.limit });
            }
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_told_once() {
        let budget = Budget { id: "b".into(), limit: "200.00 EUR".parse().unwrap(), thresholds: [50, 80, 100].into() };
        let due = |spent: &str, told: &[u32]| -> Vec<u32> {
            let told = told.iter().copied().collect();
            budget.due(spent.parse().unwrap(), &told).unwrap().into_iter().map(|alert| alert.percent).collect()
        };
        assert_eq!(due("99.99 EUR", &[]), [0_u32; 0]);
        assert_eq!(due("100.00 EUR", &[]), [50]);
        assert_eq!(due("250.00 EUR", &[50]), [80, 100]);
        assert_eq!(due("250.00 EUR", &[50, 80, 100]), [0_u32; 0]);
        assert!(budget.due("1 USD".parse().unwrap(), &BTreeSet::new()).is_err());
    }
}
