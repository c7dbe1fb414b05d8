//! Tells `versions()` which compiler built the module and for which machine; only a build script knows both.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).arg("--version").output();
    let version = answer.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let number = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=PYLB_RUST={number}");
    println!("cargo::rustc-env=PYLB_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
}
