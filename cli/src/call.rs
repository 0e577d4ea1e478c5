//! `duogate call`: one callback, watched.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::rpc::Connection;
use crate::screen::{Look, Screen, shown};
use crate::tell::tell;
use crate::{Failure, Reach};

/// How long the last events may come after `on_released`.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Call two parties and connect them; shows what happens as it happens.
///
/// Calls party 1, then party 2, and connects them.
/// Exit code 0: the two were connected, and the call ended well. 1: they were not. Ctrl-C ends the call.
#[derive(Args)]
pub(crate) struct Options {
    /// Whom to call first: sip:1001@192.0.2.5, 1001@192.0.2.5:5070, a bare number; several, separated by commas, are
    /// tried in turn
    #[arg(value_name = "TO1")]
    to1: String,
    /// Whom to call second
    #[arg(value_name = "TO2")]
    to2: String,
    /// The caller that party 1 is shown
    #[arg(long, value_name = "URI")]
    from1: Option<String>,
    /// The caller that party 2 is shown
    #[arg(long, value_name = "URI")]
    from2: Option<String>,
    /// A prompt for party 1 while party 2 is called, below the prompts' root
    #[arg(long, value_name = "FILE")]
    prompt: Option<String>,
    /// When the prompt plays: 0 from ringing on, 1 from calling on, 2 from calling until ringing, 3 once before calling
    #[arg(long, value_name = "MODE", value_parser = clap::value_parser!(u8).range(0..=3), requires = "prompt")]
    prompt_mode: Option<u8>,
    /// Record into this file, below the recordings' root
    #[arg(long, value_name = "FILE")]
    record: Option<String>,
    /// When the recording begins: 0 when connected, 1 with the first call, 2 with the second
    #[arg(long, value_name = "MODE", value_parser = clap::value_parser!(u8).range(0..=2), requires = "record")]
    record_mode: Option<u8>,
    /// The longest conversation
    #[arg(long, value_name = "SECONDS")]
    max_answer: Option<u32>,
    /// The longest wait for each answer
    #[arg(long, value_name = "SECONDS")]
    max_ring: Option<u32>,
    /// A text that events and CDRs carry
    #[arg(long, value_name = "TEXT")]
    user_data: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

impl Options {
    fn params(&self) -> Value {
        let mut params = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                params.insert(key.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        set("to1_uri", Some(one_or_several(&self.to1)));
        set("to2_uri", Some(one_or_several(&self.to2)));
        set("from1_uri", text(&self.from1));
        set("from2_uri", text(&self.from2));
        set("ring_play_file", text(&self.prompt));
        set("ring_play_mode", self.prompt_mode.map(Value::from));
        set("record_file", text(&self.record));
        set("record_mode", self.record_mode.map(Value::from));
        set("max_answer_seconds", self.max_answer.map(Value::from));
        set("max_ring_seconds", self.max_ring.map(Value::from));
        set("user_data", text(&self.user_data));
        Value::Object(params)
    }
}

fn one_or_several(to: &str) -> Value {
    if to.contains(',') { to.split(',').map(str::trim).collect() } else { to.into() }
}

/// How a call went, as far as its events say.
#[derive(Default)]
struct Course {
    connected: bool,
    released: bool,
    well: bool,
    /// A recording was asked for, and its end is not told yet.
    recording: bool,
}

pub(crate) async fn run(screen: &Screen, options: Options) -> Result<(), Failure> {
    let params = options.params();
    let mut course = Course { recording: options.record.is_some(), ..Course::default() };
    let mut connection = Connection::open(&options.reach.server()?).await?;
    let result = connection.call("ext.duo_callback.construct", params).await?;
    let started = Instant::now();
    let res_id = result["res_id"].as_str().unwrap_or_default().to_owned();
    screen.line(screen.paint(Look::Bold, shown(&res_id)));
    let mut dropped = false;
    while !course.released {
        tokio::select! {
            event = connection.event() => course.follow(screen, started, &event?),
            _ = tokio::signal::ctrl_c() => {
                if dropped {
                    return Err(Failure::Refused("not waited for the end of the call".to_owned()));
                }
                dropped = true;
                let drop = json!({"res_id": res_id});
                // It may have ended in this very moment.
                let _ = connection.call("ext.duo_callback.drop", drop).await;
            }
        }
    }
    while course.recording {
        let Ok(event) = timeout(AFTERWARDS, connection.event()).await else { break };
        course.follow(screen, started, &event?);
    }
    if course.connected && course.well { Ok(()) } else { Err(Failure::Told) }
}

impl Course {
    fn follow(&mut self, screen: &Screen, started: Instant, event: &crate::rpc::Event) {
        match event.name() {
            "on_connected" => self.connected = true,
            "on_record_completed" => self.recording = false,
            "on_released" => {
                self.released = true;
                self.well = event.params["error"].is_null();
            }
            _ => {}
        }
        if let Some((look, words)) = tell(event) {
            let time = format!("{:>7.3} s", started.elapsed().as_secs_f64());
            screen.line(format_args!("{}  {}", screen.paint(Look::Dim, time), screen.paint(look, words)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_make_lists() {
        assert_eq!(one_or_several("sip:1@a"), json!("sip:1@a"));
        assert_eq!(one_or_several("sip:1@a, sip:2@b"), json!(["sip:1@a", "sip:2@b"]));
    }
}
