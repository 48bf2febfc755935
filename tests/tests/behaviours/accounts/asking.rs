//! Operators and members ask, and strangers do.

use std::fs;

use tonic::Code;
use torchmesh_api::accounts::v1::{
    CreateCredentialRequest, CreateTenantRequest, GetSessionRequest, InviteMemberRequest, ListChangesRequest, ListCredentialsRequest,
    ListTenantsRequest, ResetPasswordRequest, RevokeCredentialRequest, Role, RotateCredentialRequest, SignInRequest, SignUpRequest,
    SumUsageRequest,
};
use torchmesh_tests::{
    accounts::{Accounts, Database, an_api_key},
    bounded,
};

const PASSWORD: &str = "correct horse battery";

/// Invites somebody to a tenant, and gives the token of their session.
pub(super) async fn member(accounts: &Accounts, tenant: &str, email: &str, role: Role) -> String {
    let invited = InviteMemberRequest { tenant: tenant.to_owned(), email: email.to_owned(), role: role.into() };
    accounts.operator().invite_member(invited).await.unwrap();
    let mut letters: Vec<_> = fs::read_dir(accounts.path("kept/outbox")).unwrap().map(|file| file.unwrap().path()).collect();
    letters.sort();
    let letter = fs::read_to_string(letters.last().unwrap()).unwrap();
    let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap().to_owned();
    let mut anybody = accounts.client("");
    anybody.reset_password(ResetPasswordRequest { token, password: PASSWORD.to_owned() }).await.unwrap();
    let sign_in = SignInRequest { email: email.to_owned(), password: PASSWORD.to_owned() };
    anybody.sign_in(sign_in).await.unwrap().into_inner().session_token
}

