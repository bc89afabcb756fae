//! The limits on clients as they are now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Admission, ClientLimits};

/// The limits on clients, which others may replace while the relay runs. Clones are one.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    remembered: u64,
    first: Admission,
    /// Others have taken their place: as long as none have, a request pays for one look here.
    are_replaced: AtomicBool,
    later: RwLock<Option<Arc<Admission>>>,
}

impl Limits {
    /// The first ones.
    pub fn new(limits: &ClientLimits) -> Self {
        let first = Admission::new(limits);
        let (remembered, are_replaced) = (limits.remembered, AtomicBool::new(false));
        Self(Arc::new(Inner { remembered, first, are_replaced, later: RwLock::default() }))
    }

    /// Puts others in their place. What clients have used up of a rate is forgotten; who holds a place of the limits before keeps
    /// it, and it does not count among those of the new ones.
    pub fn replace(&self, limits: &ClientLimits) {
        let later = Arc::new(Admission::new(limits));
        *self.0.later.write().unwrap_or_else(PoisonError::into_inner) = Some(later);
        self.0.are_replaced.store(true, Ordering::Release);
    }

    /// As many clients are remembered as at the start.
    pub fn remembered(&self) -> u64 {
        self.0.remembered
    }

    /// Those in use. `place`: where they are held meanwhile.
    pub(in crate::http) fn now<'a>(&'a self, place: &'a mut Option<Arc<Admission>>) -> &'a Admission {
        if !self.0.are_replaced.load(Ordering::Acquire) {
            return &self.0.first;
        }
        place.clone_from(&self.0.later.read().unwrap_or_else(PoisonError::into_inner));
        place.as_deref().unwrap_or(&self.0.first)
    }
}
