//! Putting a plan in force: build the new world beside the old one, start it, then retire the old.
//!
//! Everything that can fail comes first: compiling, then opening sockets. Only then is the plan handed to every
//! worker, each of which swaps it between two polls; requests under way keep the plan they started with. A door is
//! a listening socket with a number that outlives plans, so a connection finds its listener again after a swap.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::{fmt, io};

use plan::{Bind, Change, Listener, Plan, PlanError, Question, Sink, Trace};

use crate::engine::{Engine, SEED};
use crate::listen::{self, Opened, SocketFile};
use crate::observe::facts::Fact;
use crate::observe::side::{self, Order};
use crate::running::{DoorMap, Running};
use crate::shared::Command;
use crate::tls::{self, Files};

/// Why a draft is not in force.
#[derive(Debug)]
pub enum ApplyError {
    /// It does not compile; every mistake with its path.
    Invalid(Vec<PlanError>),
    /// A socket or the access log could not be opened.
    Bind {
        /// The listener, `metrics` or `log`.
        listener: String,
        /// The address as written, or the file.
        bind: String,
        /// What the system says.
        error: io::Error,
    },
}

impl fmt::Display for ApplyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Invalid(errors) => write!(out, "the draft has {} mistakes", errors.len()),
            ApplyError::Bind { listener, bind, error } => write!(out, "{listener}: cannot open {bind}: {error}"),
        }
    }
}

impl std::error::Error for ApplyError {}

/// What is open, by the address it was asked for.
#[derive(Default)]
pub(crate) struct Doors {
    by_bind: HashMap<Bind, u32>,
    /// Doors without a socket, by the listener that clients of others are sent to.
    inner: HashMap<Box<str>, u32>,
    files: HashMap<Bind, SocketFile>,
    next: u32,
}

/// Compiles a draft and the certificates that it names, throws both away, and returns what is useless in them.
///
/// # Errors
/// Every mistake of the draft, or of its files.
pub fn check(draft: &[u8], files: &Files) -> Result<Vec<PlanError>, ApplyError> {
    let plan = plan::compile(draft, None, 0).map_err(ApplyError::Invalid)?;
    let tls = tls::prepare(&plan, files, None).map_err(ApplyError::Invalid)?;
    Ok([plan.warnings, tls.warnings].concat())
}

/// What would become of a request under this draft, and why; nothing if there is no such listener.
///
/// # Errors
/// Every mistake of the draft.
pub fn explain(draft: &[u8], question: &Question) -> Result<Option<Trace>, ApplyError> {
    let plan = plan::compile(draft, None, SEED).map_err(ApplyError::Invalid)?;
    Ok(plan::explain(&plan, question))
}

impl Engine {
    /// Puts a draft in force on every worker and returns its generation. `files` are the contents of those it names.
    ///
    /// # Errors
    /// Every mistake of the draft, or of its files, or the first socket that could not be opened. Nothing has changed
    /// then.
    pub fn apply(&self, draft: &[u8], files: &Files) -> Result<u64, ApplyError> {
        let result = self.put_in_force(draft, files);
        let count = if result.is_ok() { &self.shared.applied } else { &self.shared.refused };
        count.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn put_in_force(&self, draft: &[u8], files: &Files) -> Result<u64, ApplyError> {
        let mut doors = self.lock_doors();
        let previous = self.shared.running();
        let old = previous.as_deref().map(|running| &running.plan);
        let plan = plan::compile(draft, old, self.seeds).map_err(ApplyError::Invalid)?;
        let tls = tls::prepare(&plan, files, previous.as_deref().map(|running| &running.tls));
        let tls = tls.map_err(ApplyError::Invalid)?;
        let change = Change::between(old, &plan);
        let opened = open_all(&change, &change.listeners.open, self.shared.workers.len(), &plan)?;
        let metrics = open_all(&change, &change.metrics.open, 1, &plan)?;
        let log = open_log(old, &plan)?;

        let opened: Vec<(u32, Opened)> = opened.into_iter().map(|one| doors.admit(one)).collect();
        let metrics: Vec<Opened> = metrics.into_iter().map(|one| doors.keep_file(one)).collect();
        let gone = change.listeners.retire.iter().filter_map(|bind| doors.by_bind.remove(bind));
        let mut retire: Vec<u32> = gone.collect();
        retire.extend(doors.fit_inner(&plan));
        self.shared.max_clients.store(plan.max_clients, Ordering::Relaxed);
        let map = doors.map(&plan);
        let running = Arc::new(Running::new(plan, tls, map, previous.as_deref(), self.shared.workers.len()));
        self.shared.set_running(Arc::clone(&running));
        self.swap(&running, &opened, &retire);
        let now = self.shared.now();
        change.settle(now);
        self.shared.drains.note(&running, previous.as_deref(), now);
        // Limits, backends and whole pools may be different now: whoever waits looks again.
        let seatings = previous.iter().chain([&running]).flat_map(|running| running.seatings());
        seatings.for_each(|seating| seating.wake_all());
        doors.forget_files(&change);
        self.steer_side(metrics, change.metrics.retire, log);
        self.shared.facts.push(Fact::PlanApplied { generation: running.generation });
        Ok(running.generation)
    }

    /// Hands the plan to every worker and waits until the last has it.
    fn swap(&self, running: &Arc<Running>, opened: &[(u32, Opened)], retire: &[u32]) {
        let (done, all_done) = mpsc::channel();
        for (index, worker) in self.shared.workers.iter().enumerate() {
            let open = opened.iter().map(|(id, one)| (*id, Arc::clone(&one.sockets[index]), one.kind)).collect();
            let command =
                Command::Apply { running: Arc::clone(running), open, retire: retire.to_vec(), done: done.clone() };
            let _ = worker.send(command);
        }
        drop(done);
        while all_done.recv().is_ok() {}
    }

    fn steer_side(&self, opened: Vec<Opened>, retired: Vec<Bind>, log: Option<(Sink, Option<File>)>) {
        for Opened { bind, mut sockets, kind, .. } in opened {
            if let Some(socket) = sockets.pop() {
                self.order(Order::Listen { bind, socket, kind });
            }
        }
        retired.into_iter().for_each(|bind| self.order(Order::Retire(bind)));
        if let Some((sink, file)) = log {
            self.order(Order::Log(sink, file));
        }
    }
}

impl Doors {
    /// Numbers what was opened for clients.
    fn admit(&mut self, opened: Opened) -> (u32, Opened) {
        let id = self.next;
        self.next += 1;
        self.by_bind.insert(opened.bind.clone(), id);
        (id, self.keep_file(opened))
    }