async fn members_see_their_own_tenant_alone(database: &Database) {
    let accounts = Accounts::start(database, &[]).await;
    accounts.tenant("acme").await;
    accounts.tenant("bolt").await;
    let (key, _) = accounts.key("acme", "search").await;
    let own = member(&accounts, "acme", "ada@example.org", Role::Developer).await;
    let strange = member(&accounts, "bolt", "eve@example.org", Role::Owner).await;
    let mut eve = accounts.client(&strange);
    let whose = eve.get_session(GetSessionRequest {}).await.unwrap().into_inner();
    assert_eq!((whose.member.unwrap().email.as_str(), whose.tenant.unwrap().name.as_str()), ("eve@example.org", "bolt"));
    let operators = accounts.operator().get_session(GetSessionRequest {}).await.unwrap_err();
    assert_eq!(operators.code(), Code::Unauthenticated, "an operator has no session");
    let id = key.id.clone();
    for (what, code) in [
        ("revoke", eve.revoke_credential(RevokeCredentialRequest { id: id.clone() }).await.unwrap_err().code()),
        ("rotate", eve.rotate_credential(RotateCredentialRequest { id: id.clone(), overlap_ms: 0 }).await.unwrap_err().code()),
        ("list", eve.list_credentials(ListCredentialsRequest { tenant: "acme".into(), ..Default::default() }).await.unwrap_err().code()),
        ("list by id", {
            let asked = ListCredentialsRequest { tenant: key.tenant_id.clone(), ..Default::default() };
            eve.list_credentials(asked).await.unwrap_err().code()
        }),
        ("create", {
            let asked = CreateCredentialRequest { tenant: "acme".into(), name: "mine".into(), ..an_api_key() };
            eve.create_credential(asked).await.unwrap_err().code()
        }),
        ("invite", {
            let asked = InviteMemberRequest { tenant: key.tenant_id.clone(), email: "x@example.org".into(), role: Role::Owner.into() };
            eve.invite_member(asked).await.unwrap_err().code()
        }),
        ("changes", eve.list_changes(ListChangesRequest { tenant: "acme".into(), ..Default::default() }).await.unwrap_err().code()),
        ("usage", accounts.usage(&strange, SumUsageRequest { tenant: "acme".into(), ..Default::default() }).await.unwrap_err().code()),
        ("nothing", eve.revoke_credential(RevokeCredentialRequest { id: "no such id".into() }).await.unwrap_err().code()),
    ] {
        assert_eq!(code, Code::NotFound, "{what}");
    }
    let tenants = eve.list_tenants(ListTenantsRequest::default()).await.unwrap().into_inner().tenants;
    assert_eq!(tenants.iter().map(|tenant| &*tenant.name).collect::<Vec<_>>(), ["bolt"]);
    let mut ada = accounts.client(&own);
    let seen = ada.list_credentials(ListCredentialsRequest::default()).await.unwrap().into_inner().credentials;
    assert_eq!(seen.iter().map(|seen| &*seen.full_name).collect::<Vec<_>>(), ["acme/search"]);
    assert_eq!(ada.list_changes(ListChangesRequest::default()).await.unwrap_err().code(), Code::PermissionDenied);
    let tenant = CreateTenantRequest { name: "more".into(), ..Default::default() };
    assert_eq!(ada.create_tenant(tenant.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(accounts.client("not-the-operators-token-01").create_tenant(tenant).await.unwrap_err().code(), Code::Unauthenticated);
    ada.revoke_credential(RevokeCredentialRequest { id }).await.unwrap();
}

#[test]
fn what_is_another_tenants_does_not_exist_in_either_database() {
    bounded(async {
        for database in [Database::Sqlite, Database::postgres().await] {
            members_see_their_own_tenant_alone(&database).await;
        }
    });
}

#[test]
fn what_was_answered_outlives_a_kill_in_either_database() {
    bounded(async {
        for database in [Database::Sqlite, Database::postgres().await] {
            let mut accounts = Accounts::start(&database, &[]).await;
            accounts.tenant("acme").await;
            for round in 0..5 {
                accounts.key("acme", &format!("key-{round}")).await;
                accounts.killed_and_started().await;
            }
            let asked = ListCredentialsRequest { tenant: "acme".into(), ..Default::default() };
            assert_eq!(accounts.operator().list_credentials(asked).await.unwrap().into_inner().credentials.len(), 5);
            let changes = accounts.operator().list_changes(ListChangesRequest::default()).await.unwrap().into_inner().changes;
            assert_eq!(changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
        }
    });
}

#[test]
fn nobody_signs_up_where_it_is_not_allowed_and_secrets_are_in_no_log() {
    bounded(async {
        let closed = Accounts::start(&Database::Sqlite, &[]).await;
        let asked = SignUpRequest {
            email: "ada@example.org".into(),
            password: PASSWORD.into(),
            tenant_name: "acme".into(),
            display_name: String::new(),
        };
        assert_eq!(closed.client("").sign_up(asked.clone()).await.unwrap_err().code(), Code::PermissionDenied);
        let open = Accounts::start(&Database::Sqlite, &[("sign_up", "true"), ("telemetry.log", "debug")]).await;
        open.client("").sign_up(asked).await.unwrap();
        let (_, secret) = open.key("acme", "search").await;
        let log = open.instance.log();
        for hidden in [PASSWORD, &secret, "operators-token", "tm_letter_"] {
            assert!(!log.contains(hidden), "{hidden:?} is in the log");
        }
    });
}

#[test]
fn a_password_in_the_address_of_the_database_is_in_no_log_and_no_report() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().display().to_string();
        let check = |url: &'static str| {
            let folder = folder.clone();
            async move {
                let settings = [("folder", &*folder), ("database.url", url), ("database.max_connections", "1")];
                let output = torchmesh_tests::instance::run_to_end("accounts", &settings, &["--check"]).await;
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert!(text.contains("max_connections") && !text.contains("hidden"), "{text}");
            }
        };
        check("postgres://user:hidden@127.0.0.1:1/x").await;
        check("mysql://user:hidden@127.0.0.1:1/x").await;
    });
}
