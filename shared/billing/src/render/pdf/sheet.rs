//! Sheets of paper, A4, written from the top.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::width;

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
/// Where text begins and ends.
pub(super) const LEFT: f32 = 50.0;
pub(super) const RIGHT: f32 = WIDTH - 50.0;
pub(super) const BOTTOM: f32 = 60.0;
const TOP: f32 = HEIGHT - 60.0;
const PLAIN: Name<'static> = Name(b"F");
const BOLD: Name<'static> = Name(b"B");

/// At which end of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// What was written so far.
pub(super) struct Sheets {
    done: Vec<Content>,
    now: Content,
    y: f32,
}

impl Sheets {
    pub(super) fn new() -> Self {
        Self { done: Vec::new(), now: Content::new(), y: TOP }
    }

    /// How far from the bottom the next line is.
    pub(super) fn y(&self) -> f32 {
        self.y
    }

    /// Whether nothing is on the sheet yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.y >= TOP
    }

    /// Takes another sheet.
    pub(super) fn next(&mut self) {
        self.done.push(std::mem::replace(&mut self.now, Content::new()));
        self.y = TOP;
    }

    /// Takes another sheet where there is no room for so much.
    pub(super) fn room(&mut self, height: f32) {
        if self.y - height < BOTTOM && !self.is_fresh() {
            self.next();
        }
    }

    pub(super) fn down(&mut self, by: f32) {
        self.y -= by;
    }

    /// Leaves room, but not at the top of a sheet.
    pub(super) fn space(&mut self, by: f32) {
        if !self.is_fresh() {
            self.down(by);
        }
    }

    /// Writes a line of its own.
    pub(super) fn line(&mut self, text: &[u8], size: f32, bold: bool) {
        self.room(size + 4.0);
        self.at(LEFT, text, size, bold, Align::Left);
        self.down(size + 4.0);
    }

    /// Writes a text at a place of the present line.
    pub(super) fn at(&mut self, x: f32, text: &[u8], size: f32, bold: bool, align: Align) {
        let x = if align == Align::Right { x - width::of(text, size, bold) } else { x };
        put(&mut self.now, x, self.y - size, text, size, bold);
    }

    /// Draws a line below what was written last.
    pub(super) fn rule(&mut self) {
        self.now.set_line_width(0.4).move_to(LEFT, self.y + 1.0).line_to(RIGHT, self.y + 1.0).stroke();
    }

    /// The whole as a file.
    pub(super) fn finish(mut self, title: &str) -> Vec<u8> {
        self.next();
        let mut ids = (1..).map(Ref::new);
        let mut id = || ids.next().unwrap_or(Ref::new(i32::MAX));
        let (catalog, tree, info, plain, bold) = (id(), id(), id(), id(), id());
        let sheets: Vec<(Ref, Ref)> = self.done.iter().map(|_| (id(), id())).collect();
        let mut pdf = Pdf::new();
        let mut root = pdf.catalog(catalog);
        root.pages(tree).lang(TextStr("en"));
        root.viewer_preferences().display_doc_title(true);
        root.finish();
        pdf.document_info(info).title(TextStr(title));
        let count = sheets.len();
        pdf.pages(tree).kids(sheets.iter().map(|(page, _)| *page)).count(i32::try_from(count).unwrap_or(i32::MAX));
        for (font, name) in [(plain, "Helvetica"), (bold, "Helvetica-Bold")] {
            pdf.type1_font(font).base_font(Name(name.as_bytes())).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (number, ((page, text), mut content)) in (1..).zip(sheets.into_iter().zip(self.done)) {
            let foot = format!("{number} / {count}");
            put(&mut content, RIGHT - width::of(foot.as_bytes(), 8.0, false), 30.0, foot.as_bytes(), 8.0, false);
            let mut sheet = pdf.page(page);
            sheet.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(text);
            sheet.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
            sheet.finish();
            pdf.stream(text, &content.finish());
        }
        pdf.finish()
    }
}

fn put(content: &mut Content, x: f32, y: f32, text: &[u8], size: f32, bold: bool) {
    content.begin_text().set_font(if bold { BOLD } else { PLAIN }, size).next_line(x, y).show(Str(text)).end_text();
}
