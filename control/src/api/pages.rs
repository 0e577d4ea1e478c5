//! Health, metrics, and the console.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use duogate_configuration::Right;
use prometheus::{Encoder, TextEncoder};
use serde_json::json;

use super::Interface;
use super::error::{Failure, refuse};
use super::tokens::Caller;
use super::transport::allow;

type Shared = State<Arc<Interface>>;

/// `GET /healthz`: the program runs and its switchboard answers.
pub(super) async fn healthz(State(interface): Shared) -> Response {
    match interface.switchboard.status().await {
        Ok(_) => axum::Json(json!({"status": "ok"})).into_response(),
        Err(refusal) => Failure::from(refusal).into_response(),
    }
}

/// `GET /readyz`: new calls would be taken; else what is missing.
pub(super) async fn readyz(State(interface): Shared) -> Response {
    let status = match interface.switchboard.status().await {
        Ok(status) => status,
        Err(refusal) => return Failure::from(refusal).into_response(),
    };
    let trouble = interface.store.trouble();
    // The sockets were bound before this interface was served.
    let ready = status.attached && trouble.is_none() && !status.draining;
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "media_attached": status.attached,
        "store_writable": trouble.is_none(),
        "sip_bound": true,
        "draining": status.draining,
    });
    (code, axum::Json(body)).into_response()
}

/// `GET /metrics`, in Prometheus's text format.
pub(super) async fn metrics(State(interface): Shared, who: Extension<Caller>) -> Result<Response, Failure> {
    allow(&who, &[Right::Read])?;
    interface.figures.set(interface.switchboard.status().await?);
    let totals = interface.store.totals();
    interface.figures.set_outbox(totals, interface.hub.count(), interface.store.filling());
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    if let Err(error) = encoder.encode(&interface.registry.gather(), &mut text) {
        tracing::error!(%error, "the metrics cannot be written");
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    }
    let kind = HeaderValue::from_str(encoder.format_type());
    let kind = kind.unwrap_or(HeaderValue::from_static("text/plain"));
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `GET /`: a page that shows what goes on. Everything it shows it asks for over the REST interface.
pub(super) async fn console() -> Response {
    const POLICY: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; \
                          script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let policy = HeaderValue::from_static(POLICY);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("console.html"))).into_response()
}

/// Any other path.
pub(super) async fn nothing_here(uri: Uri) -> Response {
    Failure::not_found(format!("nothing is at {}", uri.path().escape_debug())).into_response()
}

/// A path that is there, with a method that is not.
pub(super) async fn not_that_method(method: Method, uri: Uri) -> Response {
    let message = format!("{method} is nothing that {} can do", uri.path().escape_debug());
    refuse(StatusCode::METHOD_NOT_ALLOWED, &Failure::request(message).object(), None)
}
