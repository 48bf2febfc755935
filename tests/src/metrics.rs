//! What a service's `/metrics` says.

use std::str::FromStr;

/// One reading of `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// From the text of the page.
    pub fn new(page: String) -> Self {
        Self(page)
    }

    /// What the series of `name` that have all of `labels` count together; 0 when there is none. Of gauges, counters and the `_count` of
    /// histograms.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.values::<u64>(name, labels).sum()
    }

    /// The value of a gauge that need not be whole; `None` when no series has all of `labels`.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.values(name, labels).next()
    }

    fn values<T: FromStr>(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = T> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series_name, series_labels) = series.split_once('{').unwrap_or((series, ""));
            let has = |(label, value): &(&str, &str)| series_labels.contains(&format!("{label}=\"{value}\""));
            (series_name == name && labels.iter().all(has)).then(|| value.parse().ok())?
        })
    }

    /// Whether any series or value has this text in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}
