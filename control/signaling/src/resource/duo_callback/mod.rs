//! The two-way callback.
