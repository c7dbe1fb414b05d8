//! Certificates as those see them who watch over them: a file, its names, its end.

/// A certificate that is shown to clients or backends.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub file: Box<str>,
    pub names: Vec<Box<str>>,
    /// Seconds since 1970.
    pub not_after: u64,
}

/// The file of a certificate, or of authorities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    pub file: &'a str,
    /// Those it is for, in lower case; none for authorities.
    pub names: &'a [Box<str>],
    /// Seconds since 1970; `None` for authorities.
    pub not_after: Option<u64>,
}

impl Shown {
    pub(super) fn watched(&self) -> Watched<'_> {
        Watched { file: &self.file, names: &self.names, not_after: Some(self.not_after) }
    }
}
