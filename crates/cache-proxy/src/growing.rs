//! A copy while it is written: one writer, many readers, bounded memory.
//!
//! Readers follow by offset, each at its own pace. While the copy is going to be stored every byte is kept; where it is
//! not, the writer waits when the slowest reader is [`WINDOW_BYTES`] behind, and readers that hold up others are cut.

use crate::copy::CopyHead;
use crate::shown::Withheld;
use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use pingora::http::ResponseHeader;
use seawall_cache_store::{CHUNK_BYTES, Head};
use seawall_http_cache::{Outcome, variant_digest};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How far a body that is not stored may run ahead of its slowest reader (1 MiB).
pub(crate) const WINDOW_BYTES: u64 = 1 << 20;
/// A writer that has waited this long for room cuts the readers that hold up others.
pub(crate) const LAG_MAX: Duration = Duration::from_secs(10);
/// Interim answers kept for the first reader.
const INTERIM_MAX: usize = 16;

/// Bytes held by all copies in progress of a node.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    max: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            max,
        }
    }

    /// Bytes held at the moment.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Who may have a fill's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Everybody who waits, as far as the request agrees in these fields (none: all agree).
    Selecting(Arc<[http::HeaderName]>),
    /// Only the one who asked: it may not be stored.
    FirstOnly,
}

impl Share {
    /// Whether a request with the fields `asked` may have what was fetched for one with `first`, another one's.
    pub(crate) fn admits(&self, first: &http::HeaderMap, asked: &http::HeaderMap) -> bool {
        match self {
            Self::FirstOnly => false,
            Self::Selecting(names) => {
                names.is_empty() || variant_digest(names, first) == variant_digest(names, asked)
            }
        }
    }
}

/// What a fill came to, known with its head.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The response that the next server sent; its body follows.
    Own {
        head: Arc<CopyHead>,
        share: Share,
        withheld: Withheld,
    },
    /// A stored copy is the answer: validated, stale where that is allowed, or a part that was stored just now.
    Stored(StoredAnswer),
    /// A part that cannot be shared came where one was asked for: who waits asks anew.
    Unusable(Anew),
}

/// A stored copy that is the answer, and how it came to be.
#[derive(Clone, Debug)]
pub(crate) struct StoredAnswer {
    pub(crate) head: Arc<Head>,
    pub(crate) variant: u64,
    pub(crate) outcome: Outcome,
    pub(crate) share: Share,
    pub(crate) withheld: Withheld,
    /// What the next server answered; `None`: nothing.
    pub(crate) status: Option<u16>,
    /// The next server confirmed it by a copy of its own that is stale, as that one says.
    pub(crate) stale: bool,
    /// The origin was asked for what came of it.
    pub(crate) fetched: bool,
}

/// How to ask anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anew {
    /// For the whole, which is short.
    Whole,
    /// Each for itself.
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Done,
    Failed,
}

#[derive(Debug)]
struct Follower {
    pos: u64,
    waker: Option<Waker>,
    cut: bool,
}

#[derive(Debug)]
struct State {
    interim: Vec<Arc<ResponseHeader>>,
    answer: Option<Answer>,
    /// Every byte is kept, because the copy will be stored.
    keep: bool,
    pieces: VecDeque<Bytes>,
    /// Offset of the first piece that is still held.
    base: u64,
    len: u64,
    /// Offset from which pieces are not yet joined to a chunk.
    sealed: u64,
    end: End,
    readers: Vec<Option<Follower>>,
    live: usize,
    writer: Option<Waker>,
}

/// The shared copy.
#[derive(Debug)]
pub(crate) struct Growing {
    state: Mutex<State>,
    budget: Arc<Budget>,
}

