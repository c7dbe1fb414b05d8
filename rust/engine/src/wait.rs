//! Waiting for something that other requests decide.

pub(crate) mod seating;
pub(crate) mod turn;
