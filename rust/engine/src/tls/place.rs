//! Where something is written: the path of a draft, built while its files are looked at.

use plan::{PlanError, Segment};

/// A path of the draft.
#[derive(Clone)]
pub(super) struct Place(Vec<Segment>);

impl Place {
    pub(super) fn of(section: &str, name: &str) -> Self {
        Place(vec![Segment::Key(section.to_owned()), Segment::Key(name.to_owned())])
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// Something to say about this place.
    pub(super) fn says(&self, message: impl Into<String>) -> PlanError {
        PlanError { path: self.0.clone(), message: message.into() }
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.0.clone();
        path.push(segment);
        Place(path)
    }
}
