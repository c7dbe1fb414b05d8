//! `pylb._core`: the only crate that knows Python exists.
//!
//! The border is crossed by whole values: drafts come in as bytes, facts and status go out as plain dicts (written as
//! JSON text and read by Python's own `json`, so no type is described twice). Nothing here decides anything. Calls that
//! may take long, because they compile a plan, open sockets or join threads, are made detached from the interpreter, so
//! that other Python threads run on meanwhile; the engine's threads never attach to it at all.
//!
//! `python/pylb/_core.pyi` says the same to type checkers; a test compares it with the built module.

mod error;

use std::collections::HashMap;

use engine::{Engine, Files, Options, Question};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use serde::Serialize;

/// tokio aligns tasks and registrations to 128 bytes, which glibc's malloc answers with a fragment of waste for each:
/// an idle connection takes 1.12 KiB with it and 0.76 KiB with this one, at the same speed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The engine: worker threads that serve the plan in force. Methods never wait for traffic unless they say so.
#[pyclass(frozen, module = "pylb._core")]
struct Core {
    engine: Engine,
}

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (*, workers))]
    fn new(py: Python<'_>, workers: usize) -> PyResult<Self> {
        if workers == 0 {
            return Err(PyValueError::new_err("workers must be at least 1"));
        }
        let engine = py.detach(|| Engine::start(Options { workers })).map_err(|failure| error::os_error(&failure))?;
        Ok(Core { engine })
    }

    /// Compiles a draft with the files it names, throws both away, and returns what is useless in them, listed like the
    /// errors of PlanInvalid, which it raises for what is wrong.
    #[staticmethod]
    fn check<'py>(py: Python<'py>, draft: &[u8], files: Files) -> PyResult<Bound<'py, PyList>> {
        let warnings = py.detach(|| engine::check(draft, &files)).map_err(|refusal| error::refused(py, refusal))?;
        error::listed(py, &warnings)
    }

    /// A certificate for `names` (hosts and IP addresses), of the authority with this certificate and key or of a new
    /// one: `authority`, `authority_key`, `certificate` and `key` in PEM. `kept`, a certificate and its key, is returned
    /// as it is while it is of that authority, for all of the names, and for a month to come. Raises ValueError for what
    /// cannot be used.
    #[staticmethod]
    #[pyo3(signature = (names, authority=None, kept=None))]
    fn mint(
        py: Python<'_>,
        names: Vec<String>,
        authority: Option<(String, String)>,
        kept: Option<(String, String)>,
    ) -> PyResult<HashMap<&'static str, String>> {
        let minted =
            py.detach(|| engine::mint(&names, text(&authority), text(&kept))).map_err(PyValueError::new_err)?;
        Ok(HashMap::from([
            ("authority", minted.authority),
            ("authority_key", minted.authority_key),
            ("certificate", minted.certificate),
            ("key", minted.key),
        ]))
    }

    /// What would become of a request under a draft, and why, as JSON. `client` is the address of the peer,
    /// `secure` whether it comes over TLS. Raises PlanInvalid, and ValueError for a listener or an address that is none.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "a request, part by part")]
    #[pyo3(signature = (draft, listener, method, target, headers, client, secure=false))]
    fn explain(
        py: Python<'_>,
        draft: &[u8],
        listener: String,
        method: String,
        target: String,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        client: &str,
        secure: bool,
    ) -> PyResult<String> {
        let client = client.parse().map_err(|_| PyValueError::new_err(format!("`{client}` is not an IP address")))?;
        let question = Question { listener, method, target, headers, client, secure };
        let trace = py.detach(|| engine::explain(draft, &question)).map_err(|refusal| error::refused(py, refusal))?;
        let trace =
            trace.ok_or_else(|| PyValueError::new_err(format!("there is no listener `{}`", question.listener)))?;
        serde_json::to_string(&trace).map_err(|failure| PyValueError::new_err(failure.to_string()))
    }

    /// Puts a draft in force on every worker, with the contents of the files it names, and returns its generation; raises
    /// PlanInvalid or BindFailed and changes nothing.
    fn apply(&self, py: Python<'_>, draft: &[u8], files: Files) -> PyResult<u64> {
        py.detach(|| self.engine.apply(draft, &files)).map_err(|refusal| error::refused(py, refusal))
    }

    /// Notes that so many certificates and authorities were renewed, and so many refused, because their files had
    /// changed, and of which files (all of them) the last good content is in force and not what is in them now.
    fn note_renewal(&self, renewed: u64, refused: u64, broken: Vec<String>) {
        self.engine.note_renewal(renewed, refused, broken);
    }

    /// What is useless in the plan in force, listed as `check` does.
    fn useless<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        error::listed(py, &self.engine.useless())
    }

    /// The eventfd that becomes readable when facts wait.
    fn fileno(&self) -> i32 {
        self.engine.fact_fd()
    }

    /// Takes all waiting facts, oldest first, and resets the eventfd.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.engine.facts())
    }

    /// A snapshot of listeners, pools and backends.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &py.detach(|| self.engine.status()))
    }

    /// Writes the outcome of an active check; False if there is no such backend (any more).
    fn set_health(&self, pool: &str, backend: &str, up: bool) -> bool {
        self.engine.set_health(pool, backend, up)
    }

    /// Tells /readyz that Python's control loop is alive.
    fn heartbeat(&self) {
        self.engine.heartbeat();
    }

    /// Opens the access log's file anew, after rotation.
    fn reopen_log(&self) {
        self.engine.reopen_log();
    }

    /// Stops accepting, closes idle connections, lets requests in flight end with `Connection: close`. Returns at once.
    fn drain(&self) {
        self.engine.drain();
    }

    /// Client connections open now.
    fn clients(&self) -> usize {
        self.engine.clients()
    }

    /// Ends at once: cuts what is open, joins every thread (the interpreter lock is released meanwhile). Idempotent.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.engine.stop());
    }
}

/// Versions: pylb, rust (compiler), target, tls (library and its cryptography).
#[pyfunction]
fn versions(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let versions = PyDict::new(py);
    versions.set_item("pylb", env!("CARGO_PKG_VERSION"))?;
    versions.set_item("rust", env!("PYLB_RUST"))?;
    versions.set_item("target", env!("PYLB_TARGET"))?;
    versions.set_item("tls", env!("PYLB_TLS"))?;
    Ok(versions)
}

/// A pair of texts, borrowed.
fn text(pair: &Option<(String, String)>) -> Option<(&str, &str)> {
    pair.as_ref().map(|(one, other)| (one.as_str(), other.as_str()))
}

/// A serializable value as plain Python ones: dicts, lists, numbers, text.
fn plain<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let text = serde_json::to_string(value).map_err(|failure| PyValueError::new_err(failure.to_string()))?;
    LOADS.import(py, "json", "loads")?.call1((text,))
}

/// What the Rust core offers Python: whole plans in, facts out.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{Core, versions};

    #[pymodule_export]
    use super::error::{BindFailed, PlanInvalid};
}
