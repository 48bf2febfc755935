//! Who may register what, and where may not be sent to.

use tonic::Code;
use torchmesh_api::accounts::v1::{
    CreateWebhookRequest, DeleteWebhookRequest, ListWebhookDeliveriesRequest, ListWebhooksRequest, RedeliverWebhookRequest, Role,
    RotateWebhookSecretRequest, TestWebhookRequest, UpdateWebhookRequest,
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded,
    receiver::Receiver,
};

use super::{super::asking::member, KeyFile, accounts, came, deliveries, registered, settings};

#[test]
fn another_tenants_webhook_does_not_exist_and_developers_may_not_ask() {
    bounded(async {
        let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
        let accounts = accounts(&Database::Sqlite, &keys).await;
        accounts.tenant("acme").await;
        accounts.tenant("bolt").await;
        let (id, _) = registered(&accounts, &receiver, "acme", &[]).await;
        let (operators, _) = registered(&accounts, &receiver, "", &[]).await;
        accounts.key("acme", "search").await;
        came(&receiver, 2).await;
        let delivery = deliveries(&accounts, &id).await.remove(0).id;
        let eve = member(&accounts, "bolt", "eve@example.org", Role::Owner).await;
        let mut eve = accounts.webhooks(&eve);
        for id in [id.clone(), operators, "no such id".to_owned()] {
            for (what, code) in [
                ("update", eve.update_webhook(UpdateWebhookRequest { id: id.clone(), ..Default::default() }).await.unwrap_err().code()),
                ("rotate", {
                    let asked = RotateWebhookSecretRequest { id: id.clone(), overlap_ms: 0 };
                    eve.rotate_webhook_secret(asked).await.unwrap_err().code()
                }),
                ("test", eve.test_webhook(TestWebhookRequest { id: id.clone() }).await.unwrap_err().code()),
                ("deliveries", {
                    let asked = ListWebhookDeliveriesRequest { webhook_id: id.clone(), ..Default::default() };
                    eve.list_webhook_deliveries(asked).await.unwrap_err().code()
                }),
                ("redeliver", {
                    let asked = RedeliverWebhookRequest { webhook_id: id.clone(), ..Default::default() };
                    eve.redeliver_webhook(asked).await.unwrap_err().code()
                }),
                ("remove", eve.delete_webhook(DeleteWebhookRequest { id: id.clone() }).await.unwrap_err().code()),
            ] {
                assert_eq!(code, Code::NotFound, "{what} {id}");
            }
        }
        let asked = RedeliverWebhookRequest { delivery_id: delivery, ..Default::default() };
        assert_eq!(eve.redeliver_webhook(asked).await.unwrap_err().code(), Code::NotFound);
        let theirs = ListWebhooksRequest { tenant: "acme".into(), ..Default::default() };
        assert_eq!(eve.list_webhooks(theirs).await.unwrap_err().code(), Code::NotFound);
        assert!(eve.list_webhooks(ListWebhooksRequest::default()).await.unwrap().into_inner().webhooks.is_empty());
        let dev = member(&accounts, "acme", "dev@example.org", Role::Developer).await;
        let listed = accounts.webhooks(&dev).list_webhooks(ListWebhooksRequest::default()).await;
        assert_eq!(listed.unwrap_err().code(), Code::PermissionDenied);
        let ada = member(&accounts, "acme", "ada@example.org", Role::Admin).await;
        let own = accounts.webhooks(&ada).list_webhooks(ListWebhooksRequest::default()).await.unwrap().into_inner().webhooks;
        assert_eq!(own.iter().map(|webhook| &webhook.id).collect::<Vec<_>>(), [&id]);
    });
}

#[test]
fn addresses_inside_are_refused_and_without_a_key_webhooks_are_off() {
    bounded(async {
        let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
        let create = async |accounts: &Accounts, url: &str| {
            let asked = CreateWebhookRequest { url: url.to_owned(), ..Default::default() };
            accounts.webhooks(OPERATOR).create_webhook(asked).await.unwrap_err()
        };
        let closed = Accounts::start(&Database::Sqlite, &[("webhooks.key_file", &keys.path())]).await;
        for url in
            ["https://127.0.0.1/", "https://localhost:8083/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/", &receiver.url()]
        {
            let refused = create(&closed, url).await;
            assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with("url: "), "{url}: {refused:?}");
        }
        let off = Accounts::start(&Database::Sqlite, &[]).await;
        let refused = create(&off, "https://example.org/").await;
        assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("webhooks.key_file"), "{refused:?}");
    });
}

#[test]
fn neither_secrets_nor_their_key_are_in_a_log() {
    bounded(async {
        let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
        let key_file = keys.path();
        let settings = [settings(&key_file), vec![("telemetry.log", "debug")]].concat();
        let accounts = Accounts::start(&Database::Sqlite, &settings).await;
        accounts.tenant("acme").await;
        let (_, secret) = registered(&accounts, &receiver, "acme", &[]).await;
        accounts.key("acme", "search").await;
        came(&receiver, 1).await;
        let log = accounts.instance.log();
        for hidden in [secret.trim_start_matches("whsec_"), &"5a".repeat(32)] {
            assert!(!log.contains(hidden), "{hidden:?} is in the log");
        }
    });
}