    /// A socket's file lives as long as its bind is wanted.
    fn keep_file(&mut self, mut opened: Opened) -> Opened {
        if let Some(file) = opened.file.take() {
            self.files.insert(opened.bind.clone(), file);
        }
        opened
    }

    fn forget_files(&mut self, change: &Change) {
        for bind in change.listeners.retire.iter().chain(&change.metrics.retire) {
            self.files.remove(bind);
        }
    }

    /// Removes the files of all sockets.
    pub(crate) fn forget_all_files(&mut self) {
        self.files.clear();
    }

    /// Gives every listener with TLS an inner door; returns those of listeners that have none any more.
    fn fit_inner(&mut self, plan: &Plan) -> Vec<u32> {
        let wanted = |listener: &&Listener| listener.tls.is_some();
        for listener in plan.listeners.iter().filter(wanted) {
            if !self.inner.contains_key(&listener.name) {
                self.inner.insert(listener.name.clone(), self.next);
                self.next += 1;
            }
        }
        let is_gone = |name: &str| !plan.listeners.iter().filter(wanted).any(|listener| &*listener.name == name);
        self.inner.extract_if(|name, _| is_gone(name)).map(|(_, door)| door).collect()
    }

    fn map(&self, plan: &Plan) -> DoorMap {
        let mut listeners = vec![None; self.next as usize];
        let inner = plan.listeners.iter().map(|listener| self.inner.get(&listener.name).copied()).collect();
        for (index, listener) in plan.listeners.iter().enumerate() {
            for bind in &listener.binds {
                if let Some(door) = self.by_bind.get(bind) {
                    listeners[*door as usize] = Some(index as u32);
                }
            }
            if let Some(door) = self.inner.get(&listener.name) {
                listeners[*door as usize] = Some(index as u32);
            }
        }
        DoorMap { listeners, inner }
    }
}

/// Where the access log goes from now on, if that changes.
fn open_log(old: Option<&Plan>, plan: &Plan) -> Result<Option<(Sink, Option<File>)>, ApplyError> {
    let sink = &plan.log.access;
    if old.is_some_and(|old| old.log.access == *sink) {
        return Ok(None);
    }
    let Sink::File(path) = sink else { return Ok(Some((sink.clone(), None))) };
    match side::open_log(path) {
        Ok(file) => Ok(Some((sink.clone(), Some(file)))),
        Err(error) => Err(ApplyError::Bind { listener: "log".to_owned(), bind: path.display().to_string(), error }),
    }
}

fn open_all(change: &Change, binds: &[Bind], workers: usize, plan: &Plan) -> Result<Vec<Opened>, ApplyError> {
    let retired = change.listeners.retire.iter().chain(&change.metrics.retire);
    let ours = |bind: &Bind| retired.clone().any(|old| old.collides(bind));
    let open = |bind: &Bind| match listen::open(bind, workers, !ours(bind)) {
        Ok(opened) => Ok(opened),
        Err(error) => {
            let owner = plan.listeners.iter().find(|listener| listener.binds.contains(bind));
            let listener = owner.map_or("metrics", |listener| &*listener.name).to_owned();
            Err(ApplyError::Bind { listener, bind: bind.to_string(), error })
        }
    };
    binds.iter().map(open).collect()
}
