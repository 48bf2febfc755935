//! What `docs/configuration.md` lists is what the services take: a setting that is missing there, or that no longer exists, fails here.

use std::{collections::BTreeSet, process::Command};

use torchmesh_tests::places;

/// Every table that any service has.
const TABLES: [&str; 33] = [
    "batches",
    "payments",
    "gateway",
    "router",
    "playground",
    "cache",
    "cors",
    "limits",
    "tls",
    "drain",
    "telemetry",
    "discovery",
    "store",
    "shadow",
    "probe",
    "retry",
    "hedge",
    "hold",
    "balance",
    "breaker",
    "oauth",
    "mesh_tls",
    "accounts_tls",
    "router_tls",
    "metering",
    "accounts",
    "database",
    "mail",
    "mail.smtp",
    "billing",
    "webhooks",
    "retention",
    "sign_in",
];

/// What a service says it takes, when it is asked for something that it does not know: every setting as `key` or `table.key`.
fn taken_by(service: &str) -> BTreeSet<String> {
    let mut command = Command::new(places::program(&format!("torchmesh-{service}")));
    command.args(["--check", "--set", "unheard_of=1"]).env_clear();
    for table in TABLES {
        command.arg("--set").arg(format!("{table}.unheard_of=1"));
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{service} took a setting that does not exist");
    let report = String::from_utf8(output.stderr).unwrap();
    let known = report.lines().filter_map(|line| line.trim().split_once("unheard_of: is not a setting here; known are: "));
    let settings = known.flat_map(|(table, names)| names.split(", ").map(move |name| format!("{table}{name}")));
    settings.filter(|name| !TABLES.contains(&name.as_str())).collect()
}

/// What the guide says that a service takes: the first column of its tables, under a heading that is for this service.
fn documented_for(service: &str) -> BTreeSet<String> {
    let guide = std::fs::read_to_string(places::repository().join("docs/configuration.md")).unwrap();
    let mut settings = BTreeSet::new();
    let mut applies = false;
    for line in guide.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            applies = heading == "Every service" || heading.to_lowercase().split(" and ").any(|named| named == service);
        }
        let first = line.strip_prefix("| `").and_then(|rest| rest.split(" | ").next());
        let Some(first) = first.filter(|_| applies) else { continue };
        // "`keys_file` (gateway)": only that one has it.
        let whose = first.split_once('(').map(|(_, rest)| rest.trim_end_matches(')'));
        if whose.is_none_or(|whose| whose == service) {
            let names = first.split('(').next().unwrap_or_default().split(", ");
            settings.extend(names.map(|name| name.trim().trim_matches('`').to_owned()));
        }
    }
    settings
}

#[test]
fn the_guide_lists_every_setting_of_the_gateway() {
    assert_eq!(documented_for("gateway"), taken_by("gateway"));
}

#[test]
fn the_guide_lists_every_setting_of_the_router() {
    assert_eq!(documented_for("router"), taken_by("router"));
}

#[test]
fn the_guide_lists_every_setting_of_the_worker() {
    assert_eq!(documented_for("worker"), taken_by("worker"));
}

#[test]
fn the_guide_lists_every_setting_of_the_portal() {
    assert_eq!(documented_for("portal"), taken_by("portal"));
}

#[test]
fn the_guide_lists_every_setting_of_the_pipelines() {
    let documented = documented_for("pipelines");
    // Tables that are as the gateway's are named as such.
    let whole =
        |name: String| name.split_once('.').map(|(table, _)| table.to_owned()).filter(|table| documented.contains(table)).unwrap_or(name);
    assert_eq!(documented, taken_by("pipelines").into_iter().map(whole).collect());
}

#[test]
fn the_guide_lists_every_setting_of_the_accounts() {
    assert_eq!(documented_for("accounts"), taken_by("accounts"));
}
