//! `duogate top`: calls, shards and packets, live.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::http;
use crate::screen::{Look, Screen, shown};
use crate::server::Server;
use crate::{Failure, Reach};

/// Watch calls, shards and packets, live.
///
/// Shows calls by state, and what each shard carries, once a second until Ctrl-C.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// So many looks, then end
    #[arg(long, value_name = "COUNT")]
    times: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

/// One look.
struct Moment {
    at: Instant,
    states: BTreeMap<String, u64>,
    calls: u64,
    shards: Vec<Value>,
    draining: bool,
}

pub(crate) async fn run(screen: &Screen, options: Options) -> Result<(), Failure> {
    let server = options.reach.server()?;
    let mut before = None;
    let mut left = options.times.unwrap_or(u64::MAX);
    while left > 0 {
        let look = look(&server).await?;
        screen.clear();
        show(screen, &server, &look, before.as_ref());
        before = Some(look);
        left -= 1;
        if left > 0 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(options.every)) => {}
                _ = tokio::signal::ctrl_c() => break,
            }
        }
    }
    Ok(())
}

async fn look(server: &Server) -> Result<Moment, Failure> {
    let mut states = BTreeMap::new();
    // A page is enough for a look; the whole number comes with the drain's state.
    let page = http::get(server, "GET", "/v1/callbacks?limit=1000").await?;
    for callback in page["resources"].as_array().into_iter().flatten() {
        let state = callback["state"].as_str().unwrap_or("?").to_owned();
        *states.entry(state).or_insert(0) += 1;
    }
    let shards = http::get(server, "GET", "/v1/shards").await?["shards"].take();
    let drain = http::get(server, "GET", "/v1/drain").await?;
    Ok(Moment {
        at: Instant::now(),
        states,
        shards: shards.as_array().cloned().unwrap_or_default(),
        calls: drain["calls"].as_u64().unwrap_or(0),
        draining: drain["draining"] == Value::Bool(true),
    })
}

fn show(screen: &Screen, server: &Server, look: &Moment, before: Option<&Moment>) {
    let draining = if look.draining { " — draining" } else { "" };
    screen.line(format_args!(
        "{}{draining}",
        screen.paint(Look::Bold, format_args!("Duogate at {}", server.authority))
    ));
    let states: Vec<String> = look.states.iter().map(|(state, count)| format!("{state} {count}")).collect();
    let noun = if look.calls == 1 { "call" } else { "calls" };
    screen.line(format_args!("{} {noun}  {}", look.calls, shown(&states.join("  "))));
    for (place, shard) in look.shards.iter().enumerate() {
        let earlier = before.and_then(|before| Some((before.shards.get(place)?, look.at - before.at)));
        let (calls, sessions, core) = (&shard["calls"], &shard["sessions"], &shard["core"]);
        screen.line(format_args!("shard {place} on core {core}: {calls} of {sessions} sessions"));
        let earlier = earlier.map(|(shard, time)| (&shard["figures"], time));
        screen.line(format_args!("  {}", figures(&shard["figures"], earlier)));
    }
}

/// The numbers of a shard; those that only grow with their growth a second.
fn figures(shard: &Value, earlier: Option<(&Value, Duration)>) -> String {
    let Some(fields) = shard.as_object() else { return shown(&shard.to_string()) };
    let mut words = Vec::new();
    for (key, value) in fields {
        let Some(now) = value.as_f64() else { continue };
        let grown = earlier.and_then(|(before, time)| {
            let grown = now - before[key].as_f64()?;
            (is_counter(key) && time > Duration::ZERO).then(|| grown / time.as_secs_f64())
        });
        match grown {
            Some(rate) => words.push(format!("{} {rate:.0}/s", shown(key))),
            None if is_counter(key) => words.push(format!("{} {now:.0}", shown(key))),
            None => words.push(format!("{} {now}", shown(key))),
        }
    }
    words.join("  ")
}

fn is_counter(key: &str) -> bool {
    ["packets", "bytes", "octets", "dropped", "lost", "refused", "errors"]
        .iter()
        .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counters_become_rates() {
        let before = json!({"sessions": 1, "packets_received": 100, "name": "x"});
        let now = json!({"sessions": 2, "packets_received": 300, "name": "x"});
        assert_eq!(figures(&now, None), "packets_received 300  sessions 2");
        let earlier = Some((&before, Duration::from_secs(2)));
        assert_eq!(figures(&now, earlier), "packets_received 100/s  sessions 2");
    }
}
