//! The instances of a service, as the slices of its Service tell.

use tokio::sync::watch;

use super::{
    KubernetesError, KubernetesSettings,
    client::Client,
    follow::{Listener, follow},
    objects::{ENDPOINT_SLICES, Selected},
    slices::{Slice, Slices},
};
use crate::{Discovery, Instances, replace};

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
        let selector = format!("kubernetes.io/service-name={}-{service}", client.settings.prefix);
        let selected = Selected::labelled(&ENDPOINT_SLICES, selector);
        let mut pods = Pods { slices: Slices::default(), port: client.settings.port.clone(), sender: sender.clone() };
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = follow(&client, &selected, &mut pods) => {}
            }
        });
        receiver
    }
}

/// What is known of a Service, and who is told.
struct Pods {
    slices: Slices,
    port: String,
    sender: watch::Sender<Instances>,
}

impl Pods {
    fn tell(&self) {
        replace(&self.sender, self.slices.instances(&self.port));
    }
}

impl Listener for Pods {
    type Object = Slice;

    fn all(&mut self, slices: Vec<Slice>) -> Result<(), KubernetesError> {
        self.slices = Slices::of(slices);
        self.tell();
        Ok(())
    }

    fn put(&mut self, slice: Slice) -> Result<(), KubernetesError> {
        self.slices.put(slice);
        self.tell();
        Ok(())
    }

    fn removed(&mut self, slice: &Slice) {
        self.slices.remove(slice);
        self.tell();
    }
}
