//! A mesh of real processes, on ports of its own, that ends with the test.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{Instance, client, consul::Agent, models::Model};

/// The API key that a sandbox's gateways know.
pub const KEY: &str = "tm_test_0123456789";
/// The tenant that it stands for.
pub const TENANT: &str = "test-tenant";

/// Gateways, routers and workers, wired together.
#[derive(Debug)]
pub struct MeshSandbox {
    /// The gateways.
    pub gateways: Vec<Instance>,
    /// The routers.
    pub routers: Vec<Instance>,
    /// The workers.
    pub workers: Vec<Instance>,
    /// What serves the pipelines, where there are any.
    pub pipelines: Vec<Instance>,
    stand_ins: Vec<(&'static str, SocketAddr, Option<&'static str>)>,
    folder: TempDir,
}

/// What a mesh is to be made of. One of each service unless told otherwise.
#[derive(Debug, Clone)]
pub struct Builder {
    counts: [usize; 3],
    models: Vec<Model>,
    pipelines: Vec<(String, String)>,
    settings: Vec<(&'static str, String, String)>,
    environment: Vec<(&'static str, String, String)>,
    stand_ins: Vec<(&'static str, SocketAddr, Option<&'static str>)>,
    consul: Option<SocketAddr>,
    keys: String,
    wait: bool,
}

impl Builder {
    /// So many gateways.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.counts[0] = count;
        self
    }

    /// So many routers.
    #[must_use]
    pub fn routers(mut self, count: usize) -> Self {
        self.counts[1] = count;
        self
    }

    /// So many workers.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.counts[2] = count;
        self
    }

    /// Every worker serves this model too.
    #[must_use]
    pub fn model(mut self, model: Model) -> Self {
        self.models.push(model);
        self
    }

    /// This pipeline is served too: `NAME/VERSION`, and the text of its file.
    #[must_use]
    pub fn pipeline(mut self, name: &str, text: &str) -> Self {
        self.pipelines.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A setting of every instance of a service; `{instance}` in it is the instance's name.
    #[must_use]
    pub fn set(mut self, service: &'static str, key: &str, value: &str) -> Self {
        self.settings.push((service, key.to_owned(), value.to_owned()));
        self
    }

    /// A variable of the environment of every instance of a service.
    #[must_use]
    pub fn env(mut self, service: &'static str, name: &str, value: &str) -> Self {
        self.environment.push((service, name.to_owned(), value.to_owned()));
        self
    }

    /// In place of workers, something that the test has started itself.
    #[must_use]
    pub fn worker_at(mut self, address: SocketAddr) -> Self {
        self.stand_ins.push(("worker", address, None));
        self.workers(0)
    }

    /// The same, in a zone.
    #[must_use]
    pub fn worker_in(mut self, zone: &'static str, address: SocketAddr) -> Self {
        self.stand_ins.push(("worker", address, Some(zone)));
        self.workers(0)
    }

    /// In place of routers and all that is behind them, something that the test has started itself.
    #[must_use]
    pub fn router_at(mut self, address: SocketAddr) -> Self {
        self.stand_ins.push(("router", address, None));
        self.routers(0).workers(0)
    }

    /// Everything registers itself in this Consul, and finds the others there instead of in a file.
    #[must_use]
    pub fn consul(mut self, agent: &Agent) -> Self {
        self.consul = Some(agent.addr);
        self
    }

    /// Further entries of the keys file.
    #[must_use]
    pub fn keys(mut self, entries: &str) -> Self {
        self.keys.push_str(entries);
        self
    }

    /// Does not wait until the workers, and with them the mesh, are ready.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.wait = false;
        self
    }

    /// Starts everything and waits until all of it is ready.
    pub async fn start(self) -> MeshSandbox {
        let folder = TempDir::new().expect("a folder for the sandbox");
        let repository = folder.path().join("models");
        fs::create_dir(&repository).expect("a model repository");
        self.models.iter().for_each(|model| model.install(&repository));
        write_keys(folder.path(), &self.keys);
        let none = Vec::new;
        let stand_ins = self.stand_ins.clone();
        let mut mesh = MeshSandbox { gateways: none(), routers: none(), workers: none(), pipelines: none(), stand_ins, folder };
        self.pipelines.iter().for_each(|(name, text)| mesh.write_pipeline(name, text));
        mesh.write_discovery();
        let [gateways, routers, workers] = self.counts;
        // From the back to the front, so that whoever becomes ready finds all that it needs at its first look.
        mesh.workers = self.start_all("worker", workers, mesh.folder.path()).await;
        mesh.write_discovery();
        mesh.routers = self.start_all("router", routers, mesh.folder.path()).await;
        mesh.write_discovery();
        mesh.pipelines = self.start_all("pipelines", usize::from(!self.pipelines.is_empty()), mesh.folder.path()).await;
        mesh.write_discovery();
        mesh.gateways = self.start_all("gateway", gateways, mesh.folder.path()).await;
        mesh
    }

    async fn start_all(&self, service: &'static str, count: usize, folder: &Path) -> Vec<Instance> {
        let mut instances = Vec::with_capacity(count);
        for number in 1..=count {
            let name = format!("{service}-{number}");
            let own = |(key, value): (String, String)| (key, value.replace("{instance}", &name));
            let settings = self.settings(service, folder).into_iter().map(own).collect();
            let environment = self.environment.iter().filter(|(whose, ..)| *whose == service);
            let environment = environment.map(|(_, name, value)| (name.clone(), value.clone())).collect();
            instances.push(Instance::start_in(environment, service, &name, folder, settings).await);
        }
        if self.wait {
            for instance in &mut instances {
                instance.ready().await;
            }
        }
        instances
    }

