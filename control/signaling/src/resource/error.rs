//! What the application interface answers when it does not do what was asked.

use alloc::string::String;
use core::fmt;

use super::view::State;

/// A refusal, with everything that the interface's error object carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApiError {
    /// A parameter is missing, of the wrong type, out of range or malformed.
    InvalidParameter {
        /// Which one, as the interface spells it.
        parameter: &'static str,
        /// What is wrong with it, for people.
        detail: String,
    },
    /// No such method (yet).
    MethodNotFound,
    /// No such resource.
    NotFound,
    /// The resource is not in a state that allows this; nothing was changed.
    WrongState {
        /// The state that it is in.
        state: State,
    },
    /// An action of that kind runs already on that party, or none does that could be stopped; nothing was changed.
    WrongAction {
        /// The state that the resource is in.
        state: State,
        /// Does one run?
        running: bool,
        /// Which, as `get` names it.
        action: &'static str,
    },
    /// A limit is reached: calls at once, or calls a second.
    Overloaded {
        /// When to try again, in seconds, at least 1.
        retry_after_seconds: u32,
    },
    /// The same `request_id` came with another body.
    RequestIdConflict,
    /// A sound file is missing, is not one, or cannot be used.
    MediaFile {
        /// The parameter that names it.
        parameter: &'static str,
        /// What is wrong with it, for people.
        detail: String,
    },
    /// The destination is not allowed, or the caller's token lacks the right.
    Forbidden {
        /// The parameter that asks for it, if one does.
        parameter: Option<&'static str>,
        /// Why, for people.
        detail: String,
    },
    /// The node takes no new calls because it is about to stop.
    Draining,
    /// No data plane is attached.
    NoMedia,
}

impl ApiError {
    /// A parameter that cannot be accepted.
    #[must_use]
    pub fn invalid(parameter: &'static str, detail: impl Into<String>) -> Self {
        Self::InvalidParameter { parameter, detail: detail.into() }
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::InvalidParameter { .. } => -32602,
            Self::MethodNotFound => -32601,
            Self::NotFound => -32001,
            Self::WrongState { .. } | Self::WrongAction { .. } => -32002,
            Self::Overloaded { .. } => -32003,
            Self::RequestIdConflict => -32004,
            Self::MediaFile { .. } => -32005,
            Self::Forbidden { .. } => -32006,
            Self::Draining => -32007,
            Self::NoMedia => -32008,
        }
    }

    /// `data.reason`: the stable word for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidParameter { .. } => "invalid_params",
            Self::MethodNotFound => "method_not_found",
            Self::NotFound => "not_found",
            Self::WrongState { .. } | Self::WrongAction { .. } => "wrong_state",
            Self::Overloaded { .. } => "overloaded",
            Self::RequestIdConflict => "request_id_conflict",
            Self::MediaFile { .. } => "media_file",
            Self::Forbidden { .. } => "forbidden",
            Self::Draining => "draining",
            Self::NoMedia => "no_media",
        }
    }

    /// `data.parameter`: the parameter at fault, where one is.
    #[must_use]
    pub const fn parameter(&self) -> Option<&'static str> {
        match self {
            Self::InvalidParameter { parameter, .. } | Self::MediaFile { parameter, .. } => Some(parameter),
            Self::Forbidden { parameter, .. } => *parameter,
            _ => None,
        }
    }

    /// `data.state`, for [`ApiError::WrongState`].
    #[must_use]
    pub const fn state(&self) -> Option<State> {
        match self {
            Self::WrongState { state } | Self::WrongAction { state, .. } => Some(*state),
            _ => None,
        }
    }

    /// `data.retry_after_seconds`, for [`ApiError::Overloaded`].
    #[must_use]
    pub const fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Overloaded { retry_after_seconds } => Some(*retry_after_seconds),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    /// The `message` of the error object, for people.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidParameter { parameter, detail } | Self::MediaFile { parameter, detail } => {
                write!(to, "{parameter}: {detail}")
            }
            Self::MethodNotFound => to.write_str("no such method"),
            Self::NotFound => to.write_str("no such resource"),
            Self::WrongState { state } => write!(to, "not possible in state {state}"),
            Self::WrongAction { running: true, action, .. } => write!(to, "{action} is running already"),
            Self::WrongAction { running: false, action, .. } => write!(to, "{action} is not running"),
            Self::Overloaded { retry_after_seconds } => {
                write!(to, "too many calls; try again in {retry_after_seconds} s")
            }
            Self::RequestIdConflict => to.write_str("this request_id was used with another body"),
            Self::Forbidden { parameter: Some(parameter), detail } => write!(to, "{parameter}: {detail}"),
            Self::Forbidden { parameter: None, detail } => to.write_str(detail),
            Self::Draining => to.write_str("no new calls: this node is about to stop"),
            Self::NoMedia => to.write_str("no data plane is attached"),
        }
    }
}

impl core::error::Error for ApiError {}
