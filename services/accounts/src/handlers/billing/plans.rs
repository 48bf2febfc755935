//! What is sold, and what a tenant has subscribed to.

use torchmesh_api::accounts::v1::{self as api};
use torchmesh_billing::{Moment, When};

use super::{super::call::Call, BillingDesk, told};
use crate::{
    access::Act,
    billing::{self, NewProfile, Wanted},
    error::{Refusal, Result},
    tenants::{self, Tenant},
};

fn when(said: i32, usual: When) -> Result<When> {
    match api::ChangeWhen::try_from(said) {
        Ok(api::ChangeWhen::Unspecified) => Ok(usual),
        Ok(api::ChangeWhen::Now) => Ok(When::Now),
        Ok(api::ChangeWhen::PeriodEnd) => Ok(When::PeriodEnd),
        Err(_) => Err(Refusal::Invalid("when: must be now or the period's end".to_owned())),
    }
}

impl BillingDesk {
    pub(super) async fn list_plans_asked(&self, call: Call<api::ListPlansRequest>) -> Result<api::ListPlansResponse> {
        call.asker.may(Act::Look)?;
        let sold = self.0.billing.sold(&mut *self.0.store.reads()?.acquire().await?).await?;
        Ok(api::ListPlansResponse { plans: sold.catalogue.plans.values().map(told::plan).collect() })
    }

    pub(super) async fn list_prices_asked(&self, call: Call<api::ListPricesRequest>) -> Result<api::ListPricesResponse> {
        call.asker.may(Act::Look)?;
        let sold = self.0.billing.sold(&mut *self.0.store.reads()?.acquire().await?).await?;
        let at = Moment::from_unix_ms(call.now.unsigned_abs())?;
        let asked = sold.catalogue.prices.versions().filter(|version| call.asked.list.is_empty() || version.list == call.asked.list);
        let mut prices: Vec<api::Price> = asked.map(|version| told::price(&sold.catalogue, version, sold.currency, at)).collect();
        prices.retain(|price| price.until_unix_ms == 0 || price.until_unix_ms > call.now);
        prices.sort_by(|one, other| (&one.list, &one.models, one.from_unix_ms).cmp(&(&other.list, &other.models, other.from_unix_ms)));
        Ok(api::ListPricesResponse { prices })
    }

    /// What holds for a tenant after whatever was changed.
    async fn held(&self, tenant: &Tenant, now: i64) -> Result<Option<api::Subscription>> {
        let tenant = tenants::find(&self.0.store, &tenant.id).await?.ok_or(Refusal::Fault)?;
        let held = billing::held(&self.0.billing, &self.0.store, &tenant, now).await?;
        Ok(Some(told::subscription(&tenant, held, self.0.billing.settings().self_service)))
    }

    pub(super) async fn get_subscription_asked(&self, call: Call<api::GetSubscriptionRequest>) -> Result<api::GetSubscriptionResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        Ok(api::GetSubscriptionResponse { subscription: self.held(&tenant, call.now).await? })
    }

    pub(super) async fn subscribe_asked(&self, call: Call<api::SubscribeRequest>) -> Result<api::SubscribeResponse> {
        let (asked, tenant) = (&call.asked, self.billed(&call, &call.asked.tenant).await?);
        let wanted = Wanted {
            plan: &asked.plan,
            seats: asked.seats,
            when: when(asked.when, When::Now)?,
            at_ms: asked.at_unix_ms,
            trial_until_ms: asked.trial_until_unix_ms,
        };
        billing::subscribe(&self.0.billing, &self.0.store, &call.asker, &tenant, wanted, call.now).await?;
        Ok(api::SubscribeResponse { subscription: self.held(&tenant, call.now).await? })
    }

    pub(super) async fn cancel_subscription_asked(
        &self,
        call: Call<api::CancelSubscriptionRequest>,
    ) -> Result<api::CancelSubscriptionResponse> {
        let (asked, tenant) = (&call.asked, self.billed(&call, &call.asked.tenant).await?);
        let when = when(asked.when, When::PeriodEnd)?;
        billing::cancel(&self.0.billing, &self.0.store, &call.asker, &tenant, when, asked.at_unix_ms, call.now).await?;
        Ok(api::CancelSubscriptionResponse { subscription: self.held(&tenant, call.now).await? })
    }

    pub(super) async fn redeem_coupon_asked(&self, call: Call<api::RedeemCouponRequest>) -> Result<api::RedeemCouponResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        billing::redeem(&self.0.billing, &self.0.store, &call.asker, &tenant, &call.asked.code, call.now).await?;
        Ok(api::RedeemCouponResponse { subscription: self.held(&tenant, call.now).await? })
    }

    pub(super) async fn update_billing_profile_asked(
        &self,
        call: Call<api::UpdateBillingProfileRequest>,
    ) -> Result<api::UpdateBillingProfileResponse> {
        let tenant = self.billed(&call, &call.asked.tenant).await?;
        let from_sign_up = match api::BillingAnchor::try_from(call.asked.anchor) {
            Ok(api::BillingAnchor::Unspecified) => None,
            Ok(api::BillingAnchor::Calendar) => Some(false),
            Ok(api::BillingAnchor::SignUp) => Some(true),
            Err(_) => return Err(Refusal::Invalid("anchor: must be the calendar or the sign-up".to_owned())),
        };
        let asked = call.asked;
        let new = NewProfile {
            recipient: asked.recipient,
            tax_name: asked.tax_name,
            tax_rate: asked.tax_rate,
            from_sign_up,
            prepaid: asked.prepaid,
        };
        billing::update_profile(&self.0.store, &call.asker, &tenant, new, call.now).await?;
        billing::check_stops_or_later(&self.0.billing, &self.0.store, &tenant, call.now).await;
        Ok(api::UpdateBillingProfileResponse { subscription: self.held(&tenant, call.now).await? })
    }
}
