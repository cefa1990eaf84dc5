//! Lets pingora build on a machine that has Rust and a C compiler, and no cmake.
//!
//! pingora asks flate2 for its zlib-ng backend, whose binding crate drives cmake. This crate takes that binding's
//! place by a `[patch]` in the root manifest and forwards each call to zlib-rs, a maintained Rust implementation with
//! the same C interface. It must never hold an algorithm of its own: it only spells one type as flate2 expects it
//! (function pointers that are not `Option`). See `docs/decisions/0002-zlib-without-cmake.md`.
#![allow(unsafe_code, reason = "a C interface is forwarded")]
#![allow(non_camel_case_types, non_snake_case, reason = "the names are zlib's")]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use core::mem::{offset_of, size_of};

pub use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH,
    Z_MEM_ERROR, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR,
    Z_SYNC_FLUSH, zlibVersion,
};

pub type uInt = c_uint;
pub type alloc_func = unsafe extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void;
pub type free_func = unsafe extern "C" fn(*mut c_void, *mut c_void);
pub enum internal_state {}

/// zlib's stream, as flate2 fills it in. Same layout as zlib-rs's, asserted below.
#[repr(C)]
pub struct z_stream {
    pub next_in: *mut u8,
    pub avail_in: c_uint,
    pub total_in: c_ulong,
    pub next_out: *mut u8,
    pub avail_out: c_uint,
    pub total_out: c_ulong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

const _: () = {
    use libz_rs_sys::z_stream as theirs;
    assert!(size_of::<z_stream>() == size_of::<theirs>());
    assert!(offset_of!(z_stream, next_out) == offset_of!(theirs, next_out));
    assert!(offset_of!(z_stream, state) == offset_of!(theirs, state));
    assert!(offset_of!(z_stream, zalloc) == offset_of!(theirs, zalloc));
    assert!(offset_of!(z_stream, opaque) == offset_of!(theirs, opaque));
    assert!(offset_of!(z_stream, reserved) == offset_of!(theirs, reserved));
};

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        /// zlib's function of this name.
        ///
        /// # Safety
        /// As zlib's manual says; `stream` points to a valid stream.
        pub unsafe extern "C" fn $name(stream: *mut z_stream, $($arg: $type),*) -> c_int {
            // SAFETY: the layouts are equal (asserted above), and the caller keeps zlib's contract.
            unsafe { libz_rs_sys::$name(stream.cast(), $($arg),*) }
        }
    )*};
}

forward! {
    deflate(flush: c_int);
    deflateEnd();
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, memory: c_int, strategy: c_int, version: *const c_char, size: c_int);
    deflateParams(level: c_int, strategy: c_int);
    deflateReset();
    deflateSetDictionary(dictionary: *const u8, length: c_uint);
    inflate(flush: c_int);
    inflateEnd();
    inflateInit2_(window_bits: c_int, version: *const c_char, size: c_int);
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const u8, length: c_uint);
}
