//! More levels of nesting than an encoder writes, made of what it does write.

use bytes::Bytes;

/// A payload and how it goes one map and one array deeper.
pub(super) struct Nesting {
    before: Vec<u8>,
    open: Vec<u8>,
    inner: Vec<u8>,
    close: Vec<u8>,
    after: Vec<u8>,
}

impl Nesting {
    /// Compares the payloads of `nest` levels and of two less; none if the format does not
    /// write a level by adding bytes before and after what lies in it.
    pub(super) fn find(nest: usize, payload: impl Fn(usize) -> Bytes) -> Option<Self> {
        let (deep, less, least) = (payload(nest), payload(nest - 2), payload(nest - 4));
        let added = deep.len().checked_sub(less.len())?;
        let same = less.iter().zip(&deep[..]).take_while(|(a, b)| a == b);
        let before = same.count();
        let rest = less.len() - before;
        let reversed = less.iter().rev().zip(deep.iter().rev());
        let after = reversed.take_while(|(a, b)| a == b).count().min(rest);
        let inner = rest - after;
        // What opens a level ends where the two differ; how long it is, is tried.
        (0..=added.min(before)).rev().find_map(|open| {
            let nesting = Self {
                before: less[..before].to_vec(),
                open: less[before - open..before].to_vec(),
                inner: less[before..before + inner].to_vec(),
                close: less.get(before + inner..)?.get(..added - open)?.to_vec(),
                after: less[before + inner..].to_vec(),
            };
            let mut shallow = nesting.deeper(1);
            let is_right = shallow == deep[..] && {
                let cut = before.checked_sub(open)?;
                let tail = nesting.after.get(nesting.close.len()..)?;
                shallow = [&less[..cut], &nesting.inner, tail].concat();
                shallow == least[..]
            };
            is_right.then_some(nesting)
        })
    }

    /// Two levels more, so many times, than the shallower of the two payloads compared.
    pub(super) fn deeper(&self, times: usize) -> Vec<u8> {
        let (open, close) = (self.open.repeat(times), self.close.repeat(times));
        [&self.before[..], &open, &self.inner, &close, &self.after].concat()
    }

    /// The same without what closes it.
    pub(super) fn only_opened(&self, times: usize) -> Vec<u8> {
        [&self.before[..], &self.open.repeat(times)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_with_and_without_an_end() {
        for (open, close) in [("[{\"in\":", "}]"), ("\u{1}", ""), ("abab", "b")] {
            let payload = |nest: usize| {
                let times = nest / 2;
                Bytes::from(format!("x{}0{}y", open.repeat(times), close.repeat(times)))
            };
            let nesting = Nesting::find(8, payload).expect("it repeats");
            assert_eq!(nesting.deeper(1), payload(8));
            assert_eq!(nesting.deeper(9), payload(24));
        }
    }

    #[test]
    fn a_length_in_front_is_not_taken_for_a_level() {
        let payload = |nest: usize| Bytes::from(format!("{nest}{}", "[".repeat(nest)));
        assert!(Nesting::find(8, payload).is_none());
    }
}
