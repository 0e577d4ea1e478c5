//! Held against proptest.
