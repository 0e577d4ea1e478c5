//! JSON-RPC 2.0: framing, batches, notifications, and the table of methods.

use duogate_configuration::Right;
use serde_json::{Value, json};

use super::actions;
use super::error::Failure;
use super::parameters::{self, Given};
use super::tokens::Caller;
use super::{Interface, LARGEST_BODY};
use crate::events::Subscription;
use duogate_signaling::resource::view::State;

/// Deepest nesting of a request. `construct` needs four.
const DEEPEST: usize = 16;

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The WebSocket, if it is one.
    pub(crate) socket: Option<u64>,
    /// The `Idempotency-Key` header, for a single request.
    pub(crate) idempotency_key: Option<String>,
}

/// What is to be sent back.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Answer {
    /// The response or the responses; none if all requests were notifications.
    pub(crate) body: Option<Value>,
    /// For the header of an HTTP answer.
    pub(crate) retry_after: Option<u64>,
    /// The caller wants all events from now on, and those that wait.
    pub(crate) replay: bool,
}

impl Interface {
    /// Does what a body says.
    pub(crate) async fn rpc(&self, body: &[u8], context: &Context) -> Answer {
        let request = match parse(body) {
            Ok(request) => request,
            Err(failure) => {
                return Answer { body: Some(response(&Value::Null, Err(failure))), ..Answer::default() };
            }
        };
        let Value::Array(requests) = request else { return self.single(request, context).await };
        let most = self.settings().limits.max_batch as usize;
        if requests.is_empty() || requests.len() > most {
            let message = format!("a batch has 1 to {most} requests, this one has {}", requests.len());
            let failure = Failure::request(message);
            return Answer { body: Some(response(&Value::Null, Err(failure))), ..Answer::default() };
        }
        if context.idempotency_key.is_some() {
            let failure = Failure::request("an Idempotency-Key stands for one request, not for a batch");
            return Answer { body: Some(response(&Value::Null, Err(failure))), ..Answer::default() };
        }
        let mut responses = Vec::new();
        let mut replay = false;
        for request in requests {
            let answer = self.single(request, context).await;
            replay |= answer.replay;
            responses.extend(answer.body);
        }
        let body = (!responses.is_empty()).then_some(Value::Array(responses));
        Answer { body, retry_after: None, replay }
    }

    async fn single(&self, request: Value, context: &Context) -> Answer {
        let request = match Request::of(request) {
            Ok(request) => request,
            Err((id, failure)) => {
                return Answer { body: Some(response(&id, Err(failure))), ..Answer::default() };
            }
        };
        let outcome = Box::pin(self.call(&request.method, request.params, context)).await;
        let replay = request.method == "sys.subscribe"
            && outcome.as_ref().is_ok_and(|value| value["resources"] == "all");
        let retry_after = outcome.as_ref().err().and_then(Failure::retry_after);
        let body = request.id.map(|id| response(&id, outcome));
        Answer { body, retry_after, replay }
    }

    async fn call(&self, method: &str, params: Option<Value>, context: &Context) -> Result<Value, Failure> {
        const CALL: &[Right] = &[Right::Call];
        const LOOK: &[Right] = &[Right::Call, Right::Read];
        let Some(name) = method.strip_prefix("ext.duo_callback.") else {
            context.allow(LOOK)?;
            return match method {
                "sys.subscribe" => self.subscribe(params, context),
                "sys.unsubscribe" => self.unsubscribe(params, context),
                _ => Err(Failure::method(method)),
            };
        };
        context.allow(if matches!(name, "exists" | "get" | "list") { LOOK } else { CALL })?;
        match name {
            "construct" => {
                let mut given = parameters::construct(Given::take(params, parameters::CONSTRUCT)?)?;
                merge_key(&mut given.request_id, context.idempotency_key.as_deref())?;
                self.construct(given, context.socket).await
            }
            "cancel" => {
                let res_id = Given::take(params, &["res_id"])?.required("res_id")?;
                self.cancel(res_id).await
            }
            "drop" => {
                let mut given = Given::take(params, &["res_id", "cause"])?;
                let (res_id, cause) = (given.required("res_id")?, given.integer("cause")?);
                self.drop_call(res_id, cause).await
            }
            "exists" => {
                let res_id = Given::take(params, &["res_id"])?.required("res_id")?;
                Ok(self.look(res_id).await?.is_some().into())
            }
            "get" => {
                let res_id = Given::take(params, &["res_id"])?.required("res_id")?;
                self.look(res_id).await?.ok_or_else(|| Failure::not_found("no such resource"))
            }
            "list" => {
                let mut given = Given::take(params, &["state", "cursor", "limit"])?;
                self.list(state(given.text("state")?)?, given.text("cursor")?, given.integer("limit")?).await
            }
            name => match actions::Call::of(name) {
                Some(call) => self.act(call, params).await,
                None => Err(Failure::method(method)),
            },
        }
    }

