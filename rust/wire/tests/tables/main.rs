//! The cases of `tests/wire`, run against the parser and the renderer as an engine would drive them.
//!
//! Each case is played whole, in small pieces and byte by byte: where the bytes were split must not matter. The same files
//! drive the end-to-end tests, so what is promised here is what a client sees.

// Tests read files; the crate itself may not.
#![allow(clippy::disallowed_methods)]

mod data;
mod preambles;
mod requests;
mod responses;

use data::{Cases, every_file};

#[test]
fn every_case_comes_out_as_the_table_says() {
    let mut played = 0;
    let mut wrong = Vec::new();
    for (name, file) in every_file() {
        let mut report = |case: &str, verdict: Result<(), String>| {
            played += 1;
            if let Err(why) = verdict {
                wrong.push(format!("{name}: {case}: {why}"));
            }
        };
        match file {
            Cases::Requests { cases, .. } => cases.iter().for_each(|case| report(&case.name, requests::check(case))),
            Cases::Responses { cases, .. } => cases.iter().for_each(|case| report(&case.name, responses::check(case))),
            Cases::Hellos { cases, .. } => cases.iter().for_each(|case| report(&case.name, preambles::hello(case))),
            Cases::Proxies { cases, .. } => cases.iter().for_each(|case| report(&case.name, preambles::proxy(case))),
        }
    }
    assert!(wrong.is_empty(), "{} of {played} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 500, "only {played} cases were found");
}

#[test]
fn every_rule_has_a_case() {
    // Rules that bytes alone cannot break: one guards the engine, the other what the parser of lines refuses and we could not name.
    let unreachable = ["out-of-turn", "malformed-head"];
    let table = include_str!("../../src/error.rs");
    let rules = table.lines().filter_map(|row| row.split_once("=> (\"")?.1.split('"').next());
    let named: Vec<String> = every_file().into_iter().flat_map(|(_, file)| file.rules()).collect();
    let missing: Vec<&str> =
        rules.filter(|rule| !unreachable.contains(rule) && !named.iter().any(|name| name == rule)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn names_are_unique_in_their_file() {
    for (file, cases) in every_file() {
        let mut names = cases.names();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{file}");
    }
}
