//! Read and write buffers, pooled by thread: an idle connection holds none.

use bytes::BytesMut;
use std::cell::RefCell;

/// What a buffer begins with: a request head, a small response (4 KiB).
pub(crate) const BUFFER_BYTES: usize = 4096;
/// A buffer that has grown beyond this is not kept.
const KEEP_BYTES_MAX: usize = 16 * 1024;
const POOL_MAX: usize = 64;

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn take() -> BytesMut {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| BytesMut::with_capacity(BUFFER_BYTES))
}

/// Gives `buffer` back; it is empty and without memory afterwards.
pub(crate) fn give(buffer: &mut BytesMut) {
    let mut buffer = std::mem::take(buffer);
    buffer.clear();
    if (BUFFER_BYTES..=KEEP_BYTES_MAX).contains(&buffer.capacity()) {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOL_MAX {
                pool.push(buffer);
            }
        });
    }
}
