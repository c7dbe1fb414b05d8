//! Failover: the first backend that can be used, in the order of the configuration. Load and weight mean nothing here;
//! the others are spares.

use crate::tier::View;

pub(super) fn pick(view: &mut View) -> Option<u32> {
    let members = view.tier().members();
    members.iter().copied().find(|&slot| view.is_free(slot) && view.take(slot))
}
