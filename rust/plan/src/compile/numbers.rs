//! Numbers of the draft, each brought into the range that the engine counts in.

use crate::error::{At, Errors};

/// Milliseconds; more than 0 and at most 49 days.
pub(super) fn millis(at: &At<'_>, value: u64, errors: &mut Errors) -> u32 {
    match u32::try_from(value) {
        Ok(0) => errors.add(at, "a time of 0 would end everything at once; write a time such as `10s`"),
        Ok(millis) => return millis,
        Err(_) => errors.add(at, "is too long; the longest time is 49 days"),
    }
    1
}

/// A count; at least 1.
pub(super) fn count(at: &At<'_>, value: u64, errors: &mut Errors) -> u32 {
    within(at, value, 1, u64::from(u32::MAX), errors) as u32
}

/// `value`, if it lies between `least` and `most`.
pub(super) fn within(at: &At<'_>, value: u64, least: u64, most: u64, errors: &mut Errors) -> u64 {
    if value < least {
        errors.add(at, format!("{value} is too little; expected {least} or more"));
    } else if value > most {
        errors.add(at, format!("{value} is too much; expected at most {most}"));
    }
    value.clamp(least, most)
}
