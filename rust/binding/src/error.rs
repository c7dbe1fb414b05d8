//! Where the core's errors change language, once: whatever Rust refuses becomes one of two Python exceptions here,
//! and nowhere else. `pylb.errors` lists them by name, and a test compares the two lists.
//!
//! The exceptions carry what the user needs as attributes (a path that Python turns into file and line, the address
//! as it was written), because a text is the wrong thing to take apart.

use engine::{ApplyError, PlanError, Segment};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

pyo3::create_exception!(
    pylb._core,
    PlanInvalid,
    PyValueError,
    "The draft does not compile. `errors` holds every mistake as (path, message); a path is keys and positions of the draft."
);
pyo3::create_exception!(
    pylb._core,
    BindFailed,
    PyOSError,
    "A listener could not be opened. `bind` is the address as written, `listener` its name; nothing was changed."
);

/// Turns a refusal into the exception that says the same.
pub(crate) fn refused(py: Python<'_>, error: ApplyError) -> PyErr {
    let raised = match error {
        ApplyError::Invalid(errors) => plan_invalid(py, &errors),
        ApplyError::Bind { listener, bind, error } => bind_failed(py, &listener, &bind, &error),
    };
    raised.unwrap_or_else(|failure| failure)
}

/// An I/O error without a listener behind it, as an `OSError` with its number.
pub(crate) fn os_error(error: &std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, reason(error))),
        None => PyOSError::new_err(reason(error)),
    }
}

fn plan_invalid(py: Python<'_>, errors: &[PlanError]) -> PyResult<PyErr> {
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let raised = PlanInvalid::new_err(text.join("\n"));
    raised.value(py).setattr("errors", listed(py, errors)?)?;
    Ok(raised)
}

/// What is to be said about a draft, as a list of (path, message).
pub(crate) fn listed<'py>(py: Python<'py>, errors: &[PlanError]) -> PyResult<Bound<'py, PyList>> {
    let listed = errors.iter().map(|error| Ok((path(py, &error.path)?, error.message.as_str())));
    PyList::new(py, listed.collect::<PyResult<Vec<_>>>()?)
}

fn path<'py>(py: Python<'py>, segments: &[Segment]) -> PyResult<Bound<'py, PyTuple>> {
    let steps = segments.iter().map(|segment| match segment {
        Segment::Key(key) => Ok(key.into_pyobject(py)?.into_any()),
        Segment::Index(index) => Ok(index.into_pyobject(py)?.into_any()),
    });
    PyTuple::new(py, steps.collect::<PyResult<Vec<_>>>()?)
}

fn bind_failed(py: Python<'_>, listener: &str, bind: &str, error: &std::io::Error) -> PyResult<PyErr> {
    // Two arguments make Python fill in `errno` and `strerror`.
    let raised = BindFailed::new_err((error.raw_os_error().unwrap_or(0), reason(error)));
    let value = raised.value(py);
    value.setattr("listener", listener)?;
    value.setattr("bind", bind)?;
    Ok(raised)
}

/// The text of the error without Rust's ` (os error 98)`, as Python's own `strerror` has it.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
