//! `ext.duo_callback.construct`: idempotency, files, then the switchboard.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use duogate_channel::message::ToGateway;
use duogate_configuration::{Ringback, Trunk};
use duogate_signaling::resource::error::ApiError;
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::{Plan, Prepared, Ringbacks, SoundSet};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Interface;
use super::error::Failure;
use crate::clock;
use crate::json;
use crate::media::recordings::Claim;
use crate::media::sounds::Kept;
use crate::store::rows::DAY_SECONDS;
use crate::switchboard::{Order, Refusal};

/// One turn at a time for each idempotency key, so that of two equal requests one waits for the other.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    keys: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// The lock of a key; entries that nobody holds any more go.
    fn of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(keys.entry(key.to_owned()).or_default())
    }
}

impl Interface {
    /// Places a callback for the WebSocket `owner`, if it is one that asks.
    pub(crate) async fn construct(
        &self,
        parameters: Parameters,
        owner: Option<u64>,
    ) -> Result<Value, Failure> {
        let Some(key) = parameters.request_id.clone() else {
            return self.place(parameters, owner, None).await;
        };
        let turn = self.turns.of(&key);
        let _mine = turn.lock().await;
        let digest = digest(&parameters);
        if let Some(earlier) = self.reader.request(key.clone()).await? {
            let age = clock::unix_milliseconds().saturating_sub(earlier.time) / 1_000;
            if u64::try_from(age).unwrap_or(0) < DAY_SECONDS {
                let same = earlier.digest == digest;
                return if same { Ok(earlier.result) } else { Err(ApiError::RequestIdConflict.into()) };
            }
        }
        self.place(parameters, owner, Some((key, digest))).await
    }

    async fn place(
        &self,
        parameters: Parameters,
        owner: Option<u64>,
        request: Option<(String, Vec<u8>)>,
    ) -> Result<Value, Failure> {
        let plan = self.switchboard.check(parameters).await?;
        let order = self.prepare(plan, owner, request).await?;
        let recording = order.recording.clone();
        match self.switchboard.construct(order).await {
            Ok(view) => Ok(json::constructed(&view)),
            Err(refusal) => {
                // The switchboard never saw it; in all other cases it has cleaned up itself.
                if let (Refusal::Busy, Some((recording, path))) = (&refusal, recording) {
                    self.link.forget(ToGateway::ForgetRecording { recording });
                    self.recordings.dispose(&path);
                }
                Err(refusal.into())
            }
        }
    }

    /// Brings sounds and file to the gateway.
    async fn prepare(
        &self,
        plan: Plan,
        owner: Option<u64>,
        request: Option<(String, Vec<u8>)>,
    ) -> Result<Order, Failure> {
        self.sounds.also(&plan.codecs);
        let (ringback, mut kept) = self.ringbacks().await?;
        let mut prepared = Prepared { ringback: Arc::new(ringback), ..Prepared::default() };
        if let Some(ring_play) = &plan.ring_play {
            const NAME: &str = "ring_play_file";
            let sound = self.sounds.prompt(&ring_play.file).await;
            let sound = sound.map_err(|error| Failure::sound(NAME, &error))?;
            prepared.ring_play = Some(sound.set());
            kept.push(sound);
        }
        let mut recording = None;
        if let Some(record) = &plan.record {
            let claim = self.claim(record.file.clone()).await?;
            prepared.recording = Some(claim.0);
            recording = Some(claim);
        }
        Ok(Order { plan, prepared, kept, recording, owner, request })
    }

    /// Brings the ringback tones of the node and of all trunks to the gateway: a redirection may lead a call to any.
    async fn ringbacks(&self) -> Result<(Ringbacks, Vec<Arc<Kept>>), Failure> {
        let settings = Arc::clone(&self.settings());
        let own = settings.trunks.iter().filter_map(|trunk| Some((trunk, trunk.ringback?)));
        let mut tones: HashMap<Ringback, SoundSet> = HashMap::new();
        let mut kept = Vec::new();
        for country in own.clone().map(|(_, country)| country).chain([settings.media.ringback]) {
            if let Entry::Vacant(place) = tones.entry(country) {
                let tone = self.sounds.ringback(country).await;
                let tone = tone.map_err(|error| Failure::sound("ringback", &error))?;
                place.insert(tone.set());
                kept.push(tone);
            }
        }
        let node = tones.get(&settings.media.ringback).copied();
        let named = |(trunk, country): (&Trunk, _)| Some((trunk.name.as_str().into(), *tones.get(&country)?));
        let trunks = own.filter_map(named).collect();
        Ok((Ringbacks { node, trunks }, kept))
    }

    /// Makes the file of a recording and hands it to the gateway.
    pub(super) async fn claim(
        &self,
        file: String,
    ) -> Result<(duogate_channel::identity::Recording, std::path::PathBuf), Failure> {
        const NAME: &str = "record_file";
        let recordings = Arc::clone(&self.recordings);
        let claimed = tokio::task::spawn_blocking(move || recordings.claim(&file)).await;
        let claimed = claimed.map_err(|_| ApiError::invalid(NAME, "could not be made"))?;
        let Claim { recording, path, file } = claimed.map_err(|problem| Failure::file(NAME, &problem))?;
        let message = ToGateway::Recording { recording };
        if let Err(error) = self.link.hand_over(message, OwnedFd::from(file)).await {
            self.link.forget(ToGateway::ForgetRecording { recording });
            self.recordings.dispose(&path);
            return Err(Failure::link(NAME, &error));
        }
        Ok((recording, path))
    }
}

/// What makes two requests the same: all parameters but the key itself.
fn digest(parameters: &Parameters) -> Vec<u8> {
    let canonical = json!([
        parameters.from1_uri,
        parameters.to1_uri,
        parameters.from2_uri,
        parameters.to2_uri,
        parameters.max_answer_seconds,
        parameters.max_ring_seconds,
        parameters.ring_play_file,
        parameters.ring_play_mode,
        parameters.record_file,
        parameters.user_data,
        parameters.record_mode,
        parameters.record_format,
        parameters.record_channels,
        parameters.codecs,
        parameters.callback_url,
    ]);
    Sha256::digest(canonical.to_string().as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_every_parameter_but_the_key() {
        let one = Parameters { request_id: Some("a".into()), ..Parameters::default() };
        let two = Parameters { request_id: Some("b".into()), ..Parameters::default() };
        assert_eq!(digest(&one), digest(&two));
        let other = Parameters { user_data: Some(String::new()), ..Parameters::default() };
        assert_ne!(digest(&one), digest(&other));
    }
}
