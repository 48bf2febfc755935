//! `meshctl top`: what goes on, version by version.

use std::{collections::BTreeMap, io::IsTerminal as _, io::Write as _, time::Duration};

use serde::Serialize;
use torchmesh_api::admin::v1::{GetTrafficRequest, GetTrafficResponse, VersionTraffic};

use super::operator::Operator;
use crate::{
    cli::{RouterArgs, TopArgs},
    error::{Result, UNAVAILABLE},
    home::Home,
    output::{Colour, Screen, table},
    run_file::RunFile,
};

/// Back to the first line, and everything below it away.
const FROM_THE_TOP: &str = "\u{1b}[H\u{1b}[J";

/// Model, and version as a number and as text: what rows are ordered by.
type Place = (String, u64, String);
/// Counts of all routers, and how many calls took how many microseconds.
type Sum = (VersionTraffic, BTreeMap<u64, u64>);

/// A version in an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Row {
    model: String,
    version: String,
    calls_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    failed: u64,
    refused: u64,
    in_flight: u64,
    queued: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    compared: u64,
    disagreed: u64,
}

/// Shows it, again and again on a terminal.
pub(crate) async fn top(args: &TopArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut routers = connect(&args.router, home).await?;
    let live = !args.once && !screen.is_json() && std::io::stdout().is_terminal();
    let mut before = ask(&mut routers).await?;
    loop {
        tokio::time::sleep(args.every).await;
        let now = ask(&mut routers).await?;
        let rows = rows(&before, &now, args.every);
        if live {
            print!("{FROM_THE_TOP}");
            // Nowhere is left to say that the terminal is gone.
            let _ = std::io::stdout().flush();
        }
        screen.show(&rows, || text(&rows, screen))?;
        if !live {
            return Ok(());
        }
        before = now;
    }
}

/// The routers that were named, or all of the local mesh.
async fn connect(args: &RouterArgs, home: &Home) -> Result<Vec<Operator>> {
    let known: Vec<String> = match &args.router {
        Some(named) => named.split(',').map(|router| router.trim().to_owned()).collect(),
        None => RunFile::read(home)?.map(|run| run.routers()).unwrap_or_default(),
    };
    if known.is_empty() {
        return Ok(vec![Operator::connect(args, home).await?]);
    }
    let mut routers = Vec::new();
    for address in known {
        routers.push(Operator::connect(&RouterArgs { router: Some(address), ..args.clone() }, home).await?);
    }
    Ok(routers)
}

/// What each router has counted, by the name of its process. A router that has gone is left out, as long as another is there.
async fn ask(routers: &mut [Operator]) -> Result<BTreeMap<String, GetTrafficResponse>> {
    let mut counted = BTreeMap::new();
    let mut failed = None;
    for router in routers {
        let request = router.request(GetTrafficRequest {});
        match router.admin.get_traffic(request).await {
            Ok(answer) => drop(counted.insert(answer.get_ref().router.clone(), answer.into_inner())),
            Err(status) => failed = Some(status),
        }
    }
    match failed {
        Some(status) if counted.is_empty() => Err(crate::error::Failure::new(UNAVAILABLE, status.message())),
        _ => Ok(counted),
    }
}

fn rows(before: &BTreeMap<String, GetTrafficResponse>, now: &BTreeMap<String, GetTrafficResponse>, every: Duration) -> Vec<Row> {
    let mut sums: BTreeMap<Place, Sum> = BTreeMap::new();
    for (router, counted) in now {
        let was = before.get(router);
        for version in &counted.versions {
            let same =
                |other: &&VersionTraffic| (&other.model, &other.version, other.epoch) == (&version.model, &version.version, version.epoch);
            // Without an earlier look there is nothing to compare with: what was counted before is not of this interval.
            let old = was.and_then(|was| was.versions.iter().find(same)).unwrap_or(version);
            let number = version.version.parse().unwrap_or(u64::MAX);
            let (sum, latencies) = sums.entry((version.model.clone(), number, version.version.clone())).or_default();
            sum.begun += version.begun - old.begun;
            sum.errors += version.errors - old.errors;
            sum.refused += version.refused - old.refused;
            sum.compared += version.compared - old.compared;
            sum.disagreed += version.disagreed - old.disagreed;
            sum.in_flight += version.in_flight;
            // Each router goes by what it was told; the workers are the same.
            sum.queued = sum.queued.max(version.queued);
            sum.percent = version.percent.or(sum.percent);
            let counts = |told: &VersionTraffic| told.latencies.iter().map(|one| (one.from_us, one.count)).collect::<BTreeMap<_, _>>();
            let earlier = counts(old);
            for (from_us, count) in counts(version) {
                *latencies.entry(from_us).or_default() += count - earlier.get(&from_us).copied().unwrap_or(0);
            }
        }
    }
    let row = |((model, _, version), (sum, latencies)): (Place, Sum)| Row {
        model,
        version,
        calls_per_second: sum.begun as f64 / every.as_secs_f64(),
        p50_ms: percentile(&latencies, 0.5),
        p99_ms: percentile(&latencies, 0.99),
        failed: sum.errors,
        refused: sum.refused,
        in_flight: sum.in_flight,
        queued: sum.queued,
        weight: sum.percent,
        compared: sum.compared,
        disagreed: sum.disagreed,
    };
    sums.into_iter().map(row).collect()
}

