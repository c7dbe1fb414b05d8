//! HTTP/1: heads in and out, bodies, and whose turn it is.

pub mod body;
mod collect;
mod incomplete;
mod lenient;
mod meaning;
pub mod parse;
mod refusal;
pub mod render;
pub mod state;
