//! `meshctl usage`: what was used, by day, tenant and model.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;
use torchmesh_ledger::usage::Line;

use crate::{
    cli::UsageArgs,
    error::{Failure, IO, Result},
    home::Home,
    output::{Screen, table},
};

/// What one tenant has used of one model on one day, in UTC.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Row {
    day: String,
    tenant: String,
    model: String,
    calls: u64,
    errors: u64,
    prompt_tokens: u64,
    cached_tokens: u64,
    completion_tokens: u64,
    items: u64,
    audio_ms: u64,
    bytes_in: u64,
    bytes_out: u64,
    compute_us: u64,
}

impl Row {
    fn add(&mut self, line: &Line<'_>) {
        self.calls += 1;
        self.errors += u64::from(line.code != "OK" && line.code != "CANCELLED");
        self.prompt_tokens += line.prompt_tokens;
        self.cached_tokens += line.cached_tokens;
        self.completion_tokens += line.completion_tokens;
        self.items += line.items;
        self.audio_ms += line.audio_ms;
        self.bytes_in += line.bytes_in;
        self.bytes_out += line.bytes_out;
        self.compute_us += line.compute_us;
    }
}

/// Adds up lines, those of one id once.
#[derive(Debug, Default)]
struct Summary {
    seen: HashSet<String>,
    rows: BTreeMap<[String; 3], Row>,
}

impl Summary {
    fn add(&mut self, text: &str) -> std::result::Result<(), serde_json::Error> {
        let line: Line<'_> = serde_json::from_str(text)?;
        if !self.seen.insert(line.id.to_string()) {
            return Ok(());
        }
        let day = line.time.get(..10).unwrap_or_default();
        let key = [day, &line.tenant, &line.model].map(str::to_owned);
        let [day, tenant, model] = key.clone();
        self.rows.entry(key).or_insert_with(|| Row { day, tenant, model, ..Row::default() }).add(&line);
        Ok(())
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        for number in 1.. {
            text.clear();
            let read = reader.read_line(&mut text).map_err(|error| Failure::file("read", path, &error))?;
            // A line without an end is being written.
            let Some(line) = text.strip_suffix('\n').filter(|_| read > 0) else { break };
            let wrong = |error| Failure::new(IO, format!("{}:{number}: is no usage line: {error}", path.display()));
            self.add(line).map_err(wrong)?;
        }
        Ok(())
    }
}

/// Shows the sums.
pub(crate) fn usage(args: &UsageArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut files = Vec::new();
    let paths = if args.paths.is_empty() { vec![home.metering()] } else { args.paths.clone() };
    for path in &paths {
        find(path, 0, &mut files)?;
    }
    let mut summary = Summary::default();
    for file in &files {
        summary.read(file)?;
    }
    let rows: Vec<Row> = summary.rows.into_values().collect();
    screen.show(&rows, || text(&rows))
}

/// The usage files in and below a folder.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    const DEEPEST: usize = 3;
    let unreadable =
        |error: std::io::Error| Failure::file("read", path, &error).help("metering is written below the gateway's metering.folder");
    if !path.is_dir() {
        File::open(path).map_err(unreadable)?;
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let inside = entry.map_err(unreadable)?.path();
        let name = inside.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if inside.is_dir() && depth < DEEPEST {
            find(&inside, depth + 1, files)?;
        } else if name.strip_suffix(".jsonl").is_some_and(|stem| stem == "usage" || stem.starts_with("usage-")) {
            files.push(inside);
        }
    }
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let heading =
        ["day", "tenant", "model", "calls", "errors", "prompt", "cached", "completion", "items", "audio s", "MB in", "MB out", "compute s"];
    let shown = |row: &Row| {
        [
            row.day.clone(),
            row.tenant.clone(),
            if row.model.is_empty() { "-".to_owned() } else { row.model.clone() },
            row.calls.to_string(),
            row.errors.to_string(),
            row.prompt_tokens.to_string(),
            row.cached_tokens.to_string(),
            row.completion_tokens.to_string(),
            row.items.to_string(),
            format!("{:.1}", row.audio_ms as f64 / 1e3),
            format!("{:.2}", row.bytes_in as f64 / 1e6),
            format!("{:.2}", row.bytes_out as f64 / 1e6),
            format!("{:.2}", row.compute_us as f64 / 1e6),
        ]
    };
    table(heading, rows.iter().map(shown))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::usage::v1::{Units, UsageEvent};

    use super::*;

    fn line(id: u8, tenant: &str, day: u64, code: u32) -> String {
        let units = Units { prompt_tokens: 10, ..Units::default() };
        let (tenant, time_unix_ms) = (tenant.to_owned(), day * 86_400_000);
        let event =
            UsageEvent { id: vec![id; 16], tenant, time_unix_ms, code, units: Some(units), model: "m".into(), ..Default::default() };
        serde_json::to_string(&Line::of(&event)).unwrap() + "\n"
    }

    #[test]
    fn lines_are_added_up_by_day_and_tenant_and_one_that_comes_twice_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let usage = folder.path().join("gateway-1/usage");
        fs::create_dir_all(&usage).unwrap();
        fs::write(usage.join("usage-000001.jsonl"), line(1, "acme", 0, 0) + &line(2, "acme", 1, 14)).unwrap();
        let half = &line(9, "acme", 0, 0)[..50];
        fs::write(usage.join("usage.jsonl"), line(2, "acme", 1, 14) + &line(3, "bolt", 1, 0) + &line(4, "acme", 1, 1) + half).unwrap();
        let (mut files, mut summary) = (Vec::new(), Summary::default());
        find(folder.path(), 0, &mut files).unwrap();
        for file in &files {
            summary.read(file).unwrap();
        }
        let rows: Vec<_> = summary.rows.values().map(|row| (&*row.day, &*row.tenant, row.calls, row.errors, row.prompt_tokens)).collect();
        assert_eq!(rows, [("1970-01-01", "acme", 1, 0, 10), ("1970-01-02", "acme", 2, 1, 20), ("1970-01-02", "bolt", 1, 0, 10)]);
    }

    #[test]
    fn what_is_no_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage.jsonl");
        fs::write(&path, line(1, "acme", 0, 0) + "nonsense\n").unwrap();
        let failure = Summary::default().read(&path).unwrap_err();
        assert!(failure.problem.contains("usage.jsonl:2"), "{failure}");
    }
}
