//! What a service's `/metrics` says.

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
        let matching = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series_name, series_labels) = series.split_once('{').unwrap_or((series, ""));
            let has = |(label, value): &(&str, &str)| series_labels.contains(&format!("{label}=\"{value}\""));
            (series_name == name && labels.iter().all(has)).then(|| value.parse::<u64>().ok())?
        });
        matching.sum()
    }

    /// Whether any series or value has this text in it.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}
