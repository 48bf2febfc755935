//! Coupons: less to pay for some periods.

use serde::{Deserialize, Serialize};

use crate::{error::BillingError, moment::Moment, money::Money, period::Anchor, period::Period, share::Share};

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// A share of what is left of a period's subtotal.
    Share(Share),
    /// So much a period, and never more than is left.
    Amount(Money),
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// What is typed to redeem it.
    pub code: String,
    /// What it takes off.
    pub off: Off,
    /// For how many periods, the one that it is redeemed in among them; none: for all.
    pub periods: Option<u32>,
    /// When it ends: it cannot be redeemed any more, and takes nothing off periods that begin then or later.
    pub expires: Option<Moment>,
}

impl Coupon {
    /// Whether it can be redeemed at an instant.
    pub fn can_be_redeemed(&self, at: Moment) -> bool {
        self.expires.is_none_or(|expires| at < expires)
    }

    /// Whether it takes something off a period, after it was redeemed at an instant.
    pub fn holds(&self, redeemed: Moment, anchor: Anchor, period: &Period) -> Result<bool, BillingError> {
        let age = anchor.number(period.start)? - anchor.number(redeemed)?;
        let young = self.periods.is_none_or(|periods| age < i64::from(periods));
        let alive = self.expires.is_none_or(|expires| period.start < expires && redeemed < expires);
        Ok(age >= 0 && young && alive)
    }

    /// What it takes off an amount.
    pub fn off(&self, amount: Money) -> Result<Money, BillingError> {
        match self.off {
            Off::Share(share) => share.of(amount),
            Off::Amount(most) => most.least(amount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coupon(periods: Option<u32>, expires: Option<&str>) -> Coupon {
        let off = Off::Share(Share::percent(20).unwrap());
        Coupon { code: "SPRING".into(), off, periods, expires: expires.map(|at| at.parse().unwrap()) }
    }

    fn held(coupon: &Coupon, redeemed: &str) -> Vec<u32> {
        let period = |month: u32| Anchor::Calendar.period(format!("2026-{month:02}-10").parse().unwrap()).unwrap();
        (1..=6).filter(|month| coupon.holds(redeemed.parse().unwrap(), Anchor::Calendar, &period(*month)).unwrap()).collect()
    }

    #[test]
    fn a_coupon_holds_for_its_first_periods() {
        assert_eq!(held(&coupon(Some(3), None), "2026-02-20"), [2, 3, 4]);
        assert_eq!(held(&coupon(None, None), "2026-05-01"), [5, 6]);
    }

    #[test]
    fn a_coupon_that_expired_takes_nothing_off_later_periods() {
        assert_eq!(held(&coupon(None, Some("2026-03-15")), "2026-02-20"), [2, 3]);
        assert_eq!(held(&coupon(None, Some("2026-03-15")), "2026-03-15"), [0_u32; 0]);
        assert!(!coupon(None, Some("2026-03-15")).can_be_redeemed("2026-03-15".parse().unwrap()));
    }

    #[test]
    fn an_amount_never_takes_off_more_than_there_is() {
        let ten = Coupon { off: Off::Amount("10.00 EUR".parse().unwrap()), ..coupon(None, None) };
        assert_eq!(ten.off("4.00 EUR".parse().unwrap()).unwrap().to_string(), "4.00 EUR");
        assert_eq!(coupon(None, None).off("4.01 EUR".parse().unwrap()).unwrap().to_string(), "0.80 EUR");
    }
}
