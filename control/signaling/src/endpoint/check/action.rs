//! The parameters of the CTI actions.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::command::Repeat;
use duogate_channel::digits::Keys;

use super::{fields, format_and_channels, path};
use crate::endpoint::settings::{Limits, Settings};
use crate::resource::action::{ActionParameters, Collect, KeySet, Method, Order, Parties, RecordOrder, Stop};
use crate::resource::error::ApiError;
use duogate_channel::identity::Party;

/// Files in one prompt.
const MOST_FILES: usize = 32;
/// How often a prompt may be played again.
const MOST_REPEATS: i64 = 1000;
/// Keys in one collection.
const MOST_KEYS: i64 = 64;
/// Seconds that a key may be waited for, and that a recording may last.
const LONGEST_WAIT: i64 = 3600;
const LONGEST_RECORDING: i64 = 86_400;
/// Seconds that a key is waited for unless the application says otherwise.
const FIRST_KEY: i64 = 45;
const NEXT_KEY: i64 = 30;

/// What a start method is asked to do.
pub(in crate::endpoint) fn order(
    settings: &Settings,
    method: Method,
    given: &ActionParameters,
) -> Result<Order, ApiError> {
    let limits = &settings.limits;
    Ok(match method {
        Method::Play => Order::Play {
            parties: parties(given)?,
            content: content("content", given.content.as_deref(), limits.max_path_bytes, true)?,
            repeat: repeat("repeat", given.repeat)?,
            finish_keys: set("finish_keys", given.finish_keys.as_deref(), KeySet::default())?,
        },
        Method::Record => Order::Record(record(settings, given)?),
        Method::SendDtmf => Order::Send { parties: parties(given)?, keys: keys(given)? },
        Method::ReceiveDtmf => receive(limits, given)?,
    })
}

/// What a stop method is asked to do.
pub(in crate::endpoint) fn stop(method: Method, given: &ActionParameters) -> Result<Stop, ApiError> {
    match method {
        Method::Play => Ok(Stop::Play(parties(given)?)),
        Method::ReceiveDtmf => Ok(Stop::Receive(parties(given)?)),
        Method::Record => Ok(Stop::Record),
        // Keys are sent to their end.
        Method::SendDtmf => Err(ApiError::MethodNotFound),
    }
}

fn parties(given: &ActionParameters) -> Result<Parties, ApiError> {
    match given.party.as_deref() {
        Some("1") => Ok(Parties::One(Party::One)),
        Some("2") => Ok(Parties::One(Party::Two)),
        Some("both") => Ok(Parties::Both),
        Some(_) => Err(ApiError::invalid("party", "is not 1, 2 or \"both\"")),
        None => Err(ApiError::invalid("party", "missing")),
    }
}

fn content(
    parameter: &'static str,
    given: Option<&[String]>,
    max_bytes: usize,
    required: bool,
) -> Result<Vec<String>, ApiError> {
    let files = given.unwrap_or_default();
    if files.len() > MOST_FILES {
        return Err(ApiError::invalid(parameter, format!("has more than {MOST_FILES} files")));
    }
    let mut content = Vec::with_capacity(files.len());
    for file in files {
        match path::check(parameter, Some(file), max_bytes)? {
            Some(file) => content.push(file),
            // "" is null, as for `ring_play_file`; in a list it is a mistake.
            None if files.len() == 1 => {}
            None => return Err(ApiError::invalid(parameter, "names no file")),
        }
    }
    if required && content.is_empty() {
        return Err(ApiError::invalid(parameter, "missing"));
    }
    Ok(content)
}

fn repeat(parameter: &'static str, given: Option<i64>) -> Result<Repeat, ApiError> {
    match fields::within(parameter, given, -1..=MOST_REPEATS, 0)? {
        -1 => Ok(Repeat::Forever),
        again => Ok(Repeat::Times(u16::try_from(again + 1).unwrap_or(u16::MAX))),
    }
}

fn set(parameter: &'static str, given: Option<&str>, default: KeySet) -> Result<KeySet, ApiError> {
    // "" is null, as for paths: of no key at all none could ever be collected.
    given.filter(|text| !text.is_empty()).map_or(Ok(default), |text| {
        KeySet::from_text(text)
            .ok_or_else(|| ApiError::invalid(parameter, "has a sign that is not one of 0123456789*#ABCD"))
    })
}

fn keys(given: &ActionParameters) -> Result<Keys, ApiError> {
    let text = given.keys.as_deref().ok_or_else(|| ApiError::invalid("keys", "missing"))?;
    Keys::from_text(text).ok_or_else(|| {
        ApiError::invalid("keys", format!("is not 1 to {} signs of 0123456789*#ABCD", Keys::MOST))
    })
}

fn record(settings: &Settings, given: &ActionParameters) -> Result<RecordOrder, ApiError> {
    let file = path::check("record_file", given.record_file.as_ref(), settings.limits.max_path_bytes)?;
    let file = file.ok_or_else(|| ApiError::invalid("record_file", "missing"))?;
    let max = match given.max_seconds {
        None => None,
        some => Some(fields::seconds("max_seconds", some, 1..=LONGEST_RECORDING, 1)?),
    };
    let (format, channels) = format_and_channels(given.record_format.as_deref(), given.record_channels)?;
    let finish_keys = set("finish_keys", given.finish_keys.as_deref(), KeySet::default())?;
    let (max, hold) = (max.map(Duration::from_secs), settings.record_hold);
    Ok(RecordOrder { file, max, format, channels, hold, finish_keys })
}

fn receive(limits: &Limits, given: &ActionParameters) -> Result<Order, ApiError> {
    let wait = |parameter, given, default| {
        fields::seconds(parameter, given, 1..=LONGEST_WAIT, default).map(Duration::from_secs)
    };
    let parties = parties(given)?;
    let valid_keys = set("valid_keys", given.valid_keys.as_deref(), KeySet::ALL)?;
    let max_keys = fields::within("max_keys", given.max_keys, 1..=MOST_KEYS, 1)?;
    let collect = Collect {
        valid_keys,
        max_keys: usize::try_from(max_keys).unwrap_or(1),
        finish_keys: set("finish_keys", given.finish_keys.as_deref(), KeySet::default())?,
        first_key: wait("first_key_timeout", given.first_key_timeout, FIRST_KEY)?,
        next_key: wait("continues_keys_timeout", given.continues_keys_timeout, NEXT_KEY)?,
        breaking_on_key: given.breaking_on_key.unwrap_or(true),
        including_finish_key: given.including_finish_key.unwrap_or(false),
    };
    let content = content("play_content", given.play_content.as_deref(), limits.max_path_bytes, false)?;
    Ok(Order::Receive { parties, collect, content, repeat: repeat("play_repeat", given.play_repeat)? })
}