    fn subscribe(&self, params: Option<Value>, context: &Context) -> Result<Value, Failure> {
        let wanted = Given::take(params, &["resources"])?.text("resources")?;
        let subscription = match wanted.as_deref() {
            None | Some("mine") => Subscription::Mine,
            Some("all") => {
                context.allow(&[Right::Read])?;
                Subscription::All
            }
            Some(_) => return Err(Failure::parameter("resources", "expected \"mine\" or \"all\"")),
        };
        let socket = context.socket.ok_or_else(only_on_a_websocket)?;
        self.hub.subscribe(socket, subscription);
        Ok(json!({"resources": wanted.as_deref().unwrap_or("mine")}))
    }

    fn unsubscribe(&self, params: Option<Value>, context: &Context) -> Result<Value, Failure> {
        Given::take(params, &[])?;
        let socket = context.socket.ok_or_else(only_on_a_websocket)?;
        self.hub.subscribe(socket, Subscription::Nothing);
        Ok(json!({"resources": null}))
    }
}

impl Context {
    fn allow(&self, any_of: &[Right]) -> Result<(), Failure> {
        if self.caller.may(any_of) { Ok(()) } else { Err(Failure::forbidden("the token lacks the right")) }
    }
}

fn only_on_a_websocket() -> Failure {
    Failure::request("events come over a WebSocket only: connect to GET /rpc")
}

/// The state that a filter names.
pub(crate) fn state(name: Option<String>) -> Result<Option<State>, Failure> {
    let Some(name) = name else { return Ok(None) };
    match State::from_name(&name) {
        Some(state) => Ok(Some(state)),
        None => {
            Err(Failure::parameter("state", "expected Initiated, Answer1, Answer2, Connected or Released"))
        }
    }
}

/// The key of the header and that of the body must not contradict each other.
fn merge_key(given: &mut Option<String>, header: Option<&str>) -> Result<(), Failure> {
    let Some(header) = header else { return Ok(()) };
    if given.as_deref().is_some_and(|given| given != header) {
        return Err(Failure::parameter("request_id", "another than the Idempotency-Key header"));
    }
    *given = Some(header.to_owned());
    Ok(())
}

struct Request {
    /// None: a notification.
    id: Option<Value>,
    method: String,
    params: Option<Value>,
}

impl Request {
    fn of(value: Value) -> Result<Self, (Value, Failure)> {
        let Value::Object(mut fields) = value else {
            return Err((Value::Null, Failure::request("a request is an object")));
        };
        let id = fields.remove("id");
        // What is answered to a request that is wrong: its id, if that at least can be one.
        let answer_to = match &id {
            Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
            _ => Value::Null,
        };
        let wrong = |message: &str| Err((answer_to.clone(), Failure::request(message)));
        if id.as_ref().is_some_and(|id| !matches!(id, Value::String(_) | Value::Number(_) | Value::Null)) {
            return wrong("id is neither a string, a number nor null");
        }
        if fields.remove("jsonrpc") != Some("2.0".into()) {
            return wrong("jsonrpc is not \"2.0\"");
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            return wrong("method is not a string");
        };
        let params = fields.remove("params");
        if let Some(unknown) = fields.keys().next() {
            return wrong(&format!("unknown member: {}", unknown.escape_debug()));
        }
        Ok(Self { id, method, params })
    }
}

fn response(id: &Value, outcome: Result<Value, Failure>) -> Value {
    match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(failure) => json!({"jsonrpc": "2.0", "id": id, "error": failure.object()}),
    }
}

fn parse(body: &[u8]) -> Result<Value, Failure> {
    if body.len() > LARGEST_BODY {
        return Err(Failure::request(format!("larger than {LARGEST_BODY} bytes")));
    }
    // Before the parser is let loose: it would build every level.
    if depth(body) > DEEPEST {
        return Err(Failure::parse(format!("nested more than {DEEPEST} levels deep")));
    }
    serde_json::from_slice(body).map_err(|error| Failure::parse(format!("not JSON: {error}")))
}

/// The deepest level of brackets outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_string => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert_eq!(depth(br#"{"a":["[[[[\"[[","x"]}"#), 2);
        assert_eq!(depth(b"[[[]]]"), 3);
        assert!(parse(&[b'['; 65_536]).unwrap_err().object()["message"].as_str().unwrap().contains("deep"));
    }

    #[test]
    fn what_is_no_request_is_answered_with_its_id_if_it_has_one() {
        for (request, id) in [
            (json!(1), Value::Null),
            (json!({"id": 7, "method": "a"}), json!(7)),
            (json!({"jsonrpc": "2.0", "id": {}, "method": "a"}), Value::Null),
            (json!({"jsonrpc": "2.0", "id": "x", "method": 1}), json!("x")),
            (json!({"jsonrpc": "2.0", "id": 1, "method": "a", "extra": 1}), json!(1)),
        ] {
            let (answer_to, failure) = Request::of(request.clone()).err().unwrap();
            assert_eq!((answer_to, &failure.object()["code"]), (id, &json!(-32600)), "{request}");
        }
        assert!(Request::of(json!({"jsonrpc": "2.0", "method": "a"})).ok().unwrap().id.is_none());
    }
}
