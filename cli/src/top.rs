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

/// What is shown a second.
const RATES: [(&str, &str); 5] = [
    ("packets_received", "in"),
    ("packets_sent", "out"),
    ("path_forwarded", "by the fast path"),
    ("packets_played", "played"),
    ("wakeups", "wake-ups"),
];
/// What is shown as it stands.
const LEVELS: [(&str, &str); 4] = [
    ("ports_in_use", "ports"),
    ("ports_resting", "resting"),
    ("recordings_active", "recordings"),
    ("recorder_queued_blocks", "blocks to write"),
];

/// The numbers of a shard: rates since the earlier look (totals at the first), levels, and troubles so far.
fn figures(shard: &Value, earlier: Option<(&Value, Duration)>) -> String {
    let Some(all) = shard.as_object() else { return shown(&shard.to_string()) };
    let mut words = Vec::new();
    for (key, name) in RATES {
        let Some(now) = shard[key].as_f64() else { continue };
        let rate = earlier
            .filter(|(_, time)| *time > Duration::ZERO)
            .and_then(|(before, time)| Some((now - before[key].as_f64()?) / time.as_secs_f64()));
        words.push(match rate {
            Some(rate) => format!("{name} {rate:.0}/s"),
            None => format!("{name} {now:.0}"),
        });
    }
    words.extend(LEVELS.iter().filter_map(|(key, name)| Some(format!("{name} {}", shard[*key].as_u64()?))));
    let troubles =
        all.iter().filter(|(key, value)| is_trouble(key) && value.as_u64().is_some_and(|count| count > 0));
    words.extend(troubles.map(|(key, count)| format!("{} {count}", shown(key))));
    words.join("  ")
}

fn is_trouble(key: &str) -> bool {
    ["dropped", "lost", "errors", "refused", "late", "silent"].iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counters_become_rates_and_troubles_show() {
        let before = json!({"packets_received": 100, "packets_sent": 0});
        let now = json!({"packets_received": 300, "packets_sent": 5, "ports_in_use": 4, "dropped_late": 0, "events_dropped": 2});
        assert_eq!(figures(&now, None), "in 300  out 5  ports 4  events_dropped 2");
        let earlier = Some((&before, Duration::from_secs(2)));
        assert_eq!(figures(&now, earlier), "in 100/s  out 2/s  ports 4  events_dropped 2");
    }
}
