//! The cache of prompts: a file is decoded once, and anew when it has changed.

use serde_json::json;

use crate::node::{Node, write_wav};
use crate::party::{Manner, Party};

/// A prompt comes as two sounds, one in each codec.
const SOUNDS: usize = 2;

struct Cache {
    node: Node,
    party: Party,
}

impl Cache {
    fn start() -> Self {
        Self::of(Node::start())
    }

    fn of(node: Node) -> Self {
        Self { node, party: Party::start(Manner::Busy) }
    }

    fn write(&self, name: &str, seconds: u32) {
        write_wav(&self.node.path("prompts").join(name), 8_000, 1, 16, seconds * 8_000);
    }

    /// A callback with this prompt, that is over. Gives how many sounds the gateway was handed for it.
    fn play(&self, name: &str) -> usize {
        let before = self.node.sounds().handed;
        let parameters =
            json!({"to1_uri": self.party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "ring_play_file": name});
        let answer = self.node.construct(&parameters).unwrap();
        self.node.wait_for_state(answer["res_id"].as_str().unwrap(), "Released");
        self.node.sounds().handed - before
    }
}

#[test]
fn a_file_that_was_changed_is_decoded_anew_and_one_that_was_not_is_not() {
    let cache = Cache::start();
    cache.write("prompt.wav", 1);
    cache.play("prompt.wav");
    assert_eq!(cache.play("prompt.wav"), 0);
    cache.write("prompt.wav", 2);
    assert_eq!(cache.play("prompt.wav"), SOUNDS, "longer than before");
    cache.write("other.wav", 2);
    std::fs::rename(
        cache.node.path("prompts").join("other.wav"),
        cache.node.path("prompts").join("prompt.wav"),
    )
    .unwrap();
    assert_eq!(cache.play("prompt.wav"), SOUNDS, "another file of the same size in its place");
    assert_eq!(cache.play("prompt.wav"), 0);
}

#[test]
fn a_call_that_is_over_holds_no_room_for_its_prompt() {
    let cache = Cache::of(Node::start_with("", "[limits]\nprompt_megabytes = 1\n"));
    // Two of them, in two codecs each, are more than there is room for; a call's transactions linger for seconds.
    for name in ["one.wav", "two.wav", "three.wav", "four.wav"] {
        cache.write(name, 60);
        assert!(cache.play(name) >= SOUNDS, "{name}, and the tone of the first call");
    }
}
