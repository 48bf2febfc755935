//! What a local mesh consists of: which services, how many instances of each, and their settings.

mod accounts;
mod file;
mod portal;
pub(crate) mod preflight;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use toml::{Table, Value};
use torchmesh_runtime::config::{FromSetting as _, Problem, Problems};

use crate::{
    cli::UpArgs,
    error::{Failure, Result, USAGE},
    home::Home,
};

/// A service that `meshctl` runs. The order is that of stopping: first who calls, then who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Shows people what there is.
    Portal,
    /// Decides who may call.
    Gateway,
    /// Chains models into one call. It calls the routers, and they call it.
    Pipelines,
    /// Decides who answers.
    Router,
    /// Runs models.
    Worker,
    /// Knows the callers.
    Accounts,
}

impl Kind {
    /// Every kind, in the order of stopping.
    pub(crate) const ALL: [Self; 6] = [Self::Portal, Self::Gateway, Self::Pipelines, Self::Router, Self::Worker, Self::Accounts];

    /// The service's name, in settings, files and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::Gateway => "gateway",
            Self::Pipelines => "pipelines",
            Self::Router => "router",
            Self::Worker => "worker",
            Self::Accounts => "accounts",
        }
    }

    /// The service's program.
    pub(crate) fn program(self) -> String {
        format!("torchmesh-{}", self.name())
    }

    /// As what other services find it in the discovery file; none: they do not. To a router, what serves pipelines is a worker.
    pub(crate) fn discovered_as(self) -> Option<&'static str> {
        match self {
            Self::Router => Some("router"),
            Self::Worker | Self::Pipelines => Some("worker"),
            Self::Gateway | Self::Accounts | Self::Portal => None,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A local mesh.
#[derive(Debug, Clone)]
pub(crate) struct Mesh {
    /// Its services, in the order of stopping.
    pub(crate) services: Vec<Plan>,
}

/// One service of a mesh.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Which service.
    pub(crate) kind: Kind,
    /// How many processes.
    pub(crate) instances: u32,
    /// Its settings: the built-in ones of a local mesh, with the file's over them.
    pub(crate) settings: Table,
    /// Settings that beat the environment, each `key=value`.
    pub(crate) flags: Vec<String>,
}

/// One process of a mesh.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `worker`, or `worker-1` where there are more.
    pub(crate) name: String,
    /// Which service it is.
    pub(crate) kind: Kind,
    /// The program's arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Where it writes its addresses.
    pub(crate) announce: PathBuf,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

impl Mesh {
    /// The mesh that the arguments ask for. Every mistake in them and in the file is reported at once.
    pub(crate) fn load(args: &UpArgs, home: &Home) -> Result<Self> {
        let mut problems = Problems::default();
        let mut services: Vec<_> = Kind::ALL.into_iter().map(|kind| Plan::built_in(kind, home)).collect();
        let source = match &args.config {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
                file::overlay(&mut services, &text, &mut problems);
                path.display().to_string()
            }
            None => "the arguments".to_owned(),
        };
        if let (Some(count), Some(worker)) = (args.workers, services.iter_mut().find(|plan| plan.kind == Kind::Worker)) {
            worker.instances = count;
        }
        if args.accounts {
            services.iter_mut().filter(|plan| plan.kind == Kind::Accounts).for_each(|plan| plan.instances = 1);
        }
        if args.portal {
            services.iter_mut().filter(|plan| plan.kind == Kind::Portal).for_each(|plan| plan.instances = 1);
        }
        portal::needs(&mut services);
        for flag in &args.set {
            take_flag(&mut services, flag, &mut problems);
        }
        services.retain(|plan| plan.instances > 0);
        accounts::join(&mut services, home)?;
        portal::join(&mut services, home)?;
        if problems.0.is_empty() { Ok(Self { services }) } else { Err(wrong(&source, &problems)) }
    }

    /// Every process of the mesh.
    pub(crate) fn instances(&self, home: &Home) -> Vec<Instance> {
        self.services.iter().flat_map(|plan| (1..=plan.instances).map(|number| plan.instance(number, home))).collect()
    }
}

/// The report of every mistake in a mesh's settings.
fn wrong(source: &str, problems: &Problems) -> Failure {
    let count = problems.0.len();
    let mistakes = if count == 1 { "mistake" } else { "mistakes" };
    Failure::new(USAGE, format!("{count} {mistakes} in {source}\n{problems}")).help("`meshctl up --help` shows the form")
}

