//! How a leg was carried, as the interface spells it.

use duogate_channel::event::LegStatistics;
use duogate_channel::quality::{Fault, Scores};
use serde_json::{Value, json};

/// `quality` of a party: what it sent as the gateway saw it, what it heard as it told by RTCP, and how good both were
/// (mean opinion scores, 1 to 4.5). What is not known is null.
pub(super) fn quality(statistics: Option<&LegStatistics>) -> Value {
    let Some(statistics) = statistics else { return Value::Null };
    let told = &statistics.quality;
    let milliseconds = |microseconds: u32| f64::from(microseconds) / 1_000.0;
    let seconds = |milliseconds: u32| f64::from(milliseconds) / 1_000.0;
    let heard = |value: Value| if told.reports_received == 0 { Value::Null } else { value };
    json!({
        "packets_received": statistics.packets_received,
        "octets_received": statistics.octets_received,
        "packets_sent": statistics.packets_sent,
        "octets_sent": statistics.octets_sent,
        "packets_lost": statistics.packets_lost,
        "packets_refused": statistics.packets_refused,
        "jitter_milliseconds": milliseconds(statistics.jitter_microseconds),
        "worst_jitter_milliseconds": milliseconds(statistics.worst_jitter_microseconds),
        "mos": scores(told.sent),
        "interval_loss_percent": f64::from(told.interval_loss) / 100.0,
        "burst_ratio": known(told.burst_ratio),
        "round_trip_milliseconds": match told.round_trip_microseconds {
            0 => Value::Null,
            round_trip => milliseconds(round_trip).into(),
        },
        "heard_mos": scores(told.heard),
        "heard_lost": heard(told.heard_lost.into()),
        "heard_loss_percent": heard((f64::from(told.heard_fraction) / 2.56).into()),
        "heard_jitter_milliseconds": heard(milliseconds(told.heard_jitter_microseconds).into()),
        "rtcp_sent": told.reports_sent,
        "rtcp_received": told.reports_received,
        "rtcp_bye": told.bye,
        "fault": told.fault.map(Fault::name),
        "absent_seconds": seconds(told.absent_milliseconds),
        "mute_seconds": seconds(told.mute_milliseconds),
    })
}

/// Of the newest interval, of all, of the worst.
fn scores(scores: Scores) -> Value {
    json!({"last": known(scores.last), "average": known(scores.average), "worst": known(scores.worst)})
}

/// Hundredths; 0 stands for what is not known.
fn known(hundredths: u16) -> Value {
    if hundredths == 0 { Value::Null } else { (f64::from(hundredths) / 100.0).into() }
}

#[cfg(test)]
mod tests {
    use duogate_channel::quality::Quality;

    use super::*;

    #[test]
    fn what_is_not_known_is_null() {
        assert_eq!(quality(None), Value::Null);
        let nothing = quality(Some(&LegStatistics::default()));
        for name in ["round_trip_milliseconds", "heard_lost", "heard_loss_percent", "burst_ratio", "fault"] {
            assert_eq!(nothing[name], Value::Null, "{name}");
        }
        assert_eq!(nothing["mos"]["average"], Value::Null);
        let told = Quality {
            reports_received: 3,
            round_trip_microseconds: 20_500,
            heard_lost: -1,
            heard_fraction: 64,
            sent: Scores { last: 441, average: 430, worst: 320 },
            fault: Some(Fault::Mute),
            mute_milliseconds: 4_100,
            ..Quality::default()
        };
        let known = quality(Some(&LegStatistics { quality: told, ..LegStatistics::default() }));
        assert_eq!(known["round_trip_milliseconds"], 20.5);
        assert_eq!((&known["heard_lost"], &known["heard_loss_percent"]), (&json!(-1), &json!(25.0)));
        assert_eq!(known["mos"], json!({"last": 4.41, "average": 4.3, "worst": 3.2}));
        assert_eq!((&known["fault"], &known["mute_seconds"]), (&json!("mute"), &json!(4.1)));
    }
}
