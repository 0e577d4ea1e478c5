//! What operators do while calls are up.

use std::time::Duration;

use duogate_tests::duogate::Duogate;
use duogate_tests::sipp::{Party, Step};
use duogate_tests::story::Story;
use serde_json::{Value, json};

/// How long one step of a callback may take here.
const STEP: Duration = Duration::from_secs(8);

fn ask(duogate: &Duogate, method: &str, path: &str) -> (u16, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: duogate\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let (status, body) = duogate.http(&request).expect("an answer");
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[test]
fn draining_lets_calls_go_on_and_an_operator_can_end_them() {
    let duogate = Duogate::start();
    let parties = [(); 2].map(|()| Party::start(&[Step::Answer, Step::ExpectBye]));
    let mut application = duogate.application();
    let params = json!({"to1_uri": parties[0].uri(), "to2_uri": parties[1].uri()});
    let res_id = application.construct(&params);
    let connected = application.events_until("on_connected", STEP);

    assert_eq!(ask(&duogate, "POST", "/v1/drain"), (200, json!({"draining": true, "calls": 1})));
    assert_eq!(ask(&duogate, "GET", "/v1/drain").1["draining"], true);
    let (status, ready) = ask(&duogate, "GET", "/readyz");
    assert_eq!((status, &ready["draining"], &ready["ready"]), (503, &json!(true), &json!(false)));
    assert_eq!(ask(&duogate, "GET", "/healthz").0, 200, "it is well all the same");
    let error = application.call("ext.duo_callback.construct", &params).expect_err("no new calls");
    assert_eq!((error.code, &error.data["reason"]), (-32007, &json!("draining")));
    let (_, living) = ask(&duogate, "GET", "/v1/callbacks?state=Connected");
    assert_eq!(living["resources"][0]["res_id"], res_id.as_str(), "the call goes on");
    assert_eq!(ask(&duogate, "GET", "/v1/shards").1["shards"][0]["calls"], 1);
    assert_eq!(ask(&duogate, "GET", "/v1/trunks").1["trunks"][0]["calls"], 2);

    let path = format!("/v1/callbacks/{res_id}");
    assert_eq!(ask(&duogate, "DELETE", &path).0, 204);
    let story = Story::continued(connected, &mut application, &res_id, 2);
    story.demand_release(603, 0);
    assert_eq!(ask(&duogate, "GET", "/v1/drain").1["calls"], 0);
    assert_eq!(ask(&duogate, "DELETE", "/v1/drain"), (200, json!({"draining": false, "calls": 0})));
    assert_eq!(ask(&duogate, "GET", "/readyz").0, 200);
    parties.into_iter().for_each(Party::finish);
}
