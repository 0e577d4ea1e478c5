//! The commented file at the top of the project says what the types say.

use duogate_configuration::Configuration;

const FILE: &str = include_str!("../../duogate.toml");

/// The keys that a table may have, as the reader itself lists them when it meets one that it does not know.
fn keys(header: &str) -> Vec<String> {
    let Err(findings) = Configuration::parse(&format!("{header}\nno_such_key = 1\n")) else {
        panic!("{header} takes an unknown key")
    };
    let message = &findings[0].message;
    assert!(message.starts_with("unknown field `no_such_key`, expected"), "{header}: {message}");
    let keys: Vec<String> = message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(!keys.is_empty(), "{header}: {message}");
    keys
}

/// The lines that follow a header up to the next one, comment signs taken off.
fn section(header: &str) -> String {
    let plain = |line: &str| line.trim_start_matches(['#', ' ']).to_owned();
    let lines = FILE.lines().map(plain).skip_while(|line| line != header).skip(1);
    lines.take_while(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_file_is_the_default() {
    assert_eq!(Configuration::parse(FILE).unwrap(), Configuration::default());
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Configuration::parse("").unwrap(), Configuration::default());
}

#[test]
fn the_file_has_every_key() {
    for table in keys("") {
        let header = match table.as_str() {
            "trunk" => "[[trunk]]".to_owned(),
            table => format!("[{table}]"),
        };
        assert!(FILE.lines().any(|line| line == header), "{header} is missing in duogate.toml");
        for key in keys(&header) {
            let written = section(&header).lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(written, "{header} {key} is missing in duogate.toml");
        }
    }
    for key in keys("[[http.tokens]]") {
        let written = section("[[http.tokens]]").lines().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(written, "[[http.tokens]] {key} is missing in duogate.toml");
    }
}

#[test]
fn every_key_of_the_file_has_a_comment() {
    let mut commented = false;
    for (index, line) in FILE.lines().enumerate() {
        match line {
            line if line.starts_with('#') => commented = true,
            "" => commented = false,
            line if line.starts_with('[') => commented = false,
            // One comment may stand above several keys of one kind.
            line => assert!(commented, "line {}: {line} has no comment", index + 1),
        }
    }
}

#[test]
fn what_is_commented_out_is_right_too() {
    let uncommented: String = FILE
        .lines()
        .filter(|line| *line != "tokens = []")
        .map(|line| {
            let bare = line.trim_start_matches(['#', ' ']);
            let is_setting = bare.starts_with("[[")
                || bare.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                });
            format!("{}\n", if is_setting { bare } else { line })
        })
        .collect();
    let configuration = Configuration::parse(&uncommented).unwrap();
    assert_eq!(configuration.http.tokens.len(), 1);
    assert_eq!(configuration.webhook.secret.unwrap().expose(), "a long random text");
    assert_eq!(configuration.trunks[0].proxy.as_deref(), Some("192.0.2.10:5060"));
}

#[test]
fn numbers_go_to_the_trunk_that_says_so_or_else_to_the_first() {
    let trunk = |name: &str, more: &str| {
        format!("[[trunk]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\n{more}\n")
    };
    for (text, expected) in [
        (String::new(), "loopback"),
        (trunk("a", "") + &trunk("b", ""), "a"),
        (trunk("a", "") + &trunk("b", "default = true"), "b"),
    ] {
        let configuration = Configuration::parse(&text).expect(&text);
        assert_eq!(configuration.default_trunk().map(|trunk| trunk.name.as_str()), Some(expected), "{text}");
    }
}