/// In milliseconds; 0 when there were no answers.
fn percentile(latencies: &BTreeMap<u64, u64>, share: f64) -> f64 {
    let wanted = ((latencies.values().sum::<u64>() as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    let found = latencies.iter().find(|(_, count)| {
        seen += **count;
        seen >= wanted
    });
    found.map_or(0.0, |(from_us, _)| *from_us as f64 / 1000.0)
}

fn text(rows: &[Row], screen: &Screen) -> String {
    let total: f64 = rows.iter().map(|row| row.calls_per_second).sum();
    let line = |row: &Row| {
        let of_model: f64 = rows.iter().filter(|other| other.model == row.model).map(|other| other.calls_per_second).sum();
        let share = if of_model > 0.0 { format!("{:.0}%", row.calls_per_second / of_model * 100.0) } else { "-".to_owned() };
        let time = |ms: f64| if ms > 0.0 { format!("{ms:.2}") } else { "-".to_owned() };
        let failed = if row.failed > 0 { screen.paint(Colour::Red, &row.failed.to_string()) } else { "0".to_owned() };
        let agree = if row.compared > 0 { format!("{} of {} differ", row.disagreed, row.compared) } else { String::new() };
        [
            row.model.clone(),
            row.version.clone(),
            format!("{:.0}", row.calls_per_second),
            share,
            time(row.p50_ms),
            time(row.p99_ms),
            failed,
            row.refused.to_string(),
            row.in_flight.to_string(),
            row.queued.to_string(),
            row.weight.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%")),
            agree,
        ]
    };
    let heading =
        ["model", "version", "calls/s", "share", "p50 ms", "p99 ms", "failed", "refused", "in flight", "queue", "weight", "copies"];
    format!("{}\n\n{total:.0} calls/s", table(heading, rows.iter().map(line)))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::admin::v1::Latencies;

    use super::*;

    #[test]
    fn what_waits_is_told_by_whoever_knows_most_and_the_weight_by_whoever_has_the_route() {
        let one = |router: &str, queued, percent| {
            let (name, mut counted) = counted(router, 0, 1, &[]);
            counted.versions[0].queued = queued;
            counted.versions[0].percent = percent;
            (name, counted)
        };
        let now = BTreeMap::from([one("a", 3, None), one("b", 9, Some(12.5)), one("c", 1, None)]);
        let rows = rows(&now, &now, Duration::from_secs(1));
        assert_eq!((rows[0].queued, rows[0].weight), (9, Some(12.5)));
        let shown = text(&rows, &Screen::plain());
        assert!(shown.contains("QUEUE") && shown.contains("12.5%"), "{shown}");
    }

    fn counted(router: &str, begun: u64, epoch: u64, latencies: &[(u64, u64)]) -> (String, GetTrafficResponse) {
        let latencies = latencies.iter().map(|&(from_us, count)| Latencies { bucket: 0, from_us, count }).collect();
        let version = VersionTraffic { model: "m".into(), version: "1".into(), epoch, begun, latencies, ..VersionTraffic::default() };
        (router.to_owned(), GetTrafficResponse { router: router.to_owned(), versions: vec![version] })
    }

    #[test]
    fn routers_are_added_up_and_only_what_came_between_counts() {
        let before = BTreeMap::from([counted("a", 100, 1, &[(1000, 100)])]);
        let now = BTreeMap::from([counted("a", 110, 1, &[(1000, 105), (9000, 5)]), counted("b", 70, 2, &[(1000, 70)])]);
        let rows = rows(&before, &now, Duration::from_secs(2));
        assert_eq!(rows.len(), 1);
        assert!((rows[0].calls_per_second - 5.0).abs() < 1e-9, "{rows:?}");
        assert!((rows[0].p50_ms - 1.0).abs() < 1e-9 && (rows[0].p99_ms - 9.0).abs() < 1e-9, "{rows:?}");
    }
}
