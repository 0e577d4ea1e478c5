//! The operators' interface under `/v1`.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use duogate_configuration::{Configuration, Right};
use duogate_signaling::endpoint::{POST_DIAL_BOUNDS, TrunkFigures};
use serde_json::{Map, Value, json};
use tower_http::services::ServeFile;

use super::Interface;
use super::error::Failure;
use super::rpc;
use super::tokens::{Caller, Tokens};
use super::transport::allow;
use crate::settings;

type Shared = State<Arc<Interface>>;
type Who = Extension<Caller>;
pub(super) type Asked = Result<Query<HashMap<String, String>>, QueryRejection>;
type Named = Result<Path<String>, PathRejection>;
type Outcome = Result<Response, Failure>;

/// Takes the query's parameters; one that is not known is refused by name.
pub(super) fn known(query: Asked, names: &[&str]) -> Result<HashMap<String, String>, Failure> {
    let Query(asked) = query.map_err(|_| Failure::parameters("the query cannot be read"))?;
    match asked.keys().find(|name| !names.contains(&name.as_str())) {
        Some(unknown) => Err(Failure::parameter(unknown, "unknown parameter")),
        None => Ok(asked),
    }
}

/// The resource that a path names. One that is no text is none of ours.
fn named(path: Named) -> Result<String, Failure> {
    path.map(|Path(res_id)| res_id).map_err(|_| Failure::not_found("no such resource"))
}

pub(super) fn integer(name: &str, text: Option<String>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Failure::parameter(name, "expected an integer"))
}

/// `GET /v1/callbacks`.
pub(super) async fn callbacks(State(interface): Shared, who: Who, query: Asked) -> Outcome {
    allow(&who, &[Right::Read])?;
    let mut asked = known(query, &["state", "cursor", "limit"])?;
    let state = rpc::state(asked.remove("state"))?;
    let limit = integer("limit", asked.remove("limit"))?;
    let page = interface.list(state, asked.remove("cursor"), limit).await?;
    Ok(axum::Json(page).into_response())
}

/// `GET /v1/callbacks/{res_id}`.
pub(super) async fn callback(State(interface): Shared, who: Who, path: Named) -> Outcome {
    allow(&who, &[Right::Read])?;
    let res_id = named(path)?;
    let view = interface.look(res_id).await?.ok_or_else(|| Failure::not_found("no such resource"))?;
    Ok(axum::Json(view).into_response())
}

