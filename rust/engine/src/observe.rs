//! What the engine tells the world: numbers, log lines and facts. Nothing here may delay a request.

pub(crate) mod facts;
pub(crate) mod log;
pub(crate) mod meter;
pub(crate) mod metrics;
pub(crate) mod side;