fn take_flag(services: &mut [Plan], flag: &str, problems: &mut Problems) {
    let parts = flag.split_once('=').and_then(|(path, _)| path.split_once('.'));
    let plan = parts.and_then(|(service, _)| Kind::parse(service)).and_then(|kind| services.iter_mut().find(|plan| plan.kind == kind));
    match (plan, flag.split_once('.')) {
        (Some(plan), Some((_, setting))) => {
            plan.give_way(|other| setting.starts_with(other));
            plan.flags.push(setting.to_owned());
        }
        _ => problems.0.push(Problem {
            field: format!("--set {flag}"),
            message: "must have the form SERVICE.KEY=VALUE, where SERVICE is gateway, pipelines, router, worker, accounts or portal"
                .to_owned(),
        }),
    }
}

impl Plan {
    /// The service as a local mesh runs it when nothing else is said.
    fn built_in(kind: Kind, home: &Home) -> Self {
        let path = |path: PathBuf| Value::String(path.display().to_string());
        let table = |key: &str, value: Value| Value::Table(Table::from_iter([(key.to_owned(), value)]));
        // A free port wherever nobody types it: two meshes on one machine then differ only in the gateway's address.
        let free = Value::from("127.0.0.1:0");
        let discovery = ("discovery", table("file", path(home.discovery())));
        // Long enough for `meshctl` to see that an instance is going and for its callers to be told.
        let drain = ("drain", table("delay", Value::from("400ms")));
        let settings = match kind {
            Kind::Gateway => {
                let metering = ("metering", table("folder", path(home.metering())));
                let batches = ("batches", table("folder", path(home.batches())));
                vec![("addr", Value::from("127.0.0.1:8080")), ("keys_file", path(home.keys())), discovery, metering, batches]
            }
            Kind::Router => vec![("addr", free.clone()), discovery, ("store", table("folder", path(home.control()))), drain],
            Kind::Worker => vec![("addr", free.clone()), ("models_dir", path(home.models())), drain],
            Kind::Portal => vec![("addr", Value::from(portal::ADDRESS))],
            Kind::Pipelines => {
                let own = [("pipelines_dir", path(home.pipelines())), ("tell_steps", Value::Boolean(true))];
                [("addr", free.clone()), discovery, drain].into_iter().chain(own).collect()
            }
            Kind::Accounts => accounts::built_in(home).into_iter().chain([drain]).collect(),
        };
        let settings = settings.into_iter().chain([("admin_addr", free)]).map(|(key, value)| (key.to_owned(), value)).collect();
        let instances = match kind {
            // Only where it is asked for: the keys file does for a mesh of one person.
            Kind::Accounts | Kind::Portal => 0,
            // Whoever has pipelines wants them.
            Kind::Pipelines => u32::from(home.pipelines().is_dir()),
            Kind::Gateway | Kind::Router | Kind::Worker => 1,
        };
        Self { kind, instances, settings, flags: Vec::new() }
    }

    /// Takes a built-in setting away where another is given that it cannot stand beside; `given` says whether one is.
    fn give_way(&mut self, given: impl Fn(&str) -> bool) {
        for (table, key, others) in [
            ("discovery", "file", ["discovery.consul", "discovery.dns", "discovery.kubernetes"]),
            ("store", "folder", ["store.consul", "store.kubernetes", "routes_file"]),
        ] {
            if others.into_iter().any(&given)
                && let Some(Value::Table(built_in)) = self.settings.get_mut(table)
            {
                built_in.remove(key);
            }
        }
    }

