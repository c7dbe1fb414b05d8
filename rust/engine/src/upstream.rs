//! Connections to backends: made on demand, kept while they are likely to be alive.

mod ages;
pub(crate) mod connect;
pub(crate) mod pool;
