//! Why a stream or a connection ended: error codes (RFC 9113 §7).

/// An error code, as it stands in `RST_STREAM` and `GOAWAY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub u32);

impl Reason {
    pub const NO_ERROR: Self = Self(0x0);
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    pub const INTERNAL_ERROR: Self = Self(0x2);
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    pub const STREAM_CLOSED: Self = Self(0x5);
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    pub const REFUSED_STREAM: Self = Self(0x7);
    pub const CANCEL: Self = Self(0x8);
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
}

/// The connection has to end: `GOAWAY` says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    pub reason: Reason,
    pub text: &'static str,
}

impl Fatal {
    pub(crate) const fn new(reason: Reason, text: &'static str) -> Self {
        Self { reason, text }
    }

    pub(crate) const fn protocol(text: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, text)
    }

    pub(crate) const fn size(text: &'static str) -> Self {
        Self::new(Reason::FRAME_SIZE_ERROR, text)
    }
}
