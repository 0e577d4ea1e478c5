//! Disks that are full or must not be written: whoever needs them is told, and calls go on.

use std::path::Path;

use duogate_phone::{Step, What};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::private::{fail, fill, mount_failing, mount_small, set_writable, shift, with_own_mounts};
use duogate_tests::scene::{STEP, Scene, answers};
use duogate_tests::story::Story;
use duogate_tests::wav;
use serde_json::{Value, json};

/// A scene whose folder of this name is a small file system.
fn scene_with_small(folder: &str, kibibytes: u32) -> Scene {
    let folder = folder.to_owned();
    let prepare = move |root: &Path| {
        let folder = root.join(&folder);
        std::fs::create_dir_all(&folder).expect("a folder in the test's own");
        mount_small(&folder, kibibytes);
    };
    Scene::of(Duogate::start_prepared(&Changes::none(), prepare), [answers(0), answers(1)])
}

/// Party 1 hangs up: one release, and one recording told of.
fn end(scene: &mut Scene, res_id: &str) -> Story {
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(res_id, 2);
    story.demand_release(200, 1);
    assert_eq!(story.count("on_record_completed"), 1);
    story
}

#[test]
fn recordings_on_a_full_disk_end_and_calls_go_on() {
    with_own_mounts("recordings_on_a_full_disk_end_and_calls_go_on", || {
        let recording = json!({"record_file": "talk.wav", "record_format": "pcm16"});
        demand_that_the_call_goes_on(40, &recording, |bytes, path| {
            assert_eq!(bytes, std::fs::metadata(path).expect("what there is").len());
            assert!(wav::read(path).channels[0].len() > 4_000, "what was written is kept, and plays");
        });
    });
}

/// Records on a disk of so many kibibytes, too few: the recording ends with an error, with so many octets told and a file
/// that is `kept` as it should be, and the call does not.
fn demand_that_the_call_goes_on(kibibytes: u32, recording: &Value, kept: impl FnOnce(u64, &Path)) {
    let mut scene = scene_with_small("recordings", kibibytes);
    let res_id = scene.connect(recording);
    scene.until("on_record_completed");
    let completed = scene.seen.last().expect("the one waited for").clone();
    assert_eq!(completed.fields["error"]["reason"], "write_failed", "{completed:?}");
    scene.demand_sound();
    assert_eq!(scene.view(&res_id)["state"], "Connected");
    let path = scene.duogate.recording(recording["record_file"].as_str().expect("a name"));
    kept(completed.fields["bytes"].as_u64().expect("a number"), &path);
    let log = scene.duogate.logs();
    assert!(log.contains("a recording cannot be written; the call goes on"), "{log}");

    end(&mut scene, &res_id);
    scene.demand(1, &What::Ended);
}

#[test]
fn recordings_where_nothing_may_be_written_are_refused() {
    with_own_mounts("recordings_where_nothing_may_be_written_are_refused", || {
        let mut scene = scene_with_small("recordings/archive", 400);
        let folder = scene.duogate.folder().join("recordings/archive");
        set_writable(&folder, false);
        for (file, format) in [("archive/talk.wav", "alaw"), ("archive/talk.ogg", "opus")] {
            let parameters = scene.parameters(&json!({"record_file": file, "record_format": format}));
            let refusal =
                scene.application.call("ext.duo_callback.construct", &parameters).expect_err("read-only");
            assert_eq!((refusal.code, &refusal.data["reason"]), (-32005, &json!("media_file")));
            assert_eq!(refusal.data["parameter"], "record_file");
            assert!(refusal.message.contains("ead-only"), "{}", refusal.message);
        }
        let res_id = scene.connect(&json!({}));
        assert_eq!(scene.view(&res_id)["state"], "Connected", "without a recording it works");
        set_writable(&folder, true);
        scene.phones[0].act(Step::HangUp);
        scene.until("on_released");
        let _ = scene.connect(&json!({"record_file": "archive/talk.wav"}));
    });
}

