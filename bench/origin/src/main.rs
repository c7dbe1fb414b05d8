//! The other ends of a benchmark, in one small program, so that a run needs nothing but this and wrk.
//!
//! `origin` plays the backends: it answers from memory and costs as little as a server can, because it shares a core
//! with the load generator and must not be what a measurement measures. `forward` is the floor: a proxy that copies
//! bytes without looking at them, which is the price of the kernel's socket work alone. `idle` opens many client
//! connections, uses each once and then holds them, so that the memory of an idle connection can be weighed.
//!
//! One thread, level-triggered epoll, no EAGAIN in steady state: an event means one recv and one send.

mod forward;
mod idle;
mod origin;
mod poller;
mod request;

use std::process::ExitCode;

const USAGE: &str = "usage: pylb-origin origin --port PORT [--port PORT]...
       pylb-origin forward --listen PORT --to PORT [--to PORT]...
       pylb-origin idle --to PORT --connections N";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, options)) = arguments.split_first() else {
        return usage();
    };
    raise_descriptor_limit();
    let ports =
        |name: &str| numbers(options, name).and_then(|all| all.into_iter().map(port).collect::<Option<Vec<u16>>>());
    let outcome = match (command.as_str(), ports("--port"), ports("--listen"), ports("--to")) {
        ("origin", Some(own), _, _) => origin::run(&own),
        ("forward", _, Some(own), Some(to)) if own.len() == 1 => forward::run(own[0], &to),
        ("idle", _, _, Some(to)) if to.len() == 1 => match numbers(options, "--connections") {
            Some(count) if count.len() == 1 => idle::run(to[0], count[0]),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pylb-origin {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Every value that follows `name`; None if there is none or one is no number.
fn numbers(options: &[String], name: &str) -> Option<Vec<usize>> {
    let pairs = options.chunks(2).filter(|pair| pair[0] == name);
    let values: Option<Vec<usize>> = pairs.map(|pair| pair.get(1)?.parse().ok()).collect();
    values.filter(|all| !all.is_empty())
}

fn port(number: usize) -> Option<u16> {
    u16::try_from(number).ok()
}

/// Thousands of connections need more descriptors than the usual soft limit of 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Failing is harmless here: too few descriptors show up as an error at the accept or connect that lacks one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
