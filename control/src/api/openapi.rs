//! `GET /openapi.json`: the description of the interface, written by hand and held against the routes by a test.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

/// Answers with the document.
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::api::{parameters, routes};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<(String, String)> = document()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = routes()
            .into_iter()
            .flat_map(|(path, methods, _)| {
                methods.iter().map(move |method| (path.to_owned(), (*method).to_owned()))
            })
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_method_of_an_action_is_named() {
        let document = document();
        let methods = &document["components"]["schemas"]["RpcRequest"]["properties"]["method"]["enum"];
        for (name, _) in crate::api::actions::CALLS {
            let method = Value::from(format!("ext.duo_callback.{name}"));
            assert!(methods.as_array().unwrap().contains(&method), "{method}");
        }
    }

    #[test]
    fn construct_is_described_with_every_parameter() {
        let document = document();
        let properties = document["components"]["schemas"]["Construct"]["properties"].as_object().unwrap();
        let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(described, parameters::CONSTRUCT.iter().copied().collect());
    }

    #[test]
    fn every_codec_is_named() {
        let document = document();
        for place in ["Construct/properties/codecs/items", "Cdr/properties/codec"] {
            let names = document.pointer(&format!("/components/schemas/{place}/enum")).unwrap();
            for codec in duogate_channel::sound::Codec::ALL {
                assert!(
                    names.as_array().unwrap().contains(&codec.name().into()),
                    "{place}: {}",
                    codec.name()
                );
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let target = document.pointer(reference.trim_start_matches('#'));
                        assert!(target.is_some(), "{reference}");
                    }
                    open.extend(fields.values());
                }
                Value::Array(values) => open.extend(values),
                _ => {}
            }
        }
    }
}
