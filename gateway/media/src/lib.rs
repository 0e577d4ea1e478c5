//! Placeholder while the house is being built.
#![no_std]
