//! The few gRPC calls that are not passed on as they came when a caller may use some models only: their messages are read whole and written anew, so
//! that what was checked is what is done.

use axum::body::Body as OwnBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use prost::Message;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::GRPC_STATUS,
    inference::{RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest},
};
use torchmesh_relay::BoxError;

use super::{grants, principal::Principal};
use crate::{caller::Caller, mesh::Mesh};

/// The longest message, in bytes.
const LONGEST: usize = 1 << 20;

const INDEX: &str = "/inference.GRPCInferenceService/RepositoryIndex";
const LOAD: &str = "/inference.GRPCInferenceService/RepositoryModelLoad";
const UNLOAD: &str = "/inference.GRPCInferenceService/RepositoryModelUnload";

/// The path, when it is one of these calls and the caller may not use every model.
pub fn concerns(path: &str, principal: Option<&Principal>) -> Option<&'static str> {
    if grants::has_all(principal) {
        return None;
    }
    [INDEX, LOAD, UNLOAD].into_iter().find(|known| *known == path)
}

/// Answers one of them.
///
/// Errors: what is wrong with the message; what the mesh says.
pub async fn answer<B>(mesh: Mesh, caller: Caller, path: &'static str, body: B) -> Result<Response<OwnBody>, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let message = gather(body).await?;
    let framed = match path {
        INDEX => anew::<RepositoryIndexRequest>(message),
        LOAD => anew::<RepositoryModelLoadRequest>(message),
        _ => anew::<RepositoryModelUnloadRequest>(message),
    };
    let reply = mesh.send(&caller, path, [framed?]).await?;
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let told = Full::new(frame::framed(&reply.message)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(OwnBody::new(told));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn gather<B>(body: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let gathered = Limited::new(body, LONGEST).collect().await;
    let gathered = gathered.map_err(|_| ApiError::new(ErrorKind::TooLarge, "the message has more than 1 MiB, or it broke off"))?;
    let wrong = || ApiError::new(ErrorKind::InvalidArgument, "the body is not one whole, uncompressed gRPC message");
    frame::message(gathered.to_bytes()).ok_or_else(wrong)
}

/// The message as our encoder writes it: each field once.
fn anew<M: Message + Default>(message: Bytes) -> Result<Bytes, ApiError> {
    let read = M::decode(message);
    let read = read.map_err(|_| ApiError::new(ErrorKind::InvalidArgument, "the message is not of the method's form"))?;
    Ok(frame::encode(&read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_said_twice_is_the_last_one_for_all_who_read_it() {
        let load = |model: &str| RepositoryModelLoadRequest { model_name: model.to_owned(), ..Default::default() };
        let twice = [load("granted").encode_to_vec(), load("other").encode_to_vec()].concat();
        assert_eq!(anew::<RepositoryModelLoadRequest>(twice.into()).unwrap(), frame::encode(&load("other")));
    }

    #[tokio::test]
    async fn half_a_message_is_refused() {
        let refused = gather(Full::new(Bytes::from_static(b"\0\0\0\0\x09abc"))).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
        assert_eq!(gather(Full::new(Bytes::from(vec![0; LONGEST + 1]))).await.unwrap_err().kind, ErrorKind::TooLarge);
    }
}
