//! Keys that secrets are sealed with, as they change.

use std::{collections::BTreeMap, fs, path::PathBuf};

use proptest::prelude::*;
use sqlx::Row as _;

use super::{Hooked, NOW, Receiver, clock, hooks, settings};
use crate::{
    access::{Asker, Role},
    error::Refusal,
    sealing::{Keys, SealingKey, reseal, sealing_keys},
    store::Store,
    tests::member,
    webhooks::{self, NewWebhook, WebhookSettings, Webhooks},
};

/// A file of keys that are named by a letter.
struct File {
    path: PathBuf,
    letters: Vec<u8>,
}

impl File {
    fn put(&self) {
        let lines: Vec<String> = self.letters.iter().map(|letter| format!("{letter:02x}").repeat(32)).collect();
        fs::write(&self.path, lines.join("\n")).unwrap();
    }

    fn webhooks(&self, hooked: &Hooked) -> Webhooks {
        hooks(WebhookSettings { keys: Some(Keys::read(&self.path).unwrap()), ..settings(hooked.folder.path()) })
    }
}

async fn state(webhooks: &Webhooks, store: &Store) -> Vec<SealingKey> {
    sealing_keys(webhooks.keys().unwrap(), store, &Asker::Operator).await.unwrap()
}

/// Each secret that is kept, opened.
async fn opened(webhooks: &Webhooks, store: &Store) -> BTreeMap<String, Option<Vec<u8>>> {
    let rows = sqlx::query("SELECT id, webhook_id, sealed FROM webhook_secrets").fetch_all(store.reads().unwrap()).await.unwrap();
    let keys = webhooks.keys().unwrap();
    rows.iter().map(|row| (row.get("id"), keys.open(row.get("webhook_id"), row.get("sealed")))).collect()
}

/// What is done to keys and secrets.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new key goes first.
    NewKey,
    /// A webhook is made, by a process that has not read the file again yet or by one that has.
    Secret { late: bool },
    /// Everything is sealed anew.
    Reseal,
    /// A process is killed when it has sealed one secret anew.
    Half,
    /// What nothing needs is taken out of the file.
    Remove,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::NewKey),
        any::<bool>().prop_map(|late| Step::Secret { late }),
        Just(Step::Reseal),
        Just(Step::Half),
        Just(Step::Remove)
    ];
    prop::collection::vec(step, 1..14)
}

async fn kept(steps: Vec<Step>) {
    let hooked = Hooked::open().await;
    let mut file = File { path: hooked.folder.path().join("changing.keys"), letters: vec![1] };
    file.put();
    let late = file.webhooks(&hooked);
    let mut first: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    for (at, step) in steps.into_iter().enumerate() {
        let now = file.webhooks(&hooked);
        match step {
            Step::NewKey => {
                file.letters.insert(0, u8::try_from(at + 2).unwrap());
                file.put();
            }
            Step::Secret { late: is_late } => {
                let webhooks = if is_late { &late } else { &now };
                let new = NewWebhook { url: "http://127.0.0.1:9/", events: &[], description: "" };
                // There are at most sixteen, which these steps do not reach.
                webhooks::create(webhooks, hooked.store(), &Asker::Operator, Some(&hooked.acme), new, clock()).await.unwrap();
            }
            Step::Reseal => {
                reseal(now.keys().unwrap(), hooked.store()).await.unwrap();
                assert!(state(&now, hooked.store()).await.iter().skip(1).all(|key| key.secrets == 0));
            }
            Step::Half => {
                let rows = sqlx::query("SELECT id, webhook_id, sealed FROM webhook_secrets ORDER BY id LIMIT 1");
                for row in rows.fetch_all(hooked.store().reads().unwrap()).await.unwrap() {
                    let secret = now.keys().unwrap().open(row.get("webhook_id"), row.get("sealed")).unwrap();
                    let sealed = now.keys().unwrap().seal(row.get("webhook_id"), &secret).unwrap();
                    let mut transaction = hooked.store().begin().await.unwrap();
                    let query =
                        sqlx::query("UPDATE webhook_secrets SET sealed = $2 WHERE id = $1").bind(row.get::<String, _>("id")).bind(sealed);
                    query.execute(&mut *transaction).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            }
            Step::Remove => {
                let needed: Vec<bool> =
                    state(&now, hooked.store()).await.iter().enumerate().map(|(at, key)| at == 0 || key.secrets > 0).collect();
                let mut needed = needed.into_iter();
                file.letters.retain(|_| needed.next().unwrap());
                file.put();
                // Every process reads the file again within a second.
                late.keys().unwrap().look();
            }
        }
        let open = opened(&file.webhooks(&hooked), hooked.store()).await;
        assert!(open.values().all(Option::is_some), "after {step:?} a secret cannot be opened");
        assert!(first.iter().all(|(id, secret)| open[id] == *secret), "after {step:?} a secret is another");
        first.extend(open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_becomes_of_keys_every_secret_opens_and_a_key_that_nothing_needs_can_go(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(kept(steps));
    }
}

#[tokio::test]
async fn operators_are_told_which_key_seals_how_much_and_which_one_is_missing() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    hooked.registered(&receiver).await;
    let mut file = File { path: hooked.folder.path().join("changing.keys"), letters: vec![0xcd, 0xab] };
    file.put();
    let webhooks = file.webhooks(&hooked);
    let told = async |webhooks: &Webhooks| {
        state(webhooks, hooked.store()).await.into_iter().map(|key| (key.place, key.secrets)).collect::<Vec<_>>()
    };
    assert_eq!(told(&webhooks).await, [(Some(1), 0), (Some(2), 1)]);
    reseal(webhooks.keys().unwrap(), hooked.store()).await.unwrap();
    assert_eq!(told(&webhooks).await, [(Some(1), 1), (Some(2), 0)]);
    file.letters = vec![0xab];
    file.put();
    let webhooks = file.webhooks(&hooked);
    reseal(webhooks.keys().unwrap(), hooked.store()).await.unwrap();
    assert_eq!(told(&webhooks).await, [(Some(1), 0), (None, 1)], "it lacks the key");
    let refused = sealing_keys(webhooks.keys().unwrap(), hooked.store(), &member(&hooked.acme, Role::Owner)).await;
    assert!(matches!(refused, Err(Refusal::Denied(_))), "{refused:?}");
    assert!(clock() == NOW);
}
