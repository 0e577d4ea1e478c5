//! The style of the house, as a test: sizes, who may import whom, where `unsafe` may stand, what must not stand
//! anywhere. It reads the sources as text; formatting is rustfmt's, so indentation can be trusted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file, at the most. Most stay near 300; a longer one has a reason.
const FILE_LINES: usize = 500;

/// Lines of a function, at the most. Most stay near 30.
const FUNCTION_LINES: usize = 60;

/// Files that map memory, speak to the kernel, or count what is allocated; `unsafe` stands nowhere else.
const UNSAFE_FILES: &[&str] = &[
    "benches/src/datagrams.rs",
    "benches/src/namespace.rs",
    "benches/src/uring.rs",
    "channel/src/segment.rs",
    "control/signaling/tests/endpoint/allocator.rs",
    "gateway/fastpath/src/table.rs",
    "gateway/src/ahead.rs",
    "gateway/src/buffers.rs",
    "gateway/src/schedule.rs",
    "gateway/src/sockets.rs",
    "gateway/src/sound.rs",
    "gateway/src/uring.rs",
    "tests/src/capture.rs",
];

/// What makes code unsafe; the word alone may stand in a text.
const UNSAFE_FORMS: &[&str] = &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"];

/// Which of our crates a crate may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("channel", &[]),
    ("configuration", &[]),
    ("gateway/fastpath", &[]),
    ("gateway/srtp", &["channel"]),
    ("gateway/media", &["channel", "srtp"]),
    ("channel/codecs", &["channel"]),
    ("gateway", &["channel", "codecs", "configuration", "fastpath", "media"]),
    ("control/signaling", &["channel"]),
    ("control", &["channel", "codecs", "configuration", "signaling"]),
    ("phone", &["channel", "codecs", "signaling"]),
    ("cli", &["configuration", "fastpath", "phone"]),
];

/// Layers of the signaling core; a layer uses only itself and those before it.
const SIGNALING_LAYERS: &[&[&str]] = &[
    &["clock"],
    &["message", "sdp"],
    &["transaction"],
    &["digest"],
    &["dialog"],
    &["leg"],
    &["peer"],
    &["resource"],
    &["endpoint"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// Every Rust file that git knows or does not ignore, with its text.
fn sources() -> Vec<(String, String)> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .expect("git lists the sources");
    let list = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: Vec<(String, String)> = list
        .lines()
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(files.len() > 20, "git names the workspace's sources, not {} files", files.len());
    files
}

fn report(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
}

#[test]
fn files_are_one_room() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    report(&format!("files over {FILE_LINES} lines"), &long);
}

/// Functions of a file with their first line and length.
fn functions(text: &str) -> Vec<(usize, usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let head = trimmed.split('(').next().unwrap_or_default();
        let is_function = head.split_whitespace().rev().nth(1) == Some("fn")
            || head.split('<').next().unwrap_or_default().split_whitespace().rev().nth(1) == Some("fn");
        if !is_function || trimmed.starts_with("//") {
            continue;
        }
        // A signature ends where its body begins, or in a trait without one.
        let has_body = lines[place..].iter().find_map(|line| match line.trim_end().chars().last() {
            Some('{' | '}') => Some(true),
            Some(';') => Some(false),
            _ => None,
        });
        if has_body != Some(true) {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        if let Some(length) = lines[place..].iter().position(|candidate| **candidate == *closing) {
            found.push((place + 1, length + 1, head.to_owned()));
        }
    }
    found
}

#[test]
fn functions_fit_on_a_screen() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        for (line, length, head) in functions(&text) {
            if length > FUNCTION_LINES {
                long.push(format!("{name}:{line}: {head} has {length} lines"));
            }
        }
    }
    report(&format!("functions over {FUNCTION_LINES} lines"), &long);
}

#[test]
fn the_function_counter_counts() {
    let text = "fn one() {\n    a();\n}\ntrait Y {\n    fn no_body(\n        self,\n    );\n}\nimpl X {\n    pub fn two<T: Y>(z: T) -> u8 {\n        1\n    }\n}\n";
    let lengths: Vec<usize> = functions(text).into_iter().map(|(_, length, _)| length).collect();
    assert_eq!(lengths, [3, 3]);
}

#[test]
fn unsafe_stands_only_where_it_is_meant_to() {
    let stray: Vec<String> = sources()
        .iter()
        .filter(|(name, _)| !UNSAFE_FILES.contains(&name.as_str()) && !name.ends_with("tests/tidy.rs"))
        .flat_map(|(name, text)| {
            let code = text.lines().enumerate().filter(|(_, line)| {
                let line = line.split("//").next().unwrap_or_default();
                UNSAFE_FORMS.iter().any(|form| line.contains(form))
            });
            code.map(move |(place, _)| format!("{name}:{}", place + 1))
        })
        .collect();
    report("unsafe outside the files meant for it", &stray);
}

#[test]
fn crates_look_only_where_they_may() {
    let mut findings = Vec::new();
    for (folder, allowed) in MAY_USE {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let Some(rest) = line.strip_prefix("duogate-") else { continue };
            let used = rest.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&used) {
                findings.push(format!("{folder} uses {used}"));
            }
        }
    }
    report("imports against the direction of the house", &findings);
}

#[test]
fn signaling_never_looks_upward() {
    let rank = |module: &str| SIGNALING_LAYERS.iter().position(|layer| layer.contains(&module));
    let mut findings = Vec::new();
    for (name, text) in sources() {
        let Some(inside) = name.strip_prefix("control/signaling/src/") else { continue };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = rank(module) else { continue };
        for line in text.lines() {
            let Some(rest) = line.trim_start().strip_prefix("use crate::") else { continue };
            let used = rest.split([':', ';', '{']).next().unwrap_or_default();
            if rank(used).is_some_and(|other| other > own) {
                findings.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    report("signaling modules that look upward", &findings);
}

#[test]
fn pure_crates_are_pure() {
    for folder in ["gateway/media", "gateway/srtp", "control/signaling"] {
        let text = fs::read_to_string(root().join(folder).join("src/lib.rs")).expect("a crate root");
        assert!(text.contains("no_std"), "{folder} is no_std: it has no clock, no socket and no thread");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{folder} forbids unsafe");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Written in two parts, so that this list does not find itself.
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("allow(dead", "_code)"),
    ];
    let mut findings = Vec::new();
    for (name, text) in sources() {
        for (place, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{name}:{}: {}", place + 1, line.trim()));
            }
        }
    }
    report("unfinished or switched off", &findings);
}
