//! What is wrong with a draft, said to the user who wrote the file.
//!
//! Two habits make these errors useful. Nothing stops at the first mistake: every check adds to one list ([`Errors`])
//! and goes on. And a mistake carries its *path*, which Python turns into file, line and column; the path is built on
//! the stack while walking down the draft ([`At`]), so a draft without mistakes pays nothing for it.

use std::fmt;

use serde::Serialize;

/// One mistake: where it is in the draft, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanError {
    /// Keys and list positions from the root of the draft; empty when the draft as a whole is wrong.
    pub path: Vec<Segment>,
    /// One sentence for the user: what is wrong and what to write instead.
    pub message: String,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// A position in a list, from 0.
    Index(usize),
}

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.path.iter().enumerate() {
            match segment {
                Segment::Key(key) if depth == 0 => write!(out, "{key}")?,
                Segment::Key(key) => write!(out, ".{key}")?,
                Segment::Index(index) => write!(out, "[{index}]")?,
            }
        }
        if !self.path.is_empty() {
            out.write_str(": ")?;
        }
        out.write_str(&self.message)
    }
}

impl std::error::Error for PlanError {}

/// A place in the draft: a list of steps that lives on the stack of the walk.
#[derive(Copy, Clone)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Copy, Clone)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// A key of the draft's root.
    pub(crate) fn root(key: &'a str) -> Self {
        At { parent: None, step: Step::Key(key) }
    }

    /// The value of `key` in this mapping.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        At { parent: Some(self), step: Step::Key(key) }
    }

    /// The item at `index` of this list.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        At { parent: Some(self), step: Step::Index(index) }
    }

    /// The path as it goes into an error.
    pub(crate) fn path(&self) -> Vec<Segment> {
        let mut path = Vec::new();
        let mut at = Some(self);
        while let Some(place) = at {
            path.push(match place.step {
                Step::Key(key) => Segment::Key(key.to_owned()),
                Step::Index(index) => Segment::Index(index),
            });
            at = place.parent;
        }
        path.reverse();
        path
    }
}

/// Everything found wrong so far.
#[derive(Default)]
pub(crate) struct Errors(pub(crate) Vec<PlanError>);

impl Errors {
    /// Adds a mistake at `at`.
    pub(crate) fn add(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.0.push(PlanError { path: at.path(), message: message.into() });
    }

    /// The value of a check, or its message added at `at`.
    pub(crate) fn keep<T>(&mut self, at: &At<'_>, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.add(at, message)).ok()
    }
}
