//! The instances of a service: asked for once, then told as they change.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{
    KubernetesError, KubernetesSettings,
    client::{Change, Client},
    slices::{Slice, Slices},
};
use crate::{Discovery, Instances, replace, retry::Retry};

/// A server that ends every watch at once is not asked all the time.
const BETWEEN_WATCHES: Duration = Duration::from_millis(50);

/// The Services of one namespace.
#[derive(Debug, Clone)]
pub struct Kubernetes(Client);

impl Kubernetes {
    /// By these settings; nothing is asked yet.
    pub fn new(settings: &KubernetesSettings) -> Result<Self, KubernetesError> {
        Client::new(settings).map(Self)
    }
}

impl Discovery for Kubernetes {
    /// Watches on the runtime that this is called on, for as long as a receiver is there.
    fn watch(&self, service: &str) -> watch::Receiver<Instances> {
        let (sender, receiver) = watch::channel(Instances::default());
        let client = self.0.clone();
        let service: Arc<str> = format!("{}-{service}", client.settings.prefix).into();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = follow(&client, &service, &sender) => {}
            }
        });
        receiver
    }
}

/// What is known, and up to which version. Without a version, what there is must be asked for.
#[derive(Debug, Default)]
struct Known {
    slices: Slices,
    version: Option<String>,
}

async fn follow(client: &Client, service: &str, sender: &watch::Sender<Instances>) {
    let mut known = Known::default();
    let mut retry = Retry::default();
    loop {
        match round(client, service, sender, &mut known, &mut retry).await {
            Ok(()) => {}
            // Not a failure: the list is asked for, and the watch goes on from there.
            Err(KubernetesError::Gone) if known.version.take().is_some() => {}
            Err(error) => {
                retry.failed();
                // What was missed meanwhile may not be told by a server that was put back to an earlier state.
                known.version = None;
                if retry.has_just_failed() {
                    tracing::warn!(service, %error, "the instances cannot be asked for; the last list stays in use");
                }
            }
        }
        sleep(retry.pause(fastrand::f64()).max(BETWEEN_WATCHES)).await;
    }
}

/// The list where it is not known, then one watch to its end.
async fn round(
    client: &Client,
    service: &str,
    sender: &watch::Sender<Instances>,
    known: &mut Known,
    retry: &mut Retry,
) -> Result<(), KubernetesError> {
    let version = if let Some(version) = &known.version {
        version.clone()
    } else {
        let list = client.list(service).await?;
        known.slices = Slices::of(list.items);
        replace(sender, known.slices.instances(&client.settings.port));
        known.version.insert(list.metadata.resource_version).clone()
    };
    let mut changes = client.changes(service, &version).await?;
    while let Some(change) = changes.next().await? {
        retry.answered();
        known.version = Some(known.slices.take(change));
        replace(sender, known.slices.instances(&client.settings.port));
    }
    retry.answered();
    Ok(())
}

impl Slices {
    /// Does what changed, and tells the version that it leads to.
    fn take(&mut self, change: Change) -> String {
        let version = |slice: &Slice| slice.metadata.resource_version.clone();
        match change {
            Change::Put(slice) => {
                let version = version(&slice);
                self.put(slice);
                version
            }
            Change::Removed(slice) => {
                self.remove(&slice);
                version(&slice)
            }
            Change::Bookmark(version) => version,
        }
    }
}
