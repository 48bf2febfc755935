//! Tenants and members.

use serde::Serialize;
use torchmesh_api::accounts::v1::{
    self as api, CreateTenantRequest, InviteMemberRequest, ListMembersRequest, ListTenantsRequest, Models, ResetSecondFactorRequest,
    TenantState, UpdateTenantRequest, sign_in_service_client::SignInServiceClient,
};

use super::{Accounts, moment, refused};
use crate::{
    cli::{AccountsRole, MemberCommand, TenantCommand},
    error::Result,
    output::{Screen, table},
};

#[derive(Serialize)]
struct Tenant {
    id: String,
    name: String,
    display_name: String,
    state: &'static str,
    models: Vec<String>,
    created: String,
}

impl From<api::Tenant> for Tenant {
    fn from(told: api::Tenant) -> Self {
        let state = match told.state() {
            TenantState::Active => "active",
            TenantState::Suspended => "suspended",
            TenantState::Closed if told.erased_unix_ms != 0 => "erased",
            TenantState::Closed => "closed",
            TenantState::Unspecified => "unknown",
        };
        let models = told.models.unwrap_or_default().patterns;
        let created = moment(told.created_unix_ms);
        Self { id: told.id, name: told.name, display_name: told.display_name, state, models, created }
    }
}

/// Makes, lists, suspends, resumes and closes tenants.
pub(super) async fn tenants(accounts: &Accounts, command: &TenantCommand, screen: &Screen) -> Result<()> {
    let state = |tenant: &String, state: TenantState| UpdateTenantRequest { tenant: tenant.clone(), state: state.into(), models: None };
    let asked = match command {
        TenantCommand::Create { name, display_name, models } => {
            let models = (!models.is_empty()).then(|| Models { patterns: models.clone() });
            let asked = CreateTenantRequest { name: name.clone(), display_name: display_name.clone(), models };
            let made = accounts.client().create_tenant(accounts.request(asked)).await.map_err(refused)?;
            return one(made.into_inner().tenant, screen);
        }
        TenantCommand::List => return list(accounts, screen).await,
        TenantCommand::Suspend { tenant } => state(tenant, TenantState::Suspended),
        TenantCommand::Close { tenant } => state(tenant, TenantState::Closed),
        TenantCommand::Resume { tenant } => state(tenant, TenantState::Active),
    };
    let changed = accounts.client().update_tenant(accounts.request(asked)).await.map_err(refused)?;
    one(changed.into_inner().tenant, screen)
}

/// Shows what has become of a tenant.
pub(super) fn one(tenant: Option<api::Tenant>, screen: &Screen) -> Result<()> {
    let tenant = Tenant::from(tenant.unwrap_or_default());
    screen.show(&tenant, || format!("{} is {}", tenant.name, tenant.state))
}

async fn list(accounts: &Accounts, screen: &Screen) -> Result<()> {
    let (mut tenants, mut page_token) = (Vec::<Tenant>::new(), String::new());
    loop {
        let asked = accounts.request(ListTenantsRequest { page_size: 1000, page_token });
        let page = accounts.client().list_tenants(asked).await.map_err(refused)?.into_inner();
        tenants.extend(page.tenants.into_iter().map(Tenant::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |tenant: &Tenant| {
        let models = tenant.models.join(" ");
        [tenant.name.clone(), tenant.state.to_owned(), models, tenant.created.clone(), tenant.display_name.clone()]
    };
    screen.show(&tenants, || table(["tenant", "state", "models", "since", "name"], tenants.iter().map(row)))
}

#[derive(Serialize)]
struct Member {
    id: String,
    email: String,
    role: String,
    confirmed: bool,
}

impl From<api::Member> for Member {
    fn from(told: api::Member) -> Self {
        let role = told.role().as_str_name().trim_start_matches("ROLE_").to_lowercase();
        Self { id: told.id, email: told.email, role, confirmed: told.verified_unix_ms != 0 }
    }
}

/// Invites and lists members.
pub(super) async fn members(accounts: &Accounts, command: &MemberCommand, screen: &Screen) -> Result<()> {
    match command {
        MemberCommand::Invite { email, tenant, role } => {
            let role = match role {
                AccountsRole::Owner => api::Role::Owner,
                AccountsRole::Admin => api::Role::Admin,
                AccountsRole::Developer => api::Role::Developer,
                AccountsRole::Billing => api::Role::Billing,
                AccountsRole::Viewer => api::Role::Viewer,
            };
            let asked = InviteMemberRequest { tenant: tenant.clone(), email: email.clone(), role: role.into() };
            let invited = accounts.client().invite_member(accounts.request(asked)).await.map_err(refused)?;
            let member = Member::from(invited.into_inner().member.unwrap_or_default());
            screen.show(&member, || format!("{} gets a letter, and is {} when it is answered", member.email, member.role))
        }
        MemberCommand::List { tenant } => {
            let asked = accounts.request(ListMembersRequest { tenant: tenant.clone() });
            let members = accounts.client().list_members(asked).await.map_err(refused)?.into_inner().members;
            let members: Vec<Member> = members.into_iter().map(Member::from).collect();
            let row = |member: &Member| {
                let confirmed = if member.confirmed { "yes" } else { "not yet" };
                [member.email.clone(), member.role.clone(), confirmed.to_owned(), member.id.clone()]
            };
            screen.show(&members, || table(["email", "role", "confirmed", "id"], members.iter().map(row)))
        }
        MemberCommand::ResetSecondFactor { member } => {
            let asked = accounts.request(ResetSecondFactorRequest { member: member.clone() });
            let mut desk = SignInServiceClient::new(accounts.channel.clone());
            let member = desk.reset_second_factor(asked).await.map_err(refused)?.into_inner().member;
            let member = Member::from(member.unwrap_or_default());
            screen.show(&member, || format!("{} signs in with their password alone now, and is told so by a letter", member.email))
        }
    }
}
