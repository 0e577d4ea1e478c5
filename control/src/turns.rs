//! Turns among several of a kind, so that a busy one does not starve the others.

/// Whose turn is next: that behind the one that was served last.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Turns(usize);

impl Turns {
    /// The places of `count` in their order, from the one whose turn is next.
    pub(crate) fn of(self, count: usize) -> impl Iterator<Item = usize> {
        (0..count).map(move |step| (self.0 + step) % count)
    }

    /// This one was served.
    pub(crate) const fn served(&mut self, place: usize) {
        self.0 = place + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_served_is_the_last_to_be_asked_again() {
        let mut turns = Turns::default();
        let order = |turns: Turns, count| turns.of(count).collect::<Vec<_>>();
        assert_eq!(order(turns, 3), [0, 1, 2]);
        turns.served(0);
        assert_eq!(order(turns, 3), [1, 2, 0]);
        turns.served(2);
        assert_eq!(order(turns, 3), [0, 1, 2]);
        assert_eq!(order(turns, 0), [0; 0]);
    }
}
