//! What a listener may tune about parsing. The defaults are the strict ones; everything else is opt-in.

/// How large a head may be. Sizes in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole head with its empty line. Past it: 431.
    pub head: usize,
    /// Number of field lines. Past it: 431.
    pub fields: usize,
    /// The request line without its line end. Past it: 414.
    pub request_line: usize,
    /// One field line without its line end. Past it: 431.
    pub field: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 << 10, fields: 128, request_line: 8 << 10, field: 16 << 10 }
    }
}

/// How a listener reads requests.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Size limits.
    pub limits: Limits,
    /// Accept bare LF, obs-fold and repeated equal Content-Length in requests; [`Head::leniency`](crate::Head::leniency) tells when one was used.
    pub lenient: bool,
    /// Refuse `%2f` and `%5c` in a path instead of passing them on as data.
    pub reject_encoded_slash: bool,
    /// Send the path as it was received. Dot segments are then refused, since nobody resolves them.
    pub raw_path: bool,
}
