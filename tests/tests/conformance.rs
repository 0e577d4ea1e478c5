//! The table of conformance says what is true: its tests exist, all tests that name an RFC stand in it, and nothing is
//! waived without a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One row: RFC, section, requirement, test, state.
type Row = [String; 5];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(root().join("tests/conformance.md")).expect("the table");
    let lines = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = |line: &str| -> Row {
        let cells: Vec<String> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("five cells: {cells:?}"))
    };
    lines.map(cells).collect()
}

/// Names of all test functions that begin with an RFC's number.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = ["control", "gateway", "tests"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let names = text.lines().filter_map(|line| {
                    let line = line.trim_start();
                    line.strip_prefix("async fn ").or(line.strip_prefix("fn "))?.split('(').next()
                });
                found.extend(names.filter(|name| is_named(name)).map(str::to_owned));
            }
        }
    }
    found
}

fn is_named(function: &str) -> bool {
    let number = function.strip_prefix("rfc").and_then(|rest| rest.split_once('_'));
    number.is_some_and(|(number, _)| number.parse::<u16>().is_ok())
}

#[test]
fn every_row_is_done_by_a_test_or_waived_for_a_reason() {
    let tests = tests();
    let rows = rows();
    assert!(rows.len() > 100, "{} rows", rows.len());
    for [rfc, section, requirement, test, state] in &rows {
        let at = format!("RFC {rfc}, {section}: {requirement}");
        assert!(rfc.parse::<u16>().is_ok() && !requirement.is_empty(), "{at}");
        match state.strip_prefix("waived: ") {
            Some(reason) => assert!(test == "-" && reason.len() > 20, "{at}"),
            None => {
                assert_eq!(state, "done", "{at}");
                let name = test.trim_matches('`');
                assert!(tests.contains(name), "{at}: there is no test {name}");
                assert!(name.starts_with(&format!("rfc{rfc}")), "{at}: {name} is about another RFC");
            }
        }
    }
}

#[test]
fn every_test_that_names_an_rfc_stands_in_the_table() {
    let named: BTreeSet<String> =
        rows().into_iter().map(|[_, _, _, test, _]| test.trim_matches('`').to_owned()).collect();
    let missing: Vec<String> = tests().into_iter().filter(|test| !named.contains(test)).collect();
    assert!(missing.is_empty(), "not in tests/conformance.md: {missing:#?}");
}
