//! Tenants and changes.

use torchmesh_api::accounts::v1::{
    CreateTenantRequest, CreateTenantResponse, ListChangesRequest, ListChangesResponse, ListTenantsRequest, ListTenantsResponse,
    UpdateTenantRequest, UpdateTenantResponse,
};

use super::{
    super::{call::Call, read, tell},
    Accounts,
};
use crate::{
    access::{Act, Asker},
    changes,
    error::Result,
    page::Page,
    tenants::{self, New},
};

impl Accounts {
    pub(super) async fn create_tenant_asked(&self, call: Call<CreateTenantRequest>) -> Result<CreateTenantResponse> {
        let CreateTenantRequest { name, display_name, models } = &call.asked;
        let new = New { name, display_name, models: models.as_ref().map(|models| &*models.patterns) };
        let tenant = tenants::create(&self.0.store, &call.asker, new, call.now).await?;
        Ok(CreateTenantResponse { tenant: Some(tell::tenant(tenant)) })
    }

    pub(super) async fn list_tenants_asked(&self, call: Call<ListTenantsRequest>) -> Result<ListTenantsResponse> {
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let mut tenants = tenants::list(&self.0.store, &call.asker, &page).await?;
        let next_page_token = page.cut(&mut tenants, |tenant| tenant.name.clone());
        Ok(ListTenantsResponse { tenants: tenants.into_iter().map(tell::tenant).collect(), next_page_token })
    }

    pub(super) async fn update_tenant_asked(&self, call: Call<UpdateTenantRequest>) -> Result<UpdateTenantResponse> {
        let UpdateTenantRequest { tenant, state, models } = &call.asked;
        let models = models.as_ref().map(|models| &*models.patterns);
        let tenant = tenants::update(&self.0.store, &call.asker, tenant, read::state(*state)?, models, call.now).await?;
        Ok(UpdateTenantResponse { tenant: Some(tell::tenant(tenant)) })
    }

    pub(super) async fn list_changes_asked(&self, call: Call<ListChangesRequest>) -> Result<ListChangesResponse> {
        call.asker.may(Act::SeeChanges)?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let all = call.asker == Asker::Operator && call.asked.tenant.is_empty();
        let tenant = if all { None } else { Some(call.asker.tenant(&self.0.store, &call.asked.tenant).await?) };
        let mut changes = changes::list(&self.0.store, tenant.as_ref(), &page).await?;
        let next_page_token = page.cut(&mut changes, |change| change.revision.to_string());
        Ok(ListChangesResponse { changes, next_page_token })
    }
}
