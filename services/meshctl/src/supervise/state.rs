//! What is known of a running mesh, and the two files that others know it by: `run.json` and `discovery.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Instant,
};

use super::{event::Event, instance::Change};
use crate::{
    error::{Result, USAGE},
    home::{Home, replace},
    mesh::{Instance, Kind},
    run_file::{RunFile, Service, State, Supervisor, unix_now},
};

/// An instance that ended so often in a row without ever being ready will not come up by itself.
const HOPELESS: u32 = 5;

/// What is known of a running mesh.
#[derive(Debug)]
pub(super) struct Known {
    run: RunFile,
    kinds: BTreeMap<String, Kind>,
    logs: BTreeMap<String, String>,
    started: BTreeMap<String, Instant>,
    /// Who has been ready at least once.
    proven: BTreeSet<String>,
    written: Option<(RunFile, String)>,
}

/// What a change means for those who wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing to say.
    Silence,
    /// Something to say.
    Say(Event),
    /// The instance will not come up: how it ended.
    Hopeless(String),
}

impl Known {
    /// A mesh of which nothing runs yet.
    pub(super) fn new(instances: &[Instance]) -> Self {
        let meshctl = Supervisor {
            pid: std::process::id(),
            state: State::Starting,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: unix_now(),
        };
        Self {
            run: RunFile { meshctl, services: instances.iter().map(|one| (one.name.clone(), Service::default())).collect() },
            kinds: instances.iter().map(|one| (one.name.clone(), one.kind)).collect(),
            logs: instances.iter().map(|one| (one.name.clone(), one.log.display().to_string())).collect(),
            started: BTreeMap::new(),
            proven: BTreeSet::new(),
            written: None,
        }
    }

    /// What is in `run.json`.
    pub(super) fn run(&self) -> &RunFile {
        &self.run
    }

    /// Notes how far the mesh is.
    pub(super) fn set_state(&mut self, state: State) {
        self.run.meshctl.state = state;
    }

    /// Whether every instance takes calls.
    pub(super) fn all_ready(&self) -> bool {
        self.run.services.values().all(|service| service.ready)
    }

    /// The instances that do not take calls, in the order in which calls flow.
    pub(super) fn not_ready(&self) -> Vec<&str> {
        let waiting = self.run.services.iter().filter(|(_, service)| !service.ready);
        let mut names: Vec<_> = waiting.map(|(name, _)| name.as_str()).collect();
        names.sort_by_key(|name| self.kinds[*name]);
        names
    }

    /// Takes a change in.
    pub(super) fn apply(&mut self, name: &str, change: Change) -> Consequence {
        let Some(service) = self.run.services.get_mut(name) else { return Consequence::Silence };
        let instance = name.to_owned();
        match change {
            Change::Started { pid } => {
                self.started.insert(instance, Instant::now());
                (service.pid, service.started_at) = (Some(pid), unix_now());
                Consequence::Silence
            }
            Change::Listening { addresses } => {
                service.addresses = addresses;
                Consequence::Say(Event::Listening { instance })
            }
            Change::Ready(true) => {
                service.ready = true;
                self.proven.insert(instance.clone());
                let after_ms = self.started.get(name).map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
                Consequence::Say(Event::Ready { instance, after_ms })
            }
            Change::Ready(false) => {
                service.ready = false;
                Consequence::Say(Event::NotReady { instance })
            }
            Change::Exited { how, code, failures, retry_in } => {
                let restarts = service.restarts.saturating_add(1);
                *service = Service { restarts, ..Service::default() };
                // Settings that are wrong stay wrong, however often the service is started with them.
                if !self.proven.contains(name) && (failures >= HOPELESS || code == Some(i32::from(USAGE))) {
                    return Consequence::Hopeless(how);
                }
                let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
                Consequence::Say(Event::Exited { instance, how, retry_ms, log: self.logs[name].clone() })
            }
            Change::Stopped => {
                self.run.services.remove(name);
                Consequence::Silence
            }
        }
    }

    /// Writes both files, those that changed.
    pub(super) fn publish(&mut self, home: &Home) -> Result<()> {
        let discovery = self.discovery();
        let (run_changed, discovery_changed) = match &self.written {
            Some((run, text)) => (*run != self.run, *text != discovery),
            None => (true, true),
        };
        if discovery_changed {
            replace(&home.discovery(), &discovery, 0o644)?;
        }
        if run_changed {
            self.run.write(home)?;
        }
        self.written = Some((self.run.clone(), discovery));
        Ok(())
    }