    /// What the service will see as the setting `key` (`table.key`): the flag, else the environment, else the file.
    pub(crate) fn setting(&self, key: &str, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
        let flag = self.flags.iter().rev().filter_map(|flag| flag.split_once('=')).find(|(name, _)| *name == key);
        let variable = format!("TORCHMESH_{}_{}", self.kind.name().to_uppercase(), key.replace('.', "__").to_uppercase());
        let from_file = || {
            let mut parts = key.split('.');
            let first = self.settings.get(parts.next()?)?;
            parts
                .try_fold(first, |value, part| value.get(part))
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        flag.map(|(_, value)| value.to_owned()).or_else(|| environment(&variable)).or_else(from_file)
    }

    /// How long a drain of the service may take, by its own settings.
    pub(crate) fn drain_limit(&self, environment: impl Fn(&str) -> Option<String>) -> Duration {
        let read = |key, default| {
            let text = self.setting(key, &environment).map(Value::String);
            text.and_then(|text| Duration::from_setting(&text).ok()).unwrap_or(default)
        };
        read("drain.delay", Duration::ZERO) + read("drain.grace", Duration::from_secs(30))
    }

    /// The arguments that every instance of the service has.
    pub(crate) fn arguments(&self, home: &Home) -> Vec<OsString> {
        let config = [OsString::from("--config"), home.config(self.kind.name()).into_os_string()];
        config.into_iter().chain(self.flags.iter().flat_map(|flag| [OsString::from("--set"), flag.into()])).collect()
    }

    /// A setting that no two instances may share.
    fn of_instance(&self, name: &str, home: &Home) -> Option<String> {
        let metering = home.metering();
        match self.kind {
            // The others know a worker by this name.
            Kind::Worker => Some(format!("instance={name}")),
            Kind::Gateway if self.instances > 1 && self.setting("metering.folder", |_| None).as_deref() == metering.to_str() => {
                Some(format!("metering.folder={}", metering.join(name).display()))
            }
            Kind::Gateway | Kind::Pipelines | Kind::Router | Kind::Accounts | Kind::Portal => None,
        }
    }

    fn instance(&self, number: u32, home: &Home) -> Instance {
        let service = self.kind.name();
        let name = if self.instances == 1 { service.to_owned() } else { format!("{service}-{number}") };
        let announce = home.announce(&name);
        let own = [OsString::from("--announce"), announce.clone().into_os_string()];
        // Before the user's own flags, which win.
        let its_own = self.of_instance(&name, home).into_iter().flat_map(|setting| [OsString::from("--set"), setting.into()]);
        let arguments = its_own.chain(self.arguments(home)).chain(own).collect();
        Instance { log: home.log(&name), kind: self.kind, arguments, announce, name }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn load(file: Option<&str>, words: &[&str]) -> Result<Mesh> {
        let folder = tempfile::tempdir().unwrap();
        let mut words = [&["meshctl", "up"], words].concat();
        let path = folder.path().join("mesh.toml").display().to_string();
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            words.extend(["--config", &path]);
        }
        let Command::Up(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
        Mesh::load(&args, &home())
    }

    fn home() -> Home {
        Home::at(Path::new("/mesh")).unwrap()
    }

    fn names(mesh: &Mesh) -> Vec<String> {
        mesh.instances(&home()).into_iter().map(|instance| instance.name).collect()
    }

    #[test]
    fn without_a_word_there_is_one_of_each() {
        assert_eq!(names(&load(None, &[]).unwrap()), ["gateway", "router", "worker"]);
    }

    #[test]
    fn several_instances_are_numbered() {
        assert_eq!(names(&load(None, &["--workers", "2"]).unwrap()), ["gateway", "router", "worker-1", "worker-2"]);
        assert_eq!(names(&load(Some("[router]\ninstances = 2"), &[]).unwrap()), ["gateway", "router-1", "router-2", "worker"]);
    }

    #[test]
    fn the_file_changes_a_setting_and_leaves_its_neighbours() {
        let mesh = load(Some("[worker]\nthreads = 3\n[worker.drain]\ngrace = '9s'"), &[]).unwrap();
        let worker = &mesh.services[2];
        let setting = |key| worker.setting(key, |_| None);
        assert_eq!(setting("threads").as_deref(), Some("3"));
        assert_eq!(setting("drain.delay").as_deref(), Some("400ms"));
        assert_eq!(setting("models_dir").as_deref(), Some("/mesh/models"));
        assert_eq!(worker.drain_limit(|_| None), Duration::from_millis(9400));
    }

    #[test]
    fn pipelines_are_served_where_there_are_any_or_the_file_wants_them() {
        assert_eq!(names(&load(Some("[pipelines]"), &[]).unwrap()), ["gateway", "pipelines", "router", "worker"]);
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        assert_eq!(Plan::built_in(Kind::Pipelines, &home).instances, 0);
        std::fs::create_dir(home.pipelines()).unwrap();
        assert_eq!(Plan::built_in(Kind::Pipelines, &home).instances, 1);
    }

    #[test]
    fn accounts_come_when_they_are_asked_for_and_the_gateway_is_told_where_they_are() {
        assert_eq!(names(&load(Some("[accounts]"), &[]).unwrap()), ["gateway", "router", "worker", "accounts"]);
        assert_eq!(names(&load(Some("[accounts]\ninstances = 0"), &[]).unwrap()), ["gateway", "router", "worker"]);
        let mesh = load(Some("[gateway.metering]\naccounts = 'http://elsewhere:1'"), &["--accounts"]).unwrap();
        let [gateway, .., accounts] = &mesh.services[..] else { unreachable!() };
        let address = format!("http://{}", accounts.setting("addr", |_| None).unwrap());
        assert_eq!(gateway.setting("accounts.address", |_| None), Some(address));
        assert_eq!(gateway.setting("metering.accounts", |_| None).as_deref(), Some("http://elsewhere:1"), "what is said stays");
        assert_eq!(accounts.setting("folder", |_| None).as_deref(), Some("/mesh/accounts"));
        assert_eq!(accounts.setting("webhooks.key_file", |_| None).as_deref(), Some("/mesh/accounts/webhook.keys"));
        let alone = load(None, &[]).unwrap();
        assert_eq!(alone.services[0].setting("accounts.address", |_| None), None);
    }

    #[test]
    fn a_portal_brings_the_accounts_along_and_everybody_is_told_of_the_others() {
        let mesh = load(Some("[portal]\noperators = ['ada@example.org']"), &[]).unwrap();
        assert_eq!(names(&mesh), ["portal", "gateway", "router", "worker", "accounts"]);
        assert_eq!(names(&load(None, &["--portal"]).unwrap()), names(&mesh));
        let of = |kind| mesh.services.iter().find(|plan| plan.kind == kind).unwrap();
        let address = |kind| format!("http://{}", of(kind).setting("addr", |_| None).unwrap());
        let portal = |key| of(Kind::Portal).setting(key, |_| None).unwrap();
        assert_eq!(portal("accounts.address"), address(Kind::Accounts));
        assert_eq!(portal("gateway.address"), address(Kind::Gateway));
        assert_eq!(portal("router.address"), address(Kind::Router));
        assert_eq!(portal("gateway.key_file"), "/mesh/dev.key");
        let link = of(Kind::Accounts).setting("mail.link", |_| None).unwrap();
        assert_eq!(link, "http://127.0.0.1:8084/letters/{purpose}?token=");
        let told = load(Some("[portal]\n[accounts]\nsign_up = false\n[router]\ninstances = 2"), &[]).unwrap();
        let of = |kind| told.services.iter().find(|plan| plan.kind == kind).unwrap();
        assert_eq!(of(Kind::Accounts).setting("sign_up", |_| None).as_deref(), Some("false"), "what is said stays");
        assert_eq!(of(Kind::Portal).setting("router.address", |_| None), None, "several routers have no address in common");
    }

    #[test]
    fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
        let environment = |name: &str| (name == "TORCHMESH_GATEWAY_ADDR").then(|| "127.0.0.1:2".to_owned());
        let mesh = load(Some("[gateway]\naddr = '127.0.0.1:1'"), &[]).unwrap();
        assert_eq!(mesh.services[0].setting("addr", |_| None).as_deref(), Some("127.0.0.1:1"));
        assert_eq!(mesh.services[0].setting("addr", environment).as_deref(), Some("127.0.0.1:2"));
        let mesh = load(None, &["--set", "gateway.addr=127.0.0.1:3"]).unwrap();
        assert_eq!(mesh.services[0].setting("addr", environment).as_deref(), Some("127.0.0.1:3"));
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let file = "[gateway]\ninstances = 2\n[worker]\ninstances = 'two'\n[wroker]\nthreads = 1\n";
        let report = load(Some(file), &["--set", "threads=1"]).unwrap_err().to_string();
        for part in ["4 mistakes", "gateway.instances", "worker.instances", "wroker: is not a service", "--set threads=1"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn each_instance_has_its_own_log_and_announces_at_its_own_place() {
        let instances = load(None, &["--workers", "2", "--set", "worker.threads=1"]).unwrap().instances(&home());
        let worker = &instances[3];
        assert_eq!(
            (worker.log.as_path(), worker.announce.as_path()),
            (Path::new("/mesh/logs/worker-2.log"), Path::new("/mesh/announce/worker-2.json"))
        );
        let words = "--set instance=worker-2 --config /mesh/config/worker.toml --set threads=1 --announce /mesh/announce/worker-2.json";
        assert_eq!(worker.arguments, words.split(' ').map(OsString::from).collect::<Vec<_>>());
    }
}
