//! Frames that say something of streams, or of the connection, and carry nothing of a request (RFC 9113 §6.3 to §6.9).

use crate::closed::End;
use crate::connection::{Connection, END_PING};
use crate::frame::{
    FrameHead, PAYLOAD_BYTES_MAX, WINDOW_MAX, flag, number, put_ping, put_settings_ack,
};
use crate::reason::{Fatal, Reason};
use crate::receive::Result;
use crate::stream::Stream;

/// Who opens a window by less brings nothing.
const MORE_MIN: i64 = 1024;

impl Connection {
    pub(crate) fn priority(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if head.stream == 0 {
            return Err(Fatal::protocol("a priority of no stream"));
        }
        if payload.len() != 5 {
            return Err(Fatal::size("a priority has another length"));
        }
        if number(payload) != head.stream {
            return Ok(());
        }
        if self.streams.contains_key(&head.stream) {
            self.reset(head.stream, Reason::PROTOCOL_ERROR);
            return Ok(());
        }
        Err(Fatal::protocol("a stream depends on itself"))
    }

    pub(crate) fn rst_stream(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if payload.len() != 4 {
            return Err(Fatal::size("a reset has another length"));
        }
        if head.stream == 0 || self.is_idle_stream(head.stream) {
            return Err(Fatal::protocol("a reset of an idle stream"));
        }
        let code = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
        self.drop_stream(head.stream, Reason(code), End::ByClient);
        Ok(())
    }

    pub(crate) fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if head.stream != 0 {
            return Err(Fatal::protocol("settings of a stream"));
        }
        if head.has(flag::ACK) {
            return match payload {
                [] => Ok(()),
                _ => Err(Fatal::size("an acknowledgement has a payload")),
            };
        }
        let (settings, []) = payload.as_chunks::<6>() else {
            return Err(Fatal::size("settings are cut short"));
        };
        let mut initial_window = None;
        for setting in settings {
            let id = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            match id {
                0x4 => initial_window = Some(window_of(value)?),
                _ => self.set(id, value)?,
            }
        }
        // the last one counts: to go through all streams for each would be work for little
        if let Some(value) = initial_window {
            self.set_initial_window(value)?;
        }
        self.receiving.settings = true;
        put_settings_ack(&mut self.out.tail);
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32) -> Result<()> {
        match id {
            0x1 => self.encoder.resize(value as usize),
            0x2 if value > 1 => return Err(Fatal::protocol("ENABLE_PUSH is neither 0 nor 1")),
            0x5 => {
                if !(PAYLOAD_BYTES_MAX as u32..1 << 24).contains(&value) {
                    return Err(Fatal::protocol("MAX_FRAME_SIZE is out of bounds"));
                }
                self.peer.payload_bytes_max = value as usize;
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9113 §6.9.2: windows may become negative.
    fn set_initial_window(&mut self, value: i64) -> Result<()> {
        let more = value - std::mem::replace(&mut self.peer.initial_window, value);
        for stream in self.streams.values_mut() {
            stream.send.window += more;
            if stream.send.window > WINDOW_MAX {
                return Err(window_overflow());
            }
        }
        self.line_up_all();
        Ok(())
    }

    pub(crate) fn ping(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if head.stream != 0 {
            return Err(Fatal::protocol("a ping of a stream"));
        }
        if payload.len() != 8 {
            return Err(Fatal::size("a ping has another length"));
        }
        if !head.has(flag::ACK) {
            put_ping(&mut self.out.tail, flag::ACK, payload);
        } else if payload == END_PING {
            self.end_is_known();
        }
        Ok(())
    }

    pub(crate) fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if payload.len() != 4 {
            return Err(Fatal::size("a window update has another length"));
        }
        let more = i64::from(number(payload));
        // clients that read by small pieces open their windows so
        if more < MORE_MIN {
            self.nuisance()?;
        }
        if head.stream == 0 {
            self.window += more;
            return match more {
                0 => Err(Fatal::protocol("a window is opened by nothing")),
                _ if self.window > WINDOW_MAX => Err(window_overflow()),
                _ => Ok(()),
            };
        }
        if self.is_idle_stream(head.stream) {
            return Err(Fatal::protocol("a window of an idle stream"));
        }
        let Ok(Stream { send, .. }) = self.live(head.stream) else {
            return Ok(());
        };
        send.window += more;
        if more == 0 {
            self.reset(head.stream, Reason::PROTOCOL_ERROR);
        } else if send.window > WINDOW_MAX {
            self.reset(head.stream, Reason::FLOW_CONTROL_ERROR);
        } else {
            self.line_up(head.stream);
        }
        Ok(())
    }

    /// The client opens no further streams. Those there are it wants answered; then nothing is left to do here.
    pub(crate) fn goaway(&mut self, head: FrameHead, payload: &[u8]) -> Result<()> {
        if head.stream != 0 {
            return Err(Fatal::protocol("a farewell of a stream"));
        }
        if payload.len() < 8 {
            return Err(Fatal::size("a farewell is cut short"));
        }
        self.end();
        Ok(())
    }
}

fn window_of(value: u32) -> Result<i64> {
    let value = i64::from(value);
    if value > WINDOW_MAX {
        return Err(window_overflow());
    }
    Ok(value)
}

fn window_overflow() -> Fatal {
    Fatal::new(Reason::FLOW_CONTROL_ERROR, "a window is too wide")
}
