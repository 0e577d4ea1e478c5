//! The parameters of `ext.duo_callback.construct` as an application gives them.

use alloc::string::String;
use alloc::vec::Vec;

/// Names and types as the interface has them; `None` is an absent parameter or null. Values of a wrong JSON
/// type never get here: the shell refuses them with [`super::error::ApiError::invalid`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Parameters {
    /// Caller shown to party 1.
    pub from1_uri: Option<String>,
    /// Party 1; a single string is a list of one. Empty: absent.
    pub to1_uri: Vec<String>,
    /// Caller shown to party 2.
    pub from2_uri: Option<String>,
    /// Party 2.
    pub to2_uri: Vec<String>,
    /// 1..86400, default 7200.
    pub max_answer_seconds: Option<i64>,
    /// 1..600, default 50.
    pub max_ring_seconds: Option<i64>,
    /// Prompt for party 1; "" is null.
    pub ring_play_file: Option<String>,
    /// 0..3, default 0.
    pub ring_play_mode: Option<i64>,
    /// Where to record; "" is null.
    pub record_file: Option<String>,
    /// At most 4096 bytes.
    pub user_data: Option<String>,
    /// 0..2, default 0.
    pub record_mode: Option<i64>,
    /// "alaw" (default), "ulaw", "pcm16": in a WAV file; "opus": in Ogg.
    pub record_format: Option<String>,
    /// 1 or 2 (default).
    pub record_channels: Option<i64>,
    /// Ordered: "PCMA", "PCMU".
    pub codecs: Option<Vec<String>>,
    /// Webhook of this resource.
    pub callback_url: Option<String>,
    /// Idempotency key, at most 255 bytes; the shell keeps the table.
    pub request_id: Option<String>,
}
