//! Tells `versions()` which compiler built the module, for which machine, and with which library for TLS; only a build
//! script knows them.

use std::process::Command;

/// From the folder of this crate.
const LOCK: &str = "../../Cargo.lock";

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).arg("--version").output();
    let version = answer.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let number = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=PYLB_RUST={number}");
    println!("cargo::rustc-env=PYLB_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    let lock = std::fs::read_to_string(LOCK).unwrap_or_default();
    println!("cargo::rustc-env=PYLB_TLS=rustls {}, aws-lc-rs {}", locked(&lock, "rustls"), locked(&lock, "aws-lc-rs"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LOCK}");
}

/// The version of a package.
fn locked<'a>(lock: &'a str, name: &str) -> &'a str {
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")));
    package.and_then(|package| package.split("version = \"").nth(1)?.split('"').next()).unwrap_or("unknown")
}