impl State {
    fn wake_readers(&mut self) {
        for reader in self.readers.iter_mut().flatten() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    fn slowest(&self) -> u64 {
        let positions = self
            .readers
            .iter()
            .flatten()
            .filter(|r| !r.cut)
            .map(|r| r.pos);
        positions.min().unwrap_or(self.len)
    }

    /// Nobody reads, and nothing will be stored.
    fn useless(&self) -> bool {
        self.live == 0 && self.answer.is_some() && !self.keep
    }

    /// Gives up the pieces that every reader has passed. Returns how many bytes.
    fn trim(&mut self) -> u64 {
        if self.keep || self.answer.is_none() {
            return 0;
        }
        let slowest = self.slowest();
        let before = self.base;
        while let Some(first) = self.pieces.front() {
            let end = self.base + first.len() as u64;
            if end > slowest {
                break;
            }
            self.pieces.pop_front();
            self.base = end;
        }
        self.base - before
    }

    /// The bytes from `pos` to the end of the piece that holds it.
    fn piece_at(&self, pos: u64) -> Option<Bytes> {
        let mut start = self.base;
        // sealed chunks are few and readers are near the end: walk from the nearer side
        if pos >= self.sealed {
            let mut end = self.len;
            for piece in self.pieces.iter().rev() {
                let start = end - piece.len() as u64;
                if start <= pos {
                    return (pos < end).then(|| piece.slice((pos - start) as usize..));
                }
                end = start;
            }
            return None;
        }
        if self.base == 0 {
            // everything is kept, and all chunks before `sealed` have one length
            let piece = self.pieces.get((pos / CHUNK_BYTES) as usize)?;
            return Some(piece.slice((pos % CHUNK_BYTES) as usize..));
        }
        for piece in &self.pieces {
            let end = start + piece.len() as u64;
            if pos < end {
                return Some(piece.slice((pos.checked_sub(start)?) as usize..));
            }
            start = end;
        }
        None
    }
}

/// Whether the writer may go on.
pub(crate) enum Room {
    Yes,
    /// Nobody reads and nothing will be stored: the writer should stop.
    Useless,
}

impl Growing {
    pub(crate) fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                interim: Vec::new(),
                answer: None,
                keep: false,
                pieces: VecDeque::new(),
                base: 0,
                len: 0,
                sealed: 0,
                end: End::Open,
                readers: Vec::with_capacity(1),
                live: 0,
                writer: None,
            }),
            budget,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A further reader, from the first byte. The first one ever made is the one who asked.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state();
        state.live += 1;
        let follower = Some(Follower {
            pos: 0,
            waker: None,
            cut: false,
        });
        // slot 0 stays the first reader's
        let free = state
            .readers
            .iter()
            .skip(1)
            .position(Option::is_none)
            .map(|i| i + 1);
        let id = match free {
            Some(i) => {
                state.readers[i] = follower;
                i
            }
            None => {
                state.readers.push(follower);
                state.readers.len() - 1
            }
        };
        drop(state);
        Reader {
            growing: self.clone(),
            id,
            interim: 0,
        }
    }

    /// An interim answer (1xx) for the first reader. Beyond a few they are dropped.
    pub(crate) fn push_interim(&self, head: ResponseHeader) {
        let mut state = self.state();
        if state.interim.len() < INTERIM_MAX {
            state.interim.push(Arc::new(head));
            state.wake_readers();
        }
    }

    /// Tells the answer. `keep`: its body will be stored. The first answer stands.
    pub(crate) fn set_answer(&self, answer: Answer, keep: bool) {
        let mut state = self.state();
        if state.answer.is_none() {
            state.answer = Some(answer);
            state.keep = keep;
            state.wake_readers();
        }
    }

    /// Whether the copy is still going to be stored.
    pub(crate) fn keeps(&self) -> bool {
        self.state().keep
    }

    /// Gives up storing: from here on the body only passes.
    pub(crate) fn stop_keeping(&self) {
        let mut state = self.state();
        state.keep = false;
        let freed = state.trim();
        drop(state);
        self.budget.used.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Pending while the window is shut.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Room> {
        let mut state = self.state();
        if state.useless() {
            return Poll::Ready(Room::Useless);
        }
        if state.keep || state.len - state.slowest() <= WINDOW_BYTES {
            return Poll::Ready(Room::Yes);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Pending while somebody reads or the copy will be stored.
    pub(crate) fn poll_useless(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.useless() {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Cuts the readers that keep the window shut although another has everything.
    pub(crate) fn cut_laggards(&self) {
        let mut state = self.state();
        let len = state.len;
        if !state
            .readers
            .iter()
            .flatten()
            .any(|r| !r.cut && r.pos == len)
        {
            return;
        }
        for reader in state.readers.iter_mut().flatten() {
            reader.cut |= len - reader.pos > WINDOW_BYTES;
        }
        let freed = state.trim();
        state.wake_readers();
        drop(state);
        self.budget.used.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Appends. Returns the chunks that became whole (index, bytes) while the copy is kept, and `false` when the node's
    /// budget is used up: the copy then should not be stored.
    pub(crate) fn push(&self, data: Bytes) -> (Vec<(u32, Bytes)>, bool) {
        if data.is_empty() {
            return (Vec::new(), true);
        }
        let added = data.len() as u64;
        let used = self.budget.used.fetch_add(added, Ordering::Relaxed) + added;
        let mut state = self.state();
        state.len += added;
        state.pieces.push_back(data);
        let mut whole = Vec::new();
        if state.keep {
            while state.len - state.sealed >= CHUNK_BYTES {
                let index = (state.sealed / CHUNK_BYTES) as u32;
                let chunk = state.seal(CHUNK_BYTES);
                whole.push((index, chunk));
            }
        }
        state.wake_readers();
        (whole, used <= self.budget.max)
    }

    /// The tail that is no whole chunk yet, in pieces; with everything before it this is the body.
    pub(crate) fn tail(&self) -> (u64, Vec<Bytes>) {
        let state = self.state();
        let first = (state.sealed / CHUNK_BYTES) as usize;
        (
            state.len,
            state.pieces.iter().skip(first).cloned().collect(),
        )
    }

    /// The copy is complete, or it has failed; only the first word counts.
    pub(crate) fn finish(&self, complete: bool) {
        let mut state = self.state();
        if state.end == End::Open {
            state.end = if complete { End::Done } else { End::Failed };
            state.wake_readers();
        }
    }
}

impl State {
    /// Joins the `take` bytes behind `sealed` to one piece; later bytes stay pieces of their own.
    fn seal(&mut self, take: u64) -> Bytes {
        let first = (self.sealed / CHUNK_BYTES) as usize;
        let mut chunk = BytesMut::with_capacity(take as usize);
        let mut rest = None;
        let mut used = first;
        while (chunk.len() as u64) < take {
            let piece = &self.pieces[used];
            let room = take as usize - chunk.len();
            used += 1;
            if piece.len() > room {
                chunk.extend_from_slice(&piece[..room]);
                rest = Some(piece.slice(room..));
            } else {
                chunk.extend_from_slice(piece);
            }
        }
        let chunk = chunk.freeze();
        self.pieces.drain(first..used);
        self.pieces.insert(first, chunk.clone());
        if let Some(rest) = rest {
            self.pieces.insert(first + 1, rest);
        }
        self.sealed += take;
        chunk
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.budget
            .used
            .fetch_sub(state.len - state.base, Ordering::Relaxed);
    }
}

/// One reader of a growing copy.
#[derive(Debug)]
pub(crate) struct Reader {
    growing: Arc<Growing>,
    id: usize,
    interim: usize,
}

/// What a reader gets before the body.
#[derive(Debug)]
pub(crate) enum First {
    Interim(Arc<ResponseHeader>),
    Answer(Answer),
    /// The fill ended without an answer.
    Failed,
}

/// What a reader gets of the body.
#[derive(Debug)]
pub(crate) enum Next {
    Data(Bytes),
    Done,
    Failed,
}

impl Reader {
    /// Another reader of the same copy, from the first byte.
    pub(crate) fn another(&self) -> Reader {
        self.growing.reader()
    }

    /// Interim answers (for the first reader alone: a joiner cannot know yet whether the answer will be its own), then
    /// the answer.
    pub(crate) fn poll_first(&mut self, cx: Option<&mut Context<'_>>) -> Poll<First> {
        let state = &mut *self.growing.state();
        if self.id == 0
            && let Some(interim) = state.interim.get(self.interim)
        {
            self.interim += 1;
            return Poll::Ready(First::Interim(interim.clone()));
        }
        if let Some(answer) = &state.answer {
            return Poll::Ready(First::Answer(answer.clone()));
        }
        if state.end != End::Open {
            return Poll::Ready(First::Failed);
        }
        state.wait(self.id, cx);
        Poll::Pending
    }

    /// The next bytes of the body, at most a piece.
    pub(crate) fn poll_next(&mut self, cx: Option<&mut Context<'_>>) -> Poll<Next> {
        let mut state = self.growing.state();
        let Some(Some(reader)) = state.readers.get(self.id) else {
            return Poll::Ready(Next::Failed);
        };
        let (pos, cut) = (reader.pos, reader.cut);
        if cut {
            return Poll::Ready(Next::Failed);
        }
        if let Some(piece) = state.piece_at(pos) {
            if let Some(Some(reader)) = state.readers.get_mut(self.id) {
                reader.pos += piece.len() as u64;
            }
            let freed = state.trim();
            if !state.keep
                && state.len - state.slowest() <= WINDOW_BYTES
                && let Some(writer) = state.writer.take()
            {
                writer.wake();
            }
            drop(state);
            self.growing.budget.used.fetch_sub(freed, Ordering::Relaxed);
            return Poll::Ready(Next::Data(piece));
        }
        match state.end {
            End::Done => Poll::Ready(Next::Done),
            End::Failed => Poll::Ready(Next::Failed),
            End::Open => {
                state.wait(self.id, cx);
                Poll::Pending
            }
        }
    }
}

impl State {
    fn wait(&mut self, id: usize, cx: Option<&mut Context<'_>>) {
        if let (Some(cx), Some(Some(reader))) = (cx, self.readers.get_mut(id)) {
            reader.waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.growing.state();
        state.readers[self.id] = None;
        state.live -= 1;
        let freed = state.trim();
        if !state.keep
            && let Some(writer) = state.writer.take()
        {
            writer.wake();
        }
        drop(state);
        self.growing.budget.used.fetch_sub(freed, Ordering::Relaxed);
    }
}
