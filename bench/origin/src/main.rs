//! The other ends of a benchmark, in one small program, so that a run needs nothing but this and wrk.
//!
//! Servers play the backends: they answer from memory and cost as little as a server can, because they share a core with
//! the load generator and must not be what a measurement measures. `origin` speaks HTTP; `echo` and `echo-udp` send back
//! what they get; `stream` sends without end. `forward` is the floor: a proxy that copies bytes without looking at them,
//! which is the price of the kernel's socket work alone.
//!
//! Clients make the loads that wrk does not: `handshake` makes TLS handshakes, `ask` and `ask-udp` send small messages
//! and check what comes back, `drain` takes bytes as fast as they come, `pace` asks at a fixed rate and measures how long
//! each answer took. `idle` and `idle-tls` open many connections, use each once and hold them, so that the memory of an
//! idle connection can be weighed. Each prints one line of JSON (`tally.rs`).
//!
//! One thread, level-triggered epoll, no EAGAIN in steady state: an event means one recv and one send.

mod ask;
mod ask_udp;
mod drain;
mod echo;
mod echo_udp;
mod forward;
mod handshake;
mod idle;
mod options;
mod origin;
mod pace;
mod poller;
mod request;
mod tally;
mod tls;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "usage: pylb-origin origin|echo|stream|echo-udp --port PORT [--port PORT]...
       pylb-origin forward --listen PORT --to PORT [--to PORT]...
       pylb-origin idle|idle-tls --to PORT --connections N
       pylb-origin handshake --to PORT --connections N --seconds S --resume 0|1
       pylb-origin ask|drain --to PORT --connections N --seconds S
       pylb-origin ask-udp --to PORT --flows N --window N --seconds S
       pylb-origin pace --to PORT --connections N --rate PER-SECOND --seconds S";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    raise_descriptor_limit();
    let Some((command, options)) = arguments.split_first() else {
        return usage();
    };
    match Options::read(options).and_then(|options| run(command, &options)) {
        None => usage(),
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("pylb-origin {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command came to; None if it is not one, or lacks an option.
fn run(command: &str, options: &Options) -> Option<std::io::Result<()>> {
    let one = |name| options.one(name);
    Some(match command {
        "origin" => origin::run(&options.ports("--port")?),
        "echo" => echo::run(&options.ports("--port")?, echo::Kind::Echo),
        "stream" => echo::run(&options.ports("--port")?, echo::Kind::Stream),
        "echo-udp" => echo_udp::run(&options.ports("--port")?),
        "forward" => forward::run(options.port("--listen")?, &options.ports("--to")?),
        "idle" => idle::run(options.port("--to")?, one("--connections")?, false),
        "idle-tls" => idle::run(options.port("--to")?, one("--connections")?, true),
        "handshake" => handshake::run(options.load("--connections")?, one("--resume")? == 1),
        "ask" => ask::run(options.load("--connections")?),
        "drain" => drain::run(options.load("--connections")?),
        "ask-udp" => ask_udp::run(options.load("--flows")?, one("--window")?),
        "pace" => pace::run(options.load("--connections")?, one("--rate")?),
        _ => return None,
    })
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Thousands of connections need more descriptors than the usual soft limit of 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Failing is harmless here: too few descriptors show up as an error at the accept or connect that lacks one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
