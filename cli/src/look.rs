//! `duogate list` and `duogate drain`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::screen::{Look, Screen, shown};
use crate::server::Server;
use crate::{Failure, Reach, http};

/// Callbacks asked for at once.
const PAGE: u32 = 1000;
/// From one look at the calls that still run to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// Show the callbacks that are alive.
///
/// One line each: its id, its state, and the two parties.
#[derive(Args)]
pub(crate) struct ListOptions {
    /// Only those in this state: Initiated, Answer1, Answer2, Connected, Released
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) async fn list(screen: &Screen, options: ListOptions) -> Result<(), Failure> {
    let server = options.reach.server()?;
    let mut params = json!({"limit": PAGE});
    if let Some(state) = &options.state {
        params["state"] = state.as_str().into();
    }
    let mut count = 0;
    loop {
        let page = http::rpc(&server, "ext.duo_callback.list", &params).await?;
        let callbacks = page["resources"].as_array().map_or(&[][..], Vec::as_slice);
        callbacks.iter().for_each(|callback| show(screen, callback));
        count += callbacks.len();
        if page["next"].is_null() || callbacks.is_empty() {
            break;
        }
        params["cursor"] = page["next"].clone();
    }
    let noun = if count == 1 { "callback" } else { "callbacks" };
    screen.line(screen.paint(Look::Dim, format_args!("{count} {noun}")));
    Ok(())
}

fn show(screen: &Screen, callback: &Value) {
    let text = |value: &Value| shown(value.as_str().unwrap_or("-"));
    let state = text(&callback["state"]);
    let look = if state == "Connected" { Look::Good } else { Look::Plain };
    screen.line(format_args!(
        "{}  {}  {} → {}",
        text(&callback["res_id"]),
        screen.paint(look, format_args!("{state:<9}")),
        text(&callback["party1"]["to_uri"]),
        text(&callback["party2"]["to_uri"]),
    ));
}

/// Take no new calls; those that run go on.
///
/// For maintenance: drain, wait, then stop. Needs a token with the right "operate", where tokens are used.
#[derive(Args)]
pub(crate) struct DrainOptions {
    /// Wait until no call runs any more
    #[arg(long, conflicts_with_all = ["undo", "status"])]
    wait: bool,
    /// Take calls again
    #[arg(long, conflicts_with = "status")]
    undo: bool,
    /// Only say how it stands
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) async fn drain(screen: &Screen, options: DrainOptions) -> Result<(), Failure> {
    let server = options.reach.server()?;
    let method = match (options.undo, options.status) {
        (true, _) => "DELETE",
        (_, true) => "GET",
        _ => "POST",
    };
    let mut answer = http::get(&server, method, "/v1/drain").await?;
    screen.line(said(&answer));
    if options.wait {
        while answer["calls"].as_u64().is_some_and(|calls| calls > 0) {
            tokio::time::sleep(PAUSE).await;
            answer = http::get(&server, "GET", "/v1/drain").await?;
        }
        screen.line("no call runs any more");
    }
    Ok(())
}

fn said(answer: &Value) -> String {
    let calls = match answer["calls"].as_u64() {
        Some(1) => "1 call runs".to_owned(),
        Some(calls) => format!("{calls} calls run"),
        None => return shown(&answer.to_string()),
    };
    let takes =
        if answer["draining"] == Value::Bool(true) { "no new calls are taken" } else { "calls are taken" };
    format!("{takes}; {calls}")
}

/// Does the server take calls?
pub(crate) async fn is_ready(server: &Server) -> bool {
    http::ask(server, "GET", "/readyz", None).await.is_ok_and(|answer| answer.status == 200)
}