    /// The text of `discovery.toml`: the instances that take calls now.
    fn discovery(&self) -> String {
        let mut text = "# Written by `meshctl up`: the instances that take calls.\n".to_owned();
        for (name, service) in &self.run.services {
            let kind = self.kinds[name];
            if let (Some(service_name), true, Some(address)) = (kind.discovered_as(), service.ready, service.addresses.get("main")) {
                let _ = write!(text, "\n[[instance]]\nservice = \"{service_name}\"\nid = \"{name}\"\naddress = \"{address}\"\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;

    fn known() -> Known {
        let instance = |name: &str, kind| Instance {
            name: name.to_owned(),
            kind,
            arguments: Vec::new(),
            announce: PathBuf::new(),
            log: PathBuf::from("log"),
        };
        Known::new(&[instance("gateway", Kind::Gateway), instance("worker-1", Kind::Worker), instance("worker-2", Kind::Worker)])
    }

    fn bring_up(known: &mut Known, name: &str, port: u16) {
        known.apply(name, Change::Started { pid: u32::from(port) });
        let addresses = BTreeMap::from([("main".to_owned(), format!("127.0.0.1:{port}"))]);
        known.apply(name, Change::Listening { addresses });
        known.apply(name, Change::Ready(true));
    }

    fn exit(known: &mut Known, name: &str, code: i32, failures: u32) -> Consequence {
        let how = format!("exit status: {code}");
        known.apply(name, Change::Exited { how, code: Some(code), failures, retry_in: Duration::from_secs(1) })
    }

    #[test]
    fn only_ready_instances_can_be_discovered_and_never_the_gateway() {
        let mut known = known();
        assert!(!known.discovery().contains("[[instance]]"));
        bring_up(&mut known, "gateway", 1);
        bring_up(&mut known, "worker-2", 3);
        let table: toml::Table = known.discovery().parse().unwrap();
        let instances = table["instance"].as_array().unwrap();
        assert_eq!(instances.len(), 1);
        assert_eq!((instances[0]["id"].as_str(), instances[0]["address"].as_str()), (Some("worker-2"), Some("127.0.0.1:3")));
        known.apply("worker-2", Change::Ready(false));
        assert!(!known.discovery().contains("[[instance]]"));
    }

    #[test]
    fn whoever_serves_pipelines_is_a_worker_to_the_routers() {
        let log = PathBuf::from("log");
        let pipelines =
            Instance { name: "pipelines".to_owned(), kind: Kind::Pipelines, arguments: Vec::new(), announce: PathBuf::new(), log };
        let mut known = Known::new(&[pipelines]);
        bring_up(&mut known, "pipelines", 4);
        let table: toml::Table = known.discovery().parse().unwrap();
        let instance = &table["instance"][0];
        assert_eq!((instance["service"].as_str(), instance["id"].as_str()), (Some("worker"), Some("pipelines")));
    }

    #[test]
    fn an_instance_that_ended_is_gone_from_both_files_until_it_is_back() {
        let mut known = known();
        bring_up(&mut known, "worker-1", 2);
        let said = exit(&mut known, "worker-1", 1, 1);
        assert!(matches!(said, Consequence::Say(Event::Exited { retry_ms: 1000, .. })), "{said:?}");
        let service = &known.run().services["worker-1"];
        assert_eq!((service.pid, service.ready, service.restarts), (None, false, 1));
        assert!(service.addresses.is_empty() && !known.discovery().contains("worker-1"));
        bring_up(&mut known, "worker-1", 4);
        assert!(known.discovery().contains("127.0.0.1:4"));
    }

    #[test]
    fn wrong_settings_and_endless_crashes_at_the_start_are_hopeless() {
        assert_eq!(exit(&mut known(), "worker-1", 64, 1), Consequence::Hopeless("exit status: 64".into()));
        assert_eq!(exit(&mut known(), "worker-1", 1, HOPELESS), Consequence::Hopeless("exit status: 1".into()));
    }

    #[test]
    fn an_instance_that_was_ready_once_is_never_given_up() {
        let mut known = known();
        bring_up(&mut known, "worker-1", 2);
        assert!(matches!(exit(&mut known, "worker-1", 64, 90), Consequence::Say(_)));
    }

    #[test]
    fn a_mesh_is_ready_when_all_of_it_is() {
        let mut known = known();
        bring_up(&mut known, "gateway", 1);
        bring_up(&mut known, "worker-1", 2);
        assert!(!known.all_ready());
        assert_eq!(known.not_ready(), ["worker-2"]);
        bring_up(&mut known, "worker-2", 3);
        assert!(known.all_ready());
    }
}
