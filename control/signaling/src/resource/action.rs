//! The places of the CTI actions: what an application may have running on a call beside the call itself.
//!
//! The methods that start and stop them do not exist yet and answer [`super::error::ApiError::MethodNotFound`];
//! the places are here so that `get` shows them and the end of a call ends them.

/// What runs on one party.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PartyActions {
    /// `play_start` is running.
    pub play: bool,
    /// `send_dtmf_start` is running.
    pub send_dtmf: bool,
    /// `receive_dtmf_start` is running.
    pub receive_dtmf: bool,
}

/// What runs on one resource.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Actions {
    /// Per party.
    pub parties: [PartyActions; 2],
    /// `record_start` is running. The recording that `construct` asked for is no action.
    pub record: bool,
}
