//! From parameters as an application gives them to a plan: every one is checked, and the first that is not good
//! is named.

pub(super) mod action;
mod fields;
mod path;
mod uris;

mod webhook;

pub(super) use uris::{own_uri, redirected, spelled};

#[cfg(test)]
mod action_tests;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::sound::{Codec, RecordChannels, RecordFormat};

use super::settings::Settings;
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;
use crate::resource::plan::{Plan, RecordMode, RecordPlan, RingPlay, RingPlayMode};

/// The most codecs that a list may name: each once.
const MAX_CODECS: usize = 8;

/// Checks all parameters against the interface and this node's policy.
pub(super) fn check(settings: &Settings, given: &Parameters) -> Result<Plan, ApiError> {
    let limits = &settings.limits;
    let parties = uris::parties(settings, given)?;
    let max_answer = fields::seconds("max_answer_seconds", given.max_answer_seconds, 1..=86_400, 7200)?;
    let max_ring = fields::seconds("max_ring_seconds", given.max_ring_seconds, 1..=600, 50)?;
    let ring_play = ring_play(given, limits.max_path_bytes)?;
    let record = record(settings, given)?;
    let codecs = codecs(given.codecs.as_deref())?;
    let user_data = fields::text("user_data", given.user_data.as_ref(), limits.max_user_data_bytes)?;
    let callback_url = webhook::url(&settings.policy, given.callback_url.as_ref())?;
    let request_id = fields::key("request_id", given.request_id.as_ref())?;
    Ok(Plan {
        parties,
        max_answer: Duration::from_secs(max_answer),
        max_ring: Duration::from_secs(max_ring),
        ring_play,
        record,
        codecs,
        user_data: user_data.map(Into::into),
        callback_url: callback_url.map(Into::into),
        request_id,
    })
}

fn ring_play(given: &Parameters, max_bytes: usize) -> Result<Option<RingPlay>, ApiError> {
    let mode = match fields::within("ring_play_mode", given.ring_play_mode, 0..=3, 0)? {
        0 => RingPlayMode::FromRinging,
        1 => RingPlayMode::FromDial,
        2 => RingPlayMode::UntilRinging,
        _ => RingPlayMode::BeforeDial,
    };
    let file = path::check("ring_play_file", given.ring_play_file.as_ref(), max_bytes)?;
    Ok(file.map(|file| RingPlay { file, mode }))
}

fn record(settings: &Settings, given: &Parameters) -> Result<Option<RecordPlan>, ApiError> {
    let mode = match fields::within("record_mode", given.record_mode, 0..=2, 0)? {
        0 => RecordMode::FromConnected,
        1 => RecordMode::FromFirstCall,
        _ => RecordMode::FromSecondCall,
    };
    let (format, channels) = format_and_channels(given.record_format.as_deref(), given.record_channels)?;
    let file = path::check("record_file", given.record_file.as_ref(), settings.limits.max_path_bytes)?;
    Ok(file.map(|file| RecordPlan { file, mode, format, channels, hold: settings.record_hold }))
}

fn format_and_channels(
    format: Option<&str>,
    channels: Option<i64>,
) -> Result<(RecordFormat, RecordChannels), ApiError> {
    let what = "is not \"alaw\", \"ulaw\", \"pcm16\" or \"opus\"";
    let format = format.map_or(Some(RecordFormat::Alaw), RecordFormat::from_name);
    let format = format.ok_or_else(|| ApiError::invalid("record_format", what))?;
    let channels = match fields::within("record_channels", channels, 1..=2, 2)? {
        1 => RecordChannels::Mixed,
        _ => RecordChannels::Separate,
    };
    Ok((format, channels))
}

fn codecs(given: Option<&[String]>) -> Result<Vec<Codec>, ApiError> {
    let Some(names) = given else { return Ok(Vec::new()) };
    if names.is_empty() || names.len() > MAX_CODECS {
        return Err(ApiError::invalid("codecs", "is empty or too long"));
    }
    let mut codecs = Vec::with_capacity(names.len());
    for name in names {
        let Some(codec) = Codec::from_name(name) else {
            return Err(ApiError::invalid(
                "codecs",
                "names a codec that is not \"PCMA\", \"PCMU\", \"G722\" or \"opus\"",
            ));
        };
        if codecs.contains(&codec) {
            return Err(ApiError::invalid("codecs", "names a codec twice"));
        }
        codecs.push(codec);
    }
    Ok(codecs)
}
