//! QR codes, drawn here: what is in them is a secret, and goes to nobody else.

use std::fmt::Write as _;

use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};

/// The light margin, in modules, as the standard has it.
const MARGIN: i32 = 4;

/// A text as a picture, which is dark on light in any theme; nothing, where it is too long for one.
pub(super) fn picture(text: &str, label: &str) -> Markup {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok();
    html! {
        @if let Some(code) = code {
            svg.qr viewBox={ "0 0 " (code.size() + 2 * MARGIN) " " (code.size() + 2 * MARGIN) } width="232" height="232" role="img" aria-label=(label) shape-rendering="crispEdges" {
                rect width="100%" height="100%" fill="#ffffff" {}
                path d=(dark(&code)) fill="#000000" {}
            }
        }
    }
}

/// The dark modules: a stroke for each run of them.
fn dark(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|at| code.get_module(*at, y)).map(|_| 1).sum::<i32>();
            if run > 0 {
                // A text takes all that is written into it.
                let _ = write!(path, "M{},{}h{run}v1h-{run}z", x + MARGIN, y + MARGIN);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_module_is_drawn_once_and_no_light_one_is() {
        let code = QrCode::encode_text("otpauth://totp/torchmesh:ada%40example.org?secret=ABC", QrCodeEcc::Medium).unwrap();
        let mut drawn = std::collections::BTreeSet::new();
        for stroke in dark(&code).split('z').filter(|stroke| !stroke.is_empty()) {
            let (begin, run) = stroke.trim_start_matches('M').split_once('h').unwrap();
            let (x, y) = begin.split_once(',').unwrap();
            let run: i32 = run.split('v').next().unwrap().parse().unwrap();
            for at in 0..run {
                assert!(drawn.insert((x.parse::<i32>().unwrap() + at - MARGIN, y.parse::<i32>().unwrap() - MARGIN)));
            }
        }
        for (x, y) in (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))) {
            assert_eq!(drawn.contains(&(x, y)), code.get_module(x, y), "{x} {y}");
        }
    }

    #[test]
    fn what_is_too_long_is_no_picture() {
        assert_eq!(picture(&"x".repeat(5000), "a code").into_string(), "");
    }
}
