//! What HTTP adds: sizes, types, tokens, how many at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use duogate_configuration::Right;
use serde_json::json;

use super::error::{Failure, refuse};
use super::listener::Known;
use super::rpc::Context;
use super::tokens::{Caller, is_from_foreign_page};
use super::{Interface, websocket};

type Shared = State<Arc<Interface>>;

/// Paths that need no token: they tell nothing but that the program runs, or what its interface looks like.
const OPEN: &[&str] = &["/healthz", "/readyz", "/openapi.json", "/"];

/// How long the body of a request may take. One of 64 KiB takes that long at 50 kbit/s.
const BODY: Duration = Duration::from_secs(10);

/// Stands before every handler: who asks, from where, and whether there is room.
pub(crate) async fn guard(State(interface): Shared, mut request: Request, next: Next) -> Response {
    if is_from_foreign_page(request.headers()) {
        return Failure::forbidden("requests from pages of other sites are not taken").into_response();
    }
    if !OPEN.contains(&request.uri().path()) {
        let Some(caller) = interface.tokens.load().caller(request.headers()) else {
            let failure = Failure::forbidden("no token, or one that is not known");
            return refuse(StatusCode::UNAUTHORIZED, &failure.object(), None);
        };
        request.extensions_mut().insert(caller);
        if let Some(known) = request.extensions().get::<Known>() {
            known.set();
        }
    }
    let Ok(_turn) = interface.at_once.try_acquire() else {
        let object = json!({"code": -32003, "message": "too many requests at once",
            "data": {"reason": "overloaded", "retry_after_seconds": 1}});
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &object, Some(1));
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a caller may do what a REST path does.
pub(crate) fn allow(caller: &Caller, any_of: &[Right]) -> Result<(), Failure> {
    if caller.may(any_of) { Ok(()) } else { Err(Failure::forbidden("the token lacks the right")) }
}

/// `POST /rpc`.
pub(crate) async fn post(
    State(interface): Shared,
    axum::Extension(caller): axum::Extension<Caller>,
    headers: HeaderMap,
    body: Result<Timely, Unread>,
) -> Response {
    let body = match body {
        Ok(Timely(body)) => body,
        Err(unread) => return unread.into_response(),
    };
    if !is_json(&headers) {
        let failure = Failure::request("the Content-Type must be application/json");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &failure.object(), None);
    }
    let idempotency_key = match headers.get("idempotency-key").map(HeaderValue::to_str) {
        None => None,
        Some(Ok(key)) if (1..=255).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            return Failure::parameter("Idempotency-Key", "expected 1 to 255 printable characters")
                .into_response();
        }
    };
    let context = Context { caller, socket: None, idempotency_key };
    // A call that was placed must be answered for in the store also if whoever asked hangs up.
    let work = tokio::spawn(async move { interface.rpc(&body, &context).await });
    let Ok(answer) = work.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = match answer.body {
        Some(body) => axum::Json(body).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    };
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A body that came in time.
pub(crate) struct Timely(Bytes);

/// Why a body was not read.
pub(crate) enum Unread {
    Refused(BytesRejection),
    Late,
}

impl<S: Send + Sync> FromRequest<S> for Timely {
    type Rejection = Unread;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unread> {
        match tokio::time::timeout(BODY, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => Ok(Self(body)),
            Ok(Err(rejection)) => Err(Unread::Refused(rejection)),
            Err(_) => Err(Unread::Late),
        }
    }
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        let (status, failure) = match self {
            Self::Late => {
                let failure = format!("the body took longer than {} seconds", BODY.as_secs());
                (StatusCode::REQUEST_TIMEOUT, Failure::request(failure))
            }
            Self::Refused(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let failure = format!("the body is larger than {} bytes", super::LARGEST_BODY);
                (StatusCode::PAYLOAD_TOO_LARGE, Failure::request(failure))
            }
            Self::Refused(rejection) => (rejection.status(), Failure::request("the body could not be read")),
        };
        refuse(status, &failure.object(), None)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case("application/json-rpc")
}

/// `GET /rpc`: becomes a WebSocket.
pub(crate) async fn upgrade(
    State(interface): Shared,
    axum::Extension(caller): axum::Extension<Caller>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let failure = Failure::request("GET /rpc is for WebSockets; requests are posted");
            return refuse(rejection.status(), &failure.object(), None);
        }
    };
    if let Err(failure) = allow(&caller, &[Right::Call, Right::Read]) {
        return failure.into_response();
    }
    let Some(listening) = interface.hub.join() else {
        let object = json!({"code": -32003, "message": "too many WebSockets",
            "data": {"reason": "overloaded", "retry_after_seconds": 5}});
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &object, Some(5));
    };
    let leaving = (interface.hub.clone(), listening.id);
    upgrade
        .max_message_size(websocket::LARGEST_READ)
        .max_frame_size(websocket::LARGEST_READ)
        .on_failed_upgrade(move |_| leaving.0.leave(leaving.1))
        .on_upgrade(move |socket| websocket::serve(interface, socket, caller, listening))
}