/// `DELETE /v1/callbacks/{res_id}`: ends both calls.
pub(super) async fn end_callback(State(interface): Shared, who: Who, path: Named) -> Outcome {
    allow(&who, &[Right::Call, Right::Operate])?;
    interface.drop_call(named(path)?, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/recordings/{res_id}?file=`: the file, or the part of it that `Range` asks for; without a name, the first of
/// the callback's recordings.
pub(super) async fn recording(
    State(interface): Shared,
    who: Who,
    path: Named,
    query: Asked,
    mut request: Request,
) -> Outcome {
    allow(&who, &[Right::Read])?;
    let file = known(query, &["file"])?.remove("file");
    let recordings = &interface.recordings;
    let is_wanted =
        |path: &str| file.as_ref().is_none_or(|file| recordings.is_same(file, FilePath::new(path)));
    let rows = interface.reader.recordings(named(path)?).await?;
    let row = rows.into_iter().find(|row| row.completed.is_some() && is_wanted(&row.path));
    let row = row.ok_or_else(|| Failure::not_found("no recording of that resource"))?;
    // Opened for its checks: beneath the root, no symbolic link, a regular file.
    let (recordings, path) = (Arc::clone(&interface.recordings), row.path.clone());
    let opened = tokio::task::spawn_blocking(move || recordings.read(&path).map(drop)).await;
    match opened {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => return Err(Failure::not_found(format!("the recording is not there: {problem}"))),
        Err(_) => return Err(Failure::not_found("the recording cannot be read")),
    }
    if !has_one_range(request.headers()) {
        request.headers_mut().remove(header::RANGE);
    }
    let file = interface.recordings.path().join(&row.path);
    match ServeFile::new(file).try_call(request).await {
        Ok(response) => Ok(response.map(Body::new)),
        Err(error) => Err(Failure::not_found(format!("the recording cannot be read: {error}"))),
    }
}

/// One range of bytes. Anything else in its place, and several at once, may be passed over (RFC 9110 section
/// 14.2): then the whole file is the answer.
fn has_one_range(headers: &HeaderMap) -> bool {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(first) && digits(last) && !(first.is_empty() && last.is_empty())
}

/// `GET /v1/trunks`.
pub(super) async fn trunks(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Read])?;
    let status = interface.switchboard.status().await?;
    let figures: HashMap<&str, &TrunkFigures> =
        status.trunks.iter().map(|trunk| (trunk.name.as_str(), trunk)).collect();
    let settings = interface.settings();
    let default = settings.default_trunk().map(|trunk| &trunk.name);
    let trunks: Vec<Value> = settings
        .trunks
        .iter()
        .map(|trunk| {
            let known = figures.get(trunk.name.as_str()).copied();
            json!({
                "name": trunk.name,
                "hosts": trunk.hosts,
                "default": default == Some(&trunk.name),
                "proxy": trunk.proxy,
                "caller_id": trunk.caller_id,
                "max_calls": trunk.max_calls,
                "calls_per_second_limit": trunk.calls_per_second,
                "transport": trunk.transport.map(|transport| transport.name()),
                "credentials": trunk.username.is_some(),
                "calls": known.map_or(0, |known| known.calls),
                "calls_per_second": known.map_or(0, |known| known.calls_per_second),
                "waiting": known.map_or(0, |known| known.waiting),
                "up": known.is_none_or(|known| known.up),
                "registered": known.and_then(|known| known.registered),
                "attempts": known.map_or(0, |known| known.attempts),
                "answered": known.map_or(0, |known| known.answered),
                "skipped": known.map_or(0, |known| known.skipped),
                "failures": known.map_or_else(Map::new, failures),
                "answer_seizure_ratio": known.and_then(|known| known.answer_seizure_ratio()),
                "post_dial_delay_seconds": known.and_then(post_dial_delay),
                "post_dial_delay_histogram": known.map_or_else(Vec::new, rang_within),
            })
        })
        .collect();
    Ok(axum::Json(json!({"trunks": trunks})).into_response())
}

/// Calls that failed, by final SIP status.
fn failures(figures: &TrunkFigures) -> Map<String, Value> {
    figures.failures.iter().map(|(status, count)| (status.to_string(), (*count).into())).collect()
}

/// The mean time from INVITE to ringing.
fn post_dial_delay(figures: &TrunkFigures) -> Option<f64> {
    let (count, sum) = figures.post_dial_delay;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (count > 0).then(|| sum.as_secs_f64() / f64::from(count))
}

/// How many calls rang within each bound.
fn rang_within(figures: &TrunkFigures) -> Vec<Value> {
    let counted = POST_DIAL_BOUNDS.iter().zip(figures.rang_within);
    counted.map(|(bound, calls)| json!({"within_seconds": bound.as_secs_f64(), "calls": calls})).collect()
}

/// `GET /v1/shards`.
pub(super) async fn shards(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Read])?;
    let status = interface.switchboard.status().await?;
    let shards: Vec<Value> = interface
        .pages
        .read()
        .into_iter()
        .map(|shard| {
            let figures: Map<String, Value> =
                shard.figures.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let index = usize::from(shard.description.shard.0);
            json!({
                "shard": shard.description.shard.0,
                "core": shard.description.core,
                "addresses": shard.description.addresses,
                "first_port": shard.description.first_port,
                "last_port": shard.description.last_port,
                "sessions": shard.description.sessions,
                "calls": status.shard_sessions.get(index).copied().unwrap_or(0),
                "heartbeat_age_seconds": shard.heartbeat_age_seconds,
                "figures": figures,
            })
        })
        .collect();
    Ok(axum::Json(json!({"attached": status.attached, "shards": shards})).into_response())
}

async fn drain_state(interface: &Interface) -> Outcome {
    let status = interface.switchboard.status().await?;
    // Those that are Released only wait for stray messages.
    let living: u32 = status.counters.states[..4].iter().sum();
    Ok(axum::Json(json!({"draining": status.draining, "calls": living})).into_response())
}

/// `GET /v1/drain`.
pub(super) async fn drain(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Read, Right::Operate])?;
    drain_state(&interface).await
}

/// `POST /v1/drain`: no new calls.
pub(super) async fn begin_drain(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Operate])?;
    tracing::info!(by = who.name, "draining begins");
    interface.switchboard.drain(true).await?;
    drain_state(&interface).await
}

/// `DELETE /v1/drain`: new calls again.
pub(super) async fn end_drain(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Operate])?;
    tracing::info!(by = who.name, "draining ends");
    interface.switchboard.drain(false).await?;
    drain_state(&interface).await
}

/// `POST /v1/reload`: reads the configuration again. Trunks, policy, limits, codecs and tokens take effect at
/// once, certificates and keys for new connections; addresses, folders and shards do so at the next start.
pub(super) async fn reload(State(interface): Shared, who: Who) -> Outcome {
    allow(&who, &[Right::Operate])?;
    let kept = interface.reload().await?;
    tracing::info!(by = who.name, "the configuration was read again");
    Ok(axum::Json(json!({"reloaded": true, "at_next_start": kept})).into_response())
}

impl Interface {
    /// Reads the configuration again. If it is wrong, nothing changes. Tells which settings have other values by now that
    /// take effect at the next start only, of those that control plane and gateway must agree on.
    pub(crate) async fn reload(&self) -> Result<Vec<&'static str>, Failure> {
        let (file, papers) = (self.file.clone(), self.papers.clone());
        let read = tokio::task::spawn_blocking(move || {
            let configuration = Configuration::load(&file).map_err(|error| error.to_string())?;
            let renewed = papers.read_again(&configuration.sip).map_err(|error| error.to_string())?;
            Ok::<_, String>((configuration, renewed))
        });
        let (mut configuration, renewed) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Err(Failure::parameters(error)),
            Err(_) => return Err(Failure::parameters("the configuration cannot be read")),
        };
        let kept = settings::keep(&self.settings().media, &mut configuration.media);
        if !kept.is_empty() {
            tracing::warn!(
                settings = kept.join(", "),
                "takes effect when gateway and control plane start again"
            );
        }
        self.switchboard.reload(settings::signaling(&configuration)).await?;
        self.papers.renew(renewed);
        self.tokens.store(Arc::new(Tokens::new(configuration.http.tokens.clone())));
        self.settings.store(Arc::new(configuration));
        Ok(kept)
    }
}
