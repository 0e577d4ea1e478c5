//! `duogate list` and `duogate drain`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::screen::{Look, Screen, shown};
use crate::server::Server;
use crate::{Failure, Reach, http};

/// Callbacks asked for at once.
const PAGE: u32 = 100;

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
    let mut cursor = Value::Null;
    let mut count = 0;
    loop {
        let mut params = json!({"limit": PAGE});
        if let Some(state) = &options.state {
            params["state"] = state.as_str().into();
        }
        if !cursor.is_null() {
            params["cursor"] = cursor;
        }
        let page = http::rpc(&server, "ext.duo_callback.list", &params).await?;
        for callback in rows(&page) {
            show(screen, callback);
            count += 1;
        }
        cursor = ["next_cursor", "cursor", "next"]
            .iter()
            .map(|key| page[*key].clone())
            .find(|cursor| !cursor.is_null())
            .unwrap_or(Value::Null);
        if cursor.is_null() {
            break;
        }
    }
    let noun = if count == 1 { "callback" } else { "callbacks" };
    screen.line(screen.paint(Look::Dim, format_args!("{count} {noun}")));
    Ok(())
}

/// The callbacks of a page.
pub(crate) fn rows(page: &Value) -> &[Value] {
    let rows =
        page.as_array().or_else(|| ["callbacks", "items"].iter().find_map(|key| page[*key].as_array()));
    rows.map_or(&[], Vec::as_slice)
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
    let answer = http::get(&server, method, "/v1/drain").await?;
    screen.line(said(&answer));
    if options.wait {
        while !rows(&http::get(&server, "GET", "/v1/callbacks").await?).is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        screen.line("no call runs any more");
    }
    Ok(())
}

fn said(answer: &Value) -> String {
    match answer["draining"].as_bool() {
        Some(true) => "draining: no new calls are taken".to_owned(),
        Some(false) => "calls are taken".to_owned(),
        None => shown(&answer.to_string()),
    }
}

/// Does the server take calls?
pub(crate) async fn is_ready(server: &Server) -> bool {
    http::ask(server, "GET", "/readyz", None).await.is_ok_and(|answer| answer.status == 200)
}
