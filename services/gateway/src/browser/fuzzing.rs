//! What the fuzz target of gRPC-Web holds this door to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::{convert::Infallible, sync::mpsc};

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic_web::GrpcWebLayer;
use torchmesh_relay::BoxError;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::web::speaks;

/// A body, whole and in pieces of 1 to 8 bytes: the layers get the same of both, and of the binary form what was sent.
pub fn web(body: &[u8]) {
    for kind in ["application/grpc-web+proto", "application/grpc-web-text+proto"] {
        let whole = got(kind, [body]);
        assert!(kind.contains("text") || whole.as_deref() == Some(body), "{whole:?}");
        let size = 1 + body.first().map_or(0, |&byte| usize::from(byte % 8));
        let pieces = got(kind, body.chunks(size));
        // Text that was encoded part by part can be read only where the parts are known.
        assert!(whole.is_none() || pieces == whole, "{kind}: {pieces:?} of pieces of {size}, {whole:?} of the whole");
    }
}

/// What the layers get of a body in these pieces; none where it breaks off.
fn got<'a>(kind: &'static str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let pieces: Vec<_> = pieces.into_iter().map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let request = Request::post("/p.S/M").header(header::CONTENT_TYPE, kind).body(StreamBody::new(stream::iter(pieces)));
    let request = request.expect("it is a request");
    assert!(speaks(request.headers()));
    let (tell, told) = mpsc::channel();
    let layers = service_fn(move |request: Request<tonic::body::Body>| {
        let tell = tell.clone();
        async move {
            let got = request.into_body().collect().await.ok().map(|body| body.to_bytes().to_vec());
            tell.send(got).expect("it is waited for");
            Ok::<_, Infallible>(Response::new(tonic::body::Body::empty()))
        }
    });
    let answer = GrpcWebLayer::new().layer(layers).oneshot(request).now_or_never().expect("all of it is there");
    assert!(answer.expect("it never fails").status().is_success());
    told.recv().expect("the layers were called")
}
