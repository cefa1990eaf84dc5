//! A door that a spec opens, and that others wait at.

use crate::PATIENCE;
use std::sync::{Arc, Condvar, Mutex};

/// Starts closed; opened once, it stays open.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().expect("no holder panics") = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let open = self.0.0.lock().expect("no holder panics");
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, PATIENCE, |open| !*open)
            .expect("no holder panics");
        assert!(*open, "a gate was never opened");
    }
}
