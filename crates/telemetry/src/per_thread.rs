//! What each thread has of its own in something that threads share: found without a lock, made at the first use.

use std::sync::{Arc, Weak};

/// What one thread has of its own in each owner; almost always there is one owner a thread.
pub(crate) type Mine<O, T> = Vec<(Weak<O>, Arc<T>)>;

/// This thread's part in `owner`; `enlist` makes it. Parts in owners that have gone are let go of then.
pub(crate) fn part_of<'m, O, T>(
    mine: &'m mut Mine<O, T>,
    owner: &Arc<O>,
    enlist: impl FnOnce() -> Arc<T>,
) -> &'m T {
    let is_it = |(of, _): &(Weak<O>, Arc<T>)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(owner));
    let at = mine.iter().position(is_it).unwrap_or_else(|| {
        mine.retain(|(of, _)| of.strong_count() > 0);
        mine.push((Arc::downgrade(owner), enlist()));
        mine.len() - 1
    });
    &mine[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_made_once_for_each_owner_and_goes_with_it() {
        let (one, two) = (Arc::new(1), Arc::new(2));
        let mut mine = Mine::new();
        assert_eq!(*part_of(&mut mine, &one, || Arc::new("one")), "one");
        assert_eq!(*part_of(&mut mine, &two, || Arc::new("two")), "two");
        assert_eq!(*part_of(&mut mine, &one, || Arc::new("again")), "one");
        drop((one, two));
        part_of(&mut mine, &Arc::new(3), || Arc::new("three"));
        assert_eq!(mine.len(), 1);
    }
}
