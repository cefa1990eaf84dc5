//! Prepared answers, by the floor's own loop, and a count of them.

use crate::bodies::{self, BODIES};
use anyhow::Result;
use std::net::TcpListener;
use std::rc::Rc;

/// Serves for ever.
pub(super) fn serve(listener: &TcpListener) -> Result<()> {
    let answers: Vec<Rc<[u8]>> = BODIES
        .iter()
        .map(|b| bodies::answer(b.bytes, "").into())
        .collect();
    let mut requests = 0;
    crate::floor::serve_prepared(listener, |head, _| {
        if bodies::path(head).starts_with(b"/_count") {
            return super::told(requests).into();
        }
        requests += 1;
        answers[bodies::asked(head)].clone()
    })
}
