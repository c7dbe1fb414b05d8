//! What became of certificates whose files changed: Python watches them, metrics tell.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts, and the files that are not in force as they are.
#[derive(Default)]
pub(crate) struct Renewals {
    renewed: AtomicU64,
    refused: AtomicU64,
    broken: Mutex<HashSet<String>>,
}

impl Renewals {
    pub(crate) fn note(&self, renewed: u64, refused: u64, broken: Vec<String>) {
        self.renewed.fetch_add(renewed, Ordering::Relaxed);
        self.refused.fetch_add(refused, Ordering::Relaxed);
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken.into_iter().collect();
    }

    /// How many were taken, and how many refused.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.renewed.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Whether the last good content of a file is in force, because what is in it now is of no use.
    pub(crate) fn is_broken(&self, file: &str) -> bool {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).contains(file)
    }
}
