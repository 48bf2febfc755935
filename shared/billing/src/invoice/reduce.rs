//! What makes an invoice less: coupons take off the net, credits pay the total.

use super::{Bill, CreditUsed, Discount, Line};
use crate::{
    coupon::{Coupon, Off},
    credit::CreditGrant,
    currency::Currency,
    error::BillingError,
    money::Money,
};

/// What the coupons take off that hold for the period: first shares and then amounts, by their codes, each of what the ones before have left.
pub(super) fn discounts(bill: &Bill<'_>, subtotal: Money) -> Result<Vec<Discount>, BillingError> {
    let mut coupons: Vec<&Coupon> = Vec::new();
    for (code, redeemed) in bill.subscription.coupons(bill.period.end) {
        let coupon = bill.catalogue.coupon(code)?;
        if coupon.holds(redeemed, bill.subscription.anchor(), &bill.period)? {
            coupons.push(coupon);
        }
    }
    coupons.sort_by_key(|coupon| (matches!(coupon.off, Off::Amount(_)), &coupon.code));
    let (mut left, mut discounts) = (subtotal, Vec::new());
    for coupon in coupons {
        let amount = coupon.off(left)?;
        left = left.minus(amount)?;
        if !amount.is_zero() {
            discounts.push(Discount { coupon: coupon.code.clone(), amount });
        }
    }
    Ok(discounts)
}

/// Gives every line its part of the discounts, by its amount.
pub(super) fn spread(lines: &mut [Line], discounts: &[Discount], currency: Currency) -> Result<(), BillingError> {
    let all = Money::sum(currency, discounts.iter().map(|discount| discount.amount))?;
    if all.is_zero() {
        return Ok(());
    }
    let weight = |line: &Line| u64::try_from(line.amount.minor()?).map_err(|_| BillingError::TooLarge);
    let weights = lines.iter().map(weight).collect::<Result<Vec<_>, _>>()?;
    for (line, part) in lines.iter_mut().zip(all.split(&weights)?) {
        line.discount = part;
    }
    Ok(())
}

/// What credits pay of the total: those first that expire first, then the oldest.
pub(super) fn credits(bill: &Bill<'_>, total: Money) -> Result<Vec<CreditUsed>, BillingError> {
    let currency = bill.tenant.currency;
    let usable = |grant: &&CreditGrant| grant.tenant == bill.tenant.id && grant.amount.currency() == currency && grant.pays(&bill.period);
    let mut grants: Vec<_> = bill.grants.iter().filter(usable).collect();
    grants.sort_by_key(|grant| grant.order());
    grants.dedup_by_key(|grant| &grant.id);
    let (mut open, mut used) = (total, Vec::new());
    for grant in grants {
        let left = bill.ledger.balance(&grant.account(), currency, bill.issued)?.negated();
        let amount = left.least(open)?;
        if !amount.is_zero() && !amount.is_negative() {
            open = open.minus(amount)?;
            used.push(CreditUsed { grant: grant.id.clone(), amount });
        }
    }
    Ok(used)
}
