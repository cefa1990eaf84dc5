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
    if buffer.capacity() == 0 {
        return;
    }
    // what was consumed at its front is room again: without this it would be too small to be kept
    buffer.reserve(BUFFER_BYTES);
    if (BUFFER_BYTES..=KEEP_BYTES_MAX).contains(&buffer.capacity()) {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOL_MAX {
                pool.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf as _;

    #[test]
    fn a_buffer_that_was_read_to_its_end_is_used_again() {
        let mut buffer = take();
        let memory = buffer.as_ptr();
        buffer.extend_from_slice(&[0; 3000]);
        buffer.advance(3000);
        give(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        assert_eq!(take().as_ptr(), memory);
    }
}
