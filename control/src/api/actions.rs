//! The CTI actions: parameters, files, then the switchboard.

use duogate_channel::message::ToGateway;
use duogate_signaling::resource::action::{ActionParameters, Method, Order, Prepared};
use serde_json::Value;

use super::Interface;
use super::error::Failure;
use super::parameters::Given;
use crate::switchboard::{ActionStart, Refusal};

/// One method of an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    method: Method,
    starts: bool,
    /// Its parameters, in their order.
    names: &'static [&'static str],
}

/// Every method of the actions, with its parameters in their order.
pub(crate) const CALLS: &[(&str, Call)] = &[
    ("play_start", Call::start(Method::Play, &["res_id", "party", "content", "repeat", "finish_keys"])),
    ("play_stop", Call::stop(Method::Play, &["res_id", "party"])),
    (
        "record_start",
        Call::start(
            Method::Record,
            &["res_id", "record_file", "max_seconds", "record_format", "record_channels", "finish_keys"],
        ),
    ),
    ("record_stop", Call::stop(Method::Record, &["res_id"])),
    ("send_dtmf_start", Call::start(Method::SendDtmf, &["res_id", "party", "keys"])),
    (
        "receive_dtmf_start",
        Call::start(
            Method::ReceiveDtmf,
            &[
                "res_id",
                "party",
                "valid_keys",
                "max_keys",
                "finish_keys",
                "first_key_timeout",
                "continues_keys_timeout",
                "play_content",
                "play_repeat",
                "breaking_on_key",
                "including_finish_key",
            ],
        ),
    ),
    ("receive_dtmf_stop", Call::stop(Method::ReceiveDtmf, &["res_id", "party"])),
];

impl Call {
    const fn start(method: Method, names: &'static [&'static str]) -> Self {
        Self { method, starts: true, names }
    }

    const fn stop(method: Method, names: &'static [&'static str]) -> Self {
        Self { method, starts: false, names }
    }

    /// The method of a name, without `ext.duo_callback.`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        CALLS.iter().find(|(known, _)| *known == name).map(|(_, call)| *call)
    }
}

/// Reads what a method is given; those that it does not have have been refused.
fn parameters(given: &mut Given) -> Result<ActionParameters, Failure> {
    Ok(ActionParameters {
        party: given.party()?,
        content: given.texts("content", true)?,
        repeat: given.integer("repeat")?,
        finish_keys: given.text("finish_keys")?,
        record_file: given.text("record_file")?,
        max_seconds: given.integer("max_seconds")?,
        record_format: given.text("record_format")?,
        record_channels: given.integer("record_channels")?,
        keys: given.text("keys")?,
        valid_keys: given.text("valid_keys")?,
        max_keys: given.integer("max_keys")?,
        first_key_timeout: given.integer("first_key_timeout")?,
        continues_keys_timeout: given.integer("continues_keys_timeout")?,
        play_content: given.texts("play_content", true)?,
        play_repeat: given.integer("play_repeat")?,
        breaking_on_key: given.boolean("breaking_on_key")?,
        including_finish_key: given.boolean("including_finish_key")?,
    })
}

impl Interface {
    /// Does what one of these methods asks.
    pub(super) async fn act(&self, call: Call, params: Option<Value>) -> Result<Value, Failure> {
        let mut given = Given::take(params, call.names)?;
        let res_id = given.required("res_id")?;
        let parameters = parameters(&mut given)?;
        if !call.starts {
            let outcome = self.switchboard.stop_action(res_id.clone(), call.method, parameters).await;
            return self.done(res_id, outcome).await;
        }
        match self.switchboard.check_action(res_id.clone(), call.method, parameters).await {
            Ok(order) => self.start_action(res_id, order).await,
            Err(refusal) => self.done(res_id, Err(refusal)).await,
        }
    }

    async fn start_action(&self, res_id: String, order: Order) -> Result<Value, Failure> {
        let (mut prepared, mut kept, mut recording) = (Prepared::default(), None, None);
        if let Some((parameter, content)) = order.content() {
            let sound = self.sounds.prompts(content).await;
            let sound = sound.map_err(|error| Failure::sound(parameter, &error))?;
            prepared.sound = Some(sound.set());
            kept = Some(sound);
        }
        if let Order::Record(record) = &order {
            let claim = self.claim(record.file.clone()).await?;
            prepared.recording = Some(claim.0);
            recording = Some(claim);
        }
        let claimed = recording.clone();
        let start = ActionStart { res_id: res_id.clone(), order, prepared, kept, recording };
        let outcome = self.switchboard.start_action(start).await;
        // The switchboard never saw it; in all other cases it has cleaned up itself.
        if let (Err(Refusal::Busy), Some((recording, path))) = (&outcome, claimed) {
            self.link.forget(ToGateway::ForgetRecording { recording });
            self.recordings.dispose(&path);
        }
        self.done(res_id, outcome).await
    }
}
