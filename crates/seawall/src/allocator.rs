//! The program's allocator: mimalloc, asked for an alignment only where it matters.
//!
//! It gives every block the alignment that C's `malloc` promises. Asked for an alignment all the same, it takes a longer
//! way for sizes that are no power of two, and often a larger block.

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};
use std::alloc::{GlobalAlloc, Layout};

/// What `malloc` aligns blocks to that are as long at least (C17 §7.22.3; `max_align_t` of 64-bit machines).
const ALIGN: usize = 16;

/// mimalloc; chosen by measurement (docs/decisions/0004-allocator.md).
#[derive(Debug)]
pub struct Allocator;

/// Whether a block of `size` bytes is aligned like that without being asked for it.
fn is_aligned_anyway(size: usize, align: usize) -> bool {
    align <= ALIGN && align <= size
}

#[expect(
    unsafe_code,
    reason = "an allocator is one; what it promises is what mimalloc promises"
)]
// SAFETY: all blocks come from mimalloc and go back to it, which knows its own blocks however they were asked for. They
// are as long and as aligned as the layout says: asked for, or by `is_aligned_anyway`.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: plain functions of C
        let block = unsafe {
            if is_aligned_anyway(size, align) {
                mi_malloc(size)
            } else {
                mi_malloc_aligned(size, align)
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above
        let block = unsafe {
            if is_aligned_anyway(size, align) {
                mi_zalloc(size)
            } else {
                mi_zalloc_aligned(size, align)
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: it is one of mimalloc's, by the caller's promise
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: it is one of mimalloc's, by the caller's promise
        let block = unsafe {
            if is_aligned_anyway(size, align) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, align)
            }
        };
        block.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "it is an allocator that is looked at")]
    fn blocks_are_aligned_as_asked_for_from_the_first_on_and_after_they_grew() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in (1..=600).chain([1024, 1170, 1280, 1290, 4097, 65_535, 1 << 20]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not empty, and each block is given back once, by the layout it has then
                unsafe {
                    let block = Allocator.alloc(layout);
                    block.write_bytes(7, size);
                    let grown = Allocator.realloc(block, layout, size + 9);
                    assert_eq!((grown.addr() % align, *grown), (0, 7), "{size}, {align}");
                    let layout = Layout::from_size_align(size + 9, align).unwrap();
                    Allocator.dealloc(grown, layout);
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert_eq!((zeroed.addr() % align, *zeroed.add(size)), (0, 0));
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
