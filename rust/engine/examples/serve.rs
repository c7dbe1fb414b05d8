//! Serves a draft without Python: for profilers and debuggers. `cargo run --release --example serve DRAFT [WORKERS]`.

use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let draft = arguments.next().ok_or("name a file that holds a draft")?;
    let workers = arguments.next().map_or(Ok(1), |count| count.parse())?;
    let engine = engine::Engine::start(engine::Options { workers })?;
    if let Err(engine::ApplyError::Invalid(errors)) = engine.apply(&std::fs::read(draft)?, &engine::Files::new()) {
        return Err(format!("{errors:#?}").into());
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
        engine.heartbeat();
        for fact in engine.facts() {
            eprintln!("{}", serde_json::to_string(&fact)?);
        }
    }
}
