//! What can be known to be wrong before anything is started: a missing program, a wrong setting, a port in use.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{Kind, Mesh, Plan};
use crate::{
    error::{FAILED, Failure, Result, UNAVAILABLE, USAGE},
    home::{Home, replace},
};

/// The folder of the services' programs: the given one, else the one that `meshctl` is in.
pub(crate) fn bin_dir(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return std::path::absolute(given).map_err(|error| Failure::file("find", given, &error));
    }
    let me = std::env::current_exe().map_err(|error| Failure::new(FAILED, format!("cannot find meshctl's own program: {error}")))?;
    Ok(me.parent().map_or_else(PathBuf::new, Path::to_owned))
}

/// Checks everything, and writes the settings where the services will read them.
pub(crate) async fn check(mesh: &Mesh, home: &Home, bin_dir: &Path) -> Result<()> {
    programs(mesh, bin_dir)?;
    mesh.services.iter().filter(|plan| plan.kind == Kind::Worker).try_for_each(models)?;
    for plan in &mesh.services {
        let text = format!("# Written by `meshctl up`, which replaces it each time. Change mesh.toml instead.\n{}", plan.settings);
        replace(&home.config(plan.kind.name()), &text, 0o600)?;
    }
    settings(mesh, home, bin_dir).await?;
    mesh.services.iter().try_for_each(ports)
}

fn programs(mesh: &Mesh, bin_dir: &Path) -> Result<()> {
    let names = mesh.services.iter().map(|plan| plan.kind.program());
    let missing: Vec<_> = names.filter(|name| !bin_dir.join(name).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let problem = format!("not in {}: {}", bin_dir.display(), missing.join(", "));
    Err(Failure::new(FAILED, problem).help("`make build` builds every service; --bin-dir names another folder"))
}

/// A mesh without a model would never be ready.
fn models(worker: &Plan) -> Result<()> {
    let Some(folder) = worker.setting("models_dir", |name| std::env::var(name).ok()).map(PathBuf::from) else { return Ok(()) };
    if count_models(&folder) > 0 {
        return Ok(());
    }
    let problem = format!("there is no model in {}", folder.display());
    Err(Failure::new(FAILED, problem).help("`make setup` puts the demo model there; a model is a folder with a model.toml"))
}

/// How many models are in a repository: folders with a manifest.
pub(crate) fn count_models(repository: &Path) -> usize {
    let entries = std::fs::read_dir(repository).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().join("model.toml").is_file()).count()
}

/// Lets every service check its own settings, and reports what any of them found.
async fn settings(mesh: &Mesh, home: &Home, bin_dir: &Path) -> Result<()> {
    let mut checks = Vec::new();
    for plan in &mesh.services {
        let mut command = Command::new(bin_dir.join(plan.kind.program()));
        command.args(plan.arguments(home)).arg("--check").stdin(Stdio::null()).kill_on_drop(true);
        checks.push((plan.kind.program(), tokio::spawn(async move { command.output().await })));
    }
    let mut reports = Vec::new();
    for (program, check) in checks {
        let output = check.await.map_err(|error| Failure::new(FAILED, format!("the check of {program} ended early: {error}")))?;
        let output = output.map_err(|error| Failure::new(FAILED, format!("cannot run {program}: {error}")))?;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            reports.push(if said.is_empty() { format!("{program} --check ended with {}", output.status) } else { said });
        }
    }
    if reports.is_empty() { Ok(()) } else { Err(Failure::new(USAGE, reports.join("\n"))) }
}

/// Checks that the ports which are not picked by the kernel are free.
fn ports(plan: &Plan) -> Result<()> {
    let service = plan.kind.name();
    for key in ["addr", "admin_addr"] {
        let address = plan.setting(key, |name| std::env::var(name).ok()).and_then(|text| text.parse::<SocketAddr>().ok());
        let Some(address) = address.filter(|address| address.port() != 0) else { continue };
        if let Err(error) = TcpListener::bind(address) {
            let variable = format!("TORCHMESH_{}_{}", service.to_uppercase(), key.to_uppercase());
            let problem = match error.kind() {
                ErrorKind::AddrInUse => format!("{address} is in use by another program; the {service} cannot listen there"),
                _ => format!("the {service} cannot listen at {address}: {error}"),
            };
            let help = format!("stop that program, or choose another address: {variable}=127.0.0.1:PORT, or {service}.{key} in mesh.toml");
            return Err(Failure::new(UNAVAILABLE, problem).help(help));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_manifest_is_not_a_model() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(count_models(&folder.path().join("absent")), 0);
        std::fs::create_dir_all(folder.path().join("a")).unwrap();
        std::fs::create_dir_all(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/model.toml"), "").unwrap();
        assert_eq!(count_models(folder.path()), 1);
    }
}
