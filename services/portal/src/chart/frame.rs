//! What is around a chart: its title, its legend, and the same numbers as a table.

use maud::{Markup, html};

/// What both axes and the legend go by.
pub(super) struct Frame<'a> {
    /// What the chart shows.
    pub(super) title: &'a str,
    /// What its colours are called, in their order.
    pub(super) names: Vec<&'a str>,
    /// What it goes on along, such as days.
    pub(super) along: &'a str,
    /// What opens the table.
    pub(super) as_table: &'a str,
}

impl Frame<'_> {
    /// The whole of it. The rows are each a name and its figures, the newest last.
    pub(super) fn around(&self, picture: &Markup, rows: &[(&str, Vec<String>)]) -> Markup {
        html! {
            figure.chart {
                figcaption { (self.title) span.legend {
                    @for (at, name) in self.names.iter().enumerate() { span { i class={ "swatch fill-" (at) } {} (name) } }
                } }
                (picture)
                details.figures {
                    summary { (self.as_table) span.visually-hidden { ": " (self.title) } }
                    (self.table(rows))
                }
            }
        }
    }

    fn table(&self, rows: &[(&str, Vec<String>)]) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.title) {
                table {
                    thead { tr { th scope="col" { (self.along) } @for name in &self.names { th.number scope="col" { (name) } } } }
                    tbody {
                        @for (name, figures) in rows.iter().rev() {
                            tr { th scope="row" { (name) } @for figure in figures { td.number { (figure) } } }
                        }
                    }
                }
            }
        }
    }
}

/// A tenth of a unit is less than anybody sees.
pub(super) fn number(value: f64) -> String {
    format!("{value:.1}")
}
