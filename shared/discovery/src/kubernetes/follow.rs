//! Objects over time: asked for once, then told as they change, for as long as it takes.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    KubernetesError,
    changes::Change,
    client::Client,
    objects::{Object, Selected},
};
use crate::retry::Retry;

/// A server that ends every watch at once is not asked all the time.
const BETWEEN_WATCHES: Duration = Duration::from_millis(50);

/// Whoever wants to know of some objects.
pub(super) trait Listener {
    type Object: Object;

    /// These there are, and no others.
    fn all(&mut self, objects: Vec<Self::Object>) -> Result<(), KubernetesError>;

    /// This one is new, or not as it was.
    fn put(&mut self, object: Self::Object) -> Result<(), KubernetesError>;

    /// This one is no more.
    fn removed(&mut self, object: &Self::Object);
}

/// Tells a listener for as long as this is polled. Whatever the API server suffers, what was told last is not taken back.
pub(super) async fn follow<L: Listener>(client: &Client, selected: &Selected, listener: &mut L) {
    // Up to which everything is told. Without one, what there is must be asked for.
    let mut version = None;
    let mut retry = Retry::default();
    loop {
        match round(client, selected, listener, &mut version, &mut retry).await {
            Ok(()) => {}
            // Not a failure: the list is asked for, and the watch goes on from there.
            Err(KubernetesError::Gone) if version.take().is_some() => {}
            Err(error) => {
                retry.failed();
                // What was missed meanwhile may not be told by a server that was put back to an earlier state.
                version = None;
                if retry.has_just_failed() {
                    let (kind, which) = (selected.kind.name, selected.selector.as_str());
                    tracing::warn!(kind, which, %error, "the API server cannot be asked; what it said last stays in use");
                }
            }
        }
        sleep(retry.pause(fastrand::f64()).max(BETWEEN_WATCHES)).await;
    }
}

/// The list where it is not known, then one watch to its end.
async fn round<L: Listener>(
    client: &Client,
    selected: &Selected,
    listener: &mut L,
    known: &mut Option<String>,
    retry: &mut Retry,
) -> Result<(), KubernetesError> {
    let version = if let Some(version) = known {
        version.clone()
    } else {
        let list = client.list(selected).await?;
        listener.all(list.items)?;
        known.insert(list.metadata.resource_version).clone()
    };
    let mut changes = client.changes(selected, &version).await?;
    while let Some(change) = changes.next().await? {
        let version = match change {
            Change::Put(object) => {
                let version = version_of(&object);
                listener.put(object)?;
                version
            }
            Change::Removed(object) => {
                listener.removed(&object);
                version_of(&object)
            }
            Change::Bookmark(version) => version,
        };
        retry.answered();
        *known = Some(version);
    }
    retry.answered();
    Ok(())
}

fn version_of<T: Object>(object: &T) -> String {
    object.metadata().resource_version.clone()
}
