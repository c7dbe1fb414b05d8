//! Placeholder until the origin is written.
fn main() {}
