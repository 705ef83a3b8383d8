//! The sort that decides which of several equal values is picked.
//!
//! `percentile()` shows the time of a point, and `mode()` decides by times: with equal values among
//! more than a dozen points, what clients see depends on how the sort moves equal elements. It is
//! therefore the pattern-defeating quicksort of Go's `sort.Sort` (since 1.19), step by step: O(n log n),
//! not stable, and the same on every machine.

/// Up to so many elements are sorted by insertion, which keeps equal ones in order.
const INSERTION_MAX: usize = 12;

/// Sorts `items`. `less` must be a strict order.
pub(super) fn sort<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let (end, limit) = (items.len(), bits(items.len()));
    Sorter { items, less }.quick(0, end, limit);
}

/// Bits that a number needs.
const fn bits(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}

/// What the elements looked at for a pivot tell of the order there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Rising,
    Falling,
}

struct Sorter<'a, T, F> {
    items: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    /// By places. A place outside is not less than any other.
    fn less(&self, a: usize, b: usize) -> bool {
        match (self.items.get(a), self.items.get(b)) {
            (Some(a), Some(b)) => (self.less)(a, b),
            _ => false,
        }
    }

    fn quick(&mut self, mut start: usize, mut end: usize, mut limit: u32) {
        let (mut was_balanced, mut was_partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= INSERTION_MAX {
                return self.insert(start, end);
            }
            if limit == 0 {
                return self.heap(start, end);
            }
            if !was_balanced {
                self.break_patterns(start, end);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.pivot(start, end);
            if hint == Hint::Falling {
                self.items[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Rising;
            }
            let looks_sorted = was_balanced && was_partitioned && hint == Hint::Rising;
            if looks_sorted && self.insert_a_few(start, end) {
                return;
            }
            // Everything left of here is at most as large: if the pivot equals it, so do many.
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.partition_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.partition(start, end, pivot);
            was_partitioned = already;
            let (left, right) = (middle - start, end - middle);
            if left < right {
                was_balanced = left >= length / 8;
                self.quick(start, middle, limit);
                start = middle + 1;
            } else {
                was_balanced = right >= length / 8;
                self.quick(middle + 1, end, limit);
                end = middle;
            }
        }
    }

    fn insert(&mut self, start: usize, end: usize) {
        for next in start + 1..end {
            let mut at = next;
            while at > start && self.less(at, at - 1) {
                self.items.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    fn heap(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift(start, root, length);
        }
        for last in (0..length).rev() {
            self.items.swap(start, start + last);
            self.sift(start, 0, last);
        }
    }

    fn sift(&mut self, start: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(start + child, start + child + 1) {
                child += 1;
            }
            if !self.less(start + root, start + child) {
                return;
            }
            self.items.swap(start + root, start + child);
            root = child;
        }
    }

    /// Smaller ones to the left of the pivot; where it ends up, and whether nothing had to move.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        let mut already = true;
        loop {
            while low <= high && self.less(low, start) {
                low += 1;
            }
            while low <= high && !self.less(high, start) {
                high -= 1;
            }
            if low > high {
                self.items.swap(high, start);
                return (high, already);
            }
            already = false;
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Those that equal the pivot to the left; where the larger ones begin.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.items.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        loop {
            while low <= high && !self.less(start, low) {
                low += 1;
            }
            while low <= high && self.less(start, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Moves up to five elements to where they belong; true if all is sorted then.
    fn insert_a_few(&mut self, start: usize, end: usize) -> bool {
        const STEPS_MAX: usize = 5;
        const LENGTH_MIN: usize = 50;
        let mut at = start + 1;
        for _ in 0..STEPS_MAX {
            while at < end && !self.less(at, at - 1) {
                at += 1;
            }
            if at == end {
                return true;
            }
            if end - start < LENGTH_MIN {
                return false;
            }
            self.items.swap(at, at - 1);
            if at - start >= 2 {
                let mut left = at - 1;
                while left >= 1 && self.less(left, left - 1) {
                    self.items.swap(left, left - 1);
                    left -= 1;
                }
            }
            if end - at >= 2 {
                let mut right = at + 1;
                while right < end && self.less(right, right - 1) {
                    self.items.swap(right, right - 1);
                    right += 1;
                }
            }
        }
        false
    }

    /// Swaps three elements with others chosen by the length.
    fn break_patterns(&mut self, start: usize, end: usize) {
        let length = end - start;
        let mut random = length as u64;
        let mask = (1_u64 << bits(length)) - 1;
        let middle = start + length / 4 * 2 - 1;
        for at in 0..3 {
            // The shifts are those of Go until 1.21.
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let mut other = (random & mask) as usize;
            if other >= length {
                other -= length;
            }
            self.items.swap(middle + at, start + other);
        }
    }

    fn pivot(&self, start: usize, end: usize) -> (usize, Hint) {
        const NINTHER_MIN: usize = 50;
        const SWAPS_MAX: usize = 12;
        let length = end - start;
        let mut swaps = 0;
        let quarter = |n: usize| start + length / 4 * n;
        let (mut i, mut j, mut k) = (quarter(1), quarter(2), quarter(3));
        if length >= NINTHER_MIN {
            i = self.median(i - 1, i, i + 1, &mut swaps);
            j = self.median(j - 1, j, j + 1, &mut swaps);
            k = self.median(k - 1, k, k + 1, &mut swaps);
        }
        j = self.median(i, j, k, &mut swaps);
        let hint = match swaps {
            0 => Hint::Rising,
            SWAPS_MAX => Hint::Falling,
            _ => Hint::Unknown,
        };
        (j, hint)
    }

    fn median(&self, a: usize, b: usize, c: usize, swaps: &mut usize) -> usize {
        let mut ordered = |a, b| {
            if self.less(b, a) {
                *swaps += 1;
                (b, a)
            } else {
                (a, b)
            }
        };
        let (a, b) = ordered(a, b);
        let (b, _) = ordered(b, c);
        ordered(a, b).1
    }
}

#[cfg(test)]
mod tests {
    use super::sort;

    /// Numbers in no order, many of them equal, each with its place.
    fn numbers(count: usize, kinds: u64) -> Vec<(u64, usize)> {
        let mut state = count as u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % kinds
        };
        (0..count).map(|at| (next(), at)).collect()
    }

    #[test]
    fn all_is_sorted_and_nothing_lost() {
        for count in [0, 1, 2, 12, 13, 49, 50, 51, 200, 1_000] {
            for kinds in [1, 3, 50, 1_000_000] {
                let given = numbers(count, kinds);
                let rising: Vec<_> = (0..count).map(|at| (at as u64, at)).collect();
                let falling = rising.iter().rev().copied().collect();
                for mut items in [given, rising, falling] {
                    sort(&mut items, |a, b| a.0 < b.0);
                    assert!(items.windows(2).all(|pair| pair[0].0 <= pair[1].0));
                    let mut places: Vec<usize> = items.iter().map(|item| item.1).collect();
                    places.sort_unstable();
                    assert!(places.into_iter().eq(0..count), "{count} {kinds}");
                }
            }
        }
    }

    #[test]
    fn few_elements_keep_their_order() {
        let mut items = numbers(12, 3);
        let mut stable = items.clone();
        sort(&mut items, |a, b| a.0 < b.0);
        stable.sort_by_key(|item| item.0);
        assert_eq!(items, stable);
    }
}
