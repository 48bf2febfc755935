//! What the fuzz target of questions holds this door to (`fuzz/`); it is in no build but that and the tests'.

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, header};
use torchmesh_api::error::ErrorKind;

use super::content::read;
use crate::tasks::{Content, Input};

/// The longest body.
const LONGEST: usize = 1 << 20;

/// A body of each kind: what is taken of a form stands in it byte for byte, what is taken of JSON is a text of it, and anything else is taken as it is.
pub(crate) fn content(body: &[u8]) {
    for kind in ["multipart/form-data; boundary=b", "application/json", "image/png"] {
        let request = Request::post("/").header(header::CONTENT_TYPE, kind).body(Body::from(Bytes::copy_from_slice(body)));
        let read = read(request.expect("it is a request"), LONGEST).now_or_never().expect("all of it is there");
        match read {
            Ok(Input { content: Content::Raw(raw), .. }) if kind == "image/png" => assert_eq!(raw, body),
            Ok(Input { content: Content::Raw(raw), .. }) => {
                assert!(raw.is_empty() || body.windows(raw.len()).any(|part| part == raw), "{kind} became {raw:?}");
            }
            Ok(Input { content, .. }) => assert!(kind == "application/json" && matches!(content, Content::One(_)), "{kind}"),
            Err(error) => assert!(matches!(error.kind, ErrorKind::InvalidArgument | ErrorKind::TooLarge), "{error}"),
        }
    }
}
