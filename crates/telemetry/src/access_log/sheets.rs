//! Lines that wait: each thread gathers its own, so that no two threads meet for a line.

use crate::per_thread::{Mine, part_of};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A sheet that is as long as this is collected at once (256 KiB). What the kernel asks for a write depends on its length
/// the less the longer it is.
const FULL_BYTES: usize = 256 * 1024;
/// Lines that a thread reserves room for at a time, where there is much.
const RESERVED: usize = 64;

/// What a thread has gathered. On a line of the processor's cache of its own.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Sheet {
    text: Vec<u8>,
    lines: usize,
    /// Lines that may still be added without asking for room.
    reserved: usize,
}

/// What the writer has to know of a line that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// It is the first on its sheet.
    First,
    /// The sheet is full with it.
    Full,
}

/// The sheets of all threads. Together they hold so many lines at most.
#[derive(Debug)]
pub(super) struct Sheets {
    /// Lines that no thread has reserved room for.
    room: AtomicUsize,
    reserve: usize,
    all: Mutex<Vec<Arc<Mutex<Sheet>>>>,
}

thread_local! {
    /// This thread's sheet, by log.
    static MINE: RefCell<Mine<Sheets, Mutex<Sheet>>> = const { RefCell::new(Vec::new()) };
}

impl Sheets {
    /// Room for `lines_max` lines, one at least.
    pub(super) fn new(lines_max: usize) -> Self {
        Self {
            room: AtomicUsize::new(lines_max.max(1)),
            // a thread that falls silent keeps but a small part of it
            reserve: (lines_max / RESERVED).clamp(1, RESERVED),
            all: Mutex::default(),
        }
    }

    /// Has `put` append one line to this thread's sheet. `None`: there is no room.
    pub(super) fn add(self: &Arc<Self>, put: impl FnOnce(&mut Vec<u8>)) -> Option<News> {
        MINE.with_borrow_mut(|mine| {
            let sheet = part_of(mine, self, || self.another());
            // nobody else wants it but the writer, now and then, for as long as it takes to exchange two pointers
            self.add_to(&mut sheet.lock(), put)
        })
    }

    /// A sheet for a thread that adds its first line here.
    fn another(&self) -> Arc<Mutex<Sheet>> {
        let sheet = Arc::default();
        self.all.lock().push(Arc::clone(&sheet));
        sheet
    }

    fn add_to(&self, sheet: &mut Sheet, put: impl FnOnce(&mut Vec<u8>)) -> Option<News> {
        if sheet.reserved == 0 {
            sheet.reserved = self.take_room();
        }
        sheet.reserved = sheet.reserved.checked_sub(1)?;
        let before = sheet.text.len();
        put(&mut sheet.text);
        sheet.lines += 1;
        Some(if before < FULL_BYTES && sheet.text.len() >= FULL_BYTES {
            News::Full
        } else if sheet.lines == 1 {
            News::First
        } else {
            News::Nothing
        })
    }

    /// Room for some more lines, as far as there is any.
    fn take_room(&self) -> usize {
        let take = |room: usize| room.checked_sub(self.reserve.min(room));
        let order = Ordering::Relaxed;
        let before = self.room.fetch_update(order, order, take);
        before.map_or(0, |room| room.min(self.reserve))
    }

    /// Takes what each sheet holds, one after the other: `text`, which is empty, changes places with it, and `write` is
    /// told how many lines it has become, and leaves it empty. There is room again before they are written.
    pub(super) fn collect(&self, text: &mut Vec<u8>, mut write: impl FnMut(&mut Vec<u8>, usize)) {
        let sheets = self.all.lock().clone();
        for sheet in sheets {
            let lines = {
                let mut sheet = sheet.lock();
                std::mem::swap(&mut sheet.text, text);
                std::mem::take(&mut sheet.lines)
            };
            self.room.fetch_add(lines, Ordering::Relaxed);
            if lines > 0 {
                write(text, lines);
            }
        }
        self.all.lock().retain(|sheet| {
            // held by nobody else: its thread has ended, and all that it added can be seen
            if Arc::strong_count(sheet) > 1 {
                return true;
            }
            let left = sheet.lock();
            if left.lines == 0 {
                self.room.fetch_add(left.reserved, Ordering::Relaxed);
            }
            left.lines > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects once: what was written of each sheet, with its count of lines.
    fn collected(sheets: &Sheets) -> Vec<(String, usize)> {
        let (mut text, mut all) = (Vec::new(), Vec::new());
        sheets.collect(&mut text, |text, lines| {
            all.push((String::from_utf8(std::mem::take(text)).unwrap(), lines));
        });
        all
    }

    fn line(text: &mut Vec<u8>) {
        text.extend_from_slice(b"line\n");
    }

    #[test]
    fn no_more_lines_wait_than_there_is_room_for_and_those_that_were_taken_leave_room() {
        let sheets = Arc::new(Sheets::new(3));
        let add = || sheets.add(line);
        assert_eq!(add(), Some(News::First));
        assert_eq!(
            [add(), add(), add()],
            [Some(News::Nothing), Some(News::Nothing), None]
        );
        assert_eq!(collected(&sheets), [("line\n".repeat(3), 3)]);
        assert_eq!([add(), add(), add(), add()].iter().flatten().count(), 3);
    }

    #[test]
    fn a_sheet_says_once_that_it_is_full() {
        let sheets = Arc::new(Sheets::new(1000));
        let put = |text: &mut Vec<u8>| text.resize(text.len() + FULL_BYTES / 4, b'x');
        let news: Vec<_> = (0..6).filter_map(|_| sheets.add(put)).collect();
        let nothing = News::Nothing;
        let expected = [News::First, nothing, nothing, News::Full, nothing, nothing];
        assert_eq!(news, expected);
    }

    #[test]
    fn a_thread_that_ended_leaves_its_lines_but_no_sheet_and_no_room_that_is_lost() {
        let sheets = Arc::new(Sheets::new(1000));
        for _ in 0..50 {
            let sheets = sheets.clone();
            let thread = std::thread::spawn(move || sheets.add(line));
            assert_eq!(thread.join().unwrap(), Some(News::First));
        }
        assert_eq!(collected(&sheets), vec![("line\n".to_owned(), 1); 50]);
        assert!(collected(&sheets).is_empty() && sheets.all.lock().is_empty());
        assert_eq!(sheets.room.load(Ordering::Relaxed), 1000);
    }
}
