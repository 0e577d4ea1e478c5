//! Parameters: by name or by position, of the right type, none unknown.

use duogate_signaling::resource::parameters::Parameters;
use serde_json::{Map, Value};

use super::error::Failure;

/// The parameters of `construct`, in the order of the specification, then its extensions.
pub(crate) const CONSTRUCT: &[&str] = &[
    "from1_uri",
    "to1_uri",
    "from2_uri",
    "to2_uri",
    "max_answer_seconds",
    "max_ring_seconds",
    "ring_play_file",
    "ring_play_mode",
    "record_file",
    "user_data",
    "record_mode",
    "record_format",
    "record_channels",
    "codecs",
    "callback_url",
    "request_id",
];

/// Longest `request_id`, in bytes.
const LONGEST_REQUEST_ID: usize = 255;

/// Parameters by name.
#[derive(Debug)]
pub(crate) struct Given(Map<String, Value>);

impl Given {
    /// Takes what a request gives. `names` are all that the method has, in their order.
    pub(crate) fn take(params: Option<Value>, names: &[&str]) -> Result<Self, Failure> {
        match params {
            None | Some(Value::Null) => Ok(Self(Map::new())),
            Some(Value::Object(fields)) => match fields.keys().find(|name| !names.contains(&name.as_str())) {
                Some(unknown) => Err(Failure::parameter(unknown, "unknown parameter")),
                None => Ok(Self(fields)),
            },
            Some(Value::Array(values)) => {
                if values.len() > names.len() {
                    let message = format!("{} parameters, the method has {}", values.len(), names.len());
                    return Err(Failure::parameters(message));
                }
                let named = names.iter().map(|name| (*name).to_owned()).zip(values);
                Ok(Self(named.collect()))
            }
            Some(_) => Err(Failure::parameters("params is neither an object nor an array")),
        }
    }

    fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(name, "a string", &other)),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, Failure> {
        self.text(name)?.ok_or_else(|| Failure::parameter(name, "missing"))
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(integer) => Ok(Some(integer)),
                None if value.is_u64() => Err(Failure::parameter(name, "out of range")),
                None => Err(wrong_type(name, "an integer", &value)),
            },
        }
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(name, "a boolean", &other)),
        }
    }

    /// A party: 1, 2 or "both".
    pub(crate) fn party(&mut self) -> Result<Option<String>, Failure> {
        match self.value("party") {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
            Some(other) => Err(wrong_type("party", "1, 2 or \"both\"", &other)),
        }
    }

    /// A list of texts, or one text that stands for a list of one.
    pub(crate) fn texts(&mut self, name: &str, one_will_do: bool) -> Result<Option<Vec<String>>, Failure> {
        let expected = if one_will_do { "a string or a list of strings" } else { "a list of strings" };
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if one_will_do => Ok(Some(vec![text])),
            Some(Value::Array(values)) => {
                let texts = values.into_iter().map(|value| match value {
                    Value::String(text) => Ok(text),
                    other => Err(wrong_type(name, expected, &other)),
                });
                texts.collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(wrong_type(name, expected, &other)),
        }
    }
}

fn wrong_type(name: &str, expected: &str, found: &Value) -> Failure {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Failure::parameter(name, format!("expected {expected}, found {found}"))
}

/// What `construct` is given. Ranges and forms are the endpoint's to check.
pub(crate) fn construct(mut given: Given) -> Result<Parameters, Failure> {
    let parameters = Parameters {
        from1_uri: given.text("from1_uri")?,
        to1_uri: given.texts("to1_uri", true)?.unwrap_or_default(),
        from2_uri: given.text("from2_uri")?,
        to2_uri: given.texts("to2_uri", true)?.unwrap_or_default(),
        max_answer_seconds: given.integer("max_answer_seconds")?,
        max_ring_seconds: given.integer("max_ring_seconds")?,
        ring_play_file: given.text("ring_play_file")?,
        ring_play_mode: given.integer("ring_play_mode")?,
        record_file: given.text("record_file")?,
        user_data: given.text("user_data")?,
        record_mode: given.integer("record_mode")?,
        record_format: given.text("record_format")?,
        record_channels: given.integer("record_channels")?,
        codecs: given.texts("codecs", false)?,
        callback_url: given.text("callback_url")?,
        request_id: given.text("request_id")?,
    };
    if let Some(key) = &parameters.request_id
        && !(1..=LONGEST_REQUEST_ID).contains(&key.len())
    {
        return Err(Failure::parameter("request_id", "expected 1 to 255 bytes"));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(params: Value) -> Result<Parameters, Failure> {
        Given::take(Some(params), CONSTRUCT).and_then(construct)
    }

    fn named(failure: &Failure) -> Value {
        failure.object()["data"]["parameter"].clone()
    }

    #[test]
    fn positions_are_those_of_the_specification() {
        let by_position =
            parse(json!(["sip:a@h", "b@h", null, ["c@h", "d@h"], 60, 20, "p.wav", 1, "r.wav", "u"])).unwrap();
        let by_name = parse(json!({
            "from1_uri": "sip:a@h", "to1_uri": ["b@h"], "to2_uri": ["c@h", "d@h"], "max_answer_seconds": 60,
            "max_ring_seconds": 20, "ring_play_file": "p.wav", "ring_play_mode": 1, "record_file": "r.wav",
            "user_data": "u"
        }))
        .unwrap();
        assert_eq!(by_position, by_name);
    }

    #[test]
    fn every_parameter_of_a_wrong_type_is_named() {
        for name in CONSTRUCT {
            for wrong in [json!(true), json!({}), json!([[1]]), json!([1]), json!(1.5)] {
                let failure = parse(json!({*name: wrong})).unwrap_err();
                assert_eq!(failure.object()["code"], -32602, "{name}: {wrong}");
                assert_eq!(named(&failure), *name, "{wrong}");
            }
        }
        assert_eq!(named(&parse(json!({"max_ring_seconds": u64::MAX})).unwrap_err()), "max_ring_seconds");
        assert_eq!(named(&parse(json!({"codecs": "PCMA"})).unwrap_err()), "codecs");
        assert_eq!(named(&parse(json!({"request_id": "x".repeat(256)})).unwrap_err()), "request_id");
    }

    #[test]
    fn unknown_parameters_are_refused_by_name() {
        let failure = parse(json!({"to1_uri": "a", "max_ring_second": 5})).unwrap_err();
        assert_eq!(named(&failure), "max_ring_second");
        assert!(parse(json!(vec![Value::Null; CONSTRUCT.len() + 1])).is_err());
        assert!(parse(json!("a")).is_err());
    }

    #[test]
    fn null_is_absent() {
        let nulls: Map<String, Value> =
            CONSTRUCT.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        assert_eq!(parse(Value::Object(nulls)).unwrap(), Parameters::default());
    }
}
