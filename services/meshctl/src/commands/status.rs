//! `meshctl status`: what runs from this home.

use std::time::Duration;

use serde::Serialize;

use crate::{
    error::{Failure, Result, UNAVAILABLE},
    home::Home,
    output::{Colour, Screen, table},
    run_file::{MeshLock, RunFile, State, Supervisor, unix_now},
    supervise::probe::http_status,
};

#[derive(Debug, Serialize)]
struct Status {
    meshctl: Supervisor,
    services: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    pid: Option<u32>,
    address: String,
    admin: String,
    ready: bool,
    uptime_seconds: u64,
    restarts: u32,
}

/// Shows the services; each is asked now.
pub(crate) async fn status(home: &Home, screen: &Screen) -> Result<()> {
    let Some(run) = RunFile::read(home)?.filter(|_| MeshLock::is_taken(home).unwrap_or(false)) else {
        let problem = format!("no mesh is running from {}", home.shown().display());
        return Err(
            Failure::new(UNAVAILABLE, problem).help("`meshctl up --detach` starts one; --home or TORCHMESH_HOME names another home")
        );
    };
    let mut services = Vec::new();
    for (name, service) in run.services {
        let address = |key: &str| service.addresses.get(key).cloned().unwrap_or_default();
        let (address, admin) = (address("main"), address("admin"));
        let ready = service.pid.is_some() && http_status(&admin, "/ready").await == Some(200);
        let uptime_seconds = service.pid.map_or(0, |_| unix_now().saturating_sub(service.started_at));
        services.push(Row { name, pid: service.pid, address, admin, ready, uptime_seconds, restarts: service.restarts });
    }
    let status = Status { meshctl: run.meshctl, services };
    screen.show(&status, || text(&status, screen))
}

fn text(status: &Status, screen: &Screen) -> String {
    let row = |row: &Row| {
        let ready = match (row.ready, row.pid) {
            (true, _) => screen.paint(Colour::Green, "yes"),
            (false, Some(_)) => screen.paint(Colour::Yellow, "no"),
            (false, None) => screen.paint(Colour::Red, "down"),
        };
        let pid = row.pid.map_or_else(String::new, |pid| pid.to_string());
        let uptime = uptime(Duration::from_secs(row.uptime_seconds));
        [row.name.clone(), pid, row.address.clone(), row.admin.clone(), ready, uptime, row.restarts.to_string()]
    };
    let services = table(["service", "pid", "address", "admin", "ready", "uptime", "restarts"], status.services.iter().map(row));
    let state = match status.meshctl.state {
        State::Starting => "starting",
        State::Ready => "up",
        State::Stopping => "stopping",
    };
    let since = uptime(Duration::from_secs(unix_now().saturating_sub(status.meshctl.started_at)));
    format!("{services}\n\n{}", screen.paint(Colour::Dim, &format!("{state} for {since}; meshctl has pid {}", status.meshctl.pid)))
}

/// A duration as people say it: its two largest units.
fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_its_two_largest_units() {
        let said = |seconds| uptime(Duration::from_secs(seconds));
        assert_eq!([said(0), said(59), said(61), said(3600), said(90_000)], ["0s", "59s", "1m01s", "1h00m", "1d01h"]);
    }
}
