//! A document as HTML, whole in itself: no script, no font, no picture, nothing that is fetched.

use std::fmt::Write;

use super::{Language, Look, labels::Word, page::Page};

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:16px/1.5 system-ui,'Noto Sans','Noto Sans SC','PingFang SC','Microsoft YaHei',sans-serif;color:#1a1a1a;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0 0 1rem}\
.parties{display:flex;flex-wrap:wrap;gap:2rem;margin:0 0 1.5rem}\
.text{white-space:pre-line}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0 0 1.5rem}\
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
.wide{overflow-x:auto}\
table{border-collapse:collapse;width:100%}\
caption{text-align:left;font-weight:600;padding:.3rem 0}\
th,td{padding:.35rem .5rem;border-bottom:1px solid #767676;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.sums{margin:1.5rem 0 0 auto;width:auto}\
.sums tr:last-child>*{font-weight:700;border-bottom:3px double #1a1a1a}\
@media print{body{font-size:10pt;margin:0;max-width:none;padding:0}.wide{overflow:visible}thead{display:table-header-group}tr{break-inside:avoid}@page{size:A4;margin:18mm}}";

pub(super) fn write(page: &Page, look: &Look<'_>) -> String {
    let language = match look.language {
        Language::English => "en",
        Language::Chinese => "zh-CN",
    };
    let mut out = String::with_capacity(4096 + page.rows.len() * 256);
    let title = escape(&page.title);
    let head = "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    put(
        &mut out,
        format_args!("<!doctype html>\n<html lang=\"{language}\">\n<head>{head}<title>{title}</title><style>{STYLE}</style></head>\n"),
    );
    put(&mut out, format_args!("<body>\n<main>\n<h1>{title}</h1>\n"));
    parties(&mut out, look);
    out.push_str("<dl>\n");
    for (label, value) in &page.facts {
        put(&mut out, format_args!("<dt>{}</dt><dd>{}</dd>\n", escape(label), escape(value)));
    }
    out.push_str("</dl>\n");
    table(&mut out, page);
    sums(&mut out, page, look.language);
    if !look.note.is_empty() {
        put(&mut out, format_args!("<p class=\"text\">{}</p>\n", escape(look.note)));
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn parties(out: &mut String, look: &Look<'_>) {
    let parties = [(Word::From, look.issuer), (Word::To, look.recipient)];
    if parties.iter().all(|(_, text)| text.is_empty()) {
        return;
    }
    out.push_str("<div class=\"parties\">\n");
    for (label, text) in parties.into_iter().filter(|(_, text)| !text.is_empty()) {
        put(out, format_args!("<div><strong>{}</strong><div class=\"text\">{}</div></div>\n", label.text(look.language), escape(text)));
    }
    out.push_str("</div>\n");
}

fn table(out: &mut String, page: &Page) {
    put(out, format_args!("<div class=\"wide\">\n<table>\n<caption>{}</caption>\n<thead><tr>", escape(&page.title)));
    for (label, number) in &page.columns {
        put(out, format_args!("<th scope=\"col\"{}>{}</th>", class(*number), escape(label)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &page.rows {
        out.push_str("<tr>");
        for (at, (cell, (_, number))) in row.iter().zip(&page.columns).enumerate() {
            let (open, close) = if at == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            put(out, format_args!("<{open}{}>{}</{close}>", class(*number), escape(cell)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn sums(out: &mut String, page: &Page, language: Language) {
    put(out, format_args!("<table class=\"sums\">\n<caption>{}</caption>\n<tbody>\n", Word::Total.text(language)));
    for (label, amount) in &page.sums {
        put(out, format_args!("<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td></tr>\n", escape(label), escape(amount)));
    }
    out.push_str("</tbody>\n</table>\n");
}

fn class(number: bool) -> &'static str {
    if number { " class=\"n\"" } else { "" }
}

/// Writing to a `String` does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// A text as it may stand in an element or an attribute. Control characters that HTML does not allow become the sign for what cannot be shown.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            _ if c.is_control() => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
