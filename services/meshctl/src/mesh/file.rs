//! Reading `mesh.toml`: a table for each service, `instances` for `meshctl`, the rest for the service.

use toml::{Table, Value};
use torchmesh_runtime::config::{FromSetting as _, Problem, Problems};

use super::{Kind, Plan};

/// Lays the file's settings over the plans.
pub(super) fn overlay(services: &mut [Plan], text: &str, problems: &mut Problems) {
    let mut report = |field: &str, message: String| problems.0.push(Problem { field: field.to_owned(), message });
    let file: Table = match text.parse() {
        Ok(file) => file,
        Err(error) => return report("file", error.to_string().trim_end().replace('\n', "\n  ")),
    };
    for (name, value) in file {
        let plan = services.iter_mut().find(|plan| plan.kind.name() == name);
        match (plan, value) {
            (Some(plan), Value::Table(table)) => overlay_service(plan, table, &mut report),
            (Some(_), other) => report(&name, format!("must be a table ([{name}]), not {}", other.type_str())),
            (None, _) => report(&name, "is not a service; known are gateway, pipelines, router, worker, accounts, portal".to_owned()),
        }
    }
}

fn overlay_service(plan: &mut Plan, mut table: Table, report: &mut dyn FnMut(&str, String)) {
    // Whoever writes a table for a service wants it.
    plan.instances = plan.instances.max(1);
    if let Some(value) = table.remove("instances") {
        let field = format!("{}.instances", plan.kind.name());
        let (least, most, why) = match plan.kind {
            Kind::Gateway => (1, 1, ": a local mesh has one front door"),
            Kind::Router => (1, 16, ""),
            Kind::Worker => (1, 64, ""),
            Kind::Pipelines => (0, 16, ""),
            Kind::Portal => (0, 1, ": people type its one address"),
            Kind::Accounts => (0, 1, ": the embedded database is one process's"),
        };
        match u32::from_setting(&value) {
            Ok(count) if (least..=most).contains(&count) => plan.instances = count,
            Ok(count) if least == most => report(&field, format!("must be {least}, not {count}{why}")),
            Ok(count) => report(&field, format!("must be from {least} to {most}, not {count}{why}")),
            Err(message) => report(&field, message),
        }
    }
    plan.give_way(|setting| {
        let mut parts = setting.split('.');
        let first = parts.next().and_then(|part| table.get(part));
        parts.try_fold(first, |value, part| Some(value?.get(part))).flatten().is_some()
    });
    merge(&mut plan.settings, table);
}

/// Puts `over` on `under`; tables are merged, anything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}
