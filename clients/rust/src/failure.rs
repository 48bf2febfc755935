//! What a failed try was, whichever way the transport says it.

use std::error::Error;

use http::{HeaderMap, StatusCode};
use tonic::{Code, Status, TimeoutExpired};
use torchmesh_api::headers::GRPC_STATUS;

use crate::BoxError;

/// What is said when a call's time is up.
const TIME_IS_UP: &str = "the time allowed for this call is up";

pub(crate) fn time_is_up() -> Status {
    Status::deadline_exceeded(TIME_IS_UP)
}

/// An error as a status. A connection that broke is UNAVAILABLE, and a timer of the channel's is DEADLINE_EXCEEDED, whatever tonic makes of them.
pub(crate) fn status(error: BoxError) -> Status {
    if find::<TimeoutExpired>(&*error).is_some() {
        return time_is_up();
    }
    // What breaks an answer's body comes as a status that tonic has made of it, with the connection's error beneath; a server's own has nothing beneath.
    let beneath = match error.downcast_ref::<Status>() {
        Some(status) => status.source(),
        None => Some(&*error as &(dyn Error + 'static)),
    };
    let broken = beneath.is_some_and(|error| {
        find::<Status>(error).is_none() && (find::<hyper::Error>(error).is_some() || find::<std::io::Error>(error).is_some())
    });
    let status = Status::from_error(error);
    match status.code() {
        // Nobody but the connection itself has cancelled it: whoever calls has left this function with it.
        Code::Unknown | Code::Cancelled if broken => Status::unavailable(format!("the connection broke: {}", status.message())),
        _ => status,
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What the head of an answer, or its trailers, say: nothing yet, or a code.
pub(crate) fn code(status: StatusCode, headers: &HeaderMap) -> Option<Code> {
    if let Some(code) = headers.get(GRPC_STATUS) {
        return Some(Code::from_bytes(code.as_bytes()));
    }
    match status {
        StatusCode::OK => None,
        StatusCode::UNAUTHORIZED => Some(Code::Unauthenticated),
        StatusCode::TOO_MANY_REQUESTS => Some(Code::ResourceExhausted),
        // What a proxy says in the server's place.
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Some(Code::Unavailable),
        _ => Some(Code::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_broken_connection_is_unavailable_and_the_channels_timer_a_deadline() {
        assert_eq!(status(Box::new(io::Error::from(io::ErrorKind::ConnectionReset))).code(), Code::Unavailable);
        let in_an_answer = Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!(status(Box::new(in_an_answer)).code(), Code::Unavailable);
        assert_eq!(status(Box::new(TimeoutExpired(()))).code(), Code::DeadlineExceeded);
    }

    #[test]
    fn a_status_stays_what_it_is() {
        for code in [Code::Cancelled, Code::Unknown, Code::NotFound] {
            assert_eq!(status(Box::new(Status::new(code, "as it was"))).code(), code);
        }
        assert_eq!(status("something else".into()).code(), Code::Unknown);
    }

    #[test]
    fn the_code_of_an_answer_is_grpcs_own_or_what_a_proxy_means() {
        let none = HeaderMap::new();
        assert_eq!(code(StatusCode::OK, &none), None);
        assert_eq!(code(StatusCode::BAD_GATEWAY, &none), Some(Code::Unavailable));
        let said = HeaderMap::from_iter([(GRPC_STATUS, http::HeaderValue::from_static("8"))]);
        assert_eq!(code(StatusCode::OK, &said), Some(Code::ResourceExhausted));
    }
}
