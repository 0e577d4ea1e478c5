//! Looking at callbacks and ending them: what JSON-RPC and REST have in common.

use duogate_signaling::resource::error::ApiError;
use duogate_signaling::resource::view::State;
use serde_json::{Value, json};

use super::Interface;
use super::error::Failure;
use crate::json;
use crate::switchboard::Refusal;

/// Most entries of a list, and how many without a wish.
const LIMITS: (i64, i64) = (1_000, 100);

/// Begins the cursor of a list that is read from the store.
const STORED: &str = "stored:";

impl Interface {
    /// A callback: a living one, or one that was released and is still kept.
    pub(crate) async fn look(&self, res_id: String) -> Result<Option<Value>, Failure> {
        match self.switchboard.get(res_id.clone()).await {
            Ok(view) => Ok(Some(json::view(&view))),
            Err(Refusal::Api(ApiError::NotFound)) => {
                Ok(self.reader.resource(res_id).await?.map(|(view, _)| view))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// `cancel`.
    pub(crate) async fn cancel(&self, res_id: String) -> Result<Value, Failure> {
        let outcome = self.switchboard.cancel(res_id.clone()).await;
        self.done(res_id, outcome).await
    }

    /// `drop`.
    pub(crate) async fn drop_call(&self, res_id: String, cause: Option<i64>) -> Result<Value, Failure> {
        let outcome = self.switchboard.drop_call(res_id.clone(), cause).await;
        self.done(res_id, outcome).await
    }

    /// One that the endpoint has forgotten is released, as long as the store knows it.
    pub(super) async fn done(&self, res_id: String, outcome: Result<(), Refusal>) -> Result<Value, Failure> {
        match outcome {
            Ok(()) => Ok(json!({})),
            Err(Refusal::Api(ApiError::NotFound)) => match self.reader.resource(res_id).await? {
                Some((_, true)) => Err(ApiError::WrongState { state: State::Released }.into()),
                // It is being ended, with all that its events and records need.
                Some((_, false)) => Err(ApiError::Overloaded { retry_after_seconds: 1 }.into()),
                None => Err(ApiError::NotFound.into()),
            },
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// `list`: the living, or those in a state. The released come from the store after those that are only
    /// just being released.
    pub(crate) async fn list(
        &self,
        state: Option<State>,
        cursor: Option<String>,
        limit: Option<i64>,
    ) -> Result<Value, Failure> {
        let limit = limit.unwrap_or(LIMITS.1);
        if !(1..=LIMITS.0).contains(&limit) {
            return Err(Failure::parameter("limit", format!("expected 1 to {}", LIMITS.0)));
        }
        if let Some(after) = cursor.as_deref().and_then(|cursor| cursor.strip_prefix(STORED)) {
            return self.list_stored(after.to_owned(), limit).await;
        }
        let page = self.switchboard.list(state, cursor, Some(limit)).await?;
        let stored_follow = state == Some(State::Released) && page.next.is_none();
        let next = if stored_follow { Some(STORED.to_owned()) } else { page.next };
        let views: Vec<Value> = page.views.iter().map(json::view).collect();
        if views.is_empty() && stored_follow {
            return self.list_stored(String::new(), limit).await;
        }
        Ok(json!({"resources": views, "next": next}))
    }

    async fn list_stored(&self, after: String, limit: i64) -> Result<Value, Failure> {
        let wanted = u32::try_from(limit).unwrap_or(1);
        let page = self.reader.released(after, wanted).await?;
        let full = page.len() >= wanted as usize;
        let next = page.last().filter(|_| full).map(|(res_id, _)| format!("{STORED}{res_id}"));
        let views: Vec<Value> = page.into_iter().map(|(_, view)| view).collect();
        Ok(json!({"resources": views, "next": next}))
    }
}
