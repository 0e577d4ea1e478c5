//! The media core from outside: a file per behavior.

mod continuity;
mod support;
