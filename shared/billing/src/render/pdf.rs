//! A document as PDF: text set in Helvetica, which every reader has, so that there is no font in it and it is the same bytes each time.

mod sheet;
mod width;

use super::{Look, labels::Word, page::Page};
use crate::error::BillingError;

use sheet::{Align, BOTTOM, LEFT, RIGHT, Sheets};
use width::{latin, wrap};

const SMALL: f32 = 8.0;
const GAP: f32 = 6.0;
/// The least that a column of words gets, and the smallest size that figures are set in before they run into each other.
const LEAST_WORDS: f32 = 110.0;
const SMALLEST: f32 = 5.0;

pub(super) fn write(page: &Page, look: &Look<'_>) -> Result<Vec<u8>, BillingError> {
    let mut sheets = Sheets::new();
    sheets.line(&latin(&page.title)?, 18.0, true);
    sheets.space(8.0);
    for (label, text) in [(Word::From, look.issuer), (Word::To, look.recipient)] {
        if !text.is_empty() {
            sheets.line(&latin(label.text(look.language))?, 9.0, true);
            paragraph(&mut sheets, text)?;
            sheets.space(6.0);
        }
    }
    for (label, value) in &page.facts {
        let (label, value) = (latin(label)?, latin(value)?);
        for (at, part) in wrap(&value, 9.0, RIGHT - LEFT - 100.0).into_iter().enumerate() {
            if at == 0 {
                sheets.at(LEFT, &label, 9.0, true, Align::Left);
            }
            sheets.at(LEFT + 100.0, part, 9.0, false, Align::Left);
            sheets.down(12.0);
        }
    }
    sheets.space(10.0);
    Table::of(page)?.write(&mut sheets);
    sheets.space(10.0);
    for (at, (label, amount)) in page.sums.iter().enumerate() {
        let last = at + 1 == page.sums.len();
        sheets.room(14.0);
        sheets.at(RIGHT - 110.0, &latin(label)?, 9.0, last, Align::Right);
        sheets.at(RIGHT, &latin(amount)?, 9.0, last, Align::Right);
        sheets.down(14.0);
    }
    sheets.space(10.0);
    paragraph(&mut sheets, look.note)?;
    Ok(sheets.finish(&page.title))
}

fn paragraph(sheets: &mut Sheets, text: &str) -> Result<(), BillingError> {
    for line in text.lines() {
        for part in wrap(&latin(line)?, 9.0, RIGHT - LEFT) {
            sheets.line(part, 9.0, false);
        }
    }
    Ok(())
}

/// The table: columns of figures are as wide as they must be, those of words share the rest.
struct Table {
    head: Vec<Vec<u8>>,
    rows: Vec<Vec<Vec<u8>>>,
    figures: Vec<bool>,
    widths: Vec<f32>,
    size: f32,
}

impl Table {
    fn of(page: &Page) -> Result<Self, BillingError> {
        let head = page.columns.iter().map(|(label, _)| latin(label)).collect::<Result<Vec<_>, _>>()?;
        let row = |row: &Vec<String>| row.iter().map(|cell| latin(cell)).collect::<Result<Vec<_>, _>>();
        let rows = page.rows.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        let figures: Vec<bool> = page.columns.iter().map(|(_, figures)| *figures).collect();
        let mut table = Self { head, rows, figures, widths: Vec::new(), size: SMALL };
        table.fit();
        Ok(table)
    }

    /// Makes letters smaller until words have room.
    fn fit(&mut self) {
        let words = self.figures.iter().filter(|figures| !**figures).count() as f32;
        loop {
            let needed = |at: usize| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).chain(self.head.get(at));
                cells.map(|cell| width::of(cell, self.size, true)).fold(0.0_f32, f32::max) + GAP
            };
            let taken: f32 = (0..self.figures.len()).filter(|at| self.figures[*at]).map(needed).sum();
            let left = (RIGHT - LEFT - taken) / words.max(1.0);
            if left >= LEAST_WORDS || words == 0.0 || self.size <= SMALLEST {
                let widths = (0..self.figures.len()).map(|at| if self.figures[at] { needed(at) } else { left.max(LEAST_WORDS) });
                self.widths = widths.collect();
                return;
            }
            self.size -= 0.5;
        }
    }

    fn write(&self, sheets: &mut Sheets) {
        self.row(sheets, &self.head, true);
        for row in &self.rows {
            if self.row(sheets, row, false) {
                continue;
            }
            sheets.next();
            self.row(sheets, &self.head, true);
            self.row(sheets, row, false);
        }
    }

    /// Writes a row where there is room for it; says whether there was. A row that no sheet has room for is cut at the sheet's end.
    fn row(&self, sheets: &mut Sheets, cells: &[Vec<u8>], bold: bool) -> bool {
        let leading = self.size + 3.0;
        let columns = || cells.iter().zip(&self.widths).zip(&self.figures);
        let parts = |((cell, width), figures): ((&'_ Vec<u8>, &f32), &bool)| {
            if *figures { vec![cell.clone()] } else { wrap(cell, self.size, width - GAP).into_iter().map(<[u8]>::to_vec).collect() }
        };
        let cut: Vec<Vec<Vec<u8>>> = columns().map(parts).collect();
        let lines = cut.iter().map(Vec::len).max().unwrap_or(1);
        if sheets.y() - lines as f32 * leading < BOTTOM && !sheets.is_fresh() {
            return false;
        }
        for line in 0..lines {
            let mut x = LEFT;
            for (parts, (width, figures)) in cut.iter().zip(self.widths.iter().zip(&self.figures)) {
                if let Some(part) = parts.get(line) {
                    let (at, align) = if *figures { (x + width - GAP, Align::Right) } else { (x, Align::Left) };
                    sheets.at(at, part, self.size, bold, align);
                }
                x += width;
            }
            sheets.down(leading);
            if sheets.y() < BOTTOM {
                break;
            }
        }
        sheets.rule();
        true
    }
}

#[cfg(test)]
mod tests;
