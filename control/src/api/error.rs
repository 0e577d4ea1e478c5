//! Errors as the interfaces show them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use duogate_signaling::resource::error::ApiError;
use serde_json::{Map, Value, json};

use crate::media::link::LinkError;
use crate::media::problem::FileProblem;
use crate::media::sounds::SoundError;
use crate::store::Broken;
use crate::switchboard::Refusal;

/// When to come back with a callback whose webhook is behind: dead ones are tried less and less often.
const WEBHOOK_RETRY: u64 = 60;

/// A request that is not done, with all that its error object carries.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Failure {
    code: i32,
    message: String,
    data: Map<String, Value>,
    status: StatusCode,
}

impl Failure {
    fn new(code: i32, reason: &str, status: StatusCode, message: impl Into<String>) -> Self {
        let mut data = Map::new();
        data.insert("reason".into(), reason.into());
        Self { code, message: message.into(), data, status }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.into(), value.into());
        self
    }

    /// The body is not JSON.
    pub(crate) fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, "parse_error", StatusCode::BAD_REQUEST, message)
    }

    /// JSON, but no request.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(-32600, "invalid_request", StatusCode::BAD_REQUEST, message)
    }

    /// No such method, or not such a path.
    pub(crate) fn method(name: &str) -> Self {
        let message = format!("no such method: {}", name.escape_debug());
        Self::new(-32601, "method_not_found", StatusCode::NOT_FOUND, message)
    }

    /// A parameter is wrong.
    pub(crate) fn parameter(name: &str, message: impl AsRef<str>) -> Self {
        let text = format!("{}: {}", name.escape_debug(), message.as_ref());
        Self::new(-32602, "invalid_params", StatusCode::BAD_REQUEST, text).with("parameter", name)
    }

    /// The parameters as a whole are wrong.
    pub(crate) fn parameters(message: impl Into<String>) -> Self {
        Self::new(-32602, "invalid_params", StatusCode::BAD_REQUEST, message)
    }

    /// No such resource.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(-32001, "not_found", StatusCode::NOT_FOUND, message)
    }

    /// The token lacks a right.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(-32006, "forbidden", StatusCode::FORBIDDEN, message)
    }

    /// A prompt or a recording.
    pub(crate) fn file(parameter: &str, problem: &FileProblem) -> Self {
        let text = format!("{parameter}: {problem}");
        Self::new(-32005, "media_file", StatusCode::BAD_REQUEST, text)
            .with("parameter", parameter)
            .with("problem", problem.word())
    }

    /// A prompt or a recording that the gateway does not take, or no gateway.
    pub(crate) fn link(parameter: &str, error: &LinkError) -> Self {
        match error {
            LinkError::Apart | LinkError::Silent => ApiError::NoMedia.into(),
            LinkError::Refused(_) => {
                let text = format!("{parameter}: {error}");
                Self::new(-32005, "media_file", StatusCode::BAD_REQUEST, text)
                    .with("parameter", parameter)
                    .with("problem", "refused_by_gateway")
            }
        }
    }

    /// A prompt.
    pub(crate) fn sound(parameter: &str, error: &SoundError) -> Self {
        match error {
            SoundError::File(problem) => Self::file(parameter, problem),
            SoundError::Link(error) => Self::link(parameter, error),
            SoundError::Full => ApiError::Overloaded { retry_after_seconds: 5 }.into(),
        }
    }

    /// The error object.
    pub(crate) fn object(&self) -> Value {
        json!({"code": self.code, "message": self.message, "data": self.data})
    }

    /// When to try again, if the error says so.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.data.get("retry_after_seconds")?.as_u64()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let status = match &error {
            ApiError::InvalidParameter { .. } | ApiError::MediaFile { .. } => StatusCode::BAD_REQUEST,
            ApiError::MethodNotFound | ApiError::NotFound => StatusCode::NOT_FOUND,
            ApiError::WrongState { .. } | ApiError::WrongAction { .. } | ApiError::RequestIdConflict => {
                StatusCode::CONFLICT
            }
            ApiError::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Forbidden { .. } => StatusCode::FORBIDDEN,
            ApiError::Draining | ApiError::NoMedia => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut failure = Self::new(error.code(), error.reason(), status, error.to_string());
        if let Some(parameter) = error.parameter() {
            failure = failure.with("parameter", parameter);
        }
        if let Some(state) = error.state() {
            failure = failure.with("state", state.name());
        }
        if let Some(seconds) = error.retry_after_seconds() {
            failure = failure.with("retry_after_seconds", seconds);
        }
        failure
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Api(error) => error.into(),
            Refusal::Store(_) => {
                Self::new(-32603, "store_failed", StatusCode::SERVICE_UNAVAILABLE, refusal.to_string())
            }
            Refusal::Webhook => {
                Self::new(-32003, "overloaded", StatusCode::TOO_MANY_REQUESTS, refusal.to_string())
                    .with("parameter", "callback_url")
                    .with("retry_after_seconds", WEBHOOK_RETRY)
            }
            Refusal::Busy => {
                Self::new(-32003, "overloaded", StatusCode::SERVICE_UNAVAILABLE, refusal.to_string())
                    .with("retry_after_seconds", 1)
            }
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let message = format!("the store cannot be read: {broken}");
        Self::new(-32603, "store_failed", StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for Failure {
    /// For REST: the same error object, and a status that fits.
    fn into_response(self) -> Response {
        let retry = self.retry_after();
        refuse(self.status, &self.object(), retry)
    }
}

/// An error answer of the transport or of REST.
pub(crate) fn refuse(status: StatusCode, object: &Value, retry_after: Option<u64>) -> Response {
    let mut response = (status, axum::Json(json!({"error": object}))).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"duogate\""));
    }
    response
}
