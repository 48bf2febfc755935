//! The style and the script: part of the program, and named after what is in them, so that browsers may keep them for ever.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::{app::Shared, fail::Fail};

const STYLE: &str = include_str!("../assets/portal.css");
const SCRIPT: &str = include_str!("../assets/portal.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// See the module.
#[derive(Debug)]
pub struct Assets(Vec<Asset>);

#[derive(Debug)]
struct Asset {
    /// Without its hash.
    known_as: &'static str,
    name: String,
    kind: &'static str,
    text: &'static str,
}

impl Assets {
    /// Those of this program.
    #[expect(clippy::new_without_default, reason = "it is made once, by the app")]
    pub fn new() -> Self {
        let kinds = [
            ("portal.css", "text/css; charset=utf-8", STYLE),
            ("portal.js", "text/javascript; charset=utf-8", SCRIPT),
            ("icon.svg", "image/svg+xml", ICON),
        ];
        Self(kinds.into_iter().map(|(known_as, kind, text)| Asset { known_as, name: hashed(known_as, text), kind, text }).collect())
    }

    /// Where one is found.
    pub fn path(&self, known_as: &str) -> String {
        let name = self.0.iter().find(|asset| asset.known_as == known_as).map_or(known_as, |asset| &asset.name);
        format!("/assets/{name}")
    }
}

fn hashed(name: &str, text: &str) -> String {
    let hash = Sha256::digest(text).iter().take(6).fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    name.replacen('.', &format!("-{hash}."), 1)
}

/// `GET /assets/{name}`.
pub async fn show(State(app): State<Shared>, Path(name): Path<String>) -> Response {
    let Some(asset) = app.assets.0.iter().find(|asset| asset.name == name) else { return Fail::absent().into_response() };
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    ([(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)), (header::CACHE_CONTROL, kept)], asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_has_another_name() {
        assert_ne!(hashed("portal.css", "a"), hashed("portal.css", "b"));
        assert_eq!(hashed("portal.css", "a"), "portal-ca978112ca1b.css");
        let path = Assets::new().path("portal.js");
        assert_eq!(path, format!("/assets/{}", hashed("portal.js", SCRIPT)));
    }
}
