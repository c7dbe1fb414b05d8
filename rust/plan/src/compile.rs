//! From a draft to a plan, or to everything that is wrong with it.
//!
//! Every part is checked even when another part is broken already: a check adds its mistakes to one list and hands
//! back `None`, and only a draft without mistakes is put together. So the user hears everything at once, and no plan
//! exists that was not checked whole.
//!
//! Compiling changes nothing that is in force. It reads the live state of the plan before and shares it with the new
//! one; what has to change on it when the new plan takes over is said by [`Change`](crate::Change).

mod actions;
mod coverage;
mod edits;
mod fields;
mod http;
mod listeners;
mod matches;
mod names;
mod numbers;
mod pools;
mod reach;
mod resilience;
mod routes;
mod sticky;
mod streams;
mod tls;

use std::path::PathBuf;

use crate::bind::Bind;
use crate::draft::{Draft, FormatName, LogDraft};
use crate::error::{At, Errors, PlanError};
use crate::key::Seed;
use crate::plan::{LogFormat, LogPlan, Plan, Sink};

use listeners::listeners;
use pools::pools;

/// Positions and offsets are `u32`; this keeps every one of them in range.
const LONGEST_DRAFT: usize = 1 << 30;

/// What hashes are keyed by.
#[derive(Copy, Clone, Debug)]
pub struct Seeds {
    /// Of hash policies and splits: with the same seed, a client stays where it is in every process and over restarts.
    pub policies: u64,
    /// Of the tables of sessions and rates, whose keys clients choose: random, so that nobody can aim many keys at one
    /// place of a table.
    pub tables: u64,
}

impl From<u64> for Seeds {
    fn from(seed: u64) -> Self {
        Seeds { policies: seed, tables: seed }
    }
}

/// Compiles `draft` (JSON, see [`crate::draft`]).
///
/// A backend keeps its live state from `previous` by the names of pool and backend, a pool its cursor and budget by
/// its name.
///
/// # Errors
/// Everything that is wrong, in the order of the draft.
pub fn compile(draft: &[u8], previous: Option<&Plan>, seeds: impl Into<Seeds>) -> Result<Plan, Vec<PlanError>> {
    let Seeds { policies, tables } = seeds.into();
    let draft = read(draft).map_err(|error| vec![error])?;
    let mut errors = Errors::default();
    let mut binds = Binds::default();
    let listeners = listeners(&draft, previous, tables, &mut binds, &mut errors);
    let pools = pools(&draft, previous, tables, &mut errors);
    let metrics = binds.take(&At::root("metrics"), &draft.metrics, Bind::parse, &mut errors);
    let log = log(&draft.log, &mut errors);
    let max_clients = numbers::count(&At::root("max_clients"), draft.max_clients, &mut errors);
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    Ok(Plan {
        warnings: coverage::unreachable(&listeners),
        listeners,
        pools: pools.plans,
        metrics,
        log,
        max_clients: max_clients as usize,
        seed: Seed(policies),
        next_id: pools.next_id,
    })
}

fn read(draft: &[u8]) -> Result<Draft, PlanError> {
    let whole = |message: String| PlanError { path: Vec::new(), message };
    if draft.len() > LONGEST_DRAFT {
        return Err(whole(format!("the configuration is larger than {} MiB", LONGEST_DRAFT >> 20)));
    }
    serde_json::from_slice(draft).map_err(|error| whole(format!("the draft does not have the expected shape: {error}")))
}

fn log(draft: &LogDraft, errors: &mut Errors) -> LogPlan {
    let access = match draft.access.as_str() {
        "off" => Sink::Off,
        "stdout" => Sink::Stdout,
        "stderr" => Sink::Stderr,
        path => {
            if !path.starts_with('/') || path.contains('\0') {
                let message = format!(
                    "`{path}` is no place for the access log; expected `stdout`, `stderr`, `off` or the absolute path of a file"
                );
                errors.add(&At::root("log").key("access"), message);
            }
            Sink::File(PathBuf::from(path))
        }
    };
    let format = match draft.format {
        FormatName::Json => LogFormat::Json,
        FormatName::Combined => LogFormat::Combined,
    };
    LogPlan { access, format }
}

/// The binds of the whole draft, and where each was written.
#[derive(Default)]
struct Binds {
    taken: Vec<(Bind, String)>,
}

impl Binds {
    /// Reads the binds at `at` by `parse`, and reports those that an earlier one is in the way of.
    fn take(
        &mut self,
        at: &At<'_>,
        written: &[String],
        parse: fn(&str) -> Result<Bind, String>,
        errors: &mut Errors,
    ) -> Vec<Bind> {
        let mut binds = Vec::with_capacity(written.len());
        for (index, written) in written.iter().enumerate() {
            let at = at.index(index);
            let Some(bind) = errors.keep(&at, parse(written)) else {
                continue;
            };
            match self.taken.iter().find(|(taken, _)| taken.collides(&bind)) {
                Some((taken, owner)) if *taken == bind => {
                    errors.add(&at, format!("`{bind}` is bound already by {owner}; give each its own port"));
                }
                Some((taken, owner)) => {
                    errors.add(&at, format!("`{bind}` is in the way of `{taken}` of {owner}, which takes the same addresses; give each its own port"));
                }
                None => {
                    self.taken.push((bind.clone(), owner(&at)));
                    binds.push(bind);
                }
            }
        }
        binds
    }
}

/// How a bind's owner is called in a message.
fn owner(at: &At<'_>) -> String {
    match at.path().as_slice() {
        [_, crate::error::Segment::Key(listener), ..] => format!("listener `{listener}`"),
        _ => "`metrics`".to_owned(),
    }
}