    fn settings(&self, service: &str, folder: &Path) -> Vec<(String, String)> {
        let file = |key: &str, name: &str| (key.to_owned(), folder.join(name).display().to_string());
        let mut settings = match service {
            "gateway" => vec![file("keys_file", "keys.toml")],
            "router" => vec![("probe.interval".to_owned(), "50ms".to_owned())],
            "pipelines" => vec![file("pipelines_dir", "pipelines"), ("pipelines_poll".to_owned(), "50ms".to_owned())],
            _ => vec![file("models_dir", "models")],
        };
        match self.consul {
            // Short, so that a test need not wait for what takes an operator's patience.
            Some(addr) => {
                let own = [("address", format!("http://{addr}")), ("ttl", "2s".to_owned())];
                settings.extend(own.map(|(key, value)| (format!("discovery.consul.{key}"), value)));
            }
            None if service != "worker" => settings.push(file("discovery.file", "discovery.toml")),
            None => {}
        }
        let own = self.settings.iter().filter(|(whose, ..)| *whose == service);
        settings.extend(own.map(|(_, key, value)| (key.clone(), value.clone())));
        settings
    }
}

impl MeshSandbox {
    /// Says what a mesh is to be made of; nothing is started yet.
    pub fn builder() -> Builder {
        Builder {
            counts: [1; 3],
            models: Vec::new(),
            pipelines: Vec::new(),
            settings: Vec::new(),
            environment: Vec::new(),
            stand_ins: Vec::new(),
            consul: None,
            keys: String::new(),
            wait: true,
        }
    }

    /// Starts one of each service, with these models.
    pub async fn with(models: impl IntoIterator<Item = Model>) -> Self {
        models.into_iter().fold(Self::builder(), Builder::model).start().await
    }

    /// Replaces the entries of the keys file, that of the sandbox's own key excepted, while the mesh runs.
    pub fn rewrite_keys(&self, entries: &str) {
        write_keys(self.folder.path(), entries);
    }

    /// The address of the first gateway.
    pub fn gateway(&self) -> SocketAddr {
        self.gateways[0].addr
    }

    /// The addresses of all gateways.
    pub fn doors(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| gateway.addr).collect()
    }

    /// A client of the Open Inference Protocol at the first gateway, with a key that is let in.
    pub fn inference(&self) -> client::Inference {
        client::inference(self.gateway())
    }

    /// A client of the text API at the first gateway, with a key that is let in.
    pub fn text(&self) -> client::Text {
        client::text(self.gateway())
    }

    /// A client of the vision API at the first gateway, with a key that is let in.
    pub fn vision(&self) -> client::Vision {
        client::vision(self.gateway())
    }

    /// A client of the audio API at the first gateway, with a key that is let in.
    pub fn audio(&self) -> client::Audio {
        client::audio(self.gateway())
    }

    /// Every instance, from the front to the back.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.gateways.iter().chain(&self.pipelines).chain(&self.routers).chain(&self.workers)
    }

    /// The instances of a service.
    pub fn of(&mut self, service: &str) -> &mut Vec<Instance> {
        match service {
            "gateway" => &mut self.gateways,
            "router" => &mut self.routers,
            "pipelines" => &mut self.pipelines,
            _ => &mut self.workers,
        }
    }

    /// Starts an instance that has ended again, tells the others where it is now, and waits until it is ready.
    pub async fn start_again(&mut self, service: &str, at: usize) {
        self.start_without_waiting(service, at).await;
        self.of(service)[at].ready().await;
    }

    /// The same, as far as that the instance listens.
    pub async fn start_without_waiting(&mut self, service: &str, at: usize) {
        self.of(service)[at].start_again().await;
        self.write_discovery();
    }

    /// A path in the sandbox's own folder, which goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a pipeline's file in its place, `NAME/VERSION`, whether or not there is one.
    pub fn write_pipeline(&self, name: &str, text: &str) {
        let path = self.folder.path().join("pipelines").join(name).with_extension("toml");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the pipeline");
        replace(&path, text);
    }

    fn write_discovery(&self) {
        let mut text = String::new();
        let mut list = |service: &str, id: &str, address: SocketAddr, zone: Option<&str>| {
            let _ = writeln!(text, "[[instance]]\nservice = \"{service}\"\nid = \"{id}\"\naddress = \"{address}\"");
            let _ = zone.map(|zone| writeln!(text, "zone = \"{zone}\""));
        };
        self.routers.iter().chain(&self.workers).for_each(|instance| list(instance.service(), &instance.name, instance.addr, None));
        // To routers, what serves pipelines is a worker.
        self.pipelines.iter().for_each(|instance| list("worker", &instance.name, instance.addr, None));
        let stand_ins = self.stand_ins.iter().enumerate();
        stand_ins.for_each(|(at, (service, address, zone))| list(service, &format!("stand-in-{at}"), *address, *zone));
        replace(&self.folder.path().join("discovery.toml"), &text);
    }
}

impl Drop for MeshSandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for instance in self.instances() {
                eprintln!("--- the end of the log of {} (process {})\n{}", instance.name, instance.pid(), instance.log_tail());
            }
        }
    }
}

fn write_keys(folder: &Path, more: &str) {
    let own = key_entry("test", TENANT, KEY, "scopes = [\"admin\"]");
    replace(&folder.join("keys.toml"), &format!("{own}{more}"));
}

/// An entry of the keys file; `more` are its further fields.
pub fn key_entry(name: &str, tenant: &str, key: &str, more: &str) -> String {
    let hash = Sha256::digest(key).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("[[key]]\nname = \"{name}\"\ntenant = \"{tenant}\"\nsha256 = \"{hash}\"\n{more}\n")
}

/// Whole or not at all: a service that reads meanwhile never sees half a file.
fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