#[test]
fn a_recording_whose_folder_goes_away_ends_its_call_goes_on_and_a_start_repairs_it() {
    with_own_mounts(
        "a_recording_whose_folder_goes_away_ends_its_call_goes_on_and_a_start_repairs_it",
        || {
            let mut scene = scene_with_small("recordings/archive", 4_000);
            let folder = scene.duogate.folder().join("recordings/archive");
            let aside = tempfile::tempdir().expect("a folder");
            let res_id = scene.connect(&json!({"record_file": "archive/talk.wav"}));
            shift(&folder, aside.path());
            scene.demand_sound();
            assert_eq!(scene.view(&res_id)["state"], "Connected");
            let story = end(&mut scene, &res_id);
            let error = story.field("on_record_completed", "error");
            assert_eq!(error["reason"], "write_failed");
            // What was written is there, where the folder is now, and whole after the next start in its place.
            assert!(aside.path().join("talk.wav.part").exists(), "{}", scene.duogate.logs());
            shift(aside.path(), &folder);
            scene.duogate.kill_gateway();
            scene.kill_control();
            scene.duogate.start_gateway();
            scene.restart_control();
            let file = folder.join("talk.wav");
            until("the recording is repaired", STEP, || file.exists());
            assert!(wav::read(&file).channels[0].len() > 1_000, "what was written plays");
        },
    );
}

#[test]
fn a_recording_on_a_disk_that_turns_read_only_ends_and_its_call_goes_on() {
    with_own_mounts("a_recording_on_a_disk_that_turns_read_only_ends_and_its_call_goes_on", || {
        let image = tempfile::NamedTempFile::new().expect("a file");
        let prepare = |root: &Path| {
            let folder = root.join("recordings/archive");
            std::fs::create_dir_all(&folder).expect("a folder in the test's own");
            mount_failing(&folder, image.path(), 4_000);
        };
        let mut scene =
            Scene::of(Duogate::start_prepared(&Changes::none(), prepare), [answers(0), answers(1)]);
        let res_id = scene.connect(&json!({"record_file": "archive/talk.wav"}));
        let folder = scene.duogate.folder().join("recordings/archive");
        fail(&folder);
        scene.until("on_record_completed");
        let completed = scene.seen.last().expect("the one waited for").clone();
        assert_eq!(completed.fields["error"]["reason"], "write_failed", "{completed:?}");
        let log = scene.duogate.logs();
        assert!(log.contains("Read-only file system"), "the log names the reason: {log}");
        assert!(
            folder.join("talk.wav.part").exists() || folder.join("talk.wav").exists(),
            "what there is stays"
        );
        scene.demand_sound();
        assert_eq!(scene.view(&res_id)["state"], "Connected");
        end(&mut scene, &res_id);
    });
}

#[test]
fn recordings_in_opus_on_a_full_disk_end_and_calls_go_on() {
    with_own_mounts("recordings_in_opus_on_a_full_disk_end_and_calls_go_on", || {
        // Room for its beginning; two voices take some kilobytes a second.
        let recording = json!({"record_file": "talk.ogg", "record_format": "opus"});
        demand_that_the_call_goes_on(12, &recording, |told, path| {
            let file = std::fs::read(path).expect("what there is");
            assert!(file.starts_with(b"OggS"), "what was written is kept");
            assert!(told > 0 && told <= file.len() as u64, "{told} told, {} there", file.len());
        });
    });
}

#[test]
fn a_full_disk_under_the_store_refuses_new_calls_and_loses_no_event() {
    with_own_mounts("a_full_disk_under_the_store_refuses_new_calls_and_loses_no_event", || {
        let mut scene = scene_with_small("state", 3_000);
        let res_id = scene.connect(&json!({"user_data": "u"}));
        let filler = scene.duogate.folder().join("state/filler");
        fill(&filler);
        let parameters = scene.parameters(&json!({"user_data": "x".repeat(4_000)}));
        let refusal = loop {
            // What the database still has room for may be taken.
            match scene.application.call("ext.duo_callback.construct", &parameters) {
                Ok(_) => {}
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(refusal.data["reason"], "store_failed", "{refusal:?}");
        assert!(refusal.message.contains("full"), "it says what is wrong: {}", refusal.message);
        scene.demand_sound();
        let view = scene.view(&res_id);
        assert_eq!(view["state"], "Connected");
        scene.phones[0].act(Step::HangUp);
        scene.demand(1, &What::Ended);

        std::fs::remove_file(&filler).expect("room again");
        let story = scene.story(&res_id, 2);
        story.demand_release(200, 1);
        until("new calls", STEP, || {
            scene.application.call("ext.duo_callback.construct", &parameters).is_ok()
        });
    });
}
